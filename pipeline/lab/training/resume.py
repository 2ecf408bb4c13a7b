"""The checkpoint file from which a training resumes."""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pipeline.errors import UsageError
from pipeline.output_files import write_atomic

CHECKPOINT = "last.pt"
ORIGIN = "origin"  # entry for photos and initial weights, which earlier versions did not write
ENTRIES = {"settings", "network", "averaged", "optimizer", "epochs"}  # all versions wrote these


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write the checkpoint atomically."""
    data = io.BytesIO()
    torch.save(dict(state), data)
    write_atomic(path, data.getvalue())


def read_state(path: Path) -> dict[str, Any]:
    """Read the checkpoint, tensors on the CPU.

    Raises UsageError where it cannot be read, is damaged, or is another program's: others write
    files of this name too.
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
    if not isinstance(state, dict) or ENTRIES - state.keys():
        raise UsageError(f"{path} is no checkpoint of a training; give another folder")
    return state


def check_same_run(
    path: Path,
    state: Mapping[str, Any],
    settings: Mapping[str, object],
    origin: Mapping[str, str] | None,
) -> None:
    """Check a checkpoint's state against the settings and the origin of the resuming training.

    origin: not compared where it is None here or in the state. Raises UsageError that names the
    differences.
    """
    found = state["settings"]
    if other := ", ".join(name for name in settings if found.get(name) != settings[name]):
        raise UsageError(
            f"{path} is of a run with other settings: {other}; give another folder, or the same "
            "settings"
        )
    trained_on = state.get(ORIGIN)
    if origin is None or trained_on is None:
        return
    if other := ", ".join(name for name in origin if trained_on.get(name) != origin[name]):
        raise UsageError(
            f"{path} is of a run with other {other}; give another folder, or the same --data, "
            "--limit, --start and --detector"
        )


def is_of_earlier_version(folder: Path) -> bool:
    """Return whether a training's folder has a checkpoint without an origin."""
    path = folder / CHECKPOINT
    return path.exists() and read_state(path).get(ORIGIN) is None
