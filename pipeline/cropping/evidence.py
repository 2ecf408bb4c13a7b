"""Collect what is known of a photo when a crop is chosen, in one frame: shares of its sides.

Objects and heads have weights that rise smoothly with their likelihood (`ramp`). A threshold would
make crops jump: an object with a likelihood of .299 in one copy of a photo has .301 in another. For
the same reason heads are votes if the source provides them (`Votes`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import FloatArray, area
from pipeline.cropping.maps import CellMaps
from pipeline.cropping.placement_value import PlacementValue
from pipeline.cropping.results import REGION
from pipeline.cropping.sights import Sights
from pipeline.detectors import Attention, Detections, Votes
from pipeline.detectors.attention import ramp

# Weights rise from 0 at the first value to 1 at the second: for heads with their likelihood
# (precision on EyeCrowd is .45 at .2 and .63 at .4), for other objects with the detector's score.
HEAD_RAMP = (0.2, 0.6)
ANIMAL_RAMP = (0.25, 0.45)  # by eye; of 199 photos without animals 16 have a head at .2, 2 at .4
OBJECT_RAMP = (0.25, 0.5)
# A head with this share of the photo counts fully, a smaller one by the fourth root of its share of
# that.
FULL_HEAD = 0.01
# A vote for a head with this share of the photo, as in a portrait, counts LARGE_COUNT times as much
# as a tiny one in a crowd; in between, the count grows with the square root of the share.
LARGE_HEAD, LARGE_COUNT = 0.04, 3.0
# A head must be kept whole from the second share of the photo on, and not at all up to the first:
# a large head is one of few, as in a portrait. Heads in crowds are mostly smaller.
WHOLE_SIZE = (0.005, 0.02)
# An object counts as a main one from the first share of all gaze in its box on, and fully from the
# second on. Set by eye, with the penalty's weight (docs/EFFECTS.md).
MAIN_GAZE = (0.4, 0.7)
# Heads if the source finds none: a face grown by this share of its sides, or the upper quarter of a
# person taller than wide without a face.
FACE_MARGIN, HEAD_SHARE = 0.3, 0.25
# If the source gives no gaze map, it is guessed on GRID × GRID cells: Gaussians on each object,
# with half of its sides as standard deviation, and on the centre of the photo for CENTRE_SHARE of
# all fixations. People remove REMOVED of the gap between an object and each edge.
GRID, CENTRE_SHARE, REMOVED = 16, 0.2, 0.5
CENTRE = np.array([0.25, 0.25, 0.75, 0.75])


@dataclass(frozen=True, eq=False)
class Evidence:
    """Maps and weighted boxes of one photo; boxes [·, 4] xyxy, weights in 0..1."""

    # 3 + K maps: gaze, with sum 1; what people keep, with its mean as sum; gaze clipped to the
    # value of a uniform map, a soft region of all that people look at; K sights, each with sum 1.
    maps: CellMaps
    placement: PlacementValue | None  # None where the source does not provide it
    gaze_mean: tuple[float, float]  # x, y
    heads: FloatArray  # of people
    head_weights: FloatArray
    objects: FloatArray  # people, things and regions; no faces, no text
    object_weights: FloatArray
    is_thing: NDArray[np.bool_]  # which of the objects are people or things, not regions
    text: FloatArray
    text_weights: FloatArray
    head_votes: Votes  # how many heads each vote stands for, large ones up to LARGE_COUNT times
    sight_weights: FloatArray  # of the K sights, see `Sights`
    animal_heads: FloatArray
    animal_weights: FloatArray

    @cached_property
    def headless(self) -> float:
        """How far the photo has no head of a person: 1 for none, 0 for one that counts fully."""
        return 1.0 - float(self.head_weights.max(initial=0.0))

    @cached_property
    def all_heads(self) -> FloatArray:
        """Heads of people, then those of animals: [H + A, 4]."""
        return np.concatenate([self.heads, self.animal_heads])

    @cached_property
    def whole_heads(self) -> FloatArray:
        """How far each of all heads must be kept whole, 1 for likely, large ones: [H + A]."""
        sides = self.all_heads[:, 2:] - self.all_heads[:, :2]
        likely = np.concatenate([self.head_weights, self.animal_weights])
        return likely * ramp(np.prod(sides, axis=1), *WHOLE_SIZE)

    @cached_property
    def main_weights(self) -> FloatArray:
        """How far each object is a main one, which most of the gaze is on: [D]."""
        return self.object_weights * ramp(self._gaze_on_halves.sum(axis=0), *MAIN_GAZE)

    @cached_property
    def lean(self) -> FloatArray:
        """The side of each object that the gaze is on, from -1, all left, to 1, all right: [D]."""
        gaze = self._gaze_on_halves
        return np.asarray((gaze[1] - gaze[0]) / np.maximum(gaze.sum(axis=0), 1e-9))

    @cached_property
    def _gaze_on_halves(self) -> FloatArray:
        """The share of the gaze on the left and on the right half of each object: [2, D]."""
        left, right = self.objects.copy(), self.objects.copy()
        left[:, 2] = right[:, 0] = (left[:, 0] + right[:, 2]) / 2
        return np.asarray(self.maps.inside(np.concatenate([left, right]))[0].reshape(2, -1))


def evidence_of(found: Detections, size_wh: tuple[int, int]) -> Evidence:
    """Compute the evidence from what a source found; boxes in pixels of a photo of size_wh."""
    boxes = found.boxes / np.array([*size_wh, *size_wh], np.float64)
    scores = np.clip(found.scores.astype(np.float64), 0, 1)
    attention = found.attention or attention_from(boxes, scores, found.labels)
    is_text = np.array([label == "text" for label in found.labels], bool)
    is_object = ~is_text & np.array([label != "face" for label in found.labels], bool)
    is_thing = np.array([label != REGION for label in found.labels], bool)
    size = np.minimum(1.0, (area(attention.heads_rel) / FULL_HEAD) ** 0.25)
    sure_heads = ramp(attention.likelihood, *HEAD_RAMP)
    sure_objects = ramp(scores[is_object], *OBJECT_RAMP)
    sights = Sights.of(attention.gaze, attention.subject)
    return Evidence(
        maps=CellMaps(
            np.array(
                [
                    attention.gaze,
                    attention.kept / attention.kept.size,
                    np.minimum(attention.gaze, 1 / attention.gaze.size),
                    *sights.maps,
                ]
            )
        ),
        placement=None if attention.placement is None else PlacementValue(attention.placement),
        gaze_mean=centre_of_mass(attention.gaze),
        heads=attention.heads_rel,
        head_weights=sure_heads * size,
        objects=boxes[is_object],
        object_weights=sure_objects,
        is_thing=is_thing[is_object],
        text=boxes[is_text],
        text_weights=scores[is_text],
        head_votes=_size_weighted(attention.head_votes or Votes(attention.heads_rel, sure_heads)),
        sight_weights=sights.weights,
        animal_heads=attention.animal_heads_rel,
        animal_weights=ramp(attention.animal_likelihood, *ANIMAL_RAMP),
    )


def _size_weighted(heads: Votes) -> Votes:
    """Return votes for heads of which the large ones count more."""
    large = _share_of_side(heads, LARGE_HEAD)
    return replace(heads, counts=heads.counts * (1 + (LARGE_COUNT - 1) * large))


def _share_of_side(votes: Votes, full: float) -> FloatArray:
    """Return each box's mean side over that of a box whose area is `full`, at most 1: [V]."""
    return np.asarray(np.minimum(1.0, np.sqrt(area(votes.boxes_rel) / full)))


def centre_of_mass(cells: FloatArray) -> tuple[float, float]:
    """Return the mean position (x, y) of a map of positive cells [h, w], as shares of the sides."""
    height, width = cells.shape
    x = float((cells.sum(axis=0) * (np.arange(width) + 0.5)).sum() / cells.sum() / width)
    y = float((cells.sum(axis=1) * (np.arange(height) + 0.5)).sum() / cells.sum() / height)
    return x, y


def attention_from(boxes: FloatArray, scores: FloatArray, labels: list[str]) -> Attention:
    """Guess the attention from the objects only (boxes as shares of the sides)."""
    weights = np.append((1 - CENTRE_SHARE) * scores / max(scores.sum(), 1e-6), CENTRE_SHARE)
    subjects = np.concatenate([boxes, CENTRE[None]])
    places = (np.arange(GRID) + 0.5) / GRID
    gaze, kept = np.full((GRID, GRID), 1e-6), np.zeros((GRID, GRID))
    for (x0, y0, x1, y1), weight in zip(subjects, weights, strict=True):
        across = _gaussian(places, x0, x1)
        down = _gaussian(places, y0, y1)
        gaze += weight * np.outer(down / down.sum(), across / across.sum())
        across = (places > REMOVED * x0) & (places < 1 - REMOVED * (1 - x1))
        down = (places > REMOVED * y0) & (places < 1 - REMOVED * (1 - y1))
        kept += weight / weights.sum() * np.outer(down, across)
    heads, likelihood = heads_from(boxes, scores, labels)
    return Attention(gaze / gaze.sum(), kept, heads, likelihood)


def heads_from(
    boxes: FloatArray, scores: FloatArray, labels: list[str]
) -> tuple[FloatArray, FloatArray]:
    """Derive heads [H, 4], with likelihoods [H], from faces and tall bodies without a face."""
    is_face = np.array([label == "face" for label in labels], bool)
    sides = boxes[:, 2:] - boxes[:, :2]
    middles = (boxes[is_face, :2] + boxes[is_face, 2:]) / 2
    holds = (middles >= boxes[:, None, :2]) & (middles <= boxes[:, None, 2:])
    is_body = np.array([label == "person" for label in labels], bool) & (sides[:, 1] > sides[:, 0])
    is_body &= ~np.any(np.all(holds, axis=2), axis=1)
    grown = boxes[is_face] + FACE_MARGIN * np.tile(sides[is_face], 2) * (-1, -1, 1, 1)
    tops = boxes[is_body].copy()
    tops[:, 3] = tops[:, 1] + HEAD_SHARE * sides[is_body, 1]
    heads = np.clip(np.concatenate([grown, tops]), 0, 1)
    return heads, np.concatenate([scores[is_face], scores[is_body]])


def _gaussian(places: FloatArray, low: float, high: float) -> FloatArray:
    """Evaluate a Gaussian between two edges, taken to be at least .05 apart, at places [G]."""
    return np.asarray(np.exp(-(((places - (low + high) / 2) / max(high - low, 0.05)) ** 2) * 2))
