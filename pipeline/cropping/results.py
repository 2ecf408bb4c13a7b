"""What comes out of choosing one photo's crops. No torch: it travels between the stages."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Boxes, shares_inside
from pipeline.cropping.search import Scores
from pipeline.detectors import Detections

# An object counts as cut where a crop shows more than the lower and less than the upper share of
# it: detector boxes are loose by a few percent on each side.
CUT_SHARES = (0.05, 0.95)


@dataclass(frozen=True)
class ScoredCrop:
    """One chosen crop. The chooser ranks it; the network's score is one part of that.

    box_px: x0, y0, x1, y1 in source pixels, half-open.
    score: the network's, of this crop.
    margin: its score minus that of the crop ranked next, which is clearly different from it and
        from those before (`choose.DISTINCT_IOU`); None where there is none. Small margins, and
        those below 0, mark photos with two good answers.
    object_shares: the share of each object's area inside the crop, in the objects' order.
    objects_cut: how many objects are partly, not wholly, inside (CUT_SHARES).
    """

    ratio: str
    rank: int
    box_px: tuple[float, float, float, float]
    score: float
    margin: float | None
    object_shares: list[float]
    objects_cut: int


@dataclass(frozen=True)
class ScoredCandidates:
    """The candidates of one shape that the network has scored."""

    ratio: str
    boxes_px: Boxes  # [N, 4]
    scores: Scores  # [N], the network's


@dataclass(frozen=True)
class Choice:
    """All that was decided about one photo. Boxes in source pixels after orientation."""

    objects_px: Detections
    crops: list[ScoredCrop]  # by shape in the order asked, then by rank
    candidates: list[ScoredCandidates] = field(default_factory=list)  # one a shape, where kept


def scored_crops(
    ratio: str, boxes_px: Boxes, scores: Scores, top_k: int, objects: Detections
) -> list[ScoredCrop]:
    """The first `top_k` crops of one shape.

    boxes_px: clearly different boxes, best first; one more than `top_k` where there is one, for
        the last margin. [K, 4]
    scores: the network's. [K]
    """
    values = [float(score) for score in scores]
    crops = []
    for rank, box_px in enumerate(boxes_px[:top_k]):
        margin = values[rank] - values[rank + 1] if rank + 1 < len(values) else None
        crops.append(_crop(ratio, rank, box_px, values[rank], margin, objects))
    return crops


def _crop(
    ratio: str,
    rank: int,
    box_px: NDArray[np.float32],
    score: float,
    margin: float | None,
    objects: Detections,
) -> ScoredCrop:
    shares = shares_inside(box_px, objects.boxes)
    cut = int(((shares > CUT_SHARES[0]) & (shares < CUT_SHARES[1])).sum())
    x0, y0, x1, y1 = map(float, box_px)
    return ScoredCrop(ratio, rank, (x0, y0, x1, y1), score, margin, shares.tolist(), cut)
