"""Training from files to files, on synthetic photos with a known answer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pipeline.boxes import mirror
from pipeline.lab.cli.train import main
from pipeline.lab.datasets import load_dataset
from pipeline.lab.training.fit import build_network
from pipeline.lab.training.loop import Trainer, Workers
from pipeline.lab.training.losses import rank_loss
from pipeline.lab.training.samples import plain_sample, random_sample, read_scored_photo
from pipeline.lab.training.schedule import moving_average, rate_at
from pipeline.lab.training.settings import TrainSettings
from s2cnet import load_model
from s2cnet.checkpoints.published import load_gaic
from tests.pipeline.lab.training.scored_photos import write_data_set
from tests.support.fresh import ROOT

QUICK = ["--crops-per-photo", "16", "--learning-rate", "1e-3", "--ema", "0.9", "--mirror", "0"]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("gaic")
    write_data_set(root, train=20, test=4)
    return root


def run(data: Path, output: Path, *more: str) -> int:
    arguments = ["--data", str(data), "--output", str(output), "--detector", "boxes", *QUICK, *more]
    return main(arguments)


# The baseline's network trains by the same loop, so nightly is often enough.
@pytest.mark.parametrize("network", ["s2cnet", pytest.param("gaic", marks=pytest.mark.slow)])
def test_loss_falls_and_rank_correlation_rises(data: Path, tmp_path: Path, network: str) -> None:
    few = ("--epochs", "6", "--colour", "0.1", "--validation-share", "0.3")
    assert run(data, tmp_path, "--network", network, *few) == 0
    epochs = json.loads((tmp_path / "epochs.json").read_text())
    card = json.loads((tmp_path / "best.json").read_text())
    last = torch.load(tmp_path / "last.pt", weights_only=True)["epochs"]
    assert [epoch["epoch"] for epoch in last] == list(range(6))
    assert last[-1]["loss"] < 0.75 * last[0]["loss"]
    best = max(last, key=lambda epoch: epoch["validation_srcc"])
    assert best["validation_srcc"] > last[0]["validation_srcc"] + 0.05
    assert card["measures"]["validation_epoch"] == best["epoch"] + 1
    assert card["measures"]["validation_srcc"] == best["validation_srcc"]
    assert card["measures"]["test_srcc"] > untrained_srcc(data, network) + 0.3
    assert card["data"] == {"photos_train": 14, "photos_validation": 6, "photos_test": 4}
    assert len(epochs) == 6
    assert "| test srcc |" in (tmp_path / "best.md").read_text()
    with Image.open(tmp_path / "curves.png") as curves:
        assert curves.size == (720, 600)
    load = load_gaic if network == "gaic" else load_model
    load(load_file(tmp_path / "best.safetensors"))


def untrained_srcc(data: Path, network: str) -> float:
    """Of the network that training starts from, on the test photos."""
    settings = TrainSettings(network="gaic" if network == "gaic" else "s2cnet")
    photos = [
        read_scored_photo(each, None) for each in load_dataset("gaicv1", data, "test").examples
    ]
    return Trainer(build_network(settings, None), settings, Workers(), {}).validate(photos)[1]


def test_a_resumed_run_ends_as_an_unbroken_one(data: Path, tmp_path: Path) -> None:
    few = ("--network", "gaic", "--limit", "4", "--epochs", "2")
    assert run(data, tmp_path / "whole", *few) == 0
    stopped = _stop_after_first_epoch(data, tmp_path / "stopped")
    assert run(data, stopped, *few) == 0
    whole, resumed = (
        load_file(tmp_path / name / "best.safetensors") for name in ("whole", "stopped")
    )
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, msg=name)


def _stop_after_first_epoch(data: Path, output: Path) -> Path:
    """Leave the checkpoint that a run of two epochs has after its first."""
    from pipeline.lab.training import fit
    from pipeline.lab.training.split import read_split

    class StoppedError(Exception):
        pass

    def stop(epoch: object) -> None:
        raise StoppedError

    settings = TrainSettings(
        network="gaic", crops_per_photo=16, learning_rate=1e-3, mirror=0.0, ema=0.9, epochs=2
    )
    with pytest.raises(StoppedError):
        fit.fit(read_split(data, "gaicv1", 4, settings), settings, output, report=stop)
    return output


def test_a_folder_of_other_settings_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("--network", "gaic", "--limit", "3", "--epochs", "1")
    assert run(data, tmp_path, *few) == 0
    assert run(data, tmp_path, *few, "--seed", "1") == 2
    assert "other settings: seed" in capsys.readouterr().err


def test_another_version_s_checkpoint_is_refused(tmp_path: Path) -> None:
    settings = TrainSettings(network="gaic")
    trainer = Trainer(build_network(settings, None), settings, Workers(), {})
    trainer.save(tmp_path / "last.pt")
    trainer.restore(tmp_path / "last.pt")
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    averaged = {name.removeprefix("module."): each for name, each in state["averaged"].items()}
    torch.save({**state, "averaged": averaged}, tmp_path / "last.pt")
    with pytest.raises(ValueError, match="another version"):
        trainer.restore(tmp_path / "last.pt")


def test_weights_and_detectors_that_are_none_are_told_with_their_option(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for given, told in (
        ("--start none.pth", "--start is wrong: there is no weights file none.pth\n"),
        ("--network gaic --start none.pth", "--start is wrong: there is no weights file none.pth"),
        ("--detector yolo", "--detector is wrong: no detector 'yolo': use "),
    ):
        assert run(data, tmp_path, *given.split()) == 2
        assert f": {told}" in capsys.readouterr().err


def test_wrong_usage_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    assert "images" in capsys.readouterr().err
    assert main(["--data", str(tmp_path), "--output", str(tmp_path), "--crops-per-photo", "1"]) == 2
    assert "--crops-per-photo must be at least 2, not 1" in capsys.readouterr().err


def test_mirroring_swaps_left_and_right() -> None:
    boxes = np.array([[0, 5, 30, 20], [10, 0, 100, 50]], np.float32)
    np.testing.assert_array_equal(mirror(boxes, 100), [[70, 5, 100, 20], [0, 0, 90, 50]])
    np.testing.assert_array_equal(mirror(mirror(boxes, 100), 100), boxes)


def test_a_mirrored_sample_shows_the_mirrored_photo_and_its_crops(data: Path) -> None:
    photo = read_scored_photo(load_dataset("gaicv1", data, "train").examples[0], None)
    settings = TrainSettings(mirror=1.0, colour=0.0, crops_per_photo=1000)
    plain = plain_sample(photo)
    random = np.random.default_rng(0)
    order = np.random.default_rng(0).permutation(len(photo.mos))
    seen = random_sample(photo, settings, random)
    torch.testing.assert_close(seen.image, plain.image.flip(-1), atol=0.03, rtol=0)
    torch.testing.assert_close(seen.truth, plain.truth[order])
    width = plain.image.shape[-1]
    expected = plain.crops[order][:, [3, 1]]  # right edges become left ones
    torch.testing.assert_close(seen.crops[:, 1], width - expected[:, 0], atol=1.01, rtol=0)
    torch.testing.assert_close(seen.objects[:, 0], width - plain.objects[:, 2], atol=1.01, rtol=0)


def test_rank_loss_by_hand() -> None:
    truth = torch.tensor([0.0, 1.0, 3.0])
    # Gaps of the truth 1, 3, 2; of the prediction 2, 1, -1: short by 0, 2 and 3, of three pairs.
    predicted = torch.tensor([0.0, 2.0, 1.0])
    torch.testing.assert_close(rank_loss(predicted, truth), torch.tensor(5.0 * 2 / (3 * 2)))
    assert rank_loss(truth, truth) == 0
    assert rank_loss(truth[:1], truth[:1]) == 0


def test_rate_rises_then_falls_as_a_cosine() -> None:
    rates = [rate_at(step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[-1] < 0.001


def test_averaged_weights_forget_the_start_and_follow() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(network.weight, 0.0)
    averaged = moving_average(network, 0.9)
    torch.nn.init.constant_(network.weight, 1.0)
    averaged.update_parameters(network)  # decay (1 + 1) / (10 + 1)
    assert averaged.module.weight.item() == pytest.approx(1 - 2 / 11)
    for _ in range(200):
        averaged.update_parameters(network)
    assert averaged.module.weight.item() == pytest.approx(1.0, abs=1e-6)


STOP = """
import os, signal, sys
from pipeline.lab.training import watch

tell = watch.Ticker.__call__

def and_interrupt(self, what, done, of):
    tell(self, what, done, of)
    if what.startswith(sys.argv[1]) and done == int(sys.argv[2]):
        os.kill(os.getpid(), getattr(signal, sys.argv[3]))

watch.Ticker.__call__ = and_interrupt
from pipeline.lab.cli.train import main
sys.exit(main(sys.argv[4:]))
"""


@pytest.mark.slow
def test_ctrl_c_keeps_every_step_and_the_end_is_that_of_an_unbroken_run(
    data: Path, tmp_path: Path
) -> None:
    """Stopped in the first epoch, and again while the second is validated."""
    given = ["--data", str(data), "--detector", "boxes", *QUICK, "--network", "gaic"]
    given += ["--epochs", "2", "--limit", "6", "--validation-share", "0.34", "--output"]
    assert main([*given, str(tmp_path / "whole")]) == 0
    output = tmp_path / "stopped"
    for where, done, name, code, told in (
        ("reading training", 2, "SIGINT", 130, "starts again"),  # there is nothing to save yet
        ("epoch 1 of 2", 3, "SIGINT", 130, "goes on from here"),
        ("validating", 1, "SIGTERM", 143, "goes on from here"),
    ):
        command = [sys.executable, "-c", STOP, where, str(done), name, *given, str(output)]
        ended = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == code, ended.stderr
        assert f"stopped; the same command {told}" in ended.stdout
        assert "reading training photos: 1 of" in ended.stdout, "from the first photo on"
    partway = torch.load(output / "last.pt", weights_only=True)["partway"]
    assert (partway["epoch"], partway["steps"]) == (0, 4), (
        "all steps of the epoch in which the validation was stopped"
    )
    assert main([*given, str(output)]) == 0
    epochs = [json.loads((one / "epochs.json").read_text()) for one in (output, tmp_path / "whole")]
    assert epochs[0] == epochs[1]
    ours, theirs = (load_file(one / "best.safetensors") for one in (output, tmp_path / "whole"))
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
