"""The file from which training resumes: whose it is, damaged files, and interrupted epochs.

An interrupted epoch continues with the random numbers that it would have drawn.
"""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.errors import UsageError
from pipeline.lab.training.resume import EpochState, check_same_run, read_state, write_state

STATE = {
    "settings": {"seed": 1, "epochs": 2},
    "origin": {"training photos": "ab", "detector": ""},
    "network": {"w": torch.zeros(100)},
    "averaged": {},
    "optimizer": {},
    "epochs": [],
    "partway": None,
}


def test_what_differs_is_named() -> None:
    path, settings = Path("last.pt"), STATE["settings"]
    check_same_run(path, STATE, settings, STATE["origin"])
    with pytest.raises(UsageError, match=r"last\.pt is of a run with other settings: epochs; give"):
        check_same_run(path, STATE, {"seed": 1, "epochs": 3}, {})
    other = {"training photos": "cd", "detector": ""}
    with pytest.raises(UsageError, match=r"other training photos; give another .* --limit"):
        check_same_run(path, STATE, settings, other)


@pytest.mark.parametrize("length", [0, 1, 100, -100])
def test_a_damaged_file_says_what_to_do(tmp_path: Path, length: int) -> None:
    path = tmp_path / "last.pt"
    write_state(path, STATE)
    assert read_state(path)["origin"] == STATE["origin"]
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UsageError, match=r"last\.pt is damaged, .* or delete it to start over$"):
        read_state(path)


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {"model": {}},
        {"settings": {}},
        {"model": Namespace(names=["a"])},
        {name: entry for name, entry in STATE.items() if name != "origin"},
        {**STATE, "origin": None},
    ],
    ids=["list", "other names", "only settings", "objects", "first version", "second version"],
)
def test_another_program_s_file_is_refused(tmp_path: Path, content: object) -> None:
    """Others write a last.pt too, some with objects of their own classes, as earlier versions."""
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(
        UsageError,
        match=r"last\.pt is (damaged, or not|no checkpoint) of .*; give",
    ):
        read_state(tmp_path / "last.pt")


def test_a_checkpoint_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "last.pt").mkdir()
    with pytest.raises(UsageError, match=r"last\.pt cannot be read: Is a directory"):
        read_state(tmp_path / "last.pt")


class FakeGpus:
    """Generators of two GPUs, by the device's name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.generators = {
            f"cuda:{index}": torch.Generator().manual_seed(index) for index in range(2)
        }
        monkeypatch.setattr(torch.cuda, "get_rng_state", self.state)
        monkeypatch.setattr(torch.cuda, "set_rng_state", self.restore)

    def state(self, device: str) -> Tensor:
        return self.generators[device].get_state()

    def restore(self, state: Tensor, device: str) -> None:
        self.generators[device].set_state(state)

    def draw(self, device: str) -> float:
        return torch.rand((), generator=self.generators[device]).item()


def drawn(random: np.random.Generator) -> list[float]:
    return [random.random(), torch.rand(()).item()]


def test_a_gpu_goes_on_as_if_it_had_not_been_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus, random = FakeGpus(monkeypatch), np.random.default_rng(0)
    gpus.draw("cuda:1")
    state = EpochState.at(2, 7, 3.5, random, "cuda:1")
    ahead = [*drawn(random), gpus.draw("cuda:1")]
    other = gpus.draw("cuda:0")
    later = np.random.default_rng(9)
    assert EpochState(**vars(state)).resume(later, "cuda:1") == (7, 3.5)
    assert [*drawn(later), gpus.draw("cuda:1")] == ahead
    assert gpus.draw("cuda:0") != other, "the other GPU's generator is not touched"


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus, random = FakeGpus(monkeypatch), np.random.default_rng(0)
    state = EpochState.at(0, 1, 0.5, random, "cpu")
    assert state.cuda_state is None
    ahead = drawn(random)
    before = gpus.state("cuda:0")
    for device in ("cpu", "cuda:0"):
        later = np.random.default_rng(9)
        state.resume(later, device)
        assert drawn(later) == ahead
    assert torch.equal(gpus.state("cuda:0"), before)
    replace(state, cuda_state=before).resume(later, "cpu")  # made on a GPU, none here
