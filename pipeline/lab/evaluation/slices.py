"""Tags of photos by shape and content, for means by kind of photo."""

import numpy as np

from pipeline.boxes import area, iou
from pipeline.detectors import Detections
from pipeline.photo.decode import Photo

ORDER = (
    "landscape",
    "portrait",
    "square",
    "panorama",
    "people",
    "no people found",
    "no object",
    "one object",
    "several objects",
)
"""Every tag, in the order of a report."""
PEOPLE_LABELS = {"person", "face", "man", "woman", "boy", "girl", "child", "people"}
PANORAMA_RATIO = 2.0
SQUARE_RATIO = 1.05
MIN_OBJECT_SHARE = 0.01
"""Smaller objects (of the photo's area) don't make a photo one of several objects."""
SAME_OBJECT_IOU, SAME_OBJECT_SHARE = 0.3, 0.8
"""Two boxes are of one object at this IoU, or if they share this much of the smaller one's area."""


def tags(photo: Photo, objects: Detections) -> list[str]:
    """Return a tag for the shape and two for the content; objects are from the run's detector."""
    people = any(label in PEOPLE_LABELS for label in objects.labels)
    return [
        _shape(photo.width_px / photo.height_px),
        "people" if people else "no people found",
        _count(objects, photo.width_px * photo.height_px),
    ]


def _shape(ratio: float) -> str:
    if max(ratio, 1 / ratio) >= PANORAMA_RATIO:
        return "panorama"
    if max(ratio, 1 / ratio) <= SQUARE_RATIO:
        return "square"
    return "landscape" if ratio > 1 else "portrait"


def _count(objects: Detections, photo_area: int) -> str:
    """Count objects; overlapping boxes are one object, since detectors report a face and a person.

    Small boxes are counted first, so that two people are two even if one box contains both.
    """
    distinct: list[int] = []
    areas = area(objects.boxes)
    for index in np.argsort(areas, kind="stable").tolist():
        if areas[index] < MIN_OBJECT_SHARE * photo_area:
            continue
        if all(_are_distinct(objects, index, other) for other in distinct):
            distinct.append(index)
    return {0: "no object", 1: "one object"}.get(len(distinct), "several objects")


def _are_distinct(objects: Detections, first: int, second: int) -> bool:
    a, b = objects.boxes[first], objects.boxes[second]
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = float(np.clip(high - low, 0, None).prod())
    smaller = min(float((box[2:] - box[:2]).prod()) for box in (a, b))
    return float(iou(a, b)) < SAME_OBJECT_IOU and shared < SAME_OBJECT_SHARE * smaller
