"""What comes out of choosing one photo's crops. No torch: it travels between the stages."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Boxes
from pipeline.detectors import Detections


@dataclass(frozen=True)
class ScoredCrop:
    """One chosen crop. `pipeline.cropping.choose` says what ranks; the score is one part of it.

    score: the network's own of this crop.
    margin: its score minus that of the crop that would be taken next, clearly different from it and
        from those ranked before it (IoU below `engine.DISTINCT_IOU`); None where there is none.
        Small margins, and those below 0, mark photos with two good answers.
    object_shares: the share of each detected object's area inside, in the objects' order.
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
    """The candidates of one shape that were scored, with the network's score of each."""

    ratio: str
    boxes_px: Boxes  # [N, 4]
    scores: NDArray[np.float32]  # [N]


@dataclass(frozen=True)
class Choice:
    """All that was decided about one photo. Boxes in source pixels after orientation."""

    objects_px: Detections
    crops: list[ScoredCrop]  # by shape in the order asked, then by rank
    candidates: list[ScoredCandidates] = field(default_factory=list)  # one a shape, where kept
