"""The candidates that the placement branch learns to choose among, and the loss of such a choice.

All boxes are shares of the photo's sides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.boxes import FloatArray, mirror
from pipeline.cropping.placement_value import PlacementValue
from pipeline.detectors.attention import Placement, Profile
from pipeline.lab.people.fitting import jeffreys_divergence

# By how much of the photo's side a crop may miss an acceptable place, ever less acceptable.
TOLERANCE = 0.05
# A candidate is e times as likely to be chosen if its value is larger by this.
TEMPERATURE = 0.02
# Of the agreement with people that a choice loses, beside the logarithm of how likely an acceptable
# place is chosen. With 2, more gaze is lost for as many acceptable crops.
AGREEMENT_WEIGHT = 8.0
# Of the divergence between the choices for a view and its degraded copy.
CONSISTENCY_WEIGHT = 2.0
UNACCEPTABLE = 1e-3  # how likely an unacceptable place is acceptable after all


class Candidates(NamedTuple):
    """A shape's candidates in a photo.

    boxes: [N, 4], in float32.
    ratio: their width / height as shares of the photo's sides.
    values: by the rule of choice without placement. [N]
    weight: of placement in the value.
    agreement: how acceptable each is, 0..1, or how far it agrees with people's labels. [N]
    is_measured: whether agreement is the latter.
    """

    boxes: Tensor
    ratio: float
    values: Tensor
    weight: float
    agreement: Tensor
    is_measured: bool

    def mirrored(self) -> Candidates:
        """Return the candidates of the mirrored photo, which have the same values."""
        return self._replace(boxes=torch.from_numpy(mirror(self.boxes.numpy(), 1.0)))


class PlacementMatrix(NamedTuple):
    """How good the places of a shape's N candidates are: linear in the maps' means along one side.

    moves_down: whether the candidates move up and down.
    of_worth, of_cost: what a unit in each of C parts of the side adds. [N, C] each
    """

    moves_down: bool
    of_worth: Tensor
    of_cost: Tensor

    @classmethod
    def of(cls, boxes: FloatArray, ratio: float, size_hw: tuple[int, int]) -> PlacementMatrix:
        """Build it for candidates [N, 4] on maps of h × w cells, as the product's `PlacementValue`.

        ratio: width / height as shares of the photo's sides.
        """
        count = size_hw[0 if ratio >= 1 else 1]
        none, units = np.zeros(count), np.eye(count)
        profiles = [*(Profile(unit / count, none) for unit in units)]
        profiles += [Profile(none, unit) for unit in units]
        columns = [PlacementValue(Placement(one, one))(boxes, ratio) for one in profiles]
        matrix = torch.from_numpy(np.stack(columns, axis=1)).float()
        return cls(ratio >= 1, matrix[:, :count], matrix[:, count:])

    def __call__(self, maps: Tensor) -> Tensor:
        """Compute how good the places are by the branch's maps [3, h, w]: [N]."""
        worth, *costs = maps
        along = 1 if self.moves_down else 0
        profile = (worth - worth.mean()).mean(dim=along)
        good: Tensor = self.of_worth @ profile + self.of_cost @ costs[along].mean(dim=along)
        return good


def acceptability(boxes: FloatArray, ranges: FloatArray, ratio: float) -> FloatArray:
    """Compute how acceptable the places of boxes [N, 4] of a shape are, 0..1: [N].

    A box has the place of the largest crop at its centre. It is fully acceptable inside a range,
    and less the more of TOLERANCE it misses the next one by.

    ranges: [K, 2] of the largest crop's left edge; of its upper one where it has the photo's width.
    ratio: width / height as shares of the photo's sides.
    """
    axis, side = (0, ratio) if ratio < 1 else (1, 1 / ratio)
    edge = np.clip((boxes[:, axis] + boxes[:, axis + 2] - side) / 2, 0, 1 - side)[:, None]
    missed = np.maximum(ranges[:, 0] - edge, edge - ranges[:, 1]).clip(min=0).min(axis=1)
    return np.asarray(np.clip(1 - missed / TOLERANCE, 0, 1))


def place_loss(placement: Tensor, copied: Tensor, candidates: Candidates) -> Tensor:
    """Compute the loss of choosing among N candidates by their values and placement.

    It is the negative logarithm of the probability that an acceptable one is chosen, or how much
    less the choice is expected to agree with people than the best, as a mean over a view and its
    copy. The Jeffreys divergence of both choices is added.

    placement, copied: how good the places are in the view and in its degraded copy. [N] each
    """
    choices = [
        ((candidates.values + candidates.weight * good) / TEMPERATURE).log_softmax(0)
        for good in (placement, copied)
    ]
    return _loss_of(choices, candidates) + CONSISTENCY_WEIGHT * jeffreys_divergence(*choices)


def _loss_of(choices: list[Tensor], candidates: Candidates) -> Tensor:
    agreement = candidates.agreement
    if candidates.is_measured:
        kept = torch.stack([(choice.exp() * agreement).sum() for choice in choices])
        return AGREEMENT_WEIGHT * (agreement.max() - kept.mean())
    likely = (agreement + UNACCEPTABLE).log()
    return -torch.stack([(choice + likely).logsumexp(0) for choice in choices]).mean()
