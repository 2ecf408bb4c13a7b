"""An interrupted epoch continues with the random numbers that it would have drawn."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.lab.training.epoch_state import EpochState


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


def test_without_a_gpu_and_with_earlier_files(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus, random = FakeGpus(monkeypatch), np.random.default_rng(0)
    state = EpochState.at(0, 1, 0.5, random, "cpu")
    assert state.cuda_state is None
    ahead = drawn(random)
    entries = {name: value for name, value in vars(state).items() if name != "cuda_state"}
    before = gpus.state("cuda:0")
    for device in ("cpu", "cuda:0"):
        later = np.random.default_rng(9)
        EpochState(**entries).resume(later, device)
        assert drawn(later) == ahead
    assert torch.equal(gpus.state("cuda:0"), before)
    EpochState(**entries, cuda_state=before).resume(later, "cpu")  # made on a GPU, none here
