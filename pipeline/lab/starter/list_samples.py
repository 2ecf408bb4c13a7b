"""Sample lists of a labelled photo for a training step, and some of their candidates.

People's crops show how tight a crop should be; gaze shows only where it should be, because a larger
crop always contains more gaze. Therefore crops of all sizes are sampled from lists of people's
crops, and from lists of gaze whose ratio is far from the photo's own, where even the largest crop
loses some gaze. At ratios near the photo's own, only crops of one size are compared by gaze.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import area
from pipeline.cropping.candidates import SCALES
from pipeline.lab.starter.crop_lists import LARGE_AREA, LARGE_SHARE, CropList
from pipeline.lab.starter.labelled_lists import RATIOS, TargetList

# Set by hand.
OWN, USUAL, FREE, GAZE, SIZE = 20, 14, 8, 14, 10  # crops sampled from each kind of list in a step
OWN_WEIGHT, SIZE_WEIGHT = 1.5, 0.7
GAZE_LISTS = 2  # of ratios far from the photo's own
# A ratio differs from the photo's if their logarithms differ by at least this: for a 4:3 photo, 1:1
# and 16:9 do; for a 3:2 one, 4:3 does not.
OTHER_RATIO = 0.25
SIZES = SCALES[2:5]  # of crops compared by gaze: shares of the largest crop's sides
SAME_SIZE, MIN_CROPS = 0.02, 3  # tolerance of shares of one size; fewest crops of a list


def sample_lists(
    lists: Sequence[TargetList], size_wh: tuple[int, int], random: np.random.Generator
) -> list[CropList]:
    """Sample lists for one step from all lists (`target_lists`) of a photo of size_wh."""
    if lists[-1].ratio is None:  # only people's crops give a list of the free shape
        return _of_crops(lists, random)
    return _of_gaze(lists, size_wh, random)


def _of_crops(lists: Sequence[TargetList], random: np.random.Generator) -> list[CropList]:
    """Sample from lists of a person's own ratio, of a ratio of RATIOS, and of the free shape."""
    people = len(lists) - len(RATIOS) - 1
    own = lists[int(random.integers(people))]
    other = lists[int(random.integers(people, len(lists) - 1))]
    free = lists[-1]
    return [
        _some(own, random.permutation(len(own.boxes))[:OWN], OWN_WEIGHT),
        _some(other, mostly_large(other, USUAL, random), 1.0),
        _some(free, random.permutation(len(free.boxes))[:FREE], 1.0),
    ]


def _of_gaze(
    lists: Sequence[TargetList], size_wh: tuple[int, int], random: np.random.Generator
) -> list[CropList]:
    """Sample two ratios far from the photo's, and crops of one size of a near ratio, if any."""
    width, height = size_wh
    far = [each for each in lists if _distance(each, width / height) >= OTHER_RATIO]
    near = [each for each in lists if _distance(each, width / height) < OTHER_RATIO]
    sampled = []
    for index in random.permutation(len(far))[:GAZE_LISTS]:
        sampled.append(_some(far[index], mostly_large(far[index], GAZE, random), 1.0))
    chosen = (near or far)[random.integers(len(near or far))]
    shares = np.sqrt(area(chosen.boxes) / area(chosen.boxes).max())
    (alike,) = np.nonzero(np.abs(shares - random.choice(SIZES)) < SAME_SIZE)
    if len(alike) >= MIN_CROPS:
        sampled.append(_some(chosen, random.permutation(alike)[:SIZE], SIZE_WEIGHT))
    return sampled


def mostly_large(each: TargetList, count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw indices of `count` crops, LARGE_SHARE of them large, which differ by place."""
    areas = area(each.boxes)
    large = areas > LARGE_AREA * areas.max()
    first = random.permutation(np.nonzero(large)[0])[: round(LARGE_SHARE * count)]
    rest = random.permutation(np.nonzero(~large)[0])[: count - len(first)]
    return np.concatenate([first, rest])


def _some(each: TargetList, drawn: NDArray[np.int64], weight: float) -> CropList:
    relative = each.ratio is not None
    return CropList(each.boxes[drawn], each.truth[drawn], True, weight, relative)


def _distance(each: TargetList, ratio: float) -> float:
    assert each.ratio is not None
    return abs(float(np.log(each.ratio / ratio)))
