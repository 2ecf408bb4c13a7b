"""The validation photos: selected by name, so that a data set may grow."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UsageError
from pipeline.lab.datasets.example import Example
from pipeline.lab.training.settings import TrainSettings
from pipeline.lab.training.split import hash_of_photos, read_split, split_off
from pipeline.report.progress import Log
from tests.pipeline.lab.training.scored_photos import write_data_set


def examples(count: int) -> list[Example]:
    return [Example(f"{number:04}", Path(f"{number:04}.jpg")) for number in range(count)]


def names(part: list[Example]) -> set[str]:
    return {example.id for example in part}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [100, 104, 105])  # 105 photos have 10 to validate, 106 have 11
def test_a_photo_more_brings_at_most_one_that_was_learnt_from(count: int, seed: int) -> None:
    rest, validation = split_off(examples(count), 0.1, seed)
    grown_rest, grown = split_off(examples(count + 1), 0.1, seed)
    assert len(validation) == 10
    assert len(names(grown) & names(rest)) <= len(grown) - 10
    assert names(grown_rest) | names(grown) == names(examples(count + 1))
    assert not names(grown_rest) & names(grown)


def test_the_draw_follows_the_seed_and_not_the_order() -> None:
    photos = examples(100)
    _, validation = split_off(photos, 0.1, 0)
    assert names(split_off(photos[::-1], 0.1, 0)[1]) == names(validation)
    assert names(split_off(photos, 0.1, 1)[1]) != names(validation)
    # As many from the first half as from the second: 100 of 200, give or take 4 sigma of 7.
    early = sum(one.id < "0050" for seed in range(20) for one in split_off(photos, 0.1, seed)[1])
    assert 72 < early < 128


def test_one_photo_is_left_on_each_side_and_fewer_than_two_are_refused() -> None:
    assert [len(part) for part in split_off(examples(2), 0.01, 0)] == [1, 1]
    assert [len(part) for part in split_off(examples(3), 0.99, 0)] == [1, 2]
    with pytest.raises(UsageError, match="at least two"):
        split_off(examples(1), 0.1, 0)


def test_photos_that_a_split_leaves_out_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_data_set(tmp_path, train=4, test=0)
    (tmp_path / "annotations/train001.txt").write_text("0 0 60 80 -2\n")  # nobody judged it
    split = read_split(tmp_path, "gaicv1", None, TrainSettings(), log=Log())
    assert len(split.train) + len(split.validation) == 3
    assert "train: 1 photo without any annotated crop left out" in capsys.readouterr().out


def test_a_hash_is_of_names_order_scores_and_boxes() -> None:
    boxes = np.array([[0, 0, 5, 5], [1, 1, 9, 9]], np.float32)
    first = Example("a", Path("a.jpg"), boxes, np.array([2, 3], np.float32), objects_px=boxes[:1])
    second = Example("b", Path("b.jpg"), boxes, np.array([2, 3], np.float32))
    lists = [
        [first, second],
        [second, first],
        [first],
        [replace(first, id="c"), second],
        [replace(first, mos=np.array([2, 4], np.float32)), second],
        [replace(first, scored_px=boxes[::-1].copy()), second],
        [replace(first, objects_px=None), second],
    ]
    assert len({hash_of_photos(each) for each in lists}) == len(lists)
    moved = [replace(each, image=Path("elsewhere", each.image)) for each in lists[0]]
    assert hash_of_photos(moved) == hash_of_photos(lists[0]), "a data set may be moved"


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_photo_in_two_splits_is_refused(tmp_path: Path, split: str) -> None:
    """Its figures would be of a photo that the network has learnt from."""
    write_data_set(tmp_path, train=3, test=2)
    images = tmp_path / "images"
    learnt, again = images / "train" / "train001.jpg", images / split / "train001.jpg"
    again.parent.mkdir(exist_ok=True)
    shutil.copy(learnt, again)
    settings = TrainSettings()
    with pytest.raises(UsageError, match=rf"{again} is the same photo as {learnt}: leave it in"):
        read_split(tmp_path, "gaicv1", None, settings)
    (images / "test" / "test001.jpg").replace(again)  # another photo may have that name
    parts = read_split(tmp_path, "gaicv1", None, settings)
    assert "train001" in names(parts.validation if split == "val" else parts.test)
