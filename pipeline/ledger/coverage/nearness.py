"""Find how near committed runs, the latest first, came to covering each photo of a list."""

import time
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.ledger.coverage.listed import LISTED
from pipeline.ledger.failures import (
    CIRCUMSTANCES,
    LIMIT,
    NEEDS_EXTRA,
    PERMANENT,
    TRANSIENT,
    PhotoOutcomes,
    are_due,
    photo_outcomes,
)
from pipeline.ledger.forgetting import Forgotten
from pipeline.ledger.records import Manifest
from pipeline.ledger.tables import one_array
from pipeline.schema import INPUT_OVERRIDE
from pipeline.storage.spool import PIECE_ROWS, pieces

# How near the committed runs came to covering a photo; the largest value found counts.
(NEW, CHANGED, WEIGHTS, SETTINGS, CHANNEL, TRIAL, WITHDRAWN, RETURNED, OVERRIDE, ROW, DUE, FAILED,
 COVERED, POSTPONED) = range(14)  # fmt: skip

Codes = NDArray[np.int8]  # [rows] one of NEW … POSTPONED
RowFlags = NDArray[np.bool_]
Where = slice | NDArray[np.intp]  # rows of the list


@dataclass(frozen=True)
class Relation:
    """How a committed run relates to a job.

    decides: whether it may cover photos. code: the reason if it may not (NEW … POSTPONED).
    """

    decides: bool
    code: int
    waits: bool = False  # it is not live yet


@dataclass(frozen=True)
class Comparison:
    """What one or several runs had of some rows of the list; arrays are [rows] of `where`.

    here:  whether the runs had the photo; the other fields count only if they had
    same_etag, same_override, same_listed: whether the object, a person's decision, and the other
           values of the list that decide crops (`listed`) were the same
    outcome: in the latest of the runs that had it (`failures`)
    tries: number of consecutive runs in which it failed by circumstances
    open:  whether earlier runs may continue that count
    run:   the latest deciding run that had it, and `first`, the one at which it began to fail, as
           places in `Nearness.deciding`
    committed_at: of the latest run that had it, seconds
    """

    where: Where
    here: RowFlags
    same_etag: RowFlags
    same_override: RowFlags
    same_listed: RowFlags
    outcome: PhotoOutcomes
    tries: NDArray[np.int32]
    open: RowFlags
    run: NDArray[np.int32]
    first: NDArray[np.int32]
    committed_at: NDArray[np.float64]


class Nearness:
    """How near the runs compared so far came to covering each row of a list.

    inputs: rows of the list, as `compared_columns` returns them; deciding: the runs that may cover
        photos, the latest first.
    """

    def __init__(self, inputs: pa.Table, forgotten: Forgotten) -> None:
        rows = inputs.num_rows
        self.inputs = inputs
        self.codes: Codes = np.full(rows, NEW, np.int8)
        self.decided: RowFlags = np.zeros(rows, bool)  # a run of the same kind had the photo
        self.deciding: list[tuple[Manifest, Relation]] = []
        self._outcomes = np.zeros(rows, np.int8)
        self._tries = np.zeros(rows, np.int32)
        self._open: RowFlags = np.zeros(rows, bool)  # earlier runs may have failed in the same way
        self._run = np.full(rows, -1, np.int32)
        self._first = np.zeros(rows, np.int32)
        self._shown_from_s = _shown_from(inputs, forgotten)

    def add(self, found: Comparison, how: Relation) -> None:
        """Add what further runs had, older than those before."""
        at = found.where
        undecided = found.here & ~self.decided[at]
        passing = (found.outcome == TRANSIENT) & how.decides
        code = np.where(passing, FAILED, how.code)
        listed = np.where(found.same_listed, code, min(how.code, ROW))
        alike = np.where(found.same_override, listed, min(how.code, OVERRIDE))
        value = np.where(found.same_etag, alike, CHANGED)
        value[found.committed_at <= self._shown_from_s[at]] = RETURNED
        codes = self.codes[at]
        if not how.decides:
            self.codes[at] = np.where(undecided, np.maximum(codes, value), codes)
            return
        self._continue_counts(found)
        for mine, theirs in (
            (self._outcomes, found.outcome), (self._tries, found.tries), (self._run, found.run),
            (self._first, found.first), (self._open, found.open),
        ):  # fmt: skip
            mine[at] = np.where(undecided, theirs, mine[at])
        self.codes[at] = np.where(undecided, value, codes)
        self.decided[at] |= found.here

    def _continue_counts(self, found: Comparison) -> None:
        """Continue to count the failures of photos that later runs have decided."""
        at = found.where
        continued = self._open[at] & found.here
        same = continued & found.same_etag & (found.tries > 0)
        self._tries[at] += np.where(same, found.tries, 0).astype(np.int32)
        self._first[at] = np.where(same, found.first, self._first[at])
        self._open[at] = np.where(continued, same & found.open, self._open[at])

    def end(self, now_s: float | None = None) -> None:
        """Decide, after every run has been compared, which failures are due and which wait."""
        covered = self.codes == COVERED
        failed = np.flatnonzero(covered & np.isin(self._outcomes, (CIRCUMSTANCES, NEEDS_EXTRA)))
        began = np.array([manifest.committed_at for manifest, _ in self.deciding], np.float64)
        age_s = (time.time() if now_s is None else now_s) - began[self._first[failed]]
        due = are_due(self._outcomes[failed], self._tries[failed], self._first[failed], age_s)
        self.codes[failed] = np.where(due, DUE, POSTPONED)

    def waiting(self) -> dict[str, int]:
        """Count photos covered by runs that are not live yet, by run id, without postponed ones."""
        counts = np.zeros(len(self.deciding), np.int64)
        for start in range(0, len(self.codes), PIECE_ROWS):  # bincount takes 12 bytes a row
            part = slice(start, start + PIECE_ROWS)
            runs = self._run[part][(self.codes[part] == COVERED) & (self._run[part] >= 0)]
            counts += np.bincount(runs, minlength=len(counts))
        return {
            manifest.run_id: int(count)
            for (manifest, how), count in zip(self.deciding, counts, strict=True)
            if how.waits and count
        }

    def latest(self) -> str:
        """Return the latest run that decides a photo which is covered or postponed; "" for none."""
        places = self._run[np.isin(self.codes, (COVERED, POSTPONED)) & (self._run >= 0)]
        return self.deciding[int(places.min())][0].run_id if len(places) else ""

    def given_up(self, code_version: str) -> int:
        """Count photos that failed for good, or by a limit, under another version of the code."""
        gone = (
            (self.codes == COVERED) & np.isin(self._outcomes, (PERMANENT, LIMIT)) & (self._run >= 0)
        )
        other = np.array([m.code_version != code_version for m, _ in self.deciding], bool)
        return int(other[self._run[gone]].sum()) if len(other) else 0


def compare_with_run(
    ours: pa.Table,
    rows: range,
    theirs: pa.Table,
    manifest: Manifest,
    failures: pa.Table | None,
    place: int,
) -> Comparison:
    """Compare a part of the list with one run's own list.

    ours: that part, which is `rows` of the list; theirs: rows of the run's own list
    failures: of the run, where it decides; place: the run's in `Nearness.deciding`
    """
    ids = one_array(ours["image_id"])
    at = pc.index_in(ids, one_array(theirs["image_id"]))
    count, name = len(rows), INPUT_OVERRIDE.name
    known = theirs.take(at)
    outcomes = np.zeros(count, np.int8) if failures is None else photo_outcomes(failures, ids)
    fails = np.isin(outcomes, (CIRCUMSTANCES, NEEDS_EXTRA))
    when = np.full(count, manifest.committed_at)
    which = np.full(count, place, np.int32)
    return Comparison(
        slice(rows.start, rows.stop),
        at.is_valid().to_numpy(zero_copy_only=False),
        same_texts(ours, known, "etag"),
        same_texts(ours, known, name),
        same_texts(ours, known, LISTED.name),
        outcomes,
        fails.astype(np.int32),
        fails,
        which,
        which,
        when,
    )


def same_texts(ours: pa.Table, theirs: pa.Table, name: str) -> RowFlags:
    """Return where a column has the same text in two tables, or is null in both: [rows]."""
    same: RowFlags = _same(_texts(ours, name), _texts(theirs, name)).to_numpy(zero_copy_only=False)
    return same


def _shown_from(inputs: pa.Table, forgotten: Forgotten) -> NDArray[np.float64]:
    """Return when each row's photo was shown again, seconds: -inf if always shown, inf if pruned.

    Runs committed before that may have lost its bytes, and no longer cover it.
    """
    since = forgotten.returned | dict.fromkeys(forgotten.ids("pruned"), np.inf)
    if not since:
        return np.broadcast_to(np.float64(-np.inf), inputs.num_rows)  # which takes no memory
    known, times = pa.array(list(since), pa.string()), np.array([*since.values(), -np.inf])
    shown, start = np.empty(inputs.num_rows, np.float64), 0
    for piece in pieces(inputs):
        at = pc.fill_null(pc.index_in(piece["image_id"], known), len(since)).to_numpy()
        shown[start : start + len(at)] = times[at]
        start += len(at)
    return shown


def _texts(table: pa.Table, name: str) -> pa.Array:
    """Return a column of texts; all null where the table lacks it."""
    if name not in table.column_names:
        return pa.nulls(table.num_rows, pa.string())
    return one_array(table[name])


def _same(ours: pa.Array, theirs: pa.Array) -> pa.Array:
    """Return where two columns have the same text or are both null."""
    both_null = pc.and_(pc.is_null(ours), pc.is_null(theirs))
    return pc.or_(pc.fill_null(pc.equal(ours, theirs), False), both_null)
