"""The last step of the recipe end to end, on synthetic photos, and what it refuses."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipeline.errors import SettingError, UsageError
from pipeline.lab.cli.fine_tune_starter import main
from pipeline.lab.fold_weights import FoldWeights
from pipeline.lab.folds import FOLDS, fold_of
from pipeline.lab.starter.inputs import FineTuneJob
from pipeline.lab.starter.people_recipe import read_examples
from s2cnet import load_model
from tests.pipeline.lab.starter.drawn_scores import write_scores

torch.set_num_threads(1)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Photos 0 to 7 of 160 × 120 pixels: crops of 0 to 3, gaze and a head of 4 to 6, none of 7."""
    folder = tmp_path / "people"
    folder.mkdir()
    random = np.random.default_rng(0)
    labels: dict[str, dict[str, object]] = {}
    for number in range(8):
        pixels = random.integers(0, 255, (120, 160, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), pixels)
        entry: dict[str, object] = {"size_wh": [160, 120]}
        if number < 4:
            entry["crops"] = [[0, 0, 100, 110], [10, 0, 120, 100]]
        elif number < 7:
            entry["viewers"] = [[[80, 60, 200], [20, 30, 300]], [[82, 58, 150], [25, 35, 250]]]
            entry["heads"] = [{"box": [10, 10, 40, 50]}]
        labels[f"{number}.png"] = entry
    folder.with_suffix(".json").write_text(json.dumps(labels))
    return folder


@pytest.fixture
def scored_crops(tmp_path: Path) -> Path:
    return write_scores(tmp_path / "scores.json")


def test_a_trial_writes_weights_that_load(people: Path, scored_crops: Path, tmp_path: Path) -> None:
    words = [str(people), "--scored-crops", str(scored_crops), "--output", str(tmp_path / "made")]
    assert main([*words, "--trial"]) == 0
    made, start = load_model(str(tmp_path / "made" / "starter.safetensors")), load_model("starter")
    before, after = start.state_dict(), made.state_dict()
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name].float()) for name in before)
    assert all(bool(tensor.isfinite().all()) for tensor in after.values())


def test_weights_without_a_fold_are_called_as_their_readers_look_for_them(
    people: Path, scored_crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(people), "--scored-crops", str(scored_crops), "--output", str(tmp_path / "folds")]
    for fold in (0, 3):
        assert main([*words, "--trial", "--fold", str(fold)]) == 0
        assert f"fold{fold}.safetensors is in" in capsys.readouterr().out
    folds = tmp_path / "folds"
    for fold in {*range(FOLDS)} - {0, 3}:  # each takes seconds to make
        shutil.copy(folds / "fold0.safetensors", folds / f"fold{fold}.safetensors")
    weights = FoldWeights(networks=folds)
    assert len(weights.files([people.name])) == FOLDS
    assert weights.network(3) is not None


def test_photos_without_crops_and_gaze_are_left_out(people: Path) -> None:
    names = {example.image.name for example in read_examples([people])}
    assert names == {f"{number}.png" for number in range(7)}


def test_each_photo_is_left_out_of_one_fold(people: Path) -> None:
    whole = {example.id for example in read_examples([people])}
    left_out = [whole - {e.id for e in read_examples([people], fold)} for fold in range(FOLDS)]
    assert sorted(name for names in left_out for name in names) == sorted(whole)
    assert {fold_of(people.name, example.image.name) for example in read_examples([people])} <= set(
        range(FOLDS)
    )


def test_first_fixations_are_told(people: Path) -> None:
    (example,) = (e for e in read_examples([people]) if e.id == "4")
    assert example.first_fixations is not None
    assert example.first_fixations.tolist() == [True, False, True, False]


def test_labels_of_a_larger_copy_are_refused(
    people: Path, scored_crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without size_wh, only their place tells that they are of another photo."""
    words = ["--scored-crops", str(scored_crops), "--output", str(tmp_path / "made"), "--trial"]
    for labels, told in (
        ({"crops": [[9, 9, 90, 90], [90, 0, 320, 70]]}, "1 of 2 crops of people leave the photo"),
        ({"viewers": [[[500, 9, 200]]]}, "all fixations (1) are outside of the photo"),
    ):
        people.with_suffix(".json").write_text(json.dumps({"3.png": labels}))
        assert main([str(people), *words]) == 2
        assert f"3.png: {told}" in capsys.readouterr().err


def test_wrong_usage(
    people: Path, scored_crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    empty.with_suffix(".json").write_text("{}")
    with pytest.raises(UsageError, match="labels has no photo"):
        read_examples([empty])
    (empty / "0.png").write_bytes((people / "0.png").read_bytes())
    empty.with_suffix(".json").write_text('{"0.png": {"heads": []}}')
    with pytest.raises(UsageError, match="no photo with crops or gaze"):
        read_examples([empty])
    with pytest.raises(UsageError, match=r"0\.png is given twice"):
        read_examples([people, empty / ".." / people.name])
    words = ["--scored-crops", str(scored_crops), "--output", str(tmp_path / "made")]
    assert main([str(people), *words, "--fold", str(FOLDS)]) == 2
    assert "--fold" in capsys.readouterr().err
    assert main([str(people), *words, "--start", "none.pth"]) == 2
    assert "--start is wrong: there is no weights file none.pth\n" in capsys.readouterr().err
    with pytest.raises(SettingError):
        FineTuneJob(people=(people,), scored_crops=scored_crops, output=tmp_path, fold=-1)
