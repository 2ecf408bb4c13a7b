"""Select what the guards protect in a photo: heads, faces, text and the main subject.

Detectors are unsure of small and distant things. Only clear ones are protected, since a guard that
follows a wrong box spoils a good crop. Heads that are merely likely are counted if they are cut.
docs/GUARDS.md gives the rules and how well they work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import FloatArray, area
from pipeline.cropping.evidence import attention_from
from pipeline.detectors import Attention, Detections

# Least likelihood of a head, least share of the photo's area, and of the largest such head's area:
# smaller ones are people in the background. Likely heads are counted and clear ones guarded; a
# guard that lets LENIENT of a head be cut, as the default does, guards only sure ones.
LIKELY_HEAD = (0.35, 0.005, 0.25)
CLEAR_HEAD = (0.6, 0.015, 0.5)
SURE_HEAD = (0.8, 0.02, 0.5)
LENIENT = 0.3
# If no person is detected, a head's body is this many heads wide and high, below the head.
BODY_WH = (2.0, 2.0)
HEAD_END = 0.5  # a person's head has its centre in the upper half of the person
# Faces and blocks of text are clear from this score and this share of the photo's area on.
LEAST_SCORE = {"face": 0.3, "text": 0.3}
LEAST_AREA = {"face": 0.005, "text": 0.02}
# A face with this share of the photo's area may be what the photo is about: a portrait. Smaller
# ones may be left out: when those in main heads were kept as well, 36 crops of 16,000 changed
# strongly instead of 3, as many for the worse as for the better.
MAIN_FACE = 0.05
# Objects count as main subject from this share of the best one's score on.
MAIN_SUBJECT = 0.5
NO_SUBJECT = ("face", "text")  # labels: people, things and regions are subjects


@dataclass(frozen=True, eq=False)
class Protected:
    """Boxes [·, 4] of one photo, float64 xyxy in source pixels, each with an area.

    heads: likely heads. bodies: the body of each head's person. [H, 4]
    clear_heads: which of them are guarded. [H]
    main_heads: which clear ones people look at first: the peak of gaze is in the head or the body.
        [H]
    main_faces: which large faces people look at first: in a main head, or with the peak. [F]
    faces, text: clear ones. [F, 4], [T, 4]
    subject: parts of the main subject. importance: of each, with the sum 1. [S, 4], [S]
    """

    heads: FloatArray
    bodies: FloatArray
    clear_heads: NDArray[np.bool_]
    main_heads: NDArray[np.bool_]
    main_faces: NDArray[np.bool_]
    faces: FloatArray
    text: FloatArray
    subject: FloatArray
    importance: FloatArray


def protected_of(
    found: Detections, size_wh: tuple[int, int], heads_limit: float | None = None
) -> Protected:
    """Select what is protected among a source's objects, in pixels of a photo of size_wh.

    heads_limit: share of a head that may be cut; from LENIENT on, only sure heads are guarded.
    """
    boxes, scores = found.boxes.astype(np.float64), found.scores.astype(np.float64)
    sides = np.array([*size_wh, *size_wh], np.float64)
    attention = found.attention or attention_from(boxes / sides, scores, found.labels)
    labels = np.array(found.labels, dtype=np.str_)
    likely = _likely_heads(attention, *LIKELY_HEAD)
    guarded = CLEAR_HEAD if heads_limit is None or heads_limit < LENIENT else SURE_HEAD
    clear = _likely_heads(attention, *guarded)[likely]
    heads = attention.heads_rel[likely] * sides
    bodies = _bodies(heads, boxes[labels == "person"], sides)
    focus = np.array(attention.focus_rel()) * sides[:2]
    main_heads = clear & (_contain(heads, focus) | _contain(bodies, focus))
    faces = _clear("face", boxes, scores, labels, sides)
    subject, importance = _main_subject(boxes, scores, labels)
    return Protected(
        heads=heads,
        bodies=bodies,
        clear_heads=clear,
        main_heads=main_heads,
        main_faces=_are_large(MAIN_FACE, faces, sides)
        & (_contain(faces, focus) | _centred_in(faces, heads[main_heads])),
        faces=faces,
        text=_clear("text", boxes, scores, labels, sides),
        subject=subject,
        importance=importance,
    )


def _likely_heads(
    attention: Attention, likelihood: float, least: float, relative: float
) -> NDArray[np.bool_]:
    """Return which heads are likely and large enough, see LIKELY_HEAD: [all heads]."""
    areas = area(attention.heads_rel)  # shares of the photo's area
    likely = attention.likelihood >= likelihood
    largest = float(max(areas[likely], default=0.0))
    return np.asarray(likely & (areas >= max(least, relative * largest)))


def _contain(boxes: FloatArray, point: FloatArray) -> NDArray[np.bool_]:
    """Return which of boxes [N, 4] contain a point (x, y): [N]."""
    return np.asarray(((boxes[:, :2] <= point) & (point <= boxes[:, 2:])).all(axis=1))


def _centred_in(faces: FloatArray, heads: FloatArray) -> NDArray[np.bool_]:
    """Return which of faces [F, 4] have their centre in one of heads [H, 4]: [F]."""
    centres = (faces[:, None, :2] + faces[:, None, 2:]) / 2
    held = (heads[:, :2] <= centres) & (centres <= heads[:, 2:])
    return np.asarray(np.any(held.all(axis=2), axis=1))


def _are_large(share: float, boxes: FloatArray, sides: FloatArray) -> NDArray[np.bool_]:
    """Return which of boxes [N, 4] have at least this share of the photo's area: [N]."""
    return np.asarray(area(boxes) >= share * sides[0] * sides[1])


def _clear(
    label: str, boxes: FloatArray, scores: FloatArray, labels: NDArray[np.str_], sides: FloatArray
) -> FloatArray:
    kept = (labels == label) & (scores >= LEAST_SCORE[label])
    kept &= _are_large(LEAST_AREA[label], boxes, sides)
    return np.asarray(boxes[kept])


def _main_subject(
    boxes: FloatArray, scores: FloatArray, labels: NDArray[np.str_]
) -> tuple[FloatArray, FloatArray]:
    """Return objects scored at least MAIN_SUBJECT of the best, and their shares of all scores."""
    good = ~np.isin(labels, NO_SUBJECT) & (scores > 0)
    good &= scores >= MAIN_SUBJECT * max(scores[good], default=0.0)
    return boxes[good], scores[good] / max(scores[good].sum(), 1e-9)


def _bodies(heads: FloatArray, persons: FloatArray, sides: FloatArray) -> FloatArray:
    """Return each head's body: the smallest person it can belong to, or a box below: [H, 4]."""
    centres = (heads[:, :2] + heads[:, 2:]) / 2
    wide, high = (heads[:, 2:] - heads[:, :2]).T
    x, y0 = centres[:, 0], heads[:, 3]
    below = [x - BODY_WH[0] * wide / 2, y0, x + BODY_WH[0] * wide / 2, y0 + BODY_WH[1] * high]
    bodies = np.clip(np.stack(below, axis=1), 0, sides)
    bodies = np.where((bodies[:, 3] > bodies[:, 1])[:, None], bodies, heads)  # at the lower edge
    persons = persons[np.argsort(-area(persons), kind="stable")]  # the smallest one last
    ends = persons[:, 1] + HEAD_END * (persons[:, 3] - persons[:, 1])
    for person, end in zip(persons, ends, strict=True):
        held = (centres >= person[:2]).all(axis=1) & (x <= person[2]) & (centres[:, 1] <= end)
        bodies[held] = person
    return bodies
