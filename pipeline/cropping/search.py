"""Finding the best of many candidates with few calls of the network: `coarse_to_fine`.

A crop's score changes smoothly with its four edges, whatever its ratio. So a few candidates spread
over each list are scored first; a Gaussian-process regression over the edges of all that has been
scored so far, of all shapes together, then says which others look best; those are scored, and so
on for a few rounds. `exhaustive` scores everything and is what the search is measured against.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]  # [N, 4] xyxy
Scores = NDArray[np.float32]  # [N]
Score = Callable[[Boxes], Scores]
Search = Callable[[Sequence["Target"], Score], list["Found"]]

# Candidates of each list that are scored first, and then of each target in each round. A call of
# the network costs as much as 40 candidates, so rounds are few.
COARSE = 12
ROUNDS = (8, 6)
# Matérn 3/2 kernel over edges as shares of the picture's sides. Its length and the variance of the
# noise (what the input's whole pixels do to a score) are of no great consequence: .3 to .6 and
# 1e-4 to 1e-2 find the same crops.
LENGTH = 0.4
NOISE = 1e-3
FLAT = 1e-6  # a list that varies by less, in standard deviations of all scores, does not vary
# Candidates this near to one just taken are made less attractive, or a round would be spent on
# neighbours that tell the same.
CROWD_LENGTH = 0.1
CROWD_LOSS = 0.2  # in standard deviations of the scores


@dataclass(frozen=True)
class Target:
    """One shape to find a crop for.

    boxes:   its candidates [N, 4], all targets in one frame; at least one. Targets may have equal
             lists (a circle and a square); they are scored once.
    penalty: what is taken from each candidate's score [N], in standard deviations of the list's
             scores; None for nothing.
    """

    boxes: Boxes
    penalty: Scores | None = None


@dataclass(frozen=True)
class Found:
    """What was found of one target.

    boxes:    the candidates that were scored, in the order of its list.
    scores:   their scores, penalty applied.
    own:      their scores as the network gave them.
    indices:  their places in the list.
    believed: of the whole list [N], penalty applied, in standard deviations of what is believed of
              the list: the score where there is one, else what the regression expects.
    """

    boxes: Boxes
    scores: Scores
    own: Scores
    indices: NDArray[np.int64]
    believed: NDArray[np.float64]


def exhaustive(targets: Sequence[Target], score: Score) -> list[Found]:
    """Scores every candidate, in one call."""
    pool = _Pool(targets)
    pool.add(np.arange(len(pool.boxes)), score)
    nothing = np.zeros(len(pool.boxes))  # is left to expect
    return [pool.found(target, nothing) for target in range(len(targets))]


def coarse_to_fine(targets: Sequence[Target], score: Score) -> list[Found]:
    """Scores at most COARSE + sum(ROUNDS) candidates a target, in 1 + len(ROUNDS) calls.

    Small lists are scored whole. The best of what is found is the best of all but for a few
    hundredths of a standard deviation; its rivals are found as far as they are near the top.
    """
    pool = _Pool(targets)
    spread = [start + _far_apart(pool.edges[start:end], COARSE) for start, end in pool.lists]
    pool.add(np.concatenate(spread), score)
    for count in ROUNDS:
        expected = pool.expected()
        taken = np.zeros(len(pool.boxes), dtype=bool)
        for target in range(len(targets)):
            _take(pool, target, expected, taken, count)
        if not taken.any():
            break
        pool.add(np.flatnonzero(taken), score)
    expected = pool.expected()
    return [pool.found(target, expected) for target in range(len(targets))]


class _Pool:
    """The lists of all targets end to end, what has been scored of them and what that tells."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self.lists: list[tuple[int, int]] = []  # start and end of each different list
        places: dict[bytes, tuple[int, int]] = {}
        for target in targets:
            key = target.boxes.tobytes()
            if key not in places:
                start = self.lists[-1][1] if self.lists else 0
                places[key] = (start, start + len(target.boxes))
                self.lists.append(places[key])
        self.targets = list(targets)
        self.places = [places[target.boxes.tobytes()] for target in targets]
        different = {
            place: target.boxes for place, target in zip(self.places, targets, strict=True)
        }
        self.boxes = np.concatenate([different[place] for place in self.lists])
        low, high = self.boxes.min(axis=0), self.boxes.max(axis=0)
        sides = np.tile(np.maximum(high[2:] - low[:2], 1), 2)
        self.edges = (self.boxes / sides).astype(np.float64)  # [P, 4]
        self.scores = np.full(len(self.boxes), np.nan)
        self.known = np.empty(0, dtype=np.int64)  # in the order scored
        self.likeness = np.empty((len(self.boxes), 0))  # [P, known], the kernel
        self.coarse = 0  # how many of `known` are the first, evenly spread ones

    def add(self, indices: NDArray[np.int64], score: Score) -> None:
        """Scores some candidates that have no score yet."""
        self.scores[indices] = score(self.boxes[indices])
        self.coarse = self.coarse or len(indices)
        self.known = np.concatenate([self.known, indices])

    def expected(self) -> NDArray[np.float64]:
        """What the regression expects of every candidate, in standard deviations. [P]"""
        new = self.known[self.likeness.shape[1] :]
        self.likeness = np.hstack([self.likeness, _kernel(self.edges, self.edges[new])])
        centre, unit = self.scale(self.known)
        covariance = self.likeness[self.known] + NOISE * np.eye(len(self.known))
        weights = np.linalg.solve(covariance, (self.scores[self.known] - centre) / unit)
        return np.asarray(self.likeness @ weights)

    def penalty(self, target: int) -> NDArray[np.float64]:
        """A target's penalties in units of the scores, [N]: its own times its list's spread."""
        given = self.targets[target].penalty
        start, end = self.places[target]
        if given is None:
            return np.zeros(end - start)
        first = self.known[: self.coarse]
        _, unit = self.scale(first[(first >= start) & (first < end)])
        return np.asarray(given * unit, dtype=np.float64)

    def found(self, target: int, expected: NDArray[np.float64]) -> Found:
        """expected: what `expected` gave after the last scores."""
        start, end = self.places[target]
        own = self.scores[start:end]
        scores = own - self.penalty(target)
        scored = np.flatnonzero(~np.isnan(own))
        centre, unit = self.scale(self.known)
        believed = np.where(np.isnan(own), expected[start:end] * unit + centre, own)
        given = self.targets[target].penalty
        spread = float(believed.std())
        spread = spread if spread > FLAT * unit else 1.0  # else rounding would be blown up
        believed = (believed - believed.mean()) / spread - (0 if given is None else given)
        return Found(
            self.boxes[start:end][scored],
            scores[scored].astype(np.float32),
            own[scored].astype(np.float32),
            scored,
            believed,
        )

    def scale(self, indices: NDArray[np.int64]) -> tuple[float, float]:
        values = self.scores[indices]
        return float(values.mean()), float(values.std()) or 1.0


def _take(
    pool: _Pool, target: int, expected: NDArray[np.float64], taken: NDArray[np.bool_], count: int
) -> None:
    """Marks the `count` most promising candidates of a target that have no score yet."""
    start, end = pool.places[target]
    _, unit = pool.scale(pool.known)
    promise = expected[start:end] - pool.penalty(target) / unit
    promise[~np.isnan(pool.scores[start:end]) | taken[start:end]] = -np.inf
    edges = pool.edges[start:end]
    for _ in range(min(count, int(np.isfinite(promise).sum()))):
        best = int(promise.argmax())
        taken[start + best] = True
        squared = ((edges - edges[best]) ** 2).sum(axis=1)
        promise -= CROWD_LOSS * np.exp(-squared / (2 * CROWD_LENGTH**2))
        promise[best] = -np.inf


def _far_apart(edges: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Indices of `count` points spread widely: the first, then ever the farthest from those."""
    chosen = [0]
    distance = ((edges - edges[0]) ** 2).sum(axis=1)
    while len(chosen) < min(count, len(edges)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((edges - edges[chosen[-1]]) ** 2).sum(axis=1))
    return np.array(chosen, dtype=np.int64)


def _kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matérn 3/2 (Rasmussen and Williams, 2006, equation 4.17), [A, B]."""
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    scaled = np.sqrt(3 * np.clip(squared, 0, None)) / LENGTH
    return np.asarray((1 + scaled) * np.exp(-scaled), dtype=np.float64)
