"""The order in which the product would take crops that someone else proposed.

The product does not take the highest score, see `pipeline.cropping.choose`. Its order of annotated
crops is that of the number that decides.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Boxes
from pipeline.cropping.chooser import Chooser, ShapeSearch
from pipeline.cropping.engine import CropEngine
from pipeline.cropping.scoring import score_function
from pipeline.cropping.search import SearchResult, exhaustive
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
    (found,) = exhaustive([boxes], score_function(engine.network, seen))
    return order_of(chooser, boxes, found), found.scores


def order_of(chooser: Chooser, candidates: Boxes, found: SearchResult) -> NDArray[np.int64]:
    """Places of candidates [N, 4], the best first; equal values in the order of the list: [N]."""
    return np.argsort(-chooser.values(ShapeSearch(FREE, candidates, found)), kind="stable")
