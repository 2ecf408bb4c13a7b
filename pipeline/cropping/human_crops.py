"""Where people are likely to crop a photo, from its detected objects alone.

A person keeps a subject and removes a share of the gap between it and each edge of the photo. The
subject is one of the objects, or what no detector told, near the centre of the photo. All boxes
here are shares of the photo's sides (`_rel`), float64 xyxy.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Boxes, iou
from pipeline.detectors import Detections

Values = NDArray[np.float64]

# Share of the gap between subject and edge that people remove: the quartiles of what the simulated
# people of `pipeline.lab.starter.people` do are about that.
REMOVED_SHARES = (0.25, 0.5, 0.75)
# Some people are after what no detector told: they crop around the centre of the photo.
CENTRE_REL = np.array([0.25, 0.25, 0.75, 0.75])
CENTRE_WEIGHT = 0.2
LEAST_SIDES = 1.05  # sides of the smallest crop around a subject, in the subject's


def expected_human_overlap(
    boxes_px: Boxes, objects: Detections, size_wh: tuple[int, int], ratio: float | None
) -> Values:
    """Expected IoU of each of boxes_px [N, 4] with the crops that people are likely to make: [N].

    Boxes and objects in pixels of a photo of size_wh. ratio: width / height that people are asked
    for; half of them keep to it, the other half crop freely. None: all crop freely.
    """
    sides = np.array([*size_wh, *size_wh], np.float64)
    subjects_rel, weights = weighted_subjects(objects, sides)
    boxes_rel = boxes_px / sides
    expected = np.zeros(len(boxes_px))
    for removed in REMOVED_SHARES:
        crops_rel = likely_human_crops(subjects_rel, removed)
        overlap = iou(boxes_rel[:, None], crops_rel)
        if ratio is not None:
            reshaped_rel = reshape_crops(crops_rel, subjects_rel, ratio * size_wh[1] / size_wh[0])
            overlap = (overlap + iou(boxes_rel[:, None], reshaped_rel)) / 2
        expected += overlap @ weights / len(REMOVED_SHARES)
    return expected


def weighted_subjects(objects: Detections, sides: Values) -> tuple[Values, Values]:
    """Objects and the centre as subjects [S, 4] in shares of `sides` [4], and probabilities [S].

    An object's probability is its share of the detector's scores: how much the photo is about it.
    """
    scores = np.clip(objects.scores.astype(np.float64), 1e-6, None)
    if not len(scores):
        return CENTRE_REL[None], np.ones(1)
    weights = np.append((1 - CENTRE_WEIGHT) * scores / scores.sum(), CENTRE_WEIGHT)
    return np.concatenate([objects.boxes / sides, CENTRE_REL[None]]), weights


def likely_human_crops(subjects_rel: Values, removed: float) -> Values:
    """The photo less the share `removed` of each gap between its edges and a subject: [S, 4]."""
    low, high = removed * subjects_rel[:, :2], 1 - removed * (1 - subjects_rel[:, 2:])
    return np.concatenate([low, high], axis=1)


def reshape_crops(crops_rel: Values, subjects_rel: Values, ratio_rel: float) -> Values:
    """Crops [P, 4] changed to one ratio, as a person would who is asked for it: [P, 4].

    They keep their area and centre as far as they fit, and hold the whole subject [P, 4] where that
    fits, else its centre. ratio_rel: width in photo widths by height in photo heights.
    """
    sides = subjects_rel[:, 2:] - subjects_rel[:, :2]
    areas = np.prod(crops_rel[:, 2:] - crops_rel[:, :2], axis=1)
    least = LEAST_SIDES * np.maximum(sides[:, 0], sides[:, 1] * ratio_rel)
    width = np.minimum(np.maximum(np.sqrt(areas * ratio_rel), least), min(1.0, ratio_rel))
    size = np.stack([width, width / ratio_rel], axis=1)
    centre = (crops_rel[:, :2] + crops_rel[:, 2:]) / 2
    low, high = subjects_rel[:, 2:] - size / 2, subjects_rel[:, :2] + size / 2
    of_subject = (subjects_rel[:, :2] + subjects_rel[:, 2:]) / 2
    centre = np.where(low <= high, np.clip(centre, low, high), of_subject)
    centre = np.clip(centre, size / 2, 1 - size / 2)
    return np.concatenate([centre - size / 2, centre + size / 2], axis=1)
