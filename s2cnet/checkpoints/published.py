"""Convert networks from and to state dicts in the published layout, that of all weights files."""

import hashlib
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from s2cnet.checkpoints.faults import layout_faults
from s2cnet.checkpoints.files import WeightsError, parse_weights, read_weights
from s2cnet.checkpoints.names import config_of, gaic_name, published_name
from s2cnet.config import PRESETS, S2CNetConfig
from s2cnet.network.gaic import GAIC
from s2cnet.network.s2cnet import S2CNet

WeightsLike = str | os.PathLike[str] | Mapping[str, Tensor]
_Network = TypeVar("_Network", bound=nn.Module)
MOST_NAMES = 10  # listed names per kind of fault: another network's file has hundreds


def load_model(
    weights: WeightsLike,
    preset: str | None = None,
    device: str | torch.device = "cpu",
    sha256: str | None = None,
) -> S2CNet:
    """Load a network with the given weights, in evaluation mode.

    Args:
        weights: a `.pth` or `.safetensors` file in the published layout, as a path or an fsspec
            URI (`s3://...`, `memory://...`); "starter" for the weights inside this package; or the
            mapping itself. Half-precision tensors are cast to float32.
        preset: "gaicv1" or "gaicv2"; None derives the configuration from the tensors' shapes.
        device: where the network goes.
        sha256: hex digest that the file must have. Not for a mapping.

    Raises:
        WeightsError: the weights cannot be used. The message says what to do or lists the names
            that differ.
    """
    return _load(weights, partial(from_published_state_dict, preset=preset), sha256).to(device)


def from_published_state_dict(mapping: Mapping[str, Tensor], preset: str | None = None) -> S2CNet:
    """Build a network in evaluation mode from tensors in the published layout, cast to float32.

    Raises a WeightsError that counts the names that are missing, unexpected or misshapen, and lists
    up to MOST_NAMES of each.
    """
    with torch.device("meta"):  # no memory is taken before the layout is checked
        network = S2CNet(_config(mapping, preset))
    own = network.state_dict()
    _fill(network, mapping, {published_name(name, network.config): name for name in own})
    return network


def to_published_state_dict(network: S2CNet) -> dict[str, Tensor]:
    """Return the network's tensors under their published names, as weights files hold them."""
    state = network.state_dict()
    return {published_name(name, network.config): _exported(state[name]) for name in state}


def load_gaic(weights: WeightsLike) -> GAIC:
    """Load a GAIC-MobileNetV2 in evaluation mode. Weights and errors as of `load_model`."""
    return _load(weights, _gaic)


def to_gaic_state_dict(network: GAIC) -> dict[str, Tensor]:
    """Return the network's tensors as weights files hold them, see `gaic_name`."""
    return {gaic_name(name): _exported(tensor) for name, tensor in network.state_dict().items()}


def _load(
    weights: WeightsLike,
    make: Callable[[Mapping[str, Tensor]], _Network],
    sha256: str | None = None,
) -> _Network:
    """Build a network from a mapping or a file, which an error then names."""
    if isinstance(weights, Mapping):
        if sha256 is not None:
            raise WeightsError("sha256 pins a file; a mapping has none")
        return make(weights)
    source = os.fspath(weights)
    data = read_weights(source)
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256.lower():
        raise WeightsError(f"{source} has sha256 {found}, expected {sha256}")
    try:
        return make(parse_weights(data))
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from error


def _gaic(mapping: Mapping[str, Tensor]) -> GAIC:
    with torch.device("meta"):
        network = GAIC()
    _fill(network, mapping, {gaic_name(name): name for name in network.state_dict()})
    return network


def _fill(network: nn.Module, mapping: Mapping[str, Tensor], names: Mapping[str, str]) -> None:
    """Give a network of meta tensors its weights; names: name in the mapping -> own name."""
    own = network.state_dict()
    faults = layout_faults(mapping, {name: own[names[name]] for name in names}, MOST_NAMES)
    if faults:
        raise WeightsError("not the layout of this network: " + faults)
    state = {name: _cast(tensor) for name, tensor in mapping.items()}
    for name, tensor in state.items():
        if not tensor.isfinite().all():
            raise WeightsError(f"{name} has values that are not finite")
    network.load_state_dict({names[name]: tensor for name, tensor in state.items()}, assign=True)
    network.eval()


def _cast(tensor: Tensor) -> Tensor:
    """Copy a tensor to the type that the network computes in."""
    kind = torch.float32 if tensor.is_floating_point() else torch.int64
    return tensor.detach().to("cpu", kind, copy=True)


def _exported(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()


def _config(mapping: Mapping[str, Tensor], preset: str | None) -> S2CNetConfig:
    if preset is not None:
        if preset not in PRESETS:
            raise WeightsError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
        return PRESETS[preset]
    try:
        return config_of(mapping)
    except (AttributeError, KeyError, IndexError, ValueError, ZeroDivisionError):
        # Something essential is absent or no tensor: a comparison with the closest preset names it.
        return PRESETS["gaicv2" if "FC_layers.0.0.weight" in mapping else "gaicv1"]
