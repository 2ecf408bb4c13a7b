"""Which of a shape's candidates is taken: the one that people's crops are expected to overlap most.

The highest score is not the best choice: scores have errors, people differ, and a crop between
several good ones is right more often than the very best. So the rule is that of least expected
loss, the loss being one minus the overlap (IoU) with the crop that a person would make. Where that
crop is, two sources tell: the network's scores, as if a person took a candidate with a probability
of softmax(score / TEMPERATURE); and the detected objects, see `people_around`, which count the more
the further a shape's ratio is from the photo's.

The constants are from 150 photos that no network was trained on, with simulated people. At people's
own ratios any temperature from .2 to .4 and any share of the objects comes within .004 of the best
mean overlap; at ratios far from a photo's own the objects tell most: .632 without them, .655 with
half the weight, .69 as here, .01 less for heads that are kept in.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import iou
from pipeline.detectors import Detections

Boxes = NDArray[np.float32]  # [N, 4] xyxy
Values = NDArray[np.float64]

TEMPERATURE = 0.3  # in standard deviations of a list's scores
# Weight of the objects beside the scores: at a photo's own ratio, and from FAR on, a difference of
# the ratios' logarithms, where the scores hardly tell one place from another.
OBJECTS_SHARE, FAR = (0.5, 0.9), 0.7
# What a penalty of one standard deviation of the scores costs in overlap. Scores were taught as
# ten times an overlap and have a standard deviation of 1.6 in the lists of one shape, which makes
# .16; a quarter more keeps another hundredth of all faces whole.
OVERLAP_OF_ONE = 0.2
# People around an object take away this share of the gap between it and each edge of the photo:
# the quarters of what people do is about that (`pipeline.lab.starter.people`).
TAKEN = (0.25, 0.5, 0.75)
# Some are after what no detector told: they crop around the middle of the photo.
MIDDLE = np.array([0.25, 0.25, 0.75, 0.75])
MIDDLE_SHARE = 0.2
ROOM = 1.05  # sides of the smallest crop around a subject, in the subject's


@dataclass(frozen=True)
class Belief:
    """What is believed of a shape's candidates [N, 4].

    scores:  in standard deviations of the list, penalties taken off; of those that the network has
             not seen, what its other scores let expect. [N]
    objects: expected overlap with people around the detected objects. [N]
    penalty: what is held against each, in standard deviations. [N]
    objects_share: weight of the objects' part; the scores have the rest.
    """

    boxes: Boxes
    scores: Values
    objects: Values
    penalty: Values
    objects_share: float = OBJECTS_SHARE[0]


Worth = Callable[[Belief, NDArray[np.int64], NDArray[np.int64]], Values]


def worth(belief: Belief, left: NDArray[np.int64], asked: NDArray[np.int64]) -> Values:
    """Expected overlap of the candidates `asked`, less their penalties. [A]

    left: those among which people choose: all, or those that differ from the crops already taken.
    """
    likely = np.exp((belief.scores[left] - belief.scores[left].max()) / TEMPERATURE)
    overlap = iou(belief.boxes[asked][:, None], belief.boxes[left]) @ (likely / likely.sum())
    share = belief.objects_share
    expected = (1 - share) * overlap + share * belief.objects[asked]
    return np.asarray(expected - OVERLAP_OF_ONE * belief.penalty[asked])


def by_score(belief: Belief, left: NDArray[np.int64], asked: NDArray[np.int64]) -> Values:
    """The network's scores alone, of the candidates `asked`: the published ranking. [A]"""
    del left
    return belief.scores[asked]


def objects_share(ratio: float | None, size_wh: tuple[int, int]) -> float:
    """Weight of the objects for a shape, width / height, of a photo of size_wh; None: any ratio."""
    near, far = OBJECTS_SHARE
    if ratio is None:
        return near
    distance = abs(np.log(ratio * size_wh[1] / size_wh[0]))
    return float(near + (far - near) * min(1.0, distance / FAR))


def overlap_around(
    boxes: Boxes, objects: Detections, size_wh: tuple[int, int], ratio: float | None
) -> Values:
    """Expected overlap of boxes [N, 4] with crops of people around the objects, [N].

    Boxes and objects in pixels of a photo of size_wh. ratio: width / height that people are asked
    for; half of them do as asked, the other half crop as they like. None: all as they like.
    """
    size = np.array([*size_wh, *size_wh], np.float64)
    subjects, weights = subjects_of(objects, size)
    placed = boxes / size
    expected = np.zeros(len(boxes))
    for taken in TAKEN:
        crops = people_around(subjects, taken)
        free = iou(placed[:, None], crops)
        if ratio is not None:
            asked = as_asked(crops, subjects, ratio * size_wh[1] / size_wh[0])
            free = (free + iou(placed[:, None], asked)) / 2
        expected += free @ weights / len(TAKEN)
    return expected


def subjects_of(objects: Detections, size: Values) -> tuple[Values, Values]:
    """Objects and the middle as subjects [S, 4], shares of the sides, and their chances [S].

    An object's chance is its share of the detector's scores: how much the photo is about it.
    """
    scores = np.clip(objects.scores.astype(np.float64), 1e-6, None)
    if not len(scores):
        return MIDDLE[None], np.ones(1)
    chances = np.append((1 - MIDDLE_SHARE) * scores / scores.sum(), MIDDLE_SHARE)
    return np.concatenate([objects.boxes / size, MIDDLE[None]]), chances


def people_around(subjects: Values, taken: float) -> Values:
    """The photo less a share of each gap between its edges and the subject's. [S, 4], shares."""
    low, high = taken * subjects[:, :2], 1 - taken * (1 - subjects[:, 2:])
    return np.concatenate([low, high], axis=1)


def as_asked(crops: Values, subjects: Values, ratio: float) -> Values:
    """Crops [P, 4] of one ratio: as large as the given ones, where that fits, around the same
    place, with the whole subject [P, 4] where that fits, else its middle.

    All as shares of the photo's sides, the ratio too: width in widths by height in heights.
    """
    sides = subjects[:, 2:] - subjects[:, :2]
    own = np.prod(crops[:, 2:] - crops[:, :2], axis=1)
    least = ROOM * np.maximum(sides[:, 0], sides[:, 1] * ratio)
    width = np.minimum(np.maximum(np.sqrt(own * ratio), least), min(1.0, ratio))
    size = np.stack([width, width / ratio], axis=1)
    middle = (crops[:, :2] + crops[:, 2:]) / 2
    low, high = subjects[:, 2:] - size / 2, subjects[:, :2] + size / 2
    of_subject = (subjects[:, :2] + subjects[:, 2:]) / 2
    middle = np.where(low <= high, np.clip(middle, low, high), of_subject)
    middle = np.clip(middle, size / 2, 1 - size / 2)
    return np.concatenate([middle - size / 2, middle + size / 2], axis=1)
