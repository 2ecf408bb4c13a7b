"""Read weights files. A file is untrusted until its hash, size and content are checked.

`.pth` files are read with `weights_only=True`: tensors and plain containers, no code.
"""

import io
import pickle
import struct
import zipfile
from importlib.resources import files

import fsspec
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

STARTER = "starter"
# The published checkpoints have 16 and 24 MB, the EfficientNet-B1 variant about 40.
LARGEST_BYTES = 256 << 20
# What zipfile and torch.load raised on damaged files: thousands of files with random bytes changed.
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


def read_weights(source: str) -> bytes:
    """The bytes of a weights file: a path, an fsspec URI or "starter". Raises WeightsError."""
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
            data: bytes = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError as error:
        raise WeightsError(f"there is no weights file {source}") from error
    except ImportError as error:  # fsspec's, of a package for this kind of address
        raise WeightsError(
            f"cannot read the weights file {source}: {error}; for s3:// that is "
            "pip install 's2cnet-thumbnails[s3]'"
        ) from error
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read the weights file {source}: {error}") from error
    if len(data) > LARGEST_BYTES:
        raise WeightsError(f"{source} is larger than {LARGEST_BYTES >> 20} MiB: not an S2CNet")
    return data


def parse_weights(data: bytes) -> dict[str, Tensor]:
    """The tensors of a weights file, by name. Raises WeightsError when it holds anything else."""
    if data[8:9] == b"{":  # safetensors: eight bytes of header length, then JSON
        try:
            tensors: dict[str, Tensor] = safetensors.torch.load(data)
            return tensors
        except SafetensorError as error:
            raise WeightsError(f"damaged safetensors file: {error}") from error
    try:
        _check_archive(data)
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except _UNREADABLE as error:
        raise WeightsError(
            "neither a safetensors file nor a PyTorch file of tensors alone (objects and code "
            f"are refused): {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from error
    if not isinstance(content, dict) or not all(isinstance(t, Tensor) for t in content.values()):
        raise WeightsError("expected a plain state dict, a mapping of names to tensors")
    return content


def _check_archive(data: bytes) -> None:
    """Refuse an archive that unpacks to more than LARGEST_BYTES."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return  # torch.load reads older formats too
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > LARGEST_BYTES:
        raise WeightsError(f"unpacks to more than {LARGEST_BYTES >> 20} MiB: not an S2CNet")
