"""Which network and detector a job uses, pinned by hash before any work begins.

torch takes seconds to import. It is imported where a network is made, so that the workers which
only read, decode and encode never load it.
"""

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from pipeline.detectors import CompilableDetector, make_detector
from pipeline.errors import UsageError
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.cropping.engine import Scorer
    from s2cnet import S2CNet
    from s2cnet.scoring import Precision

DEFAULT, STARTER, UNTRAINED = "default", "starter", "untrained"


@dataclass(frozen=True)
class Weights:
    """One network, named so that another machine gets the same: goes into spec and manifest.

    sha256 is that of the file; for `untrained` it names the draw instead.
    """

    kind: Literal["starter", "file", "untrained"]
    sha256: str
    uri: str | None = None  # of a file
    preset: str | None = None  # of an untrained network; files say it by their layout
    seed: int | None = None

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    def load(self, device: str) -> "S2CNet":
        """Raises WeightsError where the file no longer has the pinned hash or another layout."""
        from s2cnet import S2CNet, load_model

        if self.preset is not None:
            return S2CNet.untrained(self.preset, seed=self.seed or 0).to(device)
        return load_model(self.uri or STARTER, device=device, sha256=self.sha256)


def choose_weights(weights: str = DEFAULT, preset: str = "gaicv1", seed: int = 0) -> Weights:
    """Pins the weights that a job names: `default`, `starter`, `untrained`, a path, an fsspec URI.

    `default` is the starter where the package has it, else a network drawn from `preset` and
    `seed`. Raises WeightsError where the file cannot be read.
    """
    if weights == DEFAULT:
        packaged = files("s2cnet").joinpath("weights/starter.safetensors")
        weights = STARTER if packaged.is_file() else UNTRAINED
    if weights == UNTRAINED:
        return Weights("untrained", f"untrained-{preset}-seed{seed}", preset=preset, seed=seed)
    from s2cnet.checkpoint import read_weights

    sha256 = hashlib.sha256(read_weights(weights)).hexdigest()
    if weights == STARTER:
        return Weights("starter", sha256)
    return Weights("file", sha256, uri=weights)


def make_scorer(
    weights: Weights,
    detector: str,
    device: str,
    search: str = "coarse",
    rank_by: str = "overlap",
    precision: "Precision" = "float32",
    packages: Path | None = None,
) -> "Scorer":
    """The pinned network and the named detector on one device.

    packages: folder where compiled networks are kept; None compiles nothing.

    Raises CannotCompileError where `packages` is given and there is no compiler.
    """
    import torch

    from pipeline.cropping.engine import Scorer
    from s2cnet.compiled import ReadyS2CNet
    from s2cnet.recorded import RecordedS2CNet

    if device.startswith("cuda") and precision == "float32":
        torch.backends.cudnn.allow_tf32 = False  # float32 is meant: TF32 has 10 bits of it

    found = make_detector(detector, device)
    if packages is not None and isinstance(found, CompilableDetector):
        found.compile(packages)
    recorded = packages is not None and device.startswith("cuda")
    ready = RecordedS2CNet if recorded else ReadyS2CNet
    return Scorer(ready(weights.load(device), precision, packages), found, device, search, rank_by)


COMPILE_FROM = 10_000  # images of a run: on a CPU core compiling pays for itself after about 5,000


def scorer_of(
    settings: Settings, weights: Weights, device: str, images: Callable[[], int]
) -> "Scorer":
    """A job's scorer, compiled as `--compile` says. images: how many the run has.

    Raises UsageError where it is to be compiled and can't be.
    """
    from s2cnet.aot import CannotCompileError, cache_folder

    precision = cast("Precision", settings.precision)
    how = (settings.search, settings.rank_by, precision)
    make = partial(make_scorer, weights, settings.detector, device, *how)
    wanted = settings.compile == "on"
    if wanted or (settings.compile == "auto" and images() >= COMPILE_FROM):
        try:
            return make(packages=cache_folder())
        except CannotCompileError as error:
            if wanted:
                raise UsageError(f"--compile on: {error}") from error
            warnings.warn(f"networks are not compiled: {error}", RuntimeWarning, stacklevel=2)
    return make()
