"""The rule for devices, on simulated machines."""

from typing import Any

import pytest
import torch

from pipeline.device import choose_device
from pipeline.errors import UsageError


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> int:
    """A machine with so many CUDA GPUs and no other."""
    count: int = request.param
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    return count


@pytest.mark.parametrize("gpus", [0, 2], indirect=True)
def test_only_auto_depends_on_the_machine(gpus: int) -> None:
    automatic = torch.device("cuda" if gpus else "cpu")
    assert choose_device() == choose_device(None) == choose_device("auto") == automatic
    assert choose_device("cpu") == choose_device("cpu:0") == torch.device("cpu")
    assert choose_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize("gpus", [2], indirect=True)
def test_gpus_that_are_there_are_used_as_named() -> None:
    assert choose_device("cuda") == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(UsageError, match=r"cuda:2: this process may use 2 .* to cuda:1; use one"):
        choose_device("cuda:2")


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize("gpus", [0], indirect=True)
@pytest.mark.parametrize("asked", ["cuda", "cuda:0", "mps"])
def test_a_named_device_is_never_replaced_by_the_cpu(asked: str) -> None:
    with pytest.raises(UsageError, match=f"device {asked}: torch finds no .* use cpu, or auto"):
        choose_device(asked)


@pytest.mark.parametrize("asked", ["", "gpu", "cuda:x", "xpu", "meta", "cpu ", 1.5, ["cpu"]])
def test_other_names_list_the_known_ones(asked: Any) -> None:
    with pytest.raises(UsageError, match="use auto, cpu, cuda, cuda:N or mps"):
        choose_device(asked)


def test_an_apple_gpu_is_used_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("mps") == torch.device("mps")
