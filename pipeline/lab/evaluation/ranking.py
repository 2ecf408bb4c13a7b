"""The order in which the product would take crops that someone else proposed.

The product does not take the highest score, see `pipeline.cropping.choose`. So its order of
annotated crops is found by letting it choose among them, again and again.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Boxes, iou
from pipeline.cropping.choose import Chooser
from pipeline.cropping.engine import CropEngine
from pipeline.cropping.scoring import score_function
from pipeline.cropping.search import CandidateList, SearchResult, exhaustive
from pipeline.cropping.sources import SeenPhoto
from pipeline.shapes import parse_shape

FREE = parse_shape("free")  # annotated crops are of any ratio


def product_order(
    engine: CropEngine, seen: SeenPhoto, boxes: Boxes
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Places of boxes [N, 4] in the order in which the product takes them, and their scores: [N].

    Boxes in source pixels; the scores are the network's own. Raises ScoreError.
    """
    chooser = engine.chooser_for(seen.objects, seen.size_wh)
    candidates = CandidateList(boxes, chooser.penalty(FREE, boxes))
    (found,) = exhaustive([candidates], score_function(engine.network, seen))
    return order_of(chooser, candidates, found), found.network_scores


def order_of(chooser: Chooser, candidates: CandidateList, found: SearchResult) -> NDArray[np.int64]:
    """Places of all scored candidates, the best first: each time the best of those that are left.

    A crop that a chooser moves off the list stands for the candidate that it overlaps most.
    """
    left, order = np.arange(len(found.boxes)), []
    while len(left):
        (best,) = chooser.best(FREE, candidates, _only(found, left), 1)
        order.append(left[int(iou(best, found.boxes[left]).argmax())])
        left = left[left != order[-1]]
    return found.indices[order]


def _only(found: SearchResult, places: NDArray[np.int64]) -> SearchResult:
    return replace(
        found,
        boxes=found.boxes[places],
        scores=found.scores[places],
        network_scores=found.network_scores[places],
        indices=found.indices[places],
    )
