"""Find the best candidate crops with few calls of the network, by Bayesian optimisation.

A crop's score changes smoothly with its four edges, whatever its ratio. So `coarse_to_fine` first
scores a few candidates of each list, spread by farthest-point sampling. A Gaussian process over the
edges of all crops scored so far, of all shapes together, then predicts the others; the most
promising are scored next, for a few rounds. `spread_only` skips the rounds. `exhaustive` scores
every candidate and is the reference for the search. All lists are in one frame, normally source
pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Boxes

Scores = NDArray[np.float32]  # [N]
Score = Callable[[Boxes], Scores]
Search = Callable[[Sequence[Boxes], Score], list["SearchResult"]]

# Number of candidates of each list that are scored first, and of each shape in each later round. A
# call of the network costs as much as 40 candidates, so there are few rounds.
COARSE = 12
ROUNDS = (8, 6)
# Number of candidates of each list that `spread_only` scores. With 12, crops agree no better with
# people, nor crops of copies with each other; with 7, `free` gets worse. It scores more of few
# lists, at least SPREAD_ALL in total, as many as for the job's default shapes: with eight of a
# single list, a sixth of the 9:16 crops differ from those chosen along with other shapes (IoU below
# .9), with forty 4 %.
SPREAD, SPREAD_ALL = 8, 40
# Matérn 3/2 kernel over edges as shares of the photo's sides. Its length scale and the variance of
# the noise (which the rounding to whole input pixels adds to a score) matter little: .3 to .6 and
# 1e-4 to 1e-2 find the same crops.
LENGTH = 0.4
NOISE = 1e-3
# Candidates near one just picked become less promising, or a round would be spent on neighbours
# that give the same information.
CROWD_LENGTH = 0.1
CROWD_LOSS = 0.2  # in standard deviations of the scores


@dataclass(frozen=True)
class SearchResult:
    """The search result for one list of N candidates, M of them scored.

    boxes: the candidates that were scored, in the order of the list. [M, 4]
    scores: the network's of these. [M]
    indices: their places in the list. [M]
    posterior_mean: of the whole list: the score if there is one, else the prediction of the
        Gaussian process; centred, in standard deviations of all scores of the photo. [N]
    """

    boxes: Boxes
    scores: Scores
    indices: NDArray[np.int64]
    posterior_mean: NDArray[np.float64]


def exhaustive(lists: Sequence[Boxes], score: Score) -> list[SearchResult]:
    """Score every candidate, in one call."""
    pool = _Pool(lists)
    pool.add(np.arange(len(pool.boxes)), score)
    unused = np.zeros(len(pool.boxes))  # nothing is left to predict
    return [pool.result(index, unused) for index in range(len(lists))]


def coarse_to_fine(lists: Sequence[Boxes], score: Score) -> list[SearchResult]:
    """Score at most COARSE candidates per list, sum(ROUNDS) per shape, in 1 + len(ROUNDS) calls.

    All of a small list is scored. The best candidate found is within a few hundredths of a standard
    deviation of the best of all; other good ones are found if they are near the top.
    """
    pool = _Pool(lists)
    pool.add(pool.spread(COARSE), score)
    for count in ROUNDS:
        mean = pool.posterior_mean()
        picked = np.zeros(len(pool.boxes), dtype=bool)
        for index in range(len(lists)):
            _pick_promising(pool, index, mean, picked, count)
        if not picked.any():
            break
        pool.add(np.flatnonzero(picked), score)
    mean = pool.posterior_mean()
    return [pool.result(index, mean) for index in range(len(lists))]


def spread_only(lists: Sequence[Boxes], score: Score) -> list[SearchResult]:
    """Score SPREAD or more candidates of each list, spread by farthest-point sampling, in one call.

    For choosers that use the predictions for the others as one of several inputs and do not need
    the highest score itself.
    """
    plan = _spread_plan(tuple(one.tobytes() for one in lists))
    scores = score(plan.boxes[plan.places])
    standard = _standard(scores)
    mean = plan.prediction @ standard
    mean[plan.places] = standard
    return [
        SearchResult(one.boxes, scores[one.scored], one.indices, mean[one.span])
        for one in plan.lists
    ]


class _PlannedList(NamedTuple):
    """The M candidates of a list of N that are scored, in the list's order."""

    span: slice  # of the list among all P candidates
    scored: NDArray[np.int64]  # their places among all K that are scored: [M]
    indices: NDArray[np.int64]  # their places in the list: [M]
    boxes: Boxes  # [M, 4]

    @classmethod
    def of(cls, span: tuple[int, int], boxes: Boxes, places: NDArray[np.int64]) -> _PlannedList:
        """Plan a list. boxes: all candidates [P, 4]; places: indices of all scored ones, [K]."""
        start, end = span
        scored = np.flatnonzero((places >= start) & (places < end))
        scored = scored[np.argsort(places[scored])]
        own = places[scored]
        return cls(slice(start, end), scored, own - start, boxes[own])


class _SpreadPlan(NamedTuple):
    """What `spread_only` computes before any score: the same for all photos of one size."""

    boxes: Boxes  # [P, 4]
    lists: list[_PlannedList]
    places: NDArray[np.int64]  # [K] of the candidates that are scored
    prediction: NDArray[np.float64]  # [P, K]: the posterior mean is linear in the known scores


@lru_cache(maxsize=8)  # a plan takes 7 ms and .6 MB for six shapes, 3 s and 160 MB for 100
def _spread_plan(of_lists: tuple[bytes, ...]) -> _SpreadPlan:
    """Plan the sampling. of_lists: the bytes of lists of boxes, float32."""
    pool = _Pool([np.frombuffer(one, np.float32).reshape(-1, 4) for one in of_lists])
    places = pool.spread(max(SPREAD, -(-SPREAD_ALL // len(pool.spans))))
    kernel = _matern(pool.edges_rel, pool.edges_rel[places])
    covariance = kernel[places] + NOISE * np.eye(len(places))
    lists = [_PlannedList.of(span, pool.boxes, places) for span in pool.span_of_list]
    prediction = np.asarray(np.linalg.solve(covariance, kernel.T).T, np.float64)
    return _SpreadPlan(pool.boxes, lists, places, prediction)


def _standard(scores: Scores) -> NDArray[np.float64]:
    """Centre scores [K] and divide them by their standard deviation if that is not 0."""
    values = scores.astype(np.float64)
    return np.asarray((values - values.mean()) / (float(values.std()) or 1.0))


class _Pool:
    """All distinct lists end to end, with the known scores and the regression over them.

    P candidates in all, K of them scored.
    """

    def __init__(self, lists: Sequence[Boxes]) -> None:
        different: dict[bytes, Boxes] = {one.tobytes(): one for one in lists}
        ends = np.cumsum([len(boxes) for boxes in different.values()]).tolist()
        self.spans = list(zip([0, *ends], ends, strict=False))  # start and end of each list
        span_of = dict(zip(different, self.spans, strict=True))
        self.span_of_list = [span_of[one.tobytes()] for one in lists]
        self.boxes = np.concatenate(list(different.values()))
        low, high = self.boxes.min(axis=0), self.boxes.max(axis=0)
        sides = np.tile(np.maximum(high[2:] - low[:2], 1), 2)
        self.edges_rel = (self.boxes / sides).astype(np.float64)  # [P, 4]
        self.scores = np.full(len(self.boxes), np.nan)  # [P]
        self.known = np.empty(0, dtype=np.int64)  # [K] places, in the order scored
        self.kernel = np.empty((len(self.boxes), 0))  # [P, K]

    def add(self, places: NDArray[np.int64], score: Score) -> None:
        """Score some candidates that have no score yet."""
        self.scores[places] = score(self.boxes[places])
        self.known = np.concatenate([self.known, places])

    def spread(self, count: int) -> NDArray[np.int64]:
        """Return indices of `count` candidates per list, far apart, or of all of a short one."""
        places = [
            start + farthest_points(self.edges_rel[start:end], count) for start, end in self.spans
        ]
        return np.concatenate(places)

    def posterior_mean(self) -> NDArray[np.float64]:
        """Predict every candidate's score, in standard deviations of the known ones: [P].

        The mean of a Gaussian process (Rasmussen and Williams, 2006, equation 2.25).
        """
        new = self.known[self.kernel.shape[1] :]
        self.kernel = np.hstack([self.kernel, _matern(self.edges_rel, self.edges_rel[new])])
        centre, deviation = self.scale()
        covariance = self.kernel[self.known] + NOISE * np.eye(len(self.known))
        weights = np.linalg.solve(covariance, (self.scores[self.known] - centre) / deviation)
        return np.asarray(self.kernel @ weights)

    def result(self, index: int, mean: NDArray[np.float64]) -> SearchResult:
        """Return a list's result; mean [P] is that of `posterior_mean` after the last scores."""
        start, end = self.span_of_list[index]
        own = self.scores[start:end]
        scored = np.flatnonzero(~np.isnan(own))
        centre, deviation = self.scale()
        posterior = np.where(np.isnan(own), mean[start:end], (own - centre) / deviation)
        return SearchResult(
            boxes=self.boxes[start:end][scored],
            scores=own[scored].astype(np.float32),
            indices=scored,
            posterior_mean=posterior,
        )

    def scale(self) -> tuple[float, float]:
        """Return mean and standard deviation of the known scores, 1 for the latter if it is 0."""
        values = self.scores[self.known]
        return float(values.mean()), float(values.std()) or 1.0


def _pick_promising(
    pool: _Pool, index: int, mean: NDArray[np.float64], picked: NDArray[np.bool_], count: int
) -> None:
    """Mark in `picked` [P] the `count` most promising unscored candidates of a list."""
    start, end = pool.span_of_list[index]
    promise = mean[start:end].copy()
    promise[~np.isnan(pool.scores[start:end]) | picked[start:end]] = -np.inf
    edges = pool.edges_rel[start:end]
    for _ in range(min(count, int(np.isfinite(promise).sum()))):
        best = int(promise.argmax())
        picked[start + best] = True
        squared = ((edges - edges[best]) ** 2).sum(axis=1)
        promise -= CROWD_LOSS * np.exp(-squared / (2 * CROWD_LENGTH**2))
        promise[best] = -np.inf


def farthest_points(points: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return indices of `count` of points [N, 4], by farthest-point sampling from index 0."""
    chosen = [0]
    distance = ((points - points[0]) ** 2).sum(axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    return np.array(chosen, dtype=np.int64)


def _matern(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the Matérn 3/2 kernel (Rasmussen and Williams, 2006, equation 4.17), [A, B]."""
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    scaled = np.sqrt(3 * np.clip(squared, 0, None)) / LENGTH
    return np.asarray((1 + scaled) * np.exp(-scaled), dtype=np.float64)
