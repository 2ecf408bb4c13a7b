"""Read weights files. A file is untrusted until its hash, size and content are checked.

`.pth` files are read with `weights_only=True`: tensors and plain containers, no code.
"""

import io
import pickle
import struct
import sys
import warnings
import zipfile
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import fsspec
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

STARTER = "starter"
# The published checkpoints have 16 and 24 MB, the EfficientNet-B1 variant about 40.
LARGEST_BYTES = 256 << 20
# The errors that zipfile and torch.load raised on thousands of files with random bytes changed.
_UNREADABLE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    MemoryError,
)


class WeightsError(ValueError):
    """Weights that cannot be used: absent, too large, wrong hash, no tensors, or another layout."""


def read_weights(source: str, most_bytes: int | None = None) -> bytes:
    """Read the bytes of a weights file: a path, an fsspec URI or "starter".

    most_bytes: largest size of the file; None is LARGEST_BYTES. Raises WeightsError.
    """
    most_bytes = most_bytes or LARGEST_BYTES
    if source == STARTER:
        packaged = files("s2cnet").joinpath("weights/starter.safetensors")
        if not packaged.is_file():
            raise WeightsError(
                "this installation carries no starter weights; give the path or URI of a file, "
                "or use S2CNet.untrained() for a trial"
            )
        return packaged.read_bytes()
    try:
        with fsspec.open(source, "rb") as file:
            data: bytes = file.read(most_bytes + 1)
    except FileNotFoundError as error:
        if cause := error.__cause__:  # fsspec raises it for every response without a file
            raise WeightsError(f"cannot read the weights file {source}: {cause}") from error
        raise WeightsError(f"there is no weights file {source}") from error
    except ImportError as error:
        raise WeightsError(
            f"cannot read the weights file {source}: {error}; for s3:// that is "
            "pip install 's2cnet-thumbnails[s3]'"
        ) from error
    except address_errors() as error:
        raise WeightsError(f"cannot read the weights file {source}: {error}") from error
    if len(data) > most_bytes:
        raise WeightsError(f"{source} is larger than {most_bytes >> 20} MiB, more than is expected")
    return data


def address_errors() -> tuple[type[Exception], ...]:
    """Return the errors of reading an address, including those of fsspec's loaded packages.

    An ImportError is one: fsspec needs a package for some kinds of addresses.
    """
    names = {"botocore.exceptions": "BotoCoreError", "aiohttp": "ClientError"}
    foreign = [getattr(sys.modules[at], name) for at, name in names.items() if at in sys.modules]
    return (OSError, ValueError, ImportError, zipfile.BadZipFile, *foreign)


def parse_weights(data: bytes) -> dict[str, Tensor]:
    """Parse a weights file's tensors, by name. Raises WeightsError if it holds anything else."""
    return plain_tensors(parse_file(data))


def parse_file(data: bytes, most_bytes: int | None = None) -> Any:
    """Parse the content of a weights file, whatever its nesting.

    most_bytes: largest size of an unpacked archive; None is LARGEST_BYTES. Raises WeightsError.
    """
    if data[8:9] == b"{":  # safetensors: eight bytes of header length, then JSON
        try:
            return safetensors.torch.load(data)
        except (SafetensorError, *_UNREADABLE) as error:  # KeyError: a type that torch lacks
            raise WeightsError(f"damaged safetensors file: {error}") from error
    try:
        _check_archive(data, most_bytes or LARGEST_BYTES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, about types that are refused afterwards
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except _UNREADABLE as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "weights_only" in why:  # torch's advice is to let the file run code
            why = "torch cannot read it"
        raise WeightsError(
            "neither a safetensors file nor a PyTorch file of tensors alone (objects and code "
            f"are refused): {why}"
        ) from error


def plain_tensors(content: object, most_bytes: int | None = None) -> dict[str, Tensor]:
    """Return the content as a state dict: names to dense tensors that hold values.

    most_bytes: largest size of all tensors together, repeated values included; None is
    LARGEST_BYTES. Raises WeightsError for anything else.
    """
    if not isinstance(content, Mapping) or not all(isinstance(t, Tensor) for t in content.values()):
        raise WeightsError("expected a plain state dict, a mapping of names to tensors")
    if odd := [name for name in content if not isinstance(name, str)]:
        raise WeightsError(f"expected names of tensors, not {type(odd[0]).__name__}s: {odd[0]!r}")
    for name, tensor in content.items():
        if tensor.is_meta:
            raise WeightsError(f"{name} has a shape and no values (a meta tensor)")
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
            raise WeightsError(f"{name} is no dense tensor of real numbers")
    size = sum(tensor.numel() * tensor.element_size() for tensor in content.values())
    if size > (most_bytes or LARGEST_BYTES):
        raise WeightsError(f"the tensors have {size >> 20} MiB, more than is expected")
    return dict(content)


def _check_archive(data: bytes, most_bytes: int) -> None:
    """Refuse an archive that unpacks to more than `most_bytes`."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return  # torch.load reads older formats too
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > most_bytes:
        raise WeightsError(f"unpacks to more than {most_bytes >> 20} MiB, more than is expected")
