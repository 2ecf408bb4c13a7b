"""Lists of candidates of labelled photos for the fit, measured as the product measures them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from pipeline.boxes import FloatArray
from pipeline.cropping.candidates import for_shape
from pipeline.cropping.evidence import Evidence
from pipeline.cropping.features import Preferred
from pipeline.cropping.search import Score, spread_only
from pipeline.lab.evaluation.kept import gaze_kept
from pipeline.lab.people.labels import PeopleLabels
from pipeline.lab.people.rule_fit import LabelledList, overlap_target
from pipeline.shapes import Shape

RATIOS = (1.0, 9 / 16, 16 / 9, 3 / 4)  # of thumbnails, for photos with fixations
MIN_SIDE = 0.01  # share of the photo's side; a smaller crop is a slip of the mouse
KINDS = ("overlap", "gaze", "free")


def lists_of(
    labels: PeopleLabels, size_wh: tuple[int, int], evidence: Evidence, score: Score
) -> Iterator[tuple[str, LabelledList]]:
    """Yield kind (of KINDS) and list for all labels of a photo.

    evidence and score (boxes in pixels -> the network's scores): of networks that were not trained
    on this photo, or the fit trusts them too much.
    """
    shapes = list(_shapes(labels, size_wh))
    boxes_px = [
        for_shape(*size_wh, Shape("free" if ratio is None else str(ratio), ratio))
        for _, ratio, _ in shapes
    ]
    size = np.array([*size_wh, *size_wh], np.float64)
    scored = spread_only(boxes_px, score)
    for (kind, ratio, target), each, found in zip(shapes, boxes_px, scored, strict=True):
        boxes = each / size
        preferred = Preferred.of(boxes, found.posterior_mean)
        relative = None if ratio is None else ratio * size_wh[1] / size_wh[0]
        yield kind, LabelledList.of(boxes, evidence, preferred, relative, target(boxes))


def list_kinds(labels: PeopleLabels) -> set[str]:
    """Return the kinds of lists that a photo has."""
    of_crops = {"overlap", "free"} if len(_large_crops(labels)) else set()
    return of_crops | ({"gaze"} if len(labels.fixations) else set())


def _large_crops(labels: PeopleLabels) -> FloatArray:
    return labels.crops[(labels.crops[:, 2:] - labels.crops[:, :2] > MIN_SIDE).all(axis=1)]


def _shapes(
    labels: PeopleLabels, size_wh: tuple[int, int]
) -> Iterator[tuple[str, float | None, Callable[[FloatArray], FloatArray]]]:
    """Yield kind, ratio in pixels, and the target function of boxes, for each list of a photo."""
    crops = _large_crops(labels)
    for crop in crops:
        own = float((crop[2] - crop[0]) / (crop[3] - crop[1]))
        yield "overlap", own * size_wh[0] / size_wh[1], _overlap(crops, own)
    if len(crops):
        yield "free", None, _overlap(crops, None)
    if len(labels.fixations):
        for ratio in RATIOS:
            yield "gaze", ratio, lambda boxes: gaze_kept(boxes, labels.fixations)


def _overlap(crops: FloatArray, ratio: float | None) -> Callable[[FloatArray], FloatArray]:
    return lambda boxes: overlap_target(boxes, crops, ratio)
