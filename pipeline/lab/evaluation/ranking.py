"""The product's ranking of given crops, such as annotated ones.

The product does not take the crop of highest score, see `pipeline.cropping.choose`. It ranks
annotated crops by their choice, the number that decides.
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
    """Rank boxes [N, 4] as the product does; return their indices, best first, and scores: [N].

    Boxes are in source pixels; the scores are the network's own. Raises ScoreError.
    """
    chooser = engine.chooser_for(seen.objects, seen.size_wh)
    (found,) = exhaustive([boxes], score_function(engine.network, seen))
    return order_of(chooser, boxes, found), found.scores


def order_of(chooser: Chooser, candidates: Boxes, found: SearchResult) -> NDArray[np.int64]:
    """Return the indices [N] of candidates [N, 4], best first; equal values in list order."""
    return np.argsort(-chooser.values(ShapeSearch(FREE, candidates, found)), kind="stable")
