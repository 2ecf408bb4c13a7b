"""Training in processes of Ray: those that start it are slow."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline.errors import SettingError, UsageError
from pipeline.lab.cli.train import main
from s2cnet.checkpoints.published import load_gaic
from tests.pipeline.lab.training.scored_photos import write_data_set


def printed_until(words: str, capfd: pytest.CaptureFixture[str]) -> str:
    """Everything printed until `words` are, or for a minute.

    Ray passes on what its processes print a little later, on a busy machine seconds after they have
    ended, and `ray.shutdown` drops the rest.
    """
    printed, end = "", time.monotonic() + 60
    while words not in printed and time.monotonic() < end:
        time.sleep(0.1)
        printed += "".join(capfd.readouterr())
    return printed


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_processes_leave_one_set_of_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Relative paths are those of the command: Ray Train's processes start in another folder."""
    monkeypatch.chdir(tmp_path)
    ray = pytest.importorskip("ray")
    write_data_set(tmp_path / "data", train=7, test=0)
    few = ["--data", "data", "--network", "gaic", "--epochs", "2", "--detector", "boxes"]
    same = ["--learning-rate", "0", "--mirror", "0", "--colour", "0", "--crops-per-photo", "200"]
    try:
        assert main([*few, *same, "--output", "out", "--workers", "2"]) == 0
        printed = printed_until("epoch 2/2: loss ", capfd)
    finally:
        ray.shutdown()
    printed += "".join(capfd.readouterr())
    assert printed.count("epoch 2/2: loss ") == 1
    assert "Failed to query" not in printed, "Ray's warnings, once a second"
    epochs = json.loads((tmp_path / "out" / "epochs.json").read_text())
    checkpoint = torch.load(tmp_path / "out" / "last.pt", weights_only=True)
    assert len(checkpoint["epochs"]) == 2
    load_gaic(load_file(tmp_path / "out" / "best.safetensors"))
    # At a rate of 0 the loss is that of one process, which has all photos; dropout adds noise.
    assert main([*few, *same, "--output", "alone"]) == 0
    alone = json.loads((tmp_path / "alone" / "epochs.json").read_text())
    for epoch, expected in zip(epochs, alone, strict=True):
        assert epoch["loss"] == pytest.approx(expected["loss"], abs=0.003)


@pytest.mark.slow
def test_ctrl_c_ends_the_processes_with_its_exit_code(tmp_path: Path) -> None:
    """130, as `--help` promises: Ray Train's own handler would exit with 1."""
    pytest.importorskip("ray")
    write_data_set(tmp_path / "data", train=6, test=0)
    command = [sys.executable, "-m", "pipeline.lab.cli.train", "--data", str(tmp_path / "data")]
    few = ["--network", "gaic", "--epochs", "5000", "--detector", "boxes", "--workers", "1"]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            [*command, "--output", str(tmp_path / "out"), *few],
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as job,
    ):
        deadline = time.monotonic() + 120
        while b"epoch 1/5000:" not in (tmp_path / "log").read_bytes():
            assert job.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        job.send_signal(signal.SIGINT)
        assert job.wait(60) == 130
    assert "train.py: stopped" in (tmp_path / "log").read_text()


def test_a_stop_while_ray_starts_has_the_exit_code_of_sigterm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's handler of SIGTERM, which holds while it starts, raises SystemExit."""

    def stopped(**_: object) -> None:
        raise SystemExit

    pytest.importorskip("ray")
    monkeypatch.setattr("ray.init", stopped)
    write_data_set(tmp_path / "data", train=2, test=0)
    folders = ["--data", str(tmp_path / "data"), "--output", str(tmp_path / "out")]
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # may be that of an earlier test's Ray
    try:
        assert main([*folders, "--network", "gaic", "--workers", "1"]) == 143
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("resources", "workers", "use_gpu", "missing"),
    [
        ({"CPU": 2.0}, 3, False, "needs 3 cores, one for each process; Ray has 2"),
        ({"CPU": 8.0}, 1, True, "needs 1 GPU, one for each process; Ray has 0"),
        ({"CPU": 8.0, "GPU": 1.0}, 2, True, "needs 2 GPUs, one for each process; Ray has 1"),
        ({"CPU": 2.0}, 2, False, None),
        ({"CPU": 1.0, "GPU": 2.0}, 2, True, None),
    ],
)
def test_training_does_not_wait_without_a_word(
    resources: dict[str, float],
    workers: int,
    use_gpu: bool,
    missing: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("ray")
    from pipeline.lab.training.ray_train import check_room

    check_room(resources, workers, use_gpu, may_grow=True)
    said = "".join(capsys.readouterr())
    if missing is None:
        assert said == ""
        check_room(resources, workers, use_gpu, may_grow=False)
        return
    assert missing in said
    with pytest.raises(SettingError, match=missing):
        check_room(resources, workers, use_gpu, may_grow=False)


def test_a_gpu_for_each_of_no_processes_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(tmp_path), "--output", str(tmp_path / "out"), "--gpu"]) == 2
    assert "--gpu is for the processes of --workers" in capsys.readouterr().err


def train_and_fail(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    failures: dict[int, Exception],
    before: Callable[[], object] = lambda: None,
) -> int:
    """Train in two processes that fail, by rank; return the exit code. before: called first."""
    train = pytest.importorskip("ray.train")

    class Failing:
        def __init__(self, *_: object, **__: object) -> None: ...

        def fit(self) -> None:
            before()
            raise train.WorkerGroupError("Training failed due to worker errors:", failures)

    monkeypatch.setattr("ray.is_initialized", lambda: True)
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 2.0})
    monkeypatch.setattr("ray.train.torch.TorchTrainer", Failing)
    folders = ["--data", str(folder / "data"), "--output", str(folder / "out")]
    return main([*folders, "--network", "gaic", "--detector", "boxes", "--workers", "2"])


def test_a_process_that_fails_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of Ray's report, which holds a traceback, the line with the error; and what to do."""
    lost = RuntimeError("Traceback (most recent call last):\n  File …\nOSError: node lost\n")
    write_data_set(tmp_path / "data", train=2, test=0)
    saves = (tmp_path / "out" / "last.pt").touch
    for before, begin in (
        (lambda: None, "starts again"), (saves, "goes on with the last whole epoch")
    ):  # fmt: skip
        assert train_and_fail(tmp_path, monkeypatch, {1: lost}, before) == 1
        told = f"a process of the training ended: OSError: node lost; the same command {begin}"
        said = capsys.readouterr()
        assert told in said.out + said.err


def test_a_photo_that_a_process_cannot_read_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in one process: the same command would fail again."""
    unread = UsageError("a.jpg cannot be read: it ends early")
    write_data_set(tmp_path / "data", train=2, test=0)
    assert train_and_fail(tmp_path, monkeypatch, {0: unread}) == 2
    assert capsys.readouterr().err.endswith(": a.jpg cannot be read: it ends early\n")
