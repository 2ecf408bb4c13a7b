"""Find people's decisions about the photos of a list, and pin them with the photos.

The decision about a photo is one text in the column `override` of the pinned list. So it is a part
of the run's identity, and `ledger.coverage.incremental` can compare it with the one that an earlier
run obeyed. It is JSON with the keys `name` (the last address or pattern that counted; empty: the
list's own focus), `focus` [x, y], `listed_focus` (true: the list's, next to a decision about the
rest), `boxes` {ratio: [x0, y0, x1, y1]} and `never_crop`; keys without a decision are left out,
except `name`.
"""

import json
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.inputs.globs import literal_prefix, regex_text
from pipeline.inputs.override_rows import OverrideRow, read_override_rows
from pipeline.schema import INPUT_OVERRIDE
from pipeline.storage.spool import pieces, spooled

DECIDED_ROWS = 500_000  # of a list that are compared with the table at a time


@dataclass(frozen=True)
class Overridden:
    """A list of photos with people's decisions.

    inputs:    the rows that are left, with the column `override` where anything applies.
    count:     number of these that a row of the table applies to.
    forgotten: addresses to be removed from the output, whether they are in the list or not.
    """

    inputs: pa.Table
    count: int = 0
    forgotten: tuple[str, ...] = ()


@dataclass(frozen=True)
class Overrides:
    """The rows of a table of overrides, in its order."""

    rows: Sequence[OverrideRow] = ()

    @classmethod
    def read(cls, uri: str) -> "Overrides":
        """Read a table; no address means no rows. Raises SettingError."""
        return cls(read_override_rows(uri)) if uri else cls()

    def apply(self, inputs: pa.Table) -> Overridden:
        """Pin the decision about each photo of a list that is sorted by uri.

        A photo to which no row applies keeps what is pinned already: the focus of its list, or, in
        a list of failed photos, the decision that their run obeyed.
        """
        if not self.rows or not inputs.num_rows:
            return Overridden(inputs, forgotten=self._exact_forgotten())
        gone: list[str] = []
        count = 0

        def parts() -> Iterator[pa.Table]:
            nonlocal count
            for piece in pieces(inputs, DECIDED_ROWS):
                decided = self._decisions(piece["uri"].combine_chunks())
                count += len(decided)
                yield _with_decisions(piece, decided, gone)

        left = spooled(parts())
        if not count:
            return Overridden(inputs, forgotten=self._exact_forgotten())
        if left[INPUT_OVERRIDE.name].null_count == left.num_rows:  # the same list as without it
            left = left.drop_columns(INPUT_OVERRIDE.name)
        forgotten = tuple(sorted({*gone, *self._exact_forgotten()}))
        return Overridden(left, count - len(gone), forgotten)

    def forgotten_among(self, uris: pa.Array) -> list[str]:
        """Select those of some sorted addresses that the table says to forget."""
        decided = self._decisions(uris)
        return [uris[place].as_py() for place, one in decided.items() if one.forget]

    @property
    def has_forget_patterns(self) -> bool:
        """Whether a pattern says to forget: it may match photos that no list has any more."""
        return any(row.forget and row.is_pattern for row in self.rows)

    def _exact_forgotten(self) -> tuple[str, ...]:
        return tuple(uri for uri, rows in self._exact.items() if _fold(rows).forget)

    @cached_property
    def _exact(self) -> dict[str, list[OverrideRow]]:
        rows: dict[str, list[OverrideRow]] = defaultdict(list)
        for row in self.rows:
            if not row.is_pattern:
                rows[row.name].append(row)
        return rows

    def _decisions(self, uris: pa.Array) -> dict[int, "_Decision"]:
        """Return the table's decisions by position among sorted addresses, where it has one."""
        numbers: dict[int, tuple[int, ...]] = defaultdict(tuple)  # of the rows that match
        for number, row in enumerate(self.rows):
            if row.is_pattern:
                for place in _matching(uris, row.name):
                    numbers[place] += (number,)
        patterns = len(self.rows)  # exact rows count after all patterns
        for number, row in enumerate(self.rows):
            if not row.is_pattern:
                for place in _places_of(uris, row.name):
                    numbers[place] += (patterns + number,)
        folded: dict[tuple[int, ...], _Decision] = {}  # a pattern's photos share one decision
        decided = {}
        for place, key in numbers.items():
            if key not in folded:
                folded[key] = _fold(self.rows[number % patterns] for number in key)
            decided[place] = folded[key]
        return decided


@dataclass
class _Decision:
    """The combined decision of the rows that match one photo."""

    name: str = ""
    forget: bool = False
    never_crop: bool = False
    focus_rel: tuple[float, float] | None = None
    boxes_px: dict[str, tuple[float, ...]] = field(default_factory=dict)
    is_listed_focus: bool = False

    @property
    def text(self) -> str | None:
        """The value of the column `override`; None where no decision is left."""
        document: dict[str, Any] = {}
        if self.focus_rel is not None:
            document["focus"] = list(self.focus_rel)
        if self.is_listed_focus:
            document["listed_focus"] = True
        if self.boxes_px:
            document["boxes"] = {ratio: list(box) for ratio, box in sorted(self.boxes_px.items())}
        if self.never_crop:
            document["never_crop"] = True
        return json.dumps({"name": self.name, **document}) if document else None


def _fold(rows: Iterable[OverrideRow]) -> _Decision:
    """Combine rows, in ascending order of precedence; docs/OVERRIDES.md gives the rules."""
    decision = _Decision()
    for row in rows:
        decision.name = row.name
        if row.forget is not None:
            decision.forget = row.forget
        if row.never_crop is not None:
            decision.never_crop = row.never_crop
        if row.never_crop:
            decision.focus_rel, decision.boxes_px = None, {}
        if row.focus_rel is not None:
            decision.focus_rel, decision.never_crop = row.focus_rel, False
        if row.ratio is not None and row.box_px is not None:
            decision.boxes_px[row.ratio] = row.box_px
    return decision


def _with_decisions(
    inputs: pa.Table, decided: Mapping[int, _Decision], gone: list[str]
) -> pa.Table:
    """Append the column `override` to rows, without those to forget; add these to `gone`."""
    texts = _pinned(inputs)
    for place, decision in decided.items():
        texts[place] = _over_listed_focus(texts[place], decision)
    kept = np.ones(inputs.num_rows, bool)
    kept[[place for place, decision in decided.items() if decision.forget]] = False
    if INPUT_OVERRIDE.name in inputs.column_names:
        inputs = inputs.drop_columns(INPUT_OVERRIDE.name)
    gone += inputs["uri"].filter(pa.array(~kept)).to_pylist()
    column = pa.array(texts, INPUT_OVERRIDE.type)
    return inputs.append_column(INPUT_OVERRIDE, column).filter(pa.array(kept))


def _over_listed_focus(pinned: str | None, decision: _Decision) -> str | None:
    """Return the text of a decision; it keeps a focus of the list about which it says nothing.

    pinned: the column `override` so far, see `_pinned`.
    """
    if pinned is None or decision.focus_rel is not None or decision.never_crop:
        return decision.text
    listed = json.loads(pinned)
    if listed["name"]:  # by an earlier table of overrides, which this one replaces
        return decision.text
    if decision.text is None:
        return pinned
    return replace(decision, focus_rel=tuple(listed["focus"]), is_listed_focus=True).text


def _pinned(inputs: pa.Table) -> list[str | None]:
    """Return the column `override` as it is pinned already; all None where there is none."""
    if INPUT_OVERRIDE.name not in inputs.column_names:
        return [None] * inputs.num_rows
    texts: list[str | None] = inputs[INPUT_OVERRIDE.name].to_pylist()
    return texts


def _matching(uris: pa.Array, pattern: str) -> list[int]:
    """Return the positions of the addresses that match a pattern, among sorted ones.

    Only those that begin as the pattern does are tested. RE2's time is linear in a text's length.
    """
    prefix = literal_prefix(pattern)
    length, places = len(prefix), range(len(uris))
    if not places or not uris[0].as_py()[:length] <= prefix <= uris[-1].as_py():
        return []
    first = bisect_left(places, prefix, key=lambda i: uris[i].as_py())
    last = bisect_right(places, prefix, lo=first, key=lambda i: uris[i].as_py()[:length])
    whole = f"(?s)\\A(?:{regex_text(pattern)})\\z"
    found = pc.match_substring_regex(uris.slice(first, last - first), whole)
    return [first + int(at) for at in np.flatnonzero(found.to_numpy(zero_copy_only=False))]


def _places_of(uris: pa.Array, uri: str) -> range:
    """Return the positions of an address among sorted ones, or none."""
    places = range(len(uris))
    if not places or not uris[0].as_py() <= uri <= uris[-1].as_py():
        return range(0)
    first = bisect_left(places, uri, key=lambda i: uris[i].as_py())
    return range(first, bisect_right(places, uri, lo=first, key=lambda i: uris[i].as_py()))
