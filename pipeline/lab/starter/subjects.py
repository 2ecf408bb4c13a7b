"""Other networks' answers as one belief about a photo's subject.

The belief is a handful of boxes with probabilities: the most important object, the group it belongs
to, all objects, the head and shoulders of the most important face, what stands out from its
background (where nothing does, the regions where a classifier is sure of something), and for the
rest the middle of the photo.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import hull, iou
from pipeline.lab.starter.answers import Answers
from pipeline.lab.starter.onnx_networks import without_repeats

Box = NDArray[np.float32]  # [4] xyxy, as shares of the photo's sides
Map = NDArray[np.float32]
SIDE = 48  # cells of a saliency map along both sides

PERSON = 0
# How much a photo tends to be about a COCO class (its index of 80), judged by eye: people and
# animals most, then vehicles and food, furniture and small things least.
IMPORTANCE = np.full(80, 0.45)
for first, last, value in (
    (0, 1, 1.0), (1, 9, 0.7), (14, 24, 0.95), (24, 29, 0.3), (29, 39, 0.35), (39, 46, 0.3),
    (46, 56, 0.55), (56, 62, 0.3), (62, 68, 0.35), (68, 73, 0.3), (73, 74, 0.35), (74, 76, 0.5),
    (77, 78, 0.7),
):  # fmt: skip
    IMPORTANCE[first:last] = value
TEXT_IMPORTANCE = 0.35
# A map is decided as far as this share of it, and more, lies in cells that are surely salient, as
# long as they are neither a speck nor the whole photo.
SURELY, UNDECIDED, DECIDED, SPECK, WHOLE = 0.7, 0.55, 0.9, 0.004, 0.85
YIELD = 0.45  # how much of the objects' chances goes to the foreground where it is decided


@dataclass(frozen=True, eq=False)
class Found:
    """An object: its box, kind (face, person, thing, text), likelihood, importance, COCO class."""

    box: Box
    kind: str
    score: float
    weight: float = 0.0
    coco: int = -1


@dataclass(frozen=True, eq=False)
class Belief:
    """Subject boxes [S, 4] with probabilities [S], the objects, and the subject map [48, 48]."""

    subjects: NDArray[np.float64]
    weights: NDArray[np.float64]
    objects: list[Found]
    subject_map: Map


def believe(answers: Answers) -> Belief:
    """The belief about a whole photo."""
    salient = saliency(answers)
    return belief_of(found_objects(answers), salient)


def belief_of(objects: list[Found], salient: Map) -> Belief:
    """The belief from objects and a saliency map, of a photo or a part of one."""
    objects = [replace(each, weight=_weight(each, objects, salient)) for each in objects]
    main = sorted(_main_objects(objects), key=lambda each: -each.weight)
    chances: list[tuple[float, Box]] = []
    best = main[0].weight if main else 0.0
    sure = min(1.0, best / 0.5) * (1 - YIELD * decided(salient))
    if main:
        chances.append((0.4 * sure, main[0].box))
        for share, least in ((0.2, 0.45), (0.04, 0.2)):
            group = [each.box for each in main if each.weight > least * best]
            chances.append((share * sure, hull(group)))
        faces = [each for each in objects if each.kind == "face"]
        if faces:
            face = max(faces, key=lambda each: each.weight)
            share = 0.12 * sure * min(1.0, 2 * face.weight)
            chances.append((share, head_and_shoulders(face.box)))
    left = 1 - sum(chance for chance, _ in chances)
    for share, region in salient_regions(salient):
        chances.append((share * left, region))
    left = 1 - sum(chance for chance, _ in chances)
    chances.append((left, np.array([0.25, 0.25, 0.75, 0.75], np.float32)))
    weights = np.array([chance for chance, _ in chances])
    boxes = np.stack([box for _, box in chances]).astype(np.float64)
    return Belief(boxes, weights, objects, _subject_map(main, salient))


def found_objects(answers: Answers) -> list[Found]:
    """Objects that came with the photo, else those of both detectors together; and faces."""
    rows = answers.given if len(answers.given) else _merged(answers)
    objects = []
    for row in without_repeats(rows, 0.6):
        kind = "person" if int(row[5]) == PERSON else "thing"
        objects.append(Found(np.clip(row[:4], 0, 1), kind, float(row[4]), coco=int(row[5])))
    objects += [Found(row[:4], "face", float(row[4])) for row in answers.faces if row[4] >= 0.5]
    objects += [Found(row[:4], "text", float(row[4])) for row in answers.text]
    return [each for each in objects if area(each.box) > 0.0004]


def _merged(answers: Answers) -> NDArray[np.float32]:
    """Objects that both detectors see, surer for it; and those that one is rather sure of."""
    first, second = (
        without_repeats(rows[rows[:, 4] >= 0.25], 0.5)
        for rows in (answers.objects["nanodet"], answers.objects["centernet"])
    )
    merged: list[NDArray[np.float32]] = []
    used: set[int] = set()
    for row in first:
        overlaps = iou(row[:4], second[:, :4])
        overlaps[list(used)] = 0
        match = int(overlaps.argmax()) if (overlaps > 0.45).any() else None
        if match is None:
            merged += [row * _only(0.8)] if row[4] >= 0.35 else []
            continue
        used.add(match)
        other = second[match]
        box = np.average([row[:4], other[:4]], axis=0, weights=[row[4], other[4]])
        both = 1 - (1 - row[4]) * (1 - other[4])
        merged.append(np.array([*box, both, (row if row[4] >= other[4] else other)[5]]))
    alone = [row for i, row in enumerate(second) if i not in used and row[4] >= 0.4]
    merged += [row * _only(0.7) for row in alone]
    return np.array(merged, np.float32).reshape(-1, 6)


def _only(trust: float) -> NDArray[np.float32]:
    return np.array([1, 1, 1, 1, trust, 1], np.float32)


def saliency(answers: Answers) -> Map:
    """Where the foreground is; as far as nothing stands out, where the classifier is sure and
    answers strongly. [48, 48] in 0..1."""
    maps = []
    for values in (np.sqrt(answers.sure), answers.strong):
        large = cv2.resize(values, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        low, high = np.percentile(large, [5, 99])
        maps.append(np.clip((large - low) / (high - low + 1e-6), 0, 1))
    front = cv2.resize(answers.front, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    sure = decided(front)
    return np.asarray(sure * front + (1 - sure) * (maps[0] + maps[1]) / 2, np.float32)


def decided(salient: Map) -> float:
    """How clearly a map tells one thing from the rest, 0..1."""
    clear = salient > SURELY
    if float(clear.mean()) > WHOLE:
        return 0.0
    share = float(salient[clear].sum()) / max(float(salient.sum()), 1e-6)
    sharp = min(max((share - UNDECIDED) / (DECIDED - UNDECIDED), 0.0), 1.0)
    return sharp * min(1.0, float(clear.mean()) / SPECK)


def salient_regions(salient: Map) -> list[tuple[float, Box]]:
    """Regions around the most salient cells, tight and wide, with their shares of what is left.

    The levels make them as large as the subjects that people's scores imply: a fifth to a third of
    the photo in the middle of the list.
    """
    return [
        (0.3, _regions(salient, 0.78)[0]),
        (0.45, _regions(salient, 0.65)[0]),
        (0.1, hull(_regions(salient, 0.5))),
    ]


def _regions(salient: Map, level: float) -> list[Box]:
    """The regions from a share of the highest value on that hold a third of the main one."""
    mask = (salient >= level * salient.max() - 1e-6).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    mass = np.bincount(labels.ravel(), salient.ravel(), count)[1:]
    corners = np.concatenate([stats[1:, :2], stats[1:, :2] + stats[1:, 2:4]], axis=1)
    boxes = (corners / len(salient)).astype(np.float32)
    order = np.argsort(-mass, kind="stable")
    return [boxes[i] for i in order if mass[i] > 0.3 * mass[order[0]]]


def _weight(found: Found, objects: list[Found], salient: Map) -> float:
    """How much a photo is about an object: its class, size, place, and the saliency inside it."""
    x, y = (found.box[:2] + found.box[2:]) / 2 - 0.5
    central = float(np.exp(-(x * x + y * y) / (2 * 0.32**2)))
    size = area(found.box)
    if found.kind == "face":
        return found.score * float(min(1.0, (size / 0.02) ** 0.5)) * (0.4 + 0.6 * central)
    low = np.floor(found.box[:2] * len(salient)).astype(int)
    high = np.maximum(np.ceil(found.box[2:] * len(salient)).astype(int), low + 1)
    inside = np.sort(salient[low[1] : high[1], low[0] : high[0]], axis=None)
    upper = float(inside[len(inside) // 2 :].mean()) / (float(salient.max()) + 1e-6)
    importance = TEXT_IMPORTANCE if found.kind == "text" else float(IMPORTANCE[found.coco])
    weight = importance * found.score * (0.35 + 0.65 * central)
    weight *= float(min(1.0, (size / 0.12) ** 0.5)) * (0.25 + 0.75 * upper)
    has_face = any(o.kind == "face" and share_inside(o.box, found.box) > 0.7 for o in objects)
    return weight * (1.25 if found.kind == "person" and has_face else 1.0)


def _main_objects(objects: list[Found]) -> list[Found]:
    """People and things; a face whose person nobody saw stands for its head and shoulders."""
    main = [each for each in objects if each.kind != "face"]
    people = [each.box for each in main if each.kind == "person"]
    for each in objects:
        if each.kind == "face" and not any(share_inside(each.box, box) > 0.7 for box in people):
            main.append(replace(each, box=head_and_shoulders(each.box), kind="person"))
    return main


def _subject_map(main: list[Found], salient: Map) -> Map:
    """What the head learns to draw: saliency, and the more objects tell, the more only in them."""
    centres = (np.arange(SIDE) + 0.5) / SIDE
    x, y = np.meshgrid(centres, centres)
    best = max((each.weight for each in main), default=0.0)
    told = np.zeros_like(salient)
    for each in main:
        x0, y0, x1, y1 = each.box
        inside = (x > x0) & (x < x1) & (y > y0) & (y < y1)
        told = np.maximum(told, inside * min(1.0, each.weight / max(best, 0.3)))
    sure = min(1.0, best / 0.45)
    drawn = (1 - 0.7 * sure) * salient + 0.7 * sure * told * (0.35 + 0.65 * salient)
    return np.asarray(drawn / max(float(drawn.max()), 1e-3), np.float32)


def head_and_shoulders(face: Box) -> Box:
    """A face's box widened to what a portrait would show at least."""
    width, height = face[2:] - face[:2]
    wider = np.array([-0.9 * width, -0.5 * height, 0.9 * width, 1.6 * height])
    return np.asarray(np.clip(face + wider, 0, 1), np.float32)


def area(box: Box) -> float:
    """Share of the photo."""
    return float(np.prod(np.clip(box[2:] - box[:2], 0, None)))


def share_inside(box: Box, outer: Box) -> float:
    """Share of `box` that lies in `outer`."""
    sides = np.minimum(box[2:], outer[2:]) - np.maximum(box[:2], outer[:2])
    return float(np.prod(np.clip(sides, 0, None))) / max(area(box), 1e-9)
