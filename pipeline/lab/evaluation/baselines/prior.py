"""The anchor prior: positions that people like on the training split; it uses no pixels."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Box, Boxes, FloatArray
from pipeline.cropping.candidates import GRID_BINS, largest
from pipeline.errors import UsageError
from pipeline.lab.datasets import Dataset, load_dataset
from pipeline.lab.datasets.layout import read_upright_size
from pipeline.lab.evaluation.baselines.baseline import shifted_inside
from pipeline.photo.decode import Photo

TRAIN = "train"  # the split that it is fitted on


@dataclass(frozen=True)
class AnchorPrior:
    """Scores and crops by position only, fitted on the training split.

    mos: mean opinion score of each grid anchor (x0, y0, x1, y1 in bins); overall: of all crops.
    placement: mean (centre x, centre y, share of the largest crop's sides) of people's own crops.
    """

    mos: dict[tuple[int, ...], float]
    overall: float
    placement: tuple[float, float, float] | None

    def crops(self, photo: Photo, ratios: Sequence[float]) -> list[Box] | None:
        if self.placement is None:
            return None
        x, y, share = self.placement
        centre = np.array([x * photo.width_px, y * photo.height_px])
        sizes = [largest(photo.width_px, photo.height_px, ratio) for ratio in ratios]
        return [shifted_inside(photo, centre, np.array(size) * share) for size in sizes]

    def score(self, photo: Photo, boxes_px: Boxes) -> FloatArray:
        keys = anchor_bins(boxes_px, photo.width_px, photo.height_px)
        return np.array([self.mos.get(tuple(key), self.overall) for key in keys.tolist()])


def read_prior(layout: str, folder: Path, judged: str) -> AnchorPrior:
    """Read a data set's split train and fit the prior on it.

    Raises UsageError, also where the split that is judged is that one.
    """
    if judged == TRAIN:
        raise UsageError("these photos are judged, whose scores it would know")
    return fit_prior(load_dataset(layout, folder, TRAIN))


def fit_prior(train: Dataset) -> AnchorPrior:
    """Fit the mean score of each grid anchor and the mean placement of people's own crops.

    Of each photo, it reads only the size in the header. Raises UsageError where it cannot.
    """
    scores: dict[tuple[int, ...], list[float]] = defaultdict(list)
    placements = []
    for example in train.examples:
        width, height = read_upright_size(example.image)
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


def anchor_bins(boxes: Boxes, width: float, height: float) -> NDArray[np.int64]:
    """Convert corners [N, 4] to bins of GAIC's 12 × 12 grid."""
    sides = np.array([width, height, width, height], np.float64)
    return np.rint(boxes / sides * GRID_BINS - 0.5).astype(np.int64)
