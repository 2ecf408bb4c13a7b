"""Write weights files, and report those that cannot be used as wrong options."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import safetensors.torch
from torch import Tensor

from pipeline.errors import UsageError, naming
from pipeline.output_files import write_atomic
from s2cnet import WeightsError


@contextmanager
def as_usage_error() -> Iterator[None]:
    """Turn a WeightsError of the block into a UsageError with the same message."""
    try:
        yield
    except WeightsError as error:
        raise UsageError(str(error)) from error


@contextmanager
def naming_weights(field: str) -> Iterator[None]:
    """Do what `pipeline.errors.naming` does, for a WeightsError of the block too."""
    with naming(field), as_usage_error():
        yield


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert numbers with a fraction to half precision.

    The file is half as large, and scores change after the third decimal.
    """
    return {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file atomically. Tensors that share memory are written separately."""
    apart = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    write_atomic(path, safetensors.torch.save(apart, metadata))
