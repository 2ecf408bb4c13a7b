"""Score boxes of one photo with S2CNet.

The backbone is called once for each photo. That keeps the scores of a photo independent of the
other photos in its batch, so batch size, task size and number of workers cannot change a result.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.boxes import Boxes
from pipeline.cropping.gpu_memory import gpu_memory_as
from pipeline.cropping.search import Score, Scores, SearchResult
from pipeline.cropping.sources import SeenPhoto
from pipeline.detectors.feature_head import resample_map
from pipeline.errors import ScoreError
from s2cnet import FastS2CNet, boxes_to_input
from s2cnet.inputs import input_size, map_size


def score_function(network: FastS2CNet, seen: SeenPhoto) -> Score:
    """Return a function from boxes [N, 4] of one photo, source pixels, to the network's scores [N].

    The backbone runs once, here, unless the source of the objects has provided the feature map.
    Higher is better; scores have no unit. Both this call and the function raise ScoreError:
    out_of_memory, not_finite.
    """
    width_px, height_px = seen.size_wh
    height, width = seen.photo.pixels.shape[:2]
    input_w, input_h = input_size(width, height)
    scale_xy = (width_px / input_w, height_px / input_h)
    boxes = boxes_to_input(seen.objects.boxes, scale_xy)  # [D, 4]
    device = network.device
    with gpu_memory_as(ScoreError):
        if network.has_backbone:
            (encoded,) = network.encode(seen.sent.network_input()[None], [boxes.to(device)])
        else:
            assert seen.objects.features is not None, "the source provides the feature map"
            features = resample_map(seen.objects.features[None], map_size(width, height))
            (encoded,) = network.encode_features(features.to(device), [boxes.to(device)])

    def score(boxes_px: Boxes) -> Scores:
        boxes = boxes_to_input(boxes_px, scale_xy).to(device)
        with gpu_memory_as(ScoreError):
            scores = network.score_boxes(encoded, boxes).float().cpu().numpy()
        if not np.isfinite(scores).all():
            raise ScoreError("not_finite", "the network gave a score that is not a number")
        return np.asarray(scores, np.float32)

    return score


def known_or_new_scores(
    chosen: Sequence[Boxes], results: Sequence[SearchResult], score: Score
) -> list[Scores]:
    """Return the network's scores of the crops [K, 4] chosen from each list: [K] each.

    Scores from the search are reused; the other crops are scored here, in one call.
    """
    scores = []
    for boxes, found in zip(chosen, results, strict=True):
        known = dict(zip(map(tuple, found.boxes.tolist()), found.scores, strict=True))
        scores.append(np.array([known.get(tuple(box), np.nan) for box in boxes.tolist()]))
    missing = np.isnan(np.concatenate(scores))
    if missing.any():
        together = np.concatenate(scores)
        together[missing] = score(np.concatenate(chosen)[missing])
        scores = np.split(together, np.cumsum([len(one) for one in scores])[:-1])
    return [one.astype(np.float32) for one in scores]
