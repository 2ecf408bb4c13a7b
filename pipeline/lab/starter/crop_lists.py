"""Lists of crops of one photo, as the product proposes them, with their target scores."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import area
from pipeline.cropping import candidates
from pipeline.lab.starter.simulated_crops import SimulatedCrops, expected_iou

# Set by hand, unless a source is given.
FREE_CROPS = 3  # crops in the list of no given ratio
USUAL = (1, 4 / 3, 16 / 9, 9 / 16, 3 / 4)
RATIOS = (*USUAL, 3 / 2, 2 / 3, 1 / 2, 2, 5 / 4, 4 / 5)
RATIO_NOISE = 0.05  # standard deviation of a list's ratio, as a logarithm
FAR = 0.6  # a ratio is far from the photo's own above this difference of logarithms
FAR_WEIGHT = 1.5  # of such a list in the loss
# In a far list, at least this share of the crops has this share of the largest crop's area.
LARGE_SHARE, LARGE_AREA = 2 / 3, 0.65
# A score is the normalised human one. Within a photo it is about 10 × (expected IoU − .54), by
# regression of human scores on the expected IoU of the same crops.
SCORE_OF_IOU, MEAN_IOU = 10.0, 0.54


@dataclass(frozen=True, eq=False)
class CropList:
    """Crops [N, 4] in input pixels, their target scores [N], the list's weight in the loss.

    choice: the product takes one crop of such a list, so the loss also scores which one is best.
    relative: the targets are differences within the list, without a level.
    """

    crops: NDArray[np.float32]
    truth: NDArray[np.float64]
    choice: bool
    weight: float = 1.0
    relative: bool = False

    def with_crops(self, crops: NDArray[np.float32]) -> CropList:
        """Return the same list with crops [N, 4] in another frame."""
        return replace(self, crops=crops)


def ratio_lists(
    width: int, height: int, people: SimulatedCrops, count: int, random: np.random.Generator
) -> list[CropList]:
    """Make three lists: of a simulated person's ratio, of a usual ratio, and of no given ratio."""
    size = np.array([width, height, width, height])
    x0, y0, x1, y1 = people.crops[random.integers(len(people.crops))]
    own = float(np.clip((x1 - x0) / (y1 - y0) * width / height, 0.4, 2.5))
    usual = float(random.choice(USUAL) * np.exp(random.normal(0, RATIO_NOISE)))
    lists = []
    for ratio in (own, usual):
        crops = random.permutation(candidates.for_ratio(width, height, ratio))[:count]
        overlap = expected_iou(crops / size, people, ratio * height / width)
        lists.append(CropList(crops, as_score(overlap), choice=True))
    crops = random.permutation(candidates.for_free(width, height))[:FREE_CROPS]
    lists.append(CropList(crops, as_score(expected_iou(crops / size, people)), choice=True))
    return lists


def far_list(
    width: int, height: int, people: SimulatedCrops, count: int, random: np.random.Generator
) -> CropList:
    """Make a list of a ratio far from the photo's, of mostly large crops, which differ by place."""
    far = [ratio for ratio in RATIOS if abs(np.log(ratio * height / width)) > FAR]
    ratio = float(random.choice(far or RATIOS) * np.exp(random.normal(0, RATIO_NOISE)))
    crops = random.permutation(candidates.for_ratio(width, height, ratio))
    areas = area(crops)
    large = areas > LARGE_AREA * areas.max()
    large_count = round(LARGE_SHARE * count)
    drawn = np.concatenate([crops[large][:large_count], crops[~large][: count - large_count]])
    overlap = expected_iou(
        drawn / np.array([width, height, width, height]), people, ratio * height / width
    )
    return CropList(drawn, as_score(overlap), choice=True, weight=FAR_WEIGHT)


def as_score(overlap: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert an expected overlap to a normalised human score."""
    return SCORE_OF_IOU * (overlap - MEAN_IOU)
