"""Pseudo-labels: the teachers' outputs merged into objects, a subject map and likely subjects.

The likely subjects are a handful of boxes with probabilities: the most important object, the group
it belongs to, all objects, the head and shoulders of the most important face, and the salient
regions. The remaining probability goes to the middle of the photo.

The constants were set by hand while looking at photos; none was fitted.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Box, hull, iou
from pipeline.lab.starter.onnx_networks import non_maximum_suppression
from pipeline.lab.starter.saliency import SIDE, SaliencyMap, decisiveness, salient_regions
from pipeline.lab.starter.teacher_outputs import TeacherOutputs

PERSON = 0
# Prior importance of a COCO class (its index of 80), judged by eye: people and animals most, then
# vehicles and food, furniture and small things least.
IMPORTANCE = np.full(80, 0.45)
for first, last, value in (
    (0, 1, 1.0), (1, 9, 0.7), (14, 24, 0.95), (24, 29, 0.3), (29, 39, 0.35), (39, 46, 0.3),
    (46, 56, 0.55), (56, 62, 0.3), (62, 68, 0.35), (68, 73, 0.3), (73, 74, 0.35), (74, 76, 0.5),
    (77, 78, 0.7),
):  # fmt: skip
    IMPORTANCE[first:last] = value
TEXT_IMPORTANCE = 0.35
# An object has full importance from this area on (share of the photo), with its centre in the
# middle of the photo, and where the saliency inside is the photo's highest. Off the centre and
# without saliency, it keeps at least these shares.
FULL_AREA, FACE_FULL_AREA, CENTRE_DEVIATION = 0.12, 0.02, 0.32
OFF_CENTRE, FACE_OFF_CENTRE, NOT_SALIENT = 0.35, 0.4, 0.25
WITH_FACE = 1.25  # factor for a person whose face is visible
IN_PERSON = 0.7  # a face belongs to a person if more than this share of it is in the person's box

MIN_AREA = 0.0004  # share of the photo; smaller objects are dropped
FACE_SCORE, DUPLICATE_IOU = 0.5, 0.6
# nanodet and centernet: least score to be matched; overlap of duplicates of one detector; overlap
# above which both found the same object. Of an object that only one found: least score, its factor.
MATCH_SCORE, OWN_DUPLICATE_IOU, MATCH_IOU = 0.25, 0.5, 0.45
NANODET_ALONE, CENTERNET_ALONE = (0.35, 0.8), (0.4, 0.7)

# Probabilities of the subjects given by objects, where the best one is important enough. Of a
# group: its probability, and the least importance of its members as a share of the best one's.
BEST_OBJECT, GROUPS, BEST_FACE = 0.4, ((0.2, 0.45), (0.04, 0.2)), 0.12
SURE_IMPORTANCE, MAP_IMPORTANCE, MIN_BEST_IMPORTANCE = 0.5, 0.45, 0.3
FOREGROUND_SHARE = 0.45  # of the objects' probability, moved to a decisive saliency map
MIDDLE = np.array([0.25, 0.25, 0.75, 0.75], np.float32)
# Weight of objects in the subject map, and of an object where nothing in it is salient.
OBJECTS_IN_MAP, IN_OBJECT = 0.7, 0.35
# A face widened to the least that a portrait shows: left, above, right, below, in faces.
PORTRAIT = np.array([-0.9, -0.5, 0.9, 1.6], np.float32)


@dataclass(frozen=True, eq=False)
class LabelledObject:
    """An object. kind: face, person, thing or text; coco: its COCO class, -1 for none."""

    box: Box
    kind: str
    likelihood: float
    importance: float = 0.0
    coco: int = -1


@dataclass(frozen=True, eq=False)
class PseudoLabels:
    """Subject boxes [S, 4] with probabilities [S], the objects, and the subject map [48, 48]."""

    subjects: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    objects: list[LabelledObject]
    subject_map: SaliencyMap


def pseudo_labels(objects: list[LabelledObject], salient: SaliencyMap) -> PseudoLabels:
    """Derive the labels from the objects and the saliency map of a photo or part of a photo."""
    objects = [replace(each, importance=_importance(each, objects, salient)) for each in objects]
    main = sorted(_main_objects(objects), key=lambda each: -each.importance)
    subjects: list[tuple[float, Box]] = []
    best = main[0].importance if main else 0.0
    sure = min(1.0, best / SURE_IMPORTANCE) * (1 - FOREGROUND_SHARE * decisiveness(salient))
    if main:
        subjects.append((BEST_OBJECT * sure, main[0].box))
        for share, least in GROUPS:
            group = [each.box for each in main if each.importance > least * best]
            subjects.append((share * sure, hull(group)))
        faces = [each for each in objects if each.kind == "face"]
        if faces:
            face = max(faces, key=lambda each: each.importance)
            share = BEST_FACE * sure * min(1.0, 2 * face.importance)
            subjects.append((share, head_and_shoulders(face.box)))
    left = 1 - sum(share for share, _ in subjects)
    for share, region in salient_regions(salient):
        subjects.append((share * left, region))
    left = 1 - sum(share for share, _ in subjects)
    subjects.append((left, MIDDLE))
    probabilities = np.array([share for share, _ in subjects])
    boxes = np.stack([box for _, box in subjects]).astype(np.float64)
    return PseudoLabels(boxes, probabilities, objects, _subject_map(main, salient))


def merged_objects(outputs: TeacherOutputs) -> list[LabelledObject]:
    """Merge the photo's own objects, or those of both detectors, with faces and text."""
    rows = outputs.given if len(outputs.given) else _merged_detections(outputs)
    objects = []
    for row in non_maximum_suppression(rows, DUPLICATE_IOU):
        kind = "person" if int(row[5]) == PERSON else "thing"
        box = np.clip(row[:4], 0, 1)
        objects.append(LabelledObject(box, kind, float(row[4]), coco=int(row[5])))
    for row in outputs.faces:
        if row[4] >= FACE_SCORE:
            objects.append(LabelledObject(row[:4], "face", float(row[4])))
    objects += [LabelledObject(row[:4], "text", float(row[4])) for row in outputs.text]
    return [each for each in objects if area_rel(each.box) > MIN_AREA]


def _merged_detections(outputs: TeacherOutputs) -> NDArray[np.float32]:
    """Merge objects that both detectors report, with a raised score, and sure ones of either."""
    first, second = (
        non_maximum_suppression(rows[rows[:, 4] >= MATCH_SCORE], OWN_DUPLICATE_IOU)
        for rows in (outputs.objects["nanodet"], outputs.objects["centernet"])
    )
    merged: list[NDArray[np.float32]] = []
    used: set[int] = set()
    for row in first:
        overlaps = iou(row[:4], second[:, :4])
        overlaps[list(used)] = 0
        if (overlaps > MATCH_IOU).any():
            match = int(overlaps.argmax())
            used.add(match)
            other = second[match]
            box = np.average([row[:4], other[:4]], axis=0, weights=[row[4], other[4]])
            both = 1 - (1 - row[4]) * (1 - other[4])
            merged.append(np.array([*box, both, (row if row[4] >= other[4] else other)[5]]))
        elif row[4] >= NANODET_ALONE[0]:
            merged.append(row * _score_factor(NANODET_ALONE[1]))
    for index, row in enumerate(second):
        if index not in used and row[4] >= CENTERNET_ALONE[0]:
            merged.append(row * _score_factor(CENTERNET_ALONE[1]))
    return np.array(merged, np.float32).reshape(-1, 6)


def _score_factor(factor: float) -> NDArray[np.float32]:
    """Return a multiplier for a row that changes only its score."""
    return np.array([1, 1, 1, 1, factor, 1], np.float32)


def _importance(
    found: LabelledObject, objects: list[LabelledObject], salient: SaliencyMap
) -> float:
    """Estimate how important an object is in a photo by class, size, place, and saliency inside."""
    x, y = (found.box[:2] + found.box[2:]) / 2 - 0.5
    central = float(np.exp(-(x * x + y * y) / (2 * CENTRE_DEVIATION**2)))
    size = area_rel(found.box)
    if found.kind == "face":
        large = float(min(1.0, (size / FACE_FULL_AREA) ** 0.5))
        return found.likelihood * large * (FACE_OFF_CENTRE + (1 - FACE_OFF_CENTRE) * central)
    low = np.floor(found.box[:2] * len(salient)).astype(int)
    high = np.maximum(np.ceil(found.box[2:] * len(salient)).astype(int), low + 1)
    inside = np.sort(salient[low[1] : high[1], low[0] : high[0]], axis=None)
    upper_half = float(inside[len(inside) // 2 :].mean()) / (float(salient.max()) + 1e-6)
    prior = TEXT_IMPORTANCE if found.kind == "text" else float(IMPORTANCE[found.coco])
    importance = prior * found.likelihood * (OFF_CENTRE + (1 - OFF_CENTRE) * central)
    large = float(min(1.0, (size / FULL_AREA) ** 0.5))
    importance *= large * (NOT_SALIENT + (1 - NOT_SALIENT) * upper_half)
    faces = [each.box for each in objects if each.kind == "face"]
    if found.kind == "person" and any(share_inside(f, found.box) > IN_PERSON for f in faces):
        importance *= WITH_FACE
    return importance


def _main_objects(objects: list[LabelledObject]) -> list[LabelledObject]:
    """Return all objects but faces; a face outside of persons' boxes becomes head and shoulders."""
    main = [each for each in objects if each.kind != "face"]
    people = [each.box for each in main if each.kind == "person"]
    for each in objects:
        if each.kind == "face" and not any(share_inside(each.box, b) > IN_PERSON for b in people):
            main.append(replace(each, box=head_and_shoulders(each.box), kind="person"))
    return main


def _subject_map(main: list[LabelledObject], salient: SaliencyMap) -> SaliencyMap:
    """Draw the map that the detector's head learns: saliency, focused on important objects."""
    centres = (np.arange(SIDE) + 0.5) / SIDE
    x, y = np.meshgrid(centres, centres)
    best = max((each.importance for each in main), default=0.0)
    objects = np.zeros_like(salient)
    for each in main:
        x0, y0, x1, y1 = each.box
        inside = (x > x0) & (x < x1) & (y > y0) & (y < y1)
        objects = np.maximum(
            objects, inside * min(1.0, each.importance / max(best, MIN_BEST_IMPORTANCE))
        )
    share = OBJECTS_IN_MAP * min(1.0, best / MAP_IMPORTANCE)
    drawn = (1 - share) * salient + share * objects * (IN_OBJECT + (1 - IN_OBJECT) * salient)
    return np.asarray(drawn / max(float(drawn.max()), 1e-3), np.float32)


def head_and_shoulders(face: Box) -> Box:
    """Widen a face's box to the least that a portrait shows."""
    sides = np.tile(face[2:] - face[:2], 2)
    return np.asarray(np.clip(face + PORTRAIT * sides, 0, 1), np.float32)


def area_rel(box: Box) -> float:
    """Return a box's share of the photo."""
    return float(np.prod(np.clip(box[2:] - box[:2], 0, None)))


def share_inside(box: Box, outer: Box) -> float:
    """Return the share of `box` inside `outer`."""
    sides = np.minimum(box[2:], outer[2:]) - np.maximum(box[:2], outer[:2])
    return float(np.prod(np.clip(sides, 0, None))) / max(area_rel(box), 1e-9)
