"""Hold the results of choosing one photo's crops. No torch: they travel between the stages."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pipeline.boxes import Box, Boxes, shares_inside
from pipeline.cropping.chosen import Chosen
from pipeline.cropping.search import Scores, SearchResult
from pipeline.detectors import Detections

# An object counts as cut if a crop shows more than the lower and less than the upper share of it:
# detector boxes are loose by a few percent on each side.
CUT_SHARES = (0.05, 0.95)
REGION = "subject"  # the label of regions that a photo is about

CropVerdict = Literal["ok", "fallback", "review"]
Fit = Literal["crop", "pad", "blur"]  # how a photo fills its shape


@dataclass(frozen=True)
class ScoredCrop:
    """One chosen crop. The chooser ranks it by `choice`; the network's score is one part of that.

    box_px: x0, y0, x1, y1 in source pixels, half-open.
    score: the network's, of this crop.
    choice: the number that decided, see `chosen.Chosen`; None if none did.
    margin: its choice minus the value that has decided the place of the crop ranked next, which is
        clearly different from it and those before (`chosen.DISTINCT_IOU`); None if there is none,
        or the two break guards to different degrees.
        Small margins mark photos with two good answers.
    object_shares: the share of each object's area inside the crop, in the objects' order.
    objects_cut: how many objects are only partly inside (CUT_SHARES). Regions (label `subject`) do
        not count: a crop may well end inside one.
    faces_cut, heads_cut, text_cut, subject_share, verdict, reason, fit: of what is written, as
        docs/GUARDS.md defines. subject_share is None for a photo without a main subject. verdict
        is None if the crop was not judged: in runs before verdicts, and for some derived crops.
    confidence: probability that a person would accept the crop, 0..1; None if unknown.
    override: the person's instruction that was obeyed; None for none.
    """

    ratio: str
    rank: int
    box_px: tuple[float, float, float, float]
    score: float
    choice: float | None
    margin: float | None
    object_shares: list[float]
    objects_cut: int
    faces_cut: int | None = None
    heads_cut: int | None = None
    text_cut: int | None = None
    subject_share: float | None = None
    verdict: CropVerdict | None = "ok"
    reason: str | None = None
    fit: Fit = "crop"
    confidence: float | None = None
    override: str | None = None


@dataclass(frozen=True)
class SkippedShape:
    """A shape for which no crop is written, and the reason (docs/GUARDS.md)."""

    ratio: str
    reason: str


@dataclass(frozen=True)
class ScoredCandidates:
    """The candidates of one shape that the network has scored."""

    ratio: str
    boxes_px: Boxes  # [N, 4]
    scores: Scores  # [N], the network's


@dataclass(frozen=True)
class PhotoCrops:
    """All that was decided about one photo. Boxes in source pixels after orientation."""

    crops: list[ScoredCrop]  # by shape in the order asked for, then by rank
    candidates: list[ScoredCandidates] = field(default_factory=list)  # one per shape, if kept
    skipped: list[SkippedShape] = field(default_factory=list)


def scored_crops(
    ratio: str, chosen: Chosen, scores: Scores, objects: Detections
) -> list[ScoredCrop]:
    """Build the first crops of one shape, as many as there are scores.

    chosen: best first; one more than are returned if there is one, for the last margin.
    scores: the network's, of the returned crops. [K]
    objects: in the frame of the boxes.
    """
    crops = []
    for rank, (box_px, score) in enumerate(zip(chosen.boxes, scores.tolist(), strict=False)):
        choice = None if np.isnan(chosen.choice[rank]) else float(chosen.choice[rank])
        margin = chosen.lead(rank)
        shares, cut = objects_in(box_px, objects)
        x0, y0, x1, y1 = map(float, box_px)
        crops.append(ScoredCrop(ratio, rank, (x0, y0, x1, y1), score, choice, margin, shares, cut))
    return crops


def objects_in(box_px: Box, objects: Detections) -> tuple[list[float], int]:
    """Return the share of each object's area inside a box [4] of its frame, and how many it cuts.

    CUT_SHARES defines what is cut. Regions do not count: a crop may well end inside one.
    """
    shares = shares_inside(box_px, objects.boxes)
    is_region = np.array([label == REGION for label in objects.labels], bool)
    cut = (shares > CUT_SHARES[0]) & (shares < CUT_SHARES[1]) & ~is_region
    return shares.tolist(), int(cut.sum())


def scored_candidates(
    ratio: str, found: SearchResult, boxes_px: Boxes, scores: Scores
) -> ScoredCandidates:
    """Collect all scored boxes of one shape: those of the search, then the chosen ones.

    A chosen box may lie between the candidates of the search; one that is among them appears once.

    boxes_px: the chosen boxes [K, 4]; scores: the network's of them [K].
    """
    is_new = ~(boxes_px[:, None] == found.boxes).all(axis=2).any(axis=1)  # [K]
    return ScoredCandidates(
        ratio,
        np.concatenate([found.boxes, boxes_px[is_new]]),
        np.concatenate([found.scores, scores[is_new]]),
    )
