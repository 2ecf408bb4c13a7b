"""Acceptance: whether a person would accept a crop, by the labels that a data set has.

Each threshold is a round number that the median pair of people reach with each other. A crop is
therefore accepted where it is about as close to a person as people are to each other:

    people's crops   IoU of at least .6 with a person's crop, at that person's own ratio or, for
                     the free shape, with each person's. FLMS: the median pair of people has .68
                     where one crop is brought to the other's ratio, .63 as drawn.
    gaze             at least .9 of the fixations that the best crop of the shape keeps. OSIE and
                     EyeCrowd: by a second viewer's fixations, the first viewer's best crop keeps
                     .93 and .90 of what the second's own best crop keeps (medians over pairs and
                     the shapes 1:1, 16:9, 9:16, 3:4). A shape of about the photo's own ratio is not
                     judged: gaze never speaks against the whole photo, so it cannot separate good
                     and bad crops of such a shape.
    heads            where heads were drawn, additionally: no head that counts
                     (`FaultEvidence.heads`) is cut, with more than a tenth inside and more than a
                     tenth outside.
"""

from math import log

from numpy.typing import ArrayLike

from pipeline.boxes import Box, Boxes, iou
from pipeline.lab.evaluation.evidence import FaultEvidence
from pipeline.lab.evaluation.kept import gaze_kept, shares_shown
from pipeline.shapes import Shape

MIN_IOU = 0.6
MIN_GAZE_SHARE = 0.9
MIN_DISTANCE = 0.1  # least |ln| of the shape's ratio over the photo's for a verdict by gaze
HEAD_CUT = (0.1, 0.9)


def accepted_by_people(crop: ArrayLike, human: Boxes) -> float:
    """Return the share of people, whose crops are human [P, 4], P ≥ 1, who accept a crop [4]."""
    return float((iou(crop, human) >= MIN_IOU).mean())


def accepted_by_viewers(
    crop: Box, shape: Shape, evidence: FaultEvidence, best_gaze: float | None
) -> float | None:
    """Return 1 where gaze and the drawn heads accept a crop [4], else 0.

    best_gaze: the share of the fixations that the best candidate of the shape keeps.

    Returns None where fixations give no verdict: there are none, or the shape is free or near the
    photo's own ratio.
    """
    if evidence.gaze is None or best_gaze is None or shape.ratio is None:
        return None
    if abs(log(shape.ratio * evidence.size_wh[1] / evidence.size_wh[0])) < MIN_DISTANCE:
        return None
    if gaze_kept(crop[None], evidence.gaze, shape)[0] < MIN_GAZE_SHARE * best_gaze:
        return 0.0
    if not len(evidence.drawn_heads):
        return 1.0
    shown = shares_shown(crop[None], evidence.heads, shape)[0]
    return float(not ((shown > HEAD_CUT[0]) & (shown < HEAD_CUT[1])).any())
