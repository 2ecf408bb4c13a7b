"""The coefficients and weights of the rule of choice: a crop's agreement less its penalties.

Agreement combines the expected overlap (IoU) with the crop that a person would make and the
expected share of people's fixations inside, which counts more the further a shape's ratio is from
the photo's own. Both are linear in `pipeline.cropping.features`, and their coefficients are linear
in that distance of ratios. The laboratory fits them on people's labels
(`pipeline/lab/cli/learn_from_people.py`); they are in `choice.json`. `crop_value` applies them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

from pipeline.boxes import FloatArray
from pipeline.cropping.features import FEATURES, FREE_FEATURES
from pipeline.errors import UsageError, did_you_mean

# Names in a rule's JSON: its parts, and in `overlap` and `gaze` the coefficients at the photo's own
# ratio and what is added to them per unit of distance from it.
PARTS = (
    "source", "overlap", "gaze", "free", "gaze_weight", "gaze_pull", "placement", "penalties",
    "framing",
)  # fmt: skip
NEAR_FAR = ("near", "far")
FARTHEST = 1.0  # distance of ratios (difference of logarithms) from which on nothing changes
# Distance of ratios from which on a shape is not near the photo's own, see `nearness`. There, the
# penalty of cut objects would cost more of what people look at than it saves.
NEAR_REACH = 2 / 3
# Distance of ratios from which on placement counts no more than there. With .4, more crops at 9:16
# (.86 from 4:3) are acceptable and three times as much gaze is lost (docs/EFFECTS.md).
PLACEMENT_REACH = 0.25


@dataclass(frozen=True)
class PenaltyWeights:
    """The weights of a crop's penalties, and how those of heads count.

    heads, whole_heads, animals, objects, things, main_objects, tops, sides, head_ends, sights,
        text: weights. That of objects falls to 0 at NEAR_REACH. Those of ends (tops, sides,
        head_ends) apply only to shapes with a ratio, that of main_objects only to circles.
    wide_heads: what is added to `heads` at shapes wider than the photo, per unit of distance up to
        PLACEMENT_REACH: there placement counts in full, and would cost heads without it.
    head_cut: see `head_cuts`.
    head_fade: share of the heads' weight that is lost per unit of distance: at a far ratio a crop
        that shows what people look at cannot hold all heads.
    """

    heads: float
    wide_heads: float
    whole_heads: float
    animals: float
    head_cut: float
    head_fade: float
    objects: float
    things: float
    main_objects: float
    tops: float
    sides: float
    head_ends: float
    sights: float
    text: float

    @property
    def of_ends(self) -> tuple[float, float, float]:
        """The weights of the penalties for ends: `tops`, `sides` and `head_ends`."""
        return self.tops, self.sides, self.head_ends


PENALTIES = tuple(field.name for field in fields(PenaltyWeights))


@dataclass(frozen=True, eq=False)
class Rule:
    """Coefficients and weights; see `choice.json` for where each comes from.

    overlap, gaze: [2, 9], at the photo's own ratio and what is added per unit of distance.
    free: [11], for the shape without a ratio.
    gaze_weight: of the share of fixations, the overlap's being 1: at the photo's own ratio, and
        what is added per squared unit of distance. People who crop at a near ratio keep more than
        what is looked at; at a far ratio there is no room for more.
    gaze_pull: penalty of the squared distance from the mean of gaze, per unit of distance. It
        breaks ties, since the mean moves least when a photo is encoded again.
    placement: weight of how good the place is that the detector predicts, per unit of distance up
        to PLACEMENT_REACH; at shapes narrower than the photo less in photos with heads of people
        (`Evidence.headless`).
    penalties: their weights while the place of a crop is chosen.
    framing: their weights among the crops at one place (`pipeline.cropping.framed`).
    """

    overlap: FloatArray
    gaze: FloatArray
    free: FloatArray
    gaze_weight: tuple[float, float]
    gaze_pull: float
    placement: float
    penalties: PenaltyWeights
    framing: PenaltyWeights

    def without_placement(self) -> Rule:
        """Return the same rule without placement."""
        return replace(self, placement=0.0)

    def placement_weight(self, distance: float) -> float:
        """Return the weight of placement at a distance of the shape's ratio from the photo's."""
        return self.placement * within_reach(distance)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Rule:
        """Read it. Raises KeyError for a missing name, UsageError for one more or a weight < 0.

        "framing" has only the weights that differ from those in "penalties".
        """
        _check_all_names(values)
        near, far = (float(weight) for weight in values["gaze_weight"])
        pull, placement = float(values["gaze_pull"]), float(values["placement"])
        weights = {name: float(values["penalties"][name]) for name in PENALTIES}
        framing = {name: float(weight) for name, weight in values["framing"].items()}
        of_place = {"gaze_weight": min(near, far), "gaze_pull": pull, "placement": placement}
        in_framing = {f"framing.{name}": weight for name, weight in framing.items()}
        _check_weights({**of_place, **weights, **in_framing})
        overlap, gaze = (
            np.array([[values[part][end][name] for name in FEATURES] for end in NEAR_FAR])
            for part in ("overlap", "gaze")
        )
        free = np.array([values["free"][name] for name in FREE_FEATURES])
        penalties = PenaltyWeights(**weights)
        framed = replace(penalties, **framing)
        return cls(overlap, gaze, free, (near, far), pull, placement, penalties, framed)


def _check_all_names(values: Mapping[str, Any]) -> None:
    """Raise UsageError if a rule's JSON has a name too many, KeyError if it lacks a part."""
    _check_names(values, PARTS, "the rule")
    for part in ("overlap", "gaze"):
        _check_names(values[part], NEAR_FAR, part)
        for end in NEAR_FAR:
            _check_names(values[part][end], FEATURES, f"{part}.{end}")
    _check_names(values["free"], FREE_FEATURES, "free")
    for part in ("penalties", "framing"):
        _check_names(values[part], PENALTIES, part)


def _check_weights(weights: Mapping[str, float]) -> None:
    """Raise UsageError if one of the weights is below 0."""
    if below := [name for name, weight in weights.items() if weight < 0]:
        raise UsageError(f"{below[0]} is below 0: weights have to be at least 0")


def _check_names(values: Iterable[str], known: Sequence[str], where: str) -> None:
    """Raise UsageError if one of the names in a part of the rule is unknown."""
    if unknown := [name for name in values if name not in known]:
        raise UsageError(f"{where} has no {unknown[0]}{did_you_mean(unknown[0], known)}")


@lru_cache(maxsize=1)
def packaged_rule() -> Rule:
    """Load the packaged rule."""
    data = files("pipeline.cropping").joinpath("choice.json").read_text()
    return Rule.from_json(json.loads(data))


def nearness(distance: float) -> float:
    """Return 1 at the photo's own ratio, falling to 0 at a distance of NEAR_REACH."""
    return max(0.0, 1 - distance / NEAR_REACH)


def within_reach(distance: float) -> float:
    """Return the distance of ratios that placement counts for, at most PLACEMENT_REACH."""
    return min(distance, PLACEMENT_REACH)


def distance_of(ratio: float) -> float:
    """Return a ratio's (as shares of the sides) distance from the photo's own, 0..FARTHEST."""
    return min(abs(float(np.log(ratio))), FARTHEST)
