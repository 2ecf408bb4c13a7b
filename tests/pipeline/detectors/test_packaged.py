"""Packaged weights that are damaged: one error that says so."""

from collections.abc import Callable

import pytest
import safetensors.torch
import torch

from pipeline.detectors import embedded
from pipeline.detectors.differences import LOOKING, STEP
from pipeline.detectors.embedded import packaged_network
from pipeline.detectors.packaged import embedded_weights, feature_weights
from pipeline.errors import UsageError

Tensors = dict[str, torch.Tensor]


def changed(data: bytes, change: Callable[[Tensors], object]) -> bytes:
    state = safetensors.torch.load(data)
    change(state)
    return safetensors.torch.save(state)


def without_a_step(state: Tensors) -> None:
    del state[next(name for name in state if name.startswith(LOOKING) and name.endswith(STEP))]


def without_the_trunk(state: Tensors) -> None:
    for name in [name for name in state if name.startswith("stages.")]:
        del state[name]


def with_another_stage(state: Tensors) -> None:
    name = next(name for name in state if name.startswith(LOOKING) and not name.endswith(STEP))
    state["looking.x.weight"] = state[name].clone()


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[:-100],
    "empty": lambda data: b"",
    "text": lambda data: b"version https://git-lfs.github.com/spec/v1\n",
    "one more": lambda data: changed(data, lambda state: state.update(x=torch.zeros(1))),
    "one less": lambda data: changed(data, lambda state: state.popitem()),
    "another shape": lambda data: changed(data, lambda s: s.update({min(s): torch.zeros(1, 2)})),
}
OF_DIFFERENCES: dict[str, Callable[[Tensors], None]] = {
    "no step": without_a_step, "no trunk": without_the_trunk, "no such stage": with_another_stage,
}  # fmt: skip


def check(with_features: bool) -> None:
    with pytest.raises(UsageError, match=r"the installed detector is damaged: .*; reinstall it"):
        packaged_network(with_features)


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_weights_of_the_package(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "embedded_weights", lambda: DAMAGE[name](embedded_weights()))
    check(with_features=False)


@pytest.mark.parametrize("name", OF_DIFFERENCES)
def test_differences_that_lack_what_they_differ_from(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = changed(embedded_weights(), OF_DIFFERENCES[name])
    monkeypatch.setattr(embedded, "embedded_weights", lambda: data)
    check(with_features=False)


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_branch_of_the_package(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "feature_weights", lambda: DAMAGE[name](feature_weights()))
    check(with_features=True)
