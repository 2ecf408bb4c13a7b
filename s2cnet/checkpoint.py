"""Weights files in, networks out. A file is untrusted until its hash, size and layout are checked.

`.pth` files are read with `weights_only=True`: tensors and plain containers, no code.
"""

import hashlib
import io
import os
import pickle
import struct
import zipfile
from collections.abc import Mapping
from importlib.resources import files

import fsspec
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from s2cnet.config import PRESETS, S2CNetConfig
from s2cnet.layout import config_of, published_name
from s2cnet.model import S2CNet

STARTER = "starter"
# The published checkpoints have 16 and 24 MB, the EfficientNet-B1 variant about 40.
LARGEST_BYTES = 256 << 20
# What zipfile and torch.load were seen to raise on damaged files (mutated ones, by the thousand).
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


def load_model(
    weights: str | os.PathLike[str] | Mapping[str, Tensor],
    preset: str | None = None,
    device: str | torch.device = "cpu",
    sha256: str | None = None,
) -> S2CNet:
    """A network in evaluation mode with the given weights.

    Args:
        weights: a `.pth` or `.safetensors` file in the published layout, as a path or an fsspec
            URI (`s3://...`, `memory://...`); "starter" for the weights inside this package; or the
            mapping itself. Half-precision tensors are cast to float32.
        preset: "gaicv1" or "gaicv2"; None reads the configuration off the tensors' shapes.
        device: where the network goes.
        sha256: hex digest that the file must have. Not for a mapping.

    Raises:
        WeightsError: see there. The message says what to do or lists the names that differ.
    """
    if isinstance(weights, Mapping):
        if sha256 is not None:
            raise WeightsError("sha256 pins a file; a mapping has none")
        return from_published_state_dict(weights, preset).to(device)
    source = os.fspath(weights)
    data = read_weights(source)
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256.lower():
        raise WeightsError(f"{source} has sha256 {found}, expected {sha256}")
    try:
        return from_published_state_dict(parse_weights(data), preset).to(device)
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from error


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
    except (OSError, ValueError, ImportError) as error:
        raise WeightsError(f"cannot read the weights file {source}: {error}") from error
    if len(data) > LARGEST_BYTES:
        raise WeightsError(f"{source} is larger than {LARGEST_BYTES >> 20} MiB: not an S2CNet")
    return data


def parse_weights(data: bytes) -> dict[str, Tensor]:
    """The tensors of a weights file, by name. Raises WeightsError when it holds anything else."""
    if data[8:9] == b"{":  # eight bytes of header length, then JSON
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


def from_published_state_dict(mapping: Mapping[str, Tensor], preset: str | None = None) -> S2CNet:
    """A network in evaluation mode with the weights of a published layout, cast to float32.

    Raises WeightsError that lists the names that are missing, unexpected or misshapen.
    """
    with torch.device("meta"):  # nothing is allocated before the layout is checked
        network = S2CNet(_config(mapping, preset))
    own = network.state_dict()
    names = {published_name(name, network.config): name for name in own}
    faults = _faults(mapping, {name: own[names[name]] for name in names})
    if faults:
        raise WeightsError("not the layout of this network: " + "; ".join(faults))
    state = {names[name]: _cast(tensor) for name, tensor in mapping.items()}
    for name in mapping:
        if not state[names[name]].isfinite().all():
            raise WeightsError(f"{name} has values that are not finite")
    network.load_state_dict(state, assign=True)
    return network.eval()


def _cast(tensor: Tensor) -> Tensor:
    """A copy in the type that the network computes in."""
    kind = torch.float32 if tensor.is_floating_point() else torch.int64
    return tensor.detach().to("cpu", kind, copy=True)


def to_published_state_dict(network: S2CNet) -> dict[str, Tensor]:
    """The network's tensors under their published names: what weights files hold."""
    return {
        published_name(name, network.config): tensor.detach().cpu().contiguous()
        for name, tensor in network.state_dict().items()
    }


def _config(mapping: Mapping[str, Tensor], preset: str | None) -> S2CNetConfig:
    if preset is not None:
        if preset not in PRESETS:
            raise WeightsError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
        return PRESETS[preset]
    try:
        return config_of(mapping)
    except (KeyError, IndexError, ValueError, ZeroDivisionError):
        # Something essential is absent: compare with the closest preset, which lists what.
        return PRESETS["gaicv2" if "FC_layers.0.0.weight" in mapping else "gaicv1"]


def _faults(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    misshapen = [
        f"{name} {list(found[name].shape)} instead of {list(expected[name].shape)}"
        for name in expected
        if name in found and found[name].shape != expected[name].shape
    ]
    wrong_type = [
        f"{name} {found[name].dtype}"
        for name in expected
        if name in found and found[name].is_floating_point() != expected[name].is_floating_point()
    ]
    kinds = {
        "missing": missing,
        "unexpected": unexpected,
        "misshapen": misshapen,
        "wrong type": wrong_type,
    }
    return [f"{len(names)} {kind}: {', '.join(names)}" for kind, names in kinds.items() if names]
