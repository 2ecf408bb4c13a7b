"""Read a detector's weights file: any fsspec URI, tensors only, hashed."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
from typing import Any

import fsspec
import torch

from pipeline.errors import UsageError
from s2cnet.checkpoints.faults import layout_faults


def read_checkpoint(uri: str, how_to_get_it: str) -> tuple[Mapping[str, Any], str]:
    """Load a `.pth` file: its mapping (on the CPU) and the file's sha256.

    Only tensors and plain containers are unpickled (`weights_only=True`): a checkpoint from the
    internet can't run code. Raises UsageError, ending in `how_to_get_it`, where the file is
    missing or isn't such a mapping.
    """
    try:
        with fsspec.open(uri, "rb") as file:
            data = file.read()
    except ImportError as error:  # fsspec's, of a package for this kind of address
        raise UsageError(
            f"can't read the weights {uri}: {error}; for s3:// that is "
            "pip install 's2cnet-thumbnails[s3]'"
        ) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"can't read the weights {uri}: {error}. {how_to_get_it}") from error
    try:
        mapping = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"{uri} is not a PyTorch file of plain tensors: {first_line}. {how_to_get_it}"
        ) from error
    if not isinstance(mapping, Mapping):
        raise UsageError(f"{uri} holds a {type(mapping).__name__}, not a mapping. {how_to_get_it}")
    return mapping, hashlib.sha256(data).hexdigest()


def check_layout(
    mapping: Mapping[str, Any], expected: Mapping[str, torch.Tensor], where: str
) -> None:
    """Raise UsageError that names what is missing, unexpected or misshapen in a state dict."""
    faults = layout_faults(mapping, expected, most=3)
    if faults:
        raise UsageError(f"{where} has another layout: {faults}")
