"""Baselines for a run: simple crops, free software, and networks whose weights are given.

    centre, centre_90, largest   use no pixels (`simple`)
    anchor_prior                 positions that people like on the training split (`prior`)
    attention, entropy           libvips (`libvips`)
    smartcrop_js                 the npm package smartcrop (`smartcrop_js`)
    gaic, focalnet               networks, where their weights are given

Each baseline does both tasks: it places a crop of a ratio, and it scores given crops.
"""

from collections.abc import Sequence

from pipeline.errors import UsageError, did_you_mean, naming
from pipeline.lab.evaluation.baselines.baseline import Baseline
from pipeline.lab.evaluation.baselines.focalnet import FocalNet
from pipeline.lab.evaluation.baselines.gaic import GaicBaseline
from pipeline.lab.evaluation.baselines.libvips import Smartcrop
from pipeline.lab.evaluation.baselines.prior import AnchorPrior
from pipeline.lab.evaluation.baselines.simple import Centre, Largest
from pipeline.lab.evaluation.baselines.smartcrop_js import SmartcropJs
from pipeline.lab.weight_files import naming_weights

NAMES = (
    "centre",
    "centre_90",
    "largest",
    "anchor_prior",
    "attention",
    "entropy",
    "smartcrop_js",
)
"""Those that need no weights."""


def make_baselines(
    names: Sequence[str],
    prior: AnchorPrior | None = None,
    gaic: str | None = None,
    focalnet: str | None = None,
    device: str = "cpu",
) -> dict[str, Baseline]:
    """Make the named baselines, and the networks whose weights (path or URI) are given.

    anchor_prior is left out where there is no prior. Raises UsageError for an unknown name or a
    missing package, SettingError for unusable weights.
    """
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        meant = did_you_mean(unknown[0], NAMES)
        raise UsageError(f"no baseline {', '.join(unknown)}: choose from {', '.join(NAMES)}{meant}")
    made: dict[str, Baseline] = {}
    for name in names:
        if name in ("attention", "entropy"):
            made[name] = Smartcrop(name)
        elif name == "smartcrop_js":
            made[name] = SmartcropJs()
        elif name == "anchor_prior":
            if prior is not None:
                made[name] = prior
        elif name == "largest":
            made[name] = Largest()
        else:
            made[name] = Centre(0.9 if name == "centre_90" else 1.0)
    if gaic is not None:
        with naming_weights("gaic"):
            made["gaic"] = GaicBaseline.from_weights(gaic, device)
    if focalnet is not None:
        with naming("focalnet"):
            made["focalnet"] = FocalNet(focalnet)
    return made


def without_missing(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Leave out smartcrop_js where it cannot run here; return the names, and notes on that."""
    if "smartcrop_js" not in names:
        return list(names), []
    try:
        SmartcropJs()
    except UsageError as error:
        return [name for name in names if name != "smartcrop_js"], [f"left out: {error}"]
    return list(names), []


__all__ = ["NAMES", "AnchorPrior", "Baseline", "make_baselines", "without_missing"]
