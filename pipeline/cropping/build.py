"""Build a job's engine: turn names, numbers and defaults into network, source, chooser and search.

Networks are pinned by hash before any work begins. torch takes seconds to import, so it is imported
only where a network is built: workers that only read, decode and encode never load it.
"""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.cropping.weights import Weights
from pipeline.detectors import make_detector
from pipeline.detectors.packaged import FEATURES_OF, embedded_identity
from pipeline.errors import SettingError, UsageError
from pipeline.settings import CroppingSettings, RunningSettings, Settings

if TYPE_CHECKING:
    import torch

    from pipeline.cropping.decide import GuardPolicy
    from pipeline.cropping.engine import CropEngine
    from pipeline.cropping.kind_policy import KindPolicy
    from pipeline.cropping.sources import ObjectSource
    from s2cnet import FastS2CNet
    from s2cnet.fast import Precision
    from s2cnet.onnx import Runtime

EMBEDDED, GIVEN = "embedded", "boxes"  # values of `--detector`
SEARCH, RANK_BY = CroppingSettings.search, CroppingSettings.rank_by
BACKBONE = CroppingSettings.backbone
RUNTIME = RunningSettings.runtime
REVIEW_BELOW = CroppingSettings.review_below
COMPILE_FROM = 10_000  # images of a run: on a CPU core compiling pays for itself after about 5,000


def choose_backbone(
    asked: str, weights_sha256: str, detector: str, rank_by: str = RANK_BY
) -> Literal["shared", "own"]:
    """Choose what S2CNet reads: the embedded detector's trunk or its own backbone.

    asked: "auto" shares the trunk if its branch was trained for these weights and the score is one
        of several inputs to the choice. A score that decides by itself has to be exact.

    Raises SettingError if "shared" is asked for and there is no such branch.
    """
    fits = weights_sha256 == FEATURES_OF and detector == EMBEDDED
    if asked == "shared" and not fits:
        raise SettingError(
            "backbone", "shared is for the packaged weights and the embedded detector: leave it out"
        )
    shares = fits and (asked == "shared" or (asked == "auto" and rank_by != "score"))
    return "shared" if shares else "own"


def source_identity(spec: str = EMBEDDED, with_features: bool = False) -> str:
    """Return the identity of the source that `make_source` builds, without torch if possible.

    Raises as `make_source`.
    """
    return embedded_identity(with_features) if spec == EMBEDDED else make_source(spec).identity


def choose_runtime(asked: str, device: "str | torch.device", compiles: bool = False) -> "Runtime":
    """Choose the runtime of the networks on a device that `choose_device` has resolved.

    asked: "auto" is onnxruntime on a CPU if it is installed, else torch.
    compiles: the user wants torch's compiled code, so "auto" is torch.

    Raises SettingError for an unknown name, or if onnxruntime is asked for and either missing or
    the device is not a CPU.
    """
    from s2cnet.onnx import has_onnxruntime

    on_cpu = str(device) == "cpu"
    if asked == "onnxruntime":
        if not on_cpu:
            raise SettingError("runtime", f"onnxruntime is for CPUs, and the device is {device}")
        if not has_onnxruntime():
            raise SettingError(
                "runtime",
                "onnxruntime needs packages that are not installed: "
                "pip install 's2cnet-thumbnails[onnx]'",
            )
        return "onnxruntime"
    if asked not in ("auto", "torch"):
        raise SettingError("runtime", f"is auto, torch or onnxruntime, not {asked!r}")
    takes_onnxruntime = asked == "auto" and on_cpu and not compiles and has_onnxruntime()
    return "onnxruntime" if takes_onnxruntime else "torch"


def make_source(
    spec: str = EMBEDDED,
    device: "str | torch.device" = "cpu",
    cache: Path | None = None,
    runtime: "Runtime" = "torch",
    with_features: bool = False,
) -> "ObjectSource":
    """Build the source of objects that a `--detector` string names (forms: `pipeline.detectors`).

    cache: folder where compiled networks are kept; None compiles nothing.
    runtime: see `make_detector`.
    with_features: the embedded detector also returns S2CNet's feature map.

    Raises UsageError for an unknown name or device and for missing or wrong weights, or
    CannotCompileError if `cache` is given and there is no compiler.
    """
    from pipeline.cropping.sources import DetectorSource, GivenSource, SmallInputSource
    from pipeline.detectors.embedded import EmbeddedDetector
    from pipeline.detectors.given_boxes import GivenBoxes

    kind, _, folder = spec.partition(":")
    if kind == GIVEN:
        return GivenSource(GivenBoxes(folder or None))
    if spec == EMBEDDED:
        return SmallInputSource(EmbeddedDetector(device, cache, runtime, with_features))
    return DetectorSource(make_detector(spec, device, cache, runtime))


def assemble(
    network: "FastS2CNet",
    source: "ObjectSource",
    device: "str | torch.device" = "cpu",
    search: str = SEARCH,
    rank_by: str = RANK_BY,
    guard_policy: "GuardPolicy | None" = None,
    kind_policy: "KindPolicy | None" = None,
) -> "CropEngine":
    """Build an engine from a network and a source that are ready on `device`.

    search: "coarse" scores a part of the candidates, "exhaustive" all (`pipeline.cropping.search`).
    rank_by: "overlap" takes the crop that is expected to agree best with people, "score" the one
        with the network's highest score (`pipeline.cropping.choose`).
    guard_policy: guards and fallbacks; None for no guards.
    kind_policy: how photos of some kinds are treated; None crops all kinds alike.

    Raises UsageError for another name.
    """
    from pipeline.cropping.choose import OverlapChooser, ScoreChooser
    from pipeline.cropping.chooser import ChooserFor
    from pipeline.cropping.engine import CropEngine
    from pipeline.cropping.search import coarse_to_fine, exhaustive, spread_only
    from pipeline.cropping.transfer import Transfer
    from pipeline.device import choose_device

    choosers: dict[str, ChooserFor] = {"overlap": OverlapChooser, "score": ScoreChooser}
    # Ranking by score needs the highest one; the fitted rule needs only rough scores.
    coarse = coarse_to_fine if rank_by == "score" else spread_only
    searches = {"coarse": coarse, "exhaustive": exhaustive}
    if rank_by not in choosers:
        raise UsageError(f"rank_by is {' or '.join(choosers)}, not {rank_by!r}")
    if search not in searches:
        raise UsageError(f"search is {' or '.join(searches)}, not {search!r}")
    transfer = Transfer(choose_device(device), network.has_backbone)
    return CropEngine(
        network, source, choosers[rank_by], searches[search], transfer, guard_policy, kind_policy
    )


def make_engine(
    weights: Weights,
    detector: str = EMBEDDED,
    device: "str | torch.device" = "cpu",
    search: str = SEARCH,
    rank_by: str = RANK_BY,
    precision: "Precision" = "float32",
    guard_policy: "GuardPolicy | None" = None,
    kind_policy: "KindPolicy | None" = None,
    cache: Path | None = None,
    runtime: "Runtime" = "torch",
    backbone: str = BACKBONE,
) -> "CropEngine":
    """Build the engine with the pinned network and the named detector on one device.

    guard_policy, kind_policy: see `assemble`.
    cache: folder where compiled networks are kept; None compiles nothing.
    runtime: what runs the detector and the backbone on a CPU.
    backbone: see `choose_backbone`.

    Raises what `make_source` and `assemble` raise, and WeightsError.
    """
    import torch

    from pipeline.device import choose_device
    from s2cnet import FastS2CNet

    chosen = choose_device(device)
    if chosen.type == "cuda" and precision == "float32":
        torch.backends.cudnn.allow_tf32 = False  # float32 is asked for: TF32 has 10 bits
    shared = choose_backbone(backbone, weights.sha256, detector, rank_by) == "shared"
    source = make_source(detector, chosen, cache, runtime, shared)
    network = FastS2CNet(weights.load(chosen), precision, cache, runtime, not shared)
    return assemble(network, source, chosen, search, rank_by, guard_policy, kind_policy)


def engine_of(
    settings: Settings, weights: Weights, device: str, images: Callable[[], int]
) -> "CropEngine":
    """Build a job's engine, run and compiled as its settings say. images: how many the run has.

    Raises SettingError if the runtime is missing, or if compiling is on and fails.
    """
    from pipeline.cropping.decide import GuardPolicy
    from pipeline.cropping.kind_policy import KindPolicy
    from s2cnet.aot import CannotCompileError, cache_folder

    asked = settings.cropping
    guard_policy = GuardPolicy(asked.guarded, asked.fallbacks, asked.areas, asked.review_below)
    kind_policy = KindPolicy(asked.long_photos, asked.text_heavy)
    wanted = settings.running.compile == "on"
    make = partial(
        make_engine,
        weights,
        settings.input.detector,
        device,
        search=asked.search,
        rank_by=asked.rank_by,
        precision=asked.precision,
        guard_policy=guard_policy,
        kind_policy=kind_policy,
        runtime=choose_runtime(settings.running.runtime, device, compiles=wanted),
        backbone=asked.backbone,
    )
    # On a GPU nothing is compiled, and recording a CUDA graph pays from the second photo of a size.
    pays = device != "cpu" or images() >= COMPILE_FROM
    if wanted or (settings.running.compile == "auto" and pays):
        try:
            return make(cache=cache_folder())
        except CannotCompileError as error:
            if wanted:
                raise SettingError("compile", f"is on: {error}") from error
            warnings.warn(f"networks are not compiled: {error}", RuntimeWarning, stacklevel=2)
    return make()
