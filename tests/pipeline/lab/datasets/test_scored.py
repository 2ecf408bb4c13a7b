"""Readers of the GAIC layout and of CPC, on hand-made folders."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UsageError
from pipeline.lab.datasets import NAMES, load_dataset


def photo(path: Path, size: tuple[int, int] = (60, 40)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 120, 40)).save(path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def gaic(tmp_path: Path) -> Path:
    photo(tmp_path / "images/test/7.jpg")
    photo(tmp_path / "images/test/12.jpg")
    photo(tmp_path / "images/train/9.jpg")
    write(tmp_path / "annotations/7.txt", "1 2 30 50 3.5\n0 0 40 60 -2\n5 6 35 55 2.25\n")
    write(tmp_path / "annotations/12.txt", "0 0 40 60 4\n")
    write(tmp_path / "annotations/9.txt", "0 0 40 60 1\n")
    write(tmp_path / "bbox/7.txt", "10 20 30 40\n")
    return tmp_path


@pytest.mark.parametrize("name", ["gaicv1", "gaicv2", "ugcrop5k"])
def test_gaic_layout(gaic: Path, name: str) -> None:
    dataset = load_dataset(name, gaic)
    assert [example.id for example in dataset.examples] == ["12", "7"]
    seven = dataset.examples[1]
    # y1 x1 y2 x2 in the file; the crop of score -2 was not annotated.
    assert seven.scored_px.tolist() == [[2, 1, 50, 30], [6, 5, 55, 35]]
    assert seven.mos.tolist() == [3.5, 2.25]
    assert seven.objects_px is not None
    assert seven.objects_px.tolist() == [[20, 10, 40, 30]]
    assert dataset.examples[0].objects_px is None
    assert len(seven.human_px) == 0
    assert [e.id for e in load_dataset(name, gaic, "train").examples] == ["9"]


def test_gaic_mirrors_split_their_annotations(gaic: Path) -> None:
    for name in ("7", "12"):
        target = gaic / "annotations/test" / f"{name}.txt"
        write(target, (gaic / "annotations" / f"{name}.txt").read_text())
        (gaic / "annotations" / f"{name}.txt").unlink()
        write(gaic / f"bbox/test/{name}.txt", "1 2 30 40\n")
    for example in load_dataset("gaicv1", gaic).examples:
        assert example.objects_px is not None
        assert example.objects_px.tolist() == [[2, 1, 40, 30]]
    shutil.rmtree(gaic / "bbox")
    assert [one.objects_px for one in load_dataset("gaicv1", gaic).examples] == [None, None]


def test_gaic_leaves_out_what_nobody_judged_and_says_so(gaic: Path) -> None:
    write(gaic / "annotations/12.txt", "0 0 40 60 -2\n")
    dataset = load_dataset("gaicv1", gaic)
    assert [example.id for example in dataset.examples] == ["7"]
    assert dataset.notes == ["1 photo without any annotated crop left out"]
    assert load_dataset("gaicv1", gaic, "train").notes == []
    write(gaic / "annotations/7.txt", "0 0 40 60 -2\n")
    with pytest.raises(UsageError, match=r"split 'test'; 2 photos without any annotated crop left"):
        load_dataset("gaicv1", gaic)


def test_gaic_errors_name_the_place(gaic: Path) -> None:
    with pytest.raises(UsageError, match=r"no folder val; it holds: test, train"):
        load_dataset("gaicv1", gaic, "val")
    write(gaic / "annotations/7.txt", "1 2 30 50 3.5\n1 2 30 50\n")
    with pytest.raises(UsageError, match=r"7\.txt:2: expected `y1 x1 y2 x2 MOS`, got `1 2 30 50`"):
        load_dataset("gaicv1", gaic)
    write(gaic / "annotations/7.txt", "1 2 30 50 nan\n")
    with pytest.raises(UsageError, match=r"7\.txt:1: .* got `1 2 30 50 nan`"):
        load_dataset("gaicv1", gaic)
    write(gaic / "annotations/7.txt", "30 2 1 50 3.5\n")
    with pytest.raises(UsageError, match="has no area; is the order another"):
        load_dataset("gaicv1", gaic)
    (gaic / "annotations/7.txt").unlink()
    with pytest.raises(UsageError, match=r"no file in .* for 1 photo of .*: 7\.jpg"):
        load_dataset("gaicv1", gaic)
    for name in ("4", "5", "6"):
        photo(gaic / f"images/test/{name}.jpg")
    with pytest.raises(UsageError, match=r"for 4 photos of .*test: 4\.jpg, 5\.jpg, 6\.jpg$"):
        load_dataset("gaicv1", gaic)
    with pytest.raises(UsageError, match=r"has no folder images; it holds: 12\.txt"):
        load_dataset("gaicv1", gaic / "annotations")


@pytest.mark.parametrize("encodings", [1, 2])
def test_cpc(tmp_path: Path, encodings: int) -> None:
    photo(tmp_path / "images/a.jpg")
    photo(tmp_path / "images/unjudged.jpg")
    content = {
        "scores": [[0, 1, 2], [1, 1, 3]],  # two people, three crops
        "bboxes": [[0, 0, 30, 40], [10, 0, 60, 40], [5, 5, 55, 35]],
    }
    text = json.dumps(content) if encodings == 1 else json.dumps(json.dumps(content))
    write(tmp_path / "CollectedAnnotationsRaw/a.jpg.txt", text)
    dataset = load_dataset("cpc", tmp_path)
    (example,) = dataset.examples
    assert example.mos.tolist() == [0.5, 1, 2.5]
    assert example.scored_px[1].tolist() == [10, 0, 60, 40]
    assert example.human_px.tolist() == [[5, 5, 55, 35]]
    assert dataset.notes == ["1 photo without annotations left out"]
    (tmp_path / "images/unjudged.jpg").unlink()
    assert load_dataset("cpc", tmp_path).notes == []
    with pytest.raises(UsageError, match=r"^split 'val' does not exist: cpc is one split, test"):
        load_dataset("cpc", tmp_path, "val")


def test_cpc_s_crops_of_the_best_score_may_tie(tmp_path: Path) -> None:
    photo(tmp_path / "images/a.jpg")
    content = {"scores": [[2, 1, 2]], "bboxes": [[0, 0, 30, 40], [10, 0, 60, 40], [5, 5, 55, 35]]}
    write(tmp_path / "CollectedAnnotationsRaw/a.jpg.txt", json.dumps(content))
    (example,) = load_dataset("cpc", tmp_path).examples
    assert example.human_px.tolist() == [[0, 0, 30, 40], [5, 5, 55, 35]]
    assert not example.drawn_by_people


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[1, 2]",
        '{"scores": [[1]]}',
        '{"scores": [[1]], "bboxes": 3}',
        '{"scores": [[1, 2, 3, 4]], "bboxes": [1, 2, 3, 4]}',
        '{"scores": [1, 2], "bboxes": [[0, 0, 1, 1], [0, 0, 2, 2]]}',
        '{"scores": 3, "bboxes": [[0, 0, 1, 1]]}',
        '{"scores": [["a"]], "bboxes": [[0, 0, 1, 1]]}',
        '{"scores": [[{}]], "bboxes": [[0, 0, 1, 1]]}',
        '{"scores": [[1, 2]], "bboxes": [[0, 0, 1, 1]]}',
        '{"scores": [[1]], "bboxes": [[0, 0, 1]]}',
        '{"scores": [[1], [NaN]], "bboxes": [[0, 0, 1, 1]]}',
        '{"scores": [[1]], "bboxes": [[0, 0, Infinity, 1]]}',
    ],
)
def test_cpc_refuses_other_contents(tmp_path: Path, text: str) -> None:
    photo(tmp_path / "images/a.jpg")
    write(tmp_path / "CollectedAnnotationsRaw/a.jpg.txt", text)
    with pytest.raises(UsageError, match=r"a\.jpg\.txt: (expected {|.*finite numbers)"):
        load_dataset("cpc", tmp_path)


def test_a_file_of_cpc_that_is_no_text_is_told(tmp_path: Path) -> None:
    photo(tmp_path / "images/a.jpg")
    (tmp_path / "CollectedAnnotationsRaw").mkdir()
    (tmp_path / "CollectedAnnotationsRaw/a.jpg.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"a\.jpg\.txt is not a text file$"):
        load_dataset("cpc", tmp_path)


def test_names_and_folders(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose one of gaicv1, gaicv2"):
        load_dataset("imagenet", tmp_path)
    with pytest.raises(UsageError, match="is not a folder"):
        load_dataset("gaicv1", tmp_path / "nowhere")
    for name in NAMES:
        with pytest.raises(UsageError):
            load_dataset(name, tmp_path)


def test_boxes_and_scores_are_float32(gaic: Path) -> None:
    example = load_dataset("gaicv1", gaic).examples[0]
    assert example.scored_px.dtype == example.mos.dtype == np.float32
