"""Choose the device that networks run on: one rule for jobs, Cropper, detectors and laboratory.

    auto     torch's current CUDA GPU if there is one, else the CPU
    cpu      the CPU
    cuda     torch's current CUDA GPU; under Ray that is the one given to the worker
    cuda:N   the N-th CUDA GPU that this process may use, from 0
    mps      the GPU of an Apple computer; `auto` never picks it, since it is untested

Only `auto` falls back to the CPU. A named device is used or refused, so that a job never
runs on a slower machine than its owner believes. On mps, operators that torch lacks fail unless
PYTORCH_ENABLE_MPS_FALLBACK=1 is set before Python starts.
"""

import torch

from pipeline.errors import UsageError

AUTO = "auto"
_FORMS = "auto, cpu, cuda, cuda:N or mps"


def choose_device(asked: str | torch.device | None = None) -> torch.device:
    """Resolve a device by the rule of this module. None is `auto`.

    Raises UsageError for another name and for a device that this process does not have.
    """
    if asked is None or str(asked) == AUTO:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(asked)
    except (RuntimeError, TypeError) as error:
        raise UsageError(f"there is no device {str(asked)!r}: use {_FORMS}") from error
    if device.type == "cpu":
        return torch.device("cpu")
    if device.type == "cuda":
        return _cuda(device)
    if device.type == "mps":
        if torch.backends.mps.is_available():
            return torch.device("mps")
        raise UsageError("device mps: torch finds no Apple GPU here; use cpu, or auto")
    raise UsageError(f"device {str(asked)!r} is not supported: use {_FORMS}")


def _cuda(device: torch.device) -> torch.device:
    """Check that a CUDA device exists. Raises UsageError."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        raise UsageError(
            f"device {device}: torch finds no CUDA GPU here; use cpu, or auto, or check the driver "
            "and CUDA_VISIBLE_DEVICES"
        )
    if device.index is not None and device.index >= count:
        raise UsageError(
            f"device {device}: this process may use {count} CUDA GPU(s), cuda:0 to "
            f"cuda:{count - 1}; use one of them, cpu, or auto"
        )
    return device
