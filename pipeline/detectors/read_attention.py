"""Turn the embedded network's output into `Attention`: maps, and heads of people and animals."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.boxes import Boxes, FloatArray, iou
from pipeline.detectors.attention import Attention, Placement, Profile, Votes, ramp
from pipeline.detectors.peaks import HeatMaps
from pipeline.detectors.people_head import BUMP_SHARE, FINER, LEAST_BUMP
from pipeline.detectors.placement_branch import PLACEMENT_CHANNELS
from pipeline.detectors.subject_network import (
    ANIMAL_HEAD,
    GAZE,
    HEAD,
    KEPT,
    KINDS,
    OFFSETS_OF,
    PLACEMENT,
    SUBJECT,
)

LEAST_HEAD = 0.15
"""Least likelihood of a head; the rule of choice counts only heads far above it."""
LEAST_ANIMAL_HEAD = 0.15
"""Least likelihood of an animal's head."""
LEAST_FACE = 0.25
"""Least likelihood of a face that becomes a head if no head overlaps it."""
HEAD_OF_FACE = np.array([-0.27, -0.44, 0.31, 0.14])
"""Offsets from a face's edges to its head's, as shares of the face's sides: medians over 965 faces
that the detector finds on EyeCrowd inside one hand-drawn head."""
SAME_HEAD_IOU = 0.35
"""Two boxes with a larger IoU are boxes of the same head."""
LEAST_PERSON = 0.2
"""A person's head of at least this likelihood is not an animal's, however likely that is."""
VOTE_RAMP = (0.08, 0.38)
"""A vote has no weight up to the first likelihood, and full weight from the second on."""
MOST_VOTES = 256
"""Most votes kept for a photo; those dropped, in dense crowds, have the least weight."""


def read_attention(output: torch.Tensor, heat: HeatMaps | None = None) -> Attention:
    """Read maps and heads from the output [1, 32, h, w]; heat: of that output, if known."""
    heat = heat or HeatMaps(output)
    height, width = output.shape[-2:]
    maps = output[0, [GAZE, KEPT]].double()
    gaze = maps[0].flatten().softmax(0).view_as(maps[0])
    faces = heat.objects(KINDS.index("face"), OFFSETS_OF["face"], LEAST_FACE)
    heads = heat.objects(HEAD, HEAD + 1, LEAST_HEAD)
    limit = np.array([width, height] * 2)
    heads_rel, likelihood = merge_heads(heads, faces, limit)
    animals, likely = heat.objects(ANIMAL_HEAD, ANIMAL_HEAD + 1, LEAST_ANIMAL_HEAD)
    animals_rel = animals.astype(np.float64) / limit
    of_animals = not_human(animals_rel, heads_rel[likelihood >= LEAST_PERSON])
    return Attention(
        gaze.numpy(),
        maps[1].sigmoid().numpy(),
        heads_rel,
        likelihood,
        head_votes=votes_of(heat, HEAD, HEAD + 1),
        subject=output[0, SUBJECT].double().sigmoid().numpy(),
        placement=_placement_of(output),
        animal_heads_rel=animals_rel[of_animals],
        animal_likelihood=likely[of_animals].astype(np.float64),
    )


def _placement_of(output: torch.Tensor) -> Placement:
    """Read the placement maps, one value of each block of equal cells."""
    maps = output[0, PLACEMENT : PLACEMENT + PLACEMENT_CHANNELS, ::FINER, ::FINER]
    return placement_of(*maps.double().numpy())


def placement_of(worth: FloatArray, side_cost: FloatArray, end_cost: FloatArray) -> Placement:
    """Average placement maps [h, w] over the crops' other side, which shows all of the photo's.

    The worth of a crop does not depend on the number of cells.
    """
    worth = worth - worth.mean()
    across = Profile(worth.mean(axis=0) / worth.shape[1], side_cost.mean(axis=0))
    return Placement(across, Profile(worth.mean(axis=1) / worth.shape[0], end_cost.mean(axis=1)))


def not_human(animals: FloatArray, persons: FloatArray) -> NDArray[np.bool_]:
    """Return which animals' heads [A, 4] are not also one of persons' heads [H, 4]: [A]."""
    if not len(persons):
        return np.ones(len(animals), bool)
    return np.asarray(iou(animals[:, None], persons).max(axis=1) <= SAME_HEAD_IOU)


def votes_of(heat: HeatMaps, centre: int, offsets: int) -> Votes:
    """Return the votes of a kind; centre, offsets: its channels, as for `HeatMaps.objects`.

    A vote's count is its likelihood, weighted by `ramp`, over the number of cells that training
    drew around a centre, which is the integral of that Gaussian.
    """
    likely = heat.centres(centre).astype(np.float64)
    rows, columns = np.nonzero(likely > VOTE_RAMP[0])
    left, up, right, down = heat.offsets(offsets)[:, rows, columns]
    x, y = columns + 0.5, rows + 0.5
    limit = np.array([likely.shape[1], likely.shape[0]] * 2)
    boxes = np.clip(np.stack([x - left, y - up, x + right, y + down], axis=1), 0, limit)
    deviation = np.maximum(LEAST_BUMP, BUMP_SHARE * (boxes[:, 2:] - boxes[:, :2]))
    chance = likely[rows, columns]
    counts = chance * ramp(chance, *VOTE_RAMP) / (2 * np.pi * deviation.prod(axis=1))
    most = np.argsort(-counts, kind="stable")[:MOST_VOTES]
    return Votes(boxes[most] / limit, counts[most])


def merge_heads(
    heads: tuple[Boxes, NDArray[np.float32]],
    faces: tuple[Boxes, NDArray[np.float32]],
    limit: NDArray[np.int64],
) -> tuple[FloatArray, FloatArray]:
    """Merge heads and faces into heads [H, 4] as shares of the photo's sides, likelihoods [H].

    heads, faces: boxes in cells, and likelihoods. A face makes the head that it belongs to at least
    as likely as itself; a face without a head becomes one. limit: width and height of the map in
    cells, twice.
    """
    boxes, likelihood = heads[0].astype(np.float64), heads[1].astype(np.float64)
    sides = np.tile(faces[0][:, 2:] - faces[0][:, :2], 2)
    grown = np.clip(faces[0] + HEAD_OF_FACE * sides, 0, limit)
    unmatched = np.ones(len(grown), bool)
    for index, head in enumerate(grown if len(boxes) else []):
        overlap = iou(head, boxes)
        best = int(overlap.argmax())
        if overlap[best] > SAME_HEAD_IOU:
            likelihood[best] = max(likelihood[best], float(faces[1][index]))
            unmatched[index] = False
    together = np.concatenate([boxes, grown[unmatched]]) / limit
    return together, np.concatenate([likelihood, faces[1][unmatched]])
