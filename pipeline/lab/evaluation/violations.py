"""Violations: faults that no thumbnail should have, counted by kind.

After the qualitative evaluation of Hong et al., "Learning Subject-Aware Cropping by Outpainting
Professional Photos", AAAI 2024, but by rule instead of by eye. Each kind is judged by the best
evidence available: people's labels where the data set has them, else a detector's output.

    head cut         a head that counts is cut, see `evidence`
    face lost        the largest head is lost
    subject halved   a main object that would fit the shape is shown by a quarter to three quarters
    text cut         a text block that would fit the shape is shown in part
    wrong subject    by gaze: the crop keeps less than half of what a crop of the shape could keep;
                     else by people's crops: the centre of their mean crop is outside; else by the
                     main object: the crop shows less than a quarter of it, or of the crop's own
                     area where that is smaller

For a circle, heads and gaze are judged by its disc, all else by its square. A photo is judged at
several shapes; a violation counts as the share of the shapes that have it.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Boxes, area, intersection, shares_inside
from pipeline.cropping.candidates import largest
from pipeline.lab.evaluation.evidence import DETECTED_CUT, FaultEvidence
from pipeline.lab.evaluation.kept import gaze_kept, shares_shown
from pipeline.shapes import Shape

KINDS = ("head cut", "face lost", "subject halved", "text cut", "wrong subject")

# Our own thresholds: shares of an object, of the gaze that could be kept, of an object or the crop.
HALVED = (0.25, 0.75)
MIN_GAZE = 0.5
MIN_SUBJECT = 0.25


def violations(
    crop: NDArray[np.float32], shape: Shape, evidence: FaultEvidence, best_gaze: float | None
) -> list[str]:
    """List the kinds of violations of a crop [4] of a shape.

    best_gaze: the largest share of gaze that a crop of the shape can keep; None without gaze.
    """
    heads = shares_shown(crop[None], evidence.heads, shape)[0]
    low, high = evidence.head_cut
    found = {
        "head cut": ((heads >= low) & (heads <= high)).any(),
        "face lost": (heads[:1] < low).any(),
        "subject halved": _between(crop, _held(evidence.objects, shape, evidence.size_wh), HALVED),
        "text cut": _between(crop, _held(evidence.text, shape, evidence.size_wh), DETECTED_CUT),
        "wrong subject": _wrong_subject(crop, shape, evidence, best_gaze),
    }
    return [kind for kind in KINDS if found[kind]]


def _between(crop: NDArray[np.float32], boxes: Boxes, limits: tuple[float, float]) -> bool:
    shown = shares_inside(crop, boxes)
    return bool(((shown >= limits[0]) & (shown <= limits[1])).any())


def _held(boxes: Boxes, shape: Shape, size_wh: tuple[int, int]) -> Boxes:
    """Return those of boxes [N, 4] that fit into a crop of the shape whole."""
    room = np.array(largest(*size_wh, shape.ratio or size_wh[0] / size_wh[1]))
    return boxes[(boxes[:, 2:] - boxes[:, :2] <= room).all(axis=1)]


def _wrong_subject(
    crop: NDArray[np.float32], shape: Shape, evidence: FaultEvidence, best_gaze: float | None
) -> bool:
    if evidence.gaze is not None and best_gaze is not None:
        return float(gaze_kept(crop[None], evidence.gaze, shape)[0]) < MIN_GAZE * best_gaze
    if evidence.subject is not None:
        return bool((evidence.subject < crop[:2]).any() or (evidence.subject > crop[2:]).any())
    if not len(evidence.objects):
        return False
    shared = float(intersection(crop[None], evidence.objects)[0, 0])
    return shared < MIN_SUBJECT * min(float(area(evidence.objects[0])), float(area(crop)))
