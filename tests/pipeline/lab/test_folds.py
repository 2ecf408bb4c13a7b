"""The fold of a photo, and what weights files by fold record about the held-out sets."""

import json
import os
import zlib
from pathlib import Path

import pytest
import safetensors.torch
import torch
from PIL import Image

from pipeline.detectors.feature_head import FeatureHead
from pipeline.errors import UsageError
from pipeline.lab.cli.evaluate import main as evaluate
from pipeline.lab.cli.learn_from_people import main as learn
from pipeline.lab.fold_weights import FoldWeights, fold_metadata, held_out_sets
from pipeline.lab.folds import FOLDS, fold_of, set_name_of
from pipeline.lab.people import feature_recipe
from pipeline.lab.people.feature_recipe import write_features
from pipeline.lab.people.held_out import labelled_photos
from pipeline.lab.people.labels import read_people_labels
from pipeline.lab.people.settings import FeaturesJob, LabelsJob
from pipeline.lab.starter.people_recipe import read_examples
from pipeline.report.progress import Log

NUMBERS = range(1001, 1031)


@pytest.fixture
def osie(tmp_path: Path) -> Path:
    """Thirty photos with gaze in a folder that is called in capitals."""
    folder = tmp_path / "OSIE"
    folder.mkdir()
    for number in NUMBERS:
        Image.new("RGB", (64, 48)).save(folder / f"{number}.jpg")
    gaze = {"viewers": [[[5, 5, 100]]]}
    folder.with_suffix(".json").write_text(json.dumps({f"{n}.jpg": gaze for n in NUMBERS}))
    return folder


def fold_files(folder: Path, metadata: dict[str, str] | None) -> Path:
    folder.mkdir(exist_ok=True)
    for fold in range(FOLDS):
        one = {"one": torch.zeros(1)}
        safetensors.torch.save_file(one, folder / f"fold{fold}.safetensors", metadata)
    return folder


def held_out(fold: int) -> set[str]:
    """Names of the photos of OSIE that a fold holds out, straight from the definition."""
    names = [f"{number}.jpg" for number in NUMBERS]
    return {name for name in names if zlib.crc32(f"osie/{name}".encode()) % 5 == fold}


def test_a_set_has_one_name_however_its_folder_is_spelt(
    osie: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(osie)
    spelt = (osie, Path("."), Path("../OSIE"), osie.parent / "osie", Path("people/osie/"))
    assert {set_name_of(folder) for folder in spelt} == {"osie"}
    assert fold_of("osie", "1001.jpg") == zlib.crc32(b"osie/1001.jpg") % 5


def test_labels_and_fine_tuning_hold_out_the_same_photos(osie: Path) -> None:
    """For the detector and for S2CNet, from a folder in capitals."""
    whole = {f"{number}.jpg" for number in NUMBERS}
    for fold in range(FOLDS):
        labels = read_people_labels(LabelsJob(osie=osie))
        learnt = {one.photo.name for one in labels if one.fold != fold}
        tuned = {example.image.name for example in read_examples([osie], fold)}
        assert learnt == tuned == whole - held_out(fold)


def test_branches_between_them_hold_out_the_same_photos(
    osie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from the layout in which OSIE is published, whose photos lie in stimuli/."""
    (tmp_path / "published").mkdir()
    osie.rename(tmp_path / "published/stimuli")
    osie = (tmp_path / "published").rename(tmp_path / "OSIE")
    learnt: list[set[str]] = []

    def views(network: object, backbone: object, photos: list[Path], seed: int) -> list[list[Path]]:
        learnt.append({photo.name for photo in photos})
        return []

    monkeypatch.setattr(feature_recipe, "feature_views", views)
    monkeypatch.setattr(feature_recipe, "train_features", lambda *_, **__: (FeatureHead(), 0.0))
    made = tmp_path / "made"
    write_features(FeaturesJob(output=made, photos=(osie,), folds=True), Log())
    whole = {f"{number}.jpg" for number in NUMBERS}
    assert learnt == [whole, *(whole - held_out(fold) for fold in range(FOLDS))]
    assert held_out_sets(made / "fold3.safetensors") == {"osie"}
    assert held_out_sets(made / "features.safetensors") is None


def test_one_photo_is_too_few_for_folds(
    osie: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for photo in sorted(osie.iterdir())[1:]:
        photo.unlink()
    made = fold_files(tmp_path / "made", None)
    asked = ["--detectors", str(made), "--output", str(tmp_path / "out")]
    for words in (["features", str(osie), "--folds"], ["confidence", "--osie", str(osie)]):
        assert learn([*words, *asked]) == 2
        assert "all photos that can teach are held out from fold" in capsys.readouterr().err


def test_weights_tell_which_sets_they_hold_out(tmp_path: Path) -> None:
    first = fold_files(tmp_path / "first", fold_metadata(["osie", "flms"]))
    path = first / "fold0.safetensors"
    assert held_out_sets(path) == {"osie", "flms"}
    assert fold_metadata(["eyecrowd"], path) == fold_metadata(["eyecrowd", "flms", "osie"])
    FoldWeights(networks=first).files(["osie"])
    with pytest.raises(UsageError, match=r"fold0.*: photos of flms, osie were held out .* stimuli"):
        FoldWeights(networks=first).files(["osie", "stimuli"])
    earlier = fold_files(tmp_path / "earlier", None)  # as earlier versions wrote them
    assert held_out_sets(earlier / "fold0.safetensors") is None
    assert fold_metadata(["osie"], earlier / "fold0.safetensors") is None
    FoldWeights(networks=earlier).files(["stimuli"])
    (earlier / "fold0.safetensors").write_bytes(b"nothing of the kind")
    assert held_out_sets(earlier / "fold0.safetensors") is None


def test_a_folder_of_folds_may_have_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    """The library opens no file there, so that a set in training would not be noticed."""
    made = fold_files(tmp_path / "made", fold_metadata(["osie"]))
    odd = made.rename(tmp_path / os.fsdecode(b"caf\xe9"))
    assert held_out_sets(odd / "fold0.safetensors") == {"osie"}
    with pytest.raises(UsageError, match="photos of osie were held out"):
        FoldWeights(networks=odd).files(["stimuli"])


@pytest.mark.parametrize(
    "content", [b"", bytes(8), b"\x02" + bytes(7) + b"[]", b"\xff" * 8 + b'{"a": 1}']
)
def test_what_is_no_weights_file_tells_no_set(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "fold0.safetensors").write_bytes(content)
    assert held_out_sets(tmp_path / "fold0.safetensors") is None


def test_the_commands_refuse_weights_of_another_set(
    osie: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = fold_files(tmp_path / "made", fold_metadata(["osie-1.0"]))
    common = ["--detectors", str(made), "--output", str(tmp_path / "out")]
    data = ["--dataset", "labels", "--data", str(osie), "--baselines", "centre"]
    assert evaluate([*data, *common]) == 2
    assert "those of osie" in capsys.readouterr().err
    for step in ("rule", "confidence"):
        assert learn([step, "--osie", str(osie), *common]) == 2
        assert "those of osie" in capsys.readouterr().err


def test_a_folder_is_one_set_of_people_only(tmp_path: Path) -> None:
    """Folds go by set and name, so a photo of two sets would be trained on where it is held out."""
    folder = tmp_path / "looked"
    folder.mkdir()
    Image.new("RGB", (40, 30)).save(folder / "0.png")
    (tmp_path / "looked.json").write_text('{"0.png": {"viewers": [[[9, 9, 200]]]}}')
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(UsageError, match=r"0\.png is given twice: give every folder once"):
        read_people_labels(LabelsJob(osie=folder, flms=link))
    with pytest.raises(UsageError, match=r"0\.png is given twice: give every folder once"):
        labelled_photos(LabelsJob(osie=folder, flms=link))
