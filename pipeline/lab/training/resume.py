"""The checkpoint file from which a training resumes, also within an epoch."""

import io
import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import UsageError
from pipeline.output_files import write_atomic

CHECKPOINT = "last.pt"
ORIGIN, PARTWAY = "origin", "partway"  # entries for photos and initial weights; `EpochState`
ENTRIES = {ORIGIN, "settings", "network", "averaged", "optimizer", "epochs", PARTWAY}


@dataclass(frozen=True)
class EpochState:
    """An interrupted epoch, from which training continues as if it had not been stopped.

    epoch: its number, from 0. steps: those done in it. total: sum of their losses.
    order, torch_state: states of the generators of NumPy and torch.
    cuda_state: state of the GPU's generator, which dropout uses; None without a GPU.
    """

    epoch: int
    steps: int
    total: float
    order: str  # JSON of the NumPy generator's state
    torch_state: Tensor
    cuda_state: Tensor | None

    @classmethod
    def at(
        cls, epoch: int, steps: int, total: float, random: np.random.Generator, device: str
    ) -> "EpochState":
        """Record the current state, including the generators'. device: the network's."""
        order = json.dumps(random.bit_generator.state)
        cuda_state = torch.cuda.get_rng_state(device) if _is_gpu(device) else None
        return cls(epoch, steps, total, order, torch.get_rng_state(), cuda_state)

    def resume(self, random: np.random.Generator, device: str) -> tuple[int, float]:
        """Restore the generators; return the steps done and the sum of their losses."""
        random.bit_generator.state = json.loads(self.order)
        torch.set_rng_state(self.torch_state)
        if self.cuda_state is not None and _is_gpu(device):
            torch.cuda.set_rng_state(self.cuda_state, device)
        return self.steps, self.total


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write the checkpoint atomically."""
    data = io.BytesIO()
    torch.save(dict(state), data)
    write_atomic(path, data.getvalue())


def read_state(path: Path) -> dict[str, Any]:
    """Read the checkpoint, tensors on the CPU.

    Raises UsageError where it cannot be read, is damaged, or is an earlier version's or another
    program's: others write files of this name too.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (RuntimeError, EOFError, ValueError, LookupError, pickle.UnpicklingError) as error:
        raise UsageError(
            f"{path} is damaged, or not of a training; give another folder, or delete it to start "
            "over"
        ) from error
    if not isinstance(state, dict) or ENTRIES - state.keys() or state[ORIGIN] is None:
        raise UsageError(
            f"{path} is no checkpoint of this version's trainings; give another folder"
        )
    return state


def check_same_run(
    path: Path,
    state: Mapping[str, Any],
    settings: Mapping[str, object],
    origin: Mapping[str, str],
) -> None:
    """Check a checkpoint's state against the settings and the origin of the resuming training.

    Raises UsageError that names the differences.
    """
    found = state["settings"]
    if other := ", ".join(name for name in settings if found.get(name) != settings[name]):
        raise UsageError(
            f"{path} is of a run with other settings: {other}; give another folder, or the same "
            "settings"
        )
    trained_on = state[ORIGIN]
    if other := ", ".join(name for name in origin if trained_on.get(name) != origin[name]):
        raise UsageError(
            f"{path} is of a run with other {other}; give another folder, or the same --data, "
            "--limit, --start and --detector"
        )


def _is_gpu(device: str) -> bool:
    return torch.device(device).type == "cuda"
