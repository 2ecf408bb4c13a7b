"""Pin the network of a job by the hash of its weights, before any work begins.

torch takes seconds to import, so it is imported only where the network is loaded.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipeline.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from s2cnet import S2CNet

DEFAULT, STARTER, UNTRAINED = "default", "starter", "untrained"


@dataclass(frozen=True)
class Weights:
    """One network, identified so that another machine loads the same; part of spec and manifest.

    sha256 is that of the file; for `untrained` it identifies the random draw instead.
    """

    kind: Literal["starter", "file", "untrained"]
    sha256: str
    uri: str | None = None  # of a file
    preset: str | None = None  # of an untrained network; a file's layout implies it
    seed: int | None = None

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    def load(self, device: "str | torch.device" = "cpu") -> "S2CNet":
        """Load the network. Raises WeightsError if the file's hash or layout has changed."""
        from pipeline.device import choose_device
        from s2cnet import S2CNet, load_model

        if self.preset is not None:
            return S2CNet.untrained(self.preset, seed=self.seed or 0).to(choose_device(device))
        source = self.uri or STARTER
        return load_model(source, device=choose_device(device), sha256=self.sha256)


def choose_weights(weights: str = DEFAULT, preset: str = "gaicv1", seed: int = 0) -> Weights:
    """Pin the weights that a job names: `default`, `starter`, `untrained`, a path, an fsspec URI.

    `default` is the starter if the package has it, else a network drawn from `preset` and `seed`.
    Raises WeightsError if the file cannot be read.
    """
    starter = _packaged_starter()
    if weights == DEFAULT:
        weights = STARTER if starter.is_file() else UNTRAINED
    if weights == UNTRAINED:
        return Weights("untrained", f"untrained-{preset}-seed{seed}", preset=preset, seed=seed)
    if weights == STARTER and starter.is_file():
        return Weights("starter", hashlib.sha256(starter.read_bytes()).hexdigest())
    from s2cnet.checkpoints.files import WeightsError, read_weights

    if not weights:
        known = f"{STARTER} or {UNTRAINED}"
        raise WeightsError(f"an empty name is no weights file: write a file's, {known}")
    try:
        data = read_weights(weights)
    except WeightsError as error:
        meant = did_you_mean(weights, (DEFAULT, STARTER, UNTRAINED))
        raise WeightsError(f"{error}{meant}") from error
    return Weights("file", hashlib.sha256(data).hexdigest(), uri=weights)


def load_given(
    weights: "str | Path | Mapping[str, Tensor] | None", device: "torch.device"
) -> "tuple[S2CNet, str]":
    """Load the network that a program gives or names, and return the sha256 of its file as well.

    weights: as for `choose_weights`; a mapping in the published layout, whose sha256 is ""; None is
        `default`.

    Raises WeightsError, and UsageError for what is none of these.
    """
    from s2cnet import load_model

    if isinstance(weights, Mapping):
        return load_model(weights, device=device), ""
    if weights is not None and not isinstance(weights, str | os.PathLike):
        raise UsageError(f"weights must be a name, a path or a mapping of tensors, not {weights!r}")
    pinned = choose_weights(DEFAULT if weights is None else str(weights))
    return pinned.load(device), pinned.sha256


def _packaged_starter() -> Path:
    """Return the path of the packaged starter weights, without importing s2cnet and torch."""
    found = find_spec("s2cnet")
    assert found is not None
    return Path(str(found.origin)).parent / "weights" / "starter.safetensors"
