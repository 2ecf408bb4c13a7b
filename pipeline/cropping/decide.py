"""Decide what is written for each shape of one photo, and judge it.

The order of precedence is: a person's instruction, the rule for the photo's kind, the chooser's
best crop that breaks no guard, the fallbacks in the order asked for, and last the crop that breaks
the guards least.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.cropping.candidates import dense_for_shape, largest_for_shape
from pipeline.cropping.chooser import Chooser, ShapeSearch
from pipeline.cropping.chosen import Chosen
from pipeline.cropping.decision import CropDecision, box_is_outside, overridden, whole_photo
from pipeline.cropping.guards import GuardFinding, ShapeGuard, call_per_guard
from pipeline.cropping.overrides import Override
from pipeline.cropping.protected import Protected
from pipeline.cropping.results import CropVerdict, ScoredCrop
from pipeline.cropping.search import Score
from pipeline.photo.encoding.whole import place_whole
from pipeline.settings import CroppingSettings
from pipeline.settings.guards import (
    DEFAULT_FALLBACK,
    DEFAULT_PROFILE,
    Fallback,
    Guards,
    parse_fallback,
    parse_guards,
)
from pipeline.settings.safe_areas import SafeArea, parse_safe_areas, safe_area_of
from pipeline.shapes import Shape

LOW_CONFIDENCE = "low_confidence"  # the reason of a crop that a person is unlikely to accept
OVERRIDE = "override"  # the reason of a crop that breaks a guard because a person asked for it
OUTSIDE = "override_outside"  # the reason of a crop in place of a person's box outside the photo


@dataclass(frozen=True)
class GuardPolicy:
    """The guards, the fallbacks and the safe areas: `--guards` and the related options.

    review_below: a crop with less confidence is to be reviewed.
    """

    guards: Guards
    fallbacks: tuple[Fallback, ...]
    areas: Mapping[str, SafeArea]
    review_below: float = CroppingSettings.review_below

    @classmethod
    def read(
        cls,
        guards: str = DEFAULT_PROFILE,
        fallback: str = DEFAULT_FALLBACK,
        safe_areas: str = "",
        review_below: float = CroppingSettings.review_below,
    ) -> GuardPolicy:
        """Read the policy from a job's settings. Raises SettingError."""
        areas = parse_safe_areas(safe_areas)
        return cls(parse_guards(guards), parse_fallback(fallback), areas, review_below)


@dataclass(frozen=True, eq=False)
class PhotoGuards:
    """The guards of one photo, by shape."""

    policy: GuardPolicy
    protected: Protected
    _by_area: dict[SafeArea, ShapeGuard] = field(default_factory=dict)

    def __call__(self, shape: Shape) -> ShapeGuard:
        """Return the guard of a shape; shapes of which people see the same part share one."""
        area = safe_area_of(shape, self.policy.areas)
        if area not in self._by_area:
            self._by_area[area] = ShapeGuard(self.policy.guards, self.protected, area)
        return self._by_area[area]


@dataclass(frozen=True, eq=False)
class Decider:
    """Decides what is written for each shape of one photo.

    size_wh: of the photo in source pixels. score: the network's, for any boxes of the photo.
    override, kind_override: a person's instruction for the photo, and the rule for its kind.
    """

    chooser: Chooser
    guards: PhotoGuards
    size_wh: tuple[int, int]
    score: Score
    override: Override | None = None
    kind_override: Override | None = None

    def decide(self, searched: Sequence[ShapeSearch], count: int) -> list[CropDecision]:
        """Decide what is written for each shape, at most `count` crops of each."""
        known = [self._by_override(one.shape) for one in searched]
        undecided = [one for one, decision in zip(searched, known, strict=True) if decision is None]
        bests = zip(undecided, self.chooser.best(undecided, count), strict=True)
        decided = (self._decided(one, best, count) for one, best in bests)
        return [decision or next(decided) for decision in known]

    def _by_override(self, shape: Shape) -> CropDecision | None:
        """Return a person's or else the kind rule's decision on a shape; None if there is none."""
        for one in (self.override, self.kind_override):
            if one is not None and (decision := overridden(one, shape, self.size_wh)):
                return decision
        return None

    def _decided(self, searched: ShapeSearch, best: Chosen, count: int) -> CropDecision:
        """Decide on a shape whose best crops are known: these or a fallback."""
        if best.passes(0):
            return CropDecision(best)
        shape, candidates = searched.shape, searched.candidates
        guard = self.guards(shape)
        passing = candidates[guard.levels(candidates) == 0]
        if len(passing):  # a chooser by score knows only those that the search has scored
            return CropDecision(self.chooser.best_other(searched, passing, self.score, count))
        for fallback in self.guards.policy.fallbacks:
            if fallback == "skip":
                return CropDecision(best, skipped=guard.reason(best.boxes[0]))
            if fallback == "pad" or fallback == "blur":
                return CropDecision(whole_photo(self.size_wh), fit=fallback, fallback=fallback)
            propose = dense_for_shape if fallback == "next" else largest_for_shape
            boxes = propose(*self.size_wh, shape)
            levels = guard.levels(boxes)
            least = boxes[levels == levels.min()]
            other = self.chooser.best_other(searched, least, self.score, count)
            if other.passes(0):
                return CropDecision(other, fallback=fallback)
            best = min(best, other, key=lambda one: int(one.levels_or_zero[0]))
        return CropDecision(best)

    def confidence(self, searched: ShapeSearch, decision: CropDecision) -> list[float | None]:
        """Return the probability that a person accepts each crop.

        None if an override has decided, the whole photo is shown, or nothing is written.
        """
        is_crop = decision.fit == "crop" and decision.skipped is None
        if decision.override is not None or not is_crop:
            return [None] * len(decision.chosen.boxes)
        return self.chooser.confidence(searched, decision.chosen)

    def judged(
        self,
        shapes: Sequence[Shape],
        decided: Sequence[CropDecision],
        crops: Sequence[Sequence[ScoredCrop]],
        confidence: Sequence[Sequence[float | None]],
    ) -> list[ScoredCrop]:
        """Return the decided crops with what they cut as written, their verdict and confidence.

        crops, confidence: of each shape, the best first; no crops of skipped shapes.
        """
        guards = [self.guards(shape) for shape in shapes]
        shown = [
            np.array([_shown(one, crop, shape, guard) for crop in some], np.float64).reshape(-1, 4)
            for one, some, shape, guard in zip(decided, crops, shapes, guards, strict=True)
        ]
        findings = call_per_guard(guards, shown, ShapeGuard.findings)
        return [
            self._judged(decision, *of_crop)
            for decision, *of_shape in zip(decided, crops, findings, confidence, strict=True)
            for of_crop in zip(*of_shape, strict=False)
        ]

    def _judged(
        self,
        decision: CropDecision,
        crop: ScoredCrop,
        finding: GuardFinding,
        confidence: float | None,
    ) -> ScoredCrop:
        override, (counts, broken) = decision.override, finding
        verdict, reason = self._verdict(decision, crop.ratio, broken, confidence)
        return replace(
            crop,
            confidence=confidence,
            faces_cut=counts.faces,
            heads_cut=counts.heads,
            text_cut=counts.text,
            subject_share=counts.subject_share,
            verdict=verdict,
            reason=reason,
            fit=decision.fit,
            override=(override.name or None) if override is not None else None,
        )

    def _verdict(
        self, decision: CropDecision, ratio: str, broken: str | None, confidence: float | None
    ) -> tuple[CropVerdict, str | None]:
        """Return a crop's verdict and its reason; the first case that applies counts.

        ratio: the shape's name. broken: why the crop breaks a guard; None if it breaks none.
        """
        if self.override is not None and box_is_outside(self.override, ratio, self.size_wh):
            return "review", OUTSIDE
        override = decision.override
        is_by_person = override is not None and override.reason is None
        if broken and not is_by_person:
            return "review", broken
        if confidence is not None and confidence < self.guards.policy.review_below:
            return "review", LOW_CONFIDENCE
        if is_by_person:
            return "ok", OVERRIDE if broken else None
        if override is not None:  # the rule for the photo's kind
            return "fallback", override.reason
        if decision.fallback is not None:
            return "fallback", f"fallback_{decision.fallback}"
        return "ok", None


def _shown(
    decision: CropDecision, crop: ScoredCrop, shape: Shape, guard: ShapeGuard
) -> tuple[float, float, float, float]:
    """Return what the output shows, in source pixels; beyond the photo if it has a background."""
    if decision.fit == "crop":
        return crop.box_px
    return place_whole(crop.box_px, shape, guard.area.is_circle, guard.area.covered).canvas_px
