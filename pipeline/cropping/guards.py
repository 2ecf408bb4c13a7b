"""Check what crops of one shape do to the heads, faces, text and main subject of a photo.

docs/GUARDS.md defines exactly when a guard is broken, and how badly. The checks are arithmetic on
boxes in source pixels, for many candidates at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.boxes import FloatArray, area, as_boxes
from pipeline.cropping.protected import Protected
from pipeline.cropping.visible import most_held, visible_shares
from pipeline.settings.guards import Guards
from pipeline.settings.safe_areas import WHOLE, SafeArea

# A head or face shows from this share of its box on, its person from this value of `bodies_in` on.
SHOWS, BODY_SHOWS = 0.05, 0.5
# A block of text is cut if its share inside is between these: detector boxes are loose.
TEXT_CUT = (0.08, 0.92)
COUNTED = 0.1  # heads and faces count as cut if more than this share is outside
OVAL = (np.pi / 4) ** 0.5  # side of a square with the area of a circle of diameter 1
ROUNDING = 1e-9  # rounding error of shares of areas
REASONS = ("head_cut", "head_lost", "face_cut", "text_cut", "subject_cut", "unsafe_area")
"""Why a crop breaks a guard, worst first: the values of the column `reason`."""
LEVELS = 10  # steps of severity that are distinguished: a tenth of the only head
LOST = 100.0  # severity of a lost main head: one that no crop can hold is cut, not left out

Guard = TypeVar("Guard", bound="ShapeGuard | None")
Severities = dict[str, FloatArray]  # by reason, how badly N crops break a guard: [N]


@dataclass(frozen=True, eq=False)
class Shown:
    """What N crops show of a photo: shares of areas, 0..1.

    `_in`: inside the crop's shape. `_seen`: also not covered by anything.
    """

    heads_in: FloatArray  # [N, H]
    heads_seen: FloatArray
    bodies_in: FloatArray  # [N, H] divided by the most that a crop of this size can hold
    faces_in: FloatArray  # [N, F]
    faces_seen: FloatArray
    text_in: FloatArray  # [N, T]
    text_seen: FloatArray
    subject_in: FloatArray  # [N], the parts together
    subject_seen: FloatArray

    @property
    def heads_show(self) -> NDArray[np.bool_]:
        """Which heads show themselves or their person: [N, H]."""
        return (self.heads_in > SHOWS) | (self.bodies_in > BODY_SHOWS)


@dataclass(frozen=True, eq=False)
class Counts:
    """What one crop cuts, whatever the guards are. subject_share: None without a main subject."""

    heads: int
    faces: int
    text: int
    subject_share: float | None


GuardFinding = tuple[Counts, str | None]  # what a crop cuts, and why it breaks a guard


@dataclass(frozen=True, eq=False)
class ShapeGuard:
    """The guards of one shape of one photo."""

    guards: Guards
    protected: Protected
    area: SafeArea = WHOLE

    @cached_property
    def active(self) -> bool:
        """Whether any crop of this photo can break a guard."""
        limits, has = self.guards, self.protected
        clear = has.heads[has.clear_heads]
        asked = (limits.heads, limits.faces, limits.text, limits.subject)
        there = map(len, (clear, has.faces, has.text, has.subject))
        return any(count and limit is not None for limit, count in zip(asked, there, strict=True))

    @cached_property
    def _boxes(self) -> FloatArray:
        """All protected boxes, in the order of `shown`.

        In a circle heads and faces count as round: the corners of their boxes do not matter.
        """
        has = self.protected
        heads, faces = has.heads, has.faces
        if self.area.is_circle:
            heads, faces = _oval(heads), _oval(faces)
        return np.concatenate([heads, has.bodies, faces, has.text, has.subject])

    @cached_property
    def _places(self) -> list[slice]:
        """The slices of `_boxes` with heads, bodies, faces, text and subject."""
        has = self.protected
        groups = (has.heads, has.bodies, has.faces, has.text, has.subject)
        return [slice(*ends) for ends in pairwise(accumulate(map(len, groups), initial=0))]

    def levels(self, boxes_px: ArrayLike) -> NDArray[np.int64]:
        """Return how badly boxes [N, 4] break guards, in steps of 1 / LEVELS, 0 for none: [N]."""
        boxes = as_boxes(boxes_px)
        if not self.active:
            return np.zeros(len(boxes), np.int64)
        severities = self.severities(self.shown(boxes))
        return np.asarray(np.ceil(LEVELS * sum(severities.values())), np.int64)

    def reason(self, box_px: ArrayLike) -> str | None:
        """Return the worst reason why a box breaks a guard; None if it breaks none."""
        return self._reasons(self.shown(as_boxes(box_px).reshape(1, 4)))[0]

    def counts(self, box_px: ArrayLike) -> Counts:
        """Count what a box cuts."""
        return self._counts(self.shown(as_boxes(box_px).reshape(1, 4)))[0]

    def findings(self, boxes_px: ArrayLike) -> list[GuardFinding]:
        """Return what each of boxes [N, 4] cuts, and why it breaks a guard: N."""
        shown = self.shown(as_boxes(boxes_px))
        return list(zip(self._counts(shown), self._reasons(shown), strict=True))

    def _reasons(self, shown: Shown) -> list[str | None]:
        crops = range(len(shown.subject_in))
        if not self.active:
            return [None for _ in crops]
        severities = self.severities(shown)
        return [next((why for why in REASONS if severities[why][crop] > 0), None) for crop in crops]

    def _counts(self, shown: Shown) -> list[Counts]:
        heads = shown.heads_show & (1 - shown.heads_seen > COUNTED + ROUNDING)
        faces = (shown.faces_in > SHOWS) & (1 - shown.faces_seen > COUNTED + ROUNDING)
        text = _text_cut(shown) | _text_hidden(shown)
        cut = [of_crops.sum(axis=1).tolist() for of_crops in (heads, faces, text)]
        has_subject = len(self.protected.subject) > 0
        shares = [
            share if has_subject else None for share in np.minimum(shown.subject_seen, 1).tolist()
        ]
        return [Counts(*of_crop) for of_crop in zip(*cut, shares, strict=True)]

    def shown(self, boxes: FloatArray) -> Shown:
        """Compute what boxes [N, 4], source pixels, show."""
        has = self.protected
        inside, seen = visible_shares(boxes, self._boxes, self.area)
        heads_in, bodies_in, faces_in, text_in, subject_in = (inside[:, at] for at in self._places)
        heads_seen, _, faces_seen, text_seen, subject_seen = (seen[:, at] for at in self._places)
        return Shown(
            heads_in, heads_seen, bodies_in / most_held(boxes, has.bodies), faces_in, faces_seen,
            text_in, text_seen, subject_in @ has.importance, subject_seen @ has.importance,
        )  # fmt: skip

    def severities(self, shown: Shown) -> Severities:
        """Compute how badly N crops break each guard. Half of the only head outside is 0.5."""
        limits, has = self.guards, self.protected
        hidden = lost = np.zeros(len(shown.subject_in))
        severities = dict.fromkeys(REASONS, hidden)
        if limits.heads is not None and has.clear_heads.any():
            shares = (shown.heads_show & has.clear_heads, shown.heads_in, shown.heads_seen)
            severities["head_cut"], covered = _outside(*shares, has.heads, limits.heads)
            hidden = hidden + covered
            lost = lost + _lost(shown.heads_seen[:, has.main_heads])
        if limits.faces is not None and len(has.faces):
            shares = (shown.faces_in > SHOWS, shown.faces_in, shown.faces_seen)
            severities["face_cut"], covered = _outside(*shares, has.faces, limits.faces)
            hidden = hidden + covered
            lost = lost + _lost(shown.faces_seen[:, has.main_faces])
        if limits.text is not None and len(has.text):
            missing = np.minimum(shown.text_in, 1 - shown.text_in)
            severities["text_cut"] = (_text_cut(shown) * missing).sum(axis=1)
            covered = _text_hidden(shown) * (shown.text_in - shown.text_seen)
            hidden = hidden + covered.sum(axis=1)
        if limits.subject is not None and len(has.subject):
            least = limits.subject - ROUNDING
            severities["subject_cut"] = np.maximum(least - shown.subject_in, 0)
            hidden = hidden + np.maximum(least - shown.subject_seen, 0) - severities["subject_cut"]
        return {**severities, "head_lost": lost, "unsafe_area": hidden}


def guard_levels(guard: ShapeGuard | None, boxes: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return how badly boxes [N, 4], source pixels, break a guard; 0 if there is none: [N]."""
    return np.zeros(len(boxes), np.int64) if guard is None else guard.levels(boxes)


def call_per_guard(
    guards: Sequence[Guard],
    lists: Sequence[NDArray[np.floating]],
    function: Callable[[Guard, NDArray[np.floating]], NDArray[np.int64] | list[GuardFinding]],
) -> list[Any]:
    """Call `function` on the boxes [N, 4] of each guard; return N results for each.

    Boxes of the same guard share one call, since the number of calls is what costs time.
    """
    found: dict[int, Any] = {}
    for guard in dict.fromkeys(guards):
        end = 0
        places = [place for place, one in enumerate(guards) if one is guard]
        results = function(guard, np.concatenate([lists[place] for place in places]))
        for place in places:
            start, end = end, end + len(lists[place])
            found[place] = results[start:end]
    return [found[place] for place in range(len(guards))]


def _outside(
    shows: NDArray[np.bool_],
    inside: FloatArray,
    seen: FloatArray,
    boxes: FloatArray,
    limit: float,
) -> tuple[FloatArray, FloatArray]:
    """Compute how badly crops cut boxes [M, 4], and how badly boxes are covered: two of [N].

    shows, inside, seen: of each box in each crop [N, M]. Sums what is outside over the boxes that
    show and have more than `limit` of them outside; larger ones count more.
    """
    sides = np.sqrt(area(boxes))
    size = sides / sides.max()
    cut = shows & (1 - inside > limit + ROUNDING)
    covered = shows & ~cut & (1 - seen > limit + ROUNDING)
    return (cut * (1 - inside)) @ size, (covered * (1 - seen)) @ size


def _lost(seen: FloatArray) -> FloatArray:
    """Return LOST for crops in which none of M main heads or faces shows, else 0: [N, M] to [N]."""
    is_lost = np.all(seen <= SHOWS, axis=1) & (seen.shape[1] > 0)
    return np.where(is_lost, LOST, 0.0)


def _text_cut(shown: Shown) -> NDArray[np.bool_]:
    return (shown.text_in > TEXT_CUT[0]) & (shown.text_in < TEXT_CUT[1])


def _text_hidden(shown: Shown) -> NDArray[np.bool_]:
    return shown.text_in - shown.text_seen > TEXT_CUT[0]


def _oval(boxes: FloatArray) -> FloatArray:
    """Shrink boxes [M, 4] to the area of their inscribed ellipse, about the same centre."""
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, OVAL * (boxes[:, 2:] - boxes[:, :2]) / 2
    return np.concatenate([centre - half, centre + half], axis=1)
