"""The anchor prior: positions that people like on the training split, photo unseen."""

from collections import defaultdict

import numpy as np
from PIL import Image

from pipeline.cropping.candidates import largest
from pipeline.lab.datasets import Dataset
from pipeline.lab.evaluation.baselines import AnchorPrior, anchor_bins


def fit_prior(train: Dataset) -> AnchorPrior:
    """Mean score of each grid anchor and mean placement of people's own crops.

    Opens each photo's header for its size, nothing else.
    """
    scores: dict[tuple[int, ...], list[float]] = defaultdict(list)
    placements = []
    for example in train.examples:
        with Image.open(example.image) as picture:
            width, height = picture.size
        bins = anchor_bins(example.scored_px, width, height)
        for key, mos in zip(bins.tolist(), example.mos.tolist(), strict=True):
            scores[tuple(key)].append(mos)
        for x0, y0, x1, y1 in example.human_px.astype(float):
            full_w, _ = largest(width, height, (x1 - x0) / (y1 - y0))
            share = min(1.0, (x1 - x0) / full_w)
            placements.append(((x0 + x1) / 2 / width, (y0 + y1) / 2 / height, share))
    everything = [score for values in scores.values() for score in values]
    x, y, share = np.mean(placements, axis=0).tolist() if placements else (0.5, 0.5, 1.0)
    return AnchorPrior(
        {key: float(np.mean(values)) for key, values in scores.items()},
        float(np.mean(everything)) if everything else 0.0,
        (x, y, share) if placements else None,
    )
