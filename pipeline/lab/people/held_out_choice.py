"""The product's default choice for labelled photos, from the outputs of held-out networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.boxes import Box, Boxes
from pipeline.cropping.candidates import for_shape
from pipeline.cropping.choose import OverlapChooser
from pipeline.cropping.chooser import ShapeSearch
from pipeline.cropping.decide import Decider, GuardPolicy, PhotoGuards
from pipeline.cropping.decision import CropDecision
from pipeline.cropping.protected import protected_of
from pipeline.cropping.rule import Rule, packaged_rule
from pipeline.cropping.search import Scores
from pipeline.lab.people.held_out import HeldOutPhoto


@dataclass(frozen=True, eq=False)
class HeldOutChoice:
    """The decisions on the shapes of a photo, in their order, with the default guards."""

    chooser: OverlapChooser
    searched: Sequence[ShapeSearch]
    decided: Sequence[CropDecision]

    @property
    def crops(self) -> list[Box]:
        """The crop that is written for each shape, [4] xyxy in source pixels."""
        return [one.chosen.boxes[0] for one in self.decided]


def choose_held_out(photo: HeldOutPhoto, count: int = 1, rule: Rule | None = None) -> HeldOutChoice:
    """Choose the `count` best crops of each shape, and one more, which only gives the last's lead.

    rule: None for the packaged one. Boxes are in source pixels. A shape has fewer where no further
    crops are clearly different.
    """
    policy = GuardPolicy.read()
    protected = protected_of(photo.objects, photo.size_wh, policy.guards.heads)
    guards = PhotoGuards(policy, protected)
    chooser = OverlapChooser(photo.objects, photo.size_wh, guards, rule or packaged_rule())
    decider = Decider(chooser, guards, photo.size_wh, _no_score)
    searched = [
        ShapeSearch(shape, for_shape(*photo.size_wh, shape), found)
        for shape, found in zip(photo.shapes, photo.found, strict=True)
    ]
    return HeldOutChoice(chooser, searched, decider.decide(searched, count + 1))


def _no_score(boxes: Boxes) -> Scores:
    """Raise: the rule derives the scores of other boxes from those of the candidates."""
    raise AssertionError(f"a score of {len(boxes)} boxes was asked for")
