"""Crops of labelled photos with people's acceptance, which the confidence is fitted on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.boxes import Box, FloatArray
from pipeline.lab.evaluation.acceptance import accepted_by_people, accepted_by_viewers
from pipeline.lab.evaluation.evidence import FaultEvidence, fault_evidence
from pipeline.lab.evaluation.kept import best_gaze_kept
from pipeline.lab.people.held_out import OWN, HeldOutPhoto
from pipeline.lab.people.held_out_choice import choose_held_out
from pipeline.shapes import Shape

# The chosen crop and the next one, because a later crop is written where a guard refuses the first.
RANKS = 2


@dataclass(frozen=True, eq=False)
class JudgedCrop:
    """One crop and whether people accept it.

    photo: "set name/id", one for each photo.
    shape: its name, `own` for a person's own ratio. rank: 0 is the crop chosen.
    terms: of `ConfidenceFeatures`. [9]
    accepted: the share of people who accept it, 0..1.
    """

    photo: str
    set_name: str
    fold: int
    shape: str
    rank: int
    terms: FloatArray
    accepted: float


def judged_crops(photo: HeldOutPhoto) -> Iterator[JudgedCrop]:
    """Yield the RANKS best crops of each shape of a photo, chosen by the product's defaults."""
    choice = choose_held_out(photo, RANKS)
    example, labels = photo.labels.example, photo.labels
    faults = fault_evidence(example, photo.objects, photo.size_wh)
    for place, (one, decision) in enumerate(zip(choice.searched, choice.decided, strict=True)):
        shape, chosen = one.shape, decision.chosen
        features = choice.chooser.confidence_features(one, chosen)[:RANKS]
        for rank, (box, of_crop) in enumerate(zip(chosen.boxes, features, strict=False)):
            accepted = _accepted(box, shape, place, photo, faults)
            if accepted is not None:
                yield JudgedCrop(
                    f"{labels.set_name}/{example.id}", labels.set_name, labels.fold,
                    shape.name, rank, of_crop.terms(), accepted,
                )  # fmt: skip


def _accepted(
    box: Box, shape: Shape, place: int, photo: HeldOutPhoto, faults: FaultEvidence
) -> float | None:
    """Return the acceptance of a crop of the photo's shape number `place`; None where unknown."""
    human = photo.labels.example.human_px
    if shape.name == OWN:
        return accepted_by_people(box, human[place : place + 1])
    if shape.ratio is None:
        return accepted_by_people(box, human)
    if faults.gaze is None:
        return None
    best = best_gaze_kept(shape, faults.gaze, photo.size_wh)
    return accepted_by_viewers(box, shape, faults, best)
