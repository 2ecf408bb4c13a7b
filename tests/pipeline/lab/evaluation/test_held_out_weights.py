"""A photo is judged out of fold: by the weights that have not seen its fold."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from pipeline.cropping.decide import GuardPolicy
from pipeline.cropping.weights import choose_weights
from pipeline.detectors.packaged import feature_weights
from pipeline.errors import SettingError, UsageError
from pipeline.lab.cli.evaluate import main
from pipeline.lab.datasets import Example
from pipeline.lab.evaluation.catalogue import NETWORK
from pipeline.lab.evaluation.setup import EvaluationSetup, Evaluators, evaluate_here
from pipeline.lab.fold_weights import FoldWeights
from pipeline.lab.folds import FOLDS, fold_of
from pipeline.lab.people.detector_tensors import packaged_weights
from s2cnet import S2CNet
from s2cnet.checkpoints.published import to_published_state_dict
from tests.support.odd_photos import scene

BOXES = np.array([[0, 0, 90, 90], [20, 10, 150, 100], [60, 5, 120, 99]], np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photos of other folds; networks drawn for each fold; a blind detector for the second."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("held_out")
    for name in ("photos", "networks", "detectors"):
        (folder / name).mkdir()
    for fold in range(FOLDS):
        name = f"fold{fold}.safetensors"
        state = to_published_state_dict(S2CNet.untrained(seed=fold))
        safetensors.torch.save_file(state, folder / "networks" / name)
        seen = packaged_weights()
        if fold == 1:
            seen = {key: torch.zeros_like(tensor) for key, tensor in seen.items()}
        safetensors.torch.save_file(seen, folder / "detectors" / name)
    for fold in (0, 1):
        numbers = (f"{n}.png" for n in range(99))
        name = next(name for name in numbers if fold_of("photos", name) == fold)
        Image.fromarray(scene(160, 120)).save(folder / "photos" / name)
    return folder


def examples(folder: Path) -> list[Example]:
    found = [
        Example(path.stem, path, BOXES, np.arange(3, dtype=np.float32))
        for path in (folder / "photos").iterdir()
    ]
    return sorted(found, key=lambda one: fold_of("photos", one.image.name))


def test_each_photo_has_the_network_of_its_fold(folder: Path) -> None:
    setup = EvaluationSetup(
        choose_weights("untrained", seed=9), "embedded", [], ["1:1"],
        folds=FoldWeights(networks=folder / "networks"), set_name="photos",
    )  # fmt: skip
    photos = examples(folder)
    assert setup.evaluator("cpu", fold=0).engine.guard_policy == GuardPolicy.read()
    for fold, row in enumerate(evaluate_here(photos, setup, "auto")):  # the command's default
        assert (row["status"], row["message"]) == ("ok", "")
        weights = choose_weights(str(folder / f"networks/fold{fold}.safetensors"))
        alone = EvaluationSetup(weights, "embedded", [], ["1:1"]).evaluator("cpu")
        expected = alone.evaluate(photos[fold])
        found = row["scored"]["predicted"][NETWORK]
        assert found == pytest.approx(expected["scored"]["predicted"][NETWORK], abs=1e-5)
        assert row["objects"] == expected["objects"]


def test_each_photo_has_the_detector_of_its_fold(folder: Path) -> None:
    setup = EvaluationSetup(
        choose_weights("untrained"), "embedded", [], ["1:1"],
        folds=FoldWeights(detectors=folder / "detectors"), set_name="photos",
    )  # fmt: skip
    first, second = evaluate_here(examples(folder), setup, "cpu")
    assert (first["status"], second["status"]) == ("ok", "ok")
    packaged = EvaluationSetup(choose_weights("untrained"), "embedded", [], ["1:1"])
    expected = packaged.evaluator("cpu").evaluate(examples(folder)[0])
    assert first["objects"]
    assert first["objects"] == expected["objects"]
    assert first["shapes"] == expected["shapes"]
    assert second["objects"] != first["objects"]  # the photo is the same


def test_each_photo_has_the_branch_of_its_fold(folder: Path, tmp_path: Path) -> None:
    """The packaged branch for the first photo, one that tells a constant map for the second."""
    branch = safetensors.torch.load(feature_weights())
    for fold in range(FOLDS):
        told = branch if fold == 0 else {key: torch.zeros_like(one) for key, one in branch.items()}
        safetensors.torch.save_file(told, tmp_path / f"fold{fold}.safetensors")
        seen = tmp_path / "detectors" / f"fold{fold}.safetensors"
        seen.parent.mkdir(exist_ok=True)
        safetensors.torch.save_file(packaged_weights(), seen)
    setup = EvaluationSetup(
        choose_weights("default"), "embedded", [], ["1:1"],
        folds=FoldWeights(detectors=tmp_path / "detectors", features=tmp_path), set_name="photos",
    )  # fmt: skip
    rows = list(evaluate_here(examples(folder), setup, "cpu"))
    shared = EvaluationSetup(choose_weights("default"), "embedded", [], ["1:1"], backbone="shared")
    assert setup.backbone_read() == shared.backbone_read() == "shared"
    alone = shared.evaluator("cpu")
    expected = [alone.evaluate(example) for example in examples(folder)]
    predicted = [[one["scored"]["predicted"][NETWORK] for one in of] for of in (rows, expected)]
    assert predicted[0][0] == pytest.approx(predicted[1][0], abs=1e-4)
    assert predicted[0][1] != pytest.approx(predicted[1][1], abs=1e-2)


def test_the_command_says_whose_weights_it_takes(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--data", str(folder / "photos"), "--output", str(tmp_path), "--dataset", "photos"]
    common += ["--weights", "untrained", "--ratios", "1:1", "--resamples", "9", "--device", "cpu"]
    by_fold = ["--detectors", str(folder / "detectors"), "--networks", str(folder / "networks")]
    assert main([*common, *by_fold, "--baselines", "centre"]) == 0
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert report["run"]["held out from"] == (
        "detectors of detectors, networks of networks, by the names of photos in photos"
    )
    assert report["statuses"] == {"ok": 2}
    assert main([*common, "--networks", str(tmp_path)]) == 2
    assert main([*common, *by_fold, "--detector", "boxes"]) == 2
    assert main([*common, *by_fold, "--backbone", "shared"]) == 2
    assert "give --features" in capsys.readouterr().err


def test_the_report_tells_which_backbone_was_read(folder: Path, tmp_path: Path) -> None:
    """Branches by fold are read whatever the setting says, and nothing is shared without them."""
    for fold in range(FOLDS):
        branch = safetensors.torch.load(feature_weights())
        safetensors.torch.save_file(branch, tmp_path / f"fold{fold}.safetensors")
    common = ["--data", str(folder / "photos"), "--output", str(tmp_path), "--dataset", "photos"]
    common += ["--weights", "untrained", "--ratios", "1:1", "--resamples", "9", "--device", "cpu"]
    common += ["--baselines", "centre", "--limit", "1"]
    detectors = ["--detectors", str(folder / "detectors")]
    for given, expected in (
        ([*detectors, "--features", str(tmp_path)], "shared"),
        ([], "own"),
        (["--backbone", "auto"], "own"),  # the packaged branch is for the packaged weights
        ([*detectors, "--backbone", "auto"], "own"),
    ):
        assert main([*common, *given]) == 0
        told = json.loads((tmp_path / "evaluation.json").read_text())["run"]["backbone"]
        assert told == expected, given


def test_what_is_no_detector_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no fold0\.safetensors"):
        FoldWeights(detectors=tmp_path).files()
    with pytest.raises(UsageError, match="need detectors of their folds"):
        FoldWeights(features=tmp_path).files()
    setup = EvaluationSetup(
        choose_weights("untrained"), "embedded", [], ["1:1"],
        folds=FoldWeights(detectors=folder / "networks"), set_name="photos",
    )  # fmt: skip
    with pytest.raises(SettingError, match=r"fold0\.safetensors: no embedded detector"):
        Evaluators(setup, "cpu").evaluate(examples(folder)[0])
    wrong = FoldWeights(folder / "detectors", features=folder / "networks")
    with pytest.raises(SettingError, match=r"fold0\.safetensors: no branch for S2CNet"):
        wrong.detector_with_branch(0)
