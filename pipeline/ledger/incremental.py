"""Find the photos that no committed run covers, and say why each is to be done.

Of the committed runs with the same settings, weights and detector that had a photo, the latest
decides. The photo is covered if its ETag is still the same and it was settled: it has its crops, or
failed for good. What people decided about it (column `override` of the pinned lists) has to be the
same too. Runs with other settings in the same output change nothing about that. A list without
ETags says that its objects do not change: null equals null.

Only input lists are read, not data. A run's list is sorted and cut into files whose first and last
uri are in its spec, so of earlier runs only the files that overlap the new list are fetched.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from pipeline.errors import RecordError
from pipeline.ledger.identity import Identity, RunSpec, input_sha256
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.manifest import unsettled_ids
from pipeline.ledger.pinned import input_file_rows, input_rows, read_spec
from pipeline.ledger.reader import stored_runs
from pipeline.ledger.records import InputFile, Manifest, PinnedSpec
from pipeline.schema import INPUT_OVERRIDE
from pipeline.storage.store import Store

# How near the committed runs came to covering a photo; the largest value found counts.
NEW, CHANGED, WEIGHTS, SETTINGS, OVERRIDE, FAILED, COVERED = range(7)
REASONS = {
    NEW: "new",  # no committed run has had it
    CHANGED: "changed",  # its ETag is another
    WEIGHTS: "weights",  # done with other weights or another detector
    SETTINGS: "settings",  # done with other settings
    OVERRIDE: "override changed",  # done with another override, or with none
    FAILED: "failed",  # failed for a transient reason
}
RESUMED = "resumed"  # of a run that --resume names
FORCED = "forced"  # covered, and done again because --mode full asks for it
READERS = 16  # specs and input files fetched at a time

Codes = np.ndarray[Any, np.dtype[np.int8]]  # [rows] one of NEW … COVERED


@dataclass(frozen=True)
class Todo:
    """What is left to do.

    inputs:  rows of the list to do, in its order
    spec:    the spec of a run that does them; two jobs that find the same left have the same
    reasons: photos by why they are done
    covered: photos left out
    damaged: by run id, why a committed run could not be looked at, so that it covers nothing
    """

    inputs: pa.Table
    spec: RunSpec
    reasons: dict[str, int]
    covered: int
    damaged: Mapping[str, RecordError] = field(default_factory=dict)


def uncovered(store: Store, spec: RunSpec, inputs: pa.Table, mode: str = "incremental") -> Todo:
    """Compare a list (sorted by uri, as `list_inputs` gives it) with what is committed.

    mode: "incremental" leaves covered photos out, "full" does them again.
    spec: of the job; its `input_sha256` may be empty.

    The spec returned has the hash of the rows to do. Its generation is one that no committed run
    has, since the same photos may be left over, or forced, more than once.
    """
    runs = stored_runs(store)  # once: `Ledger.open` sees a run that is committed later
    nearness, damaged = _nearness(store, spec, inputs, runs.committed)
    wanted = nearness < COVERED if mode == "incremental" else np.ones(len(nearness), bool)
    codes, counts = np.unique(nearness[wanted], return_counts=True)
    names = {**REASONS, COVERED: FORCED}
    rows = inputs.filter(pa.array(wanted)).combine_chunks()
    spec = replace(spec, input_sha256=input_sha256(rows), generation=0)
    taken = {manifest.run_id for manifest in runs.committed} | runs.damaged.keys()
    while spec.run_id in taken:
        spec = spec.next_generation()
    reasons = {names[int(code)]: int(count) for code, count in zip(codes, counts, strict=True)}
    left_out = inputs.num_rows - rows.num_rows
    return Todo(rows, spec, reasons, covered=left_out, damaged={**runs.damaged, **damaged})


def resumed(store: Store, spec: RunSpec, run_id: str) -> Todo:
    """Return the pinned list of the uncommitted run `run_id`, whatever the input holds now.

    Raises LedgerError where `spec`, but for its list, is not the run's, saying what differs.
    """
    old = Ledger.resume(store, run_id, spec).spec
    rows = pa.concat_tables(input_rows(store, old)).combine_chunks()
    return Todo(rows, RunSpec.of(old), {RESUMED: rows.num_rows}, covered=0)


def _nearness(
    store: Store, spec: RunSpec, inputs: pa.Table, manifests: list[Manifest]
) -> tuple[Codes, dict[str, RecordError]]:
    """How near the committed runs, latest first, came to covering each row of `inputs`.

    Also, by run id, what kept a run from being looked at.
    """
    found = _Nearness(inputs)
    damaged: dict[str, RecordError] = {}
    with ThreadPoolExecutor(READERS) as pool:
        specs = [pool.submit(read_spec, store, manifest.run_id) for manifest in manifests]
        for manifest, old in zip(manifests, specs, strict=True):
            try:
                found.look_at(store, manifest, old.result(), spec, pool)
            except RecordError as error:
                damaged[manifest.run_id] = error
    return found.codes, damaged


class _Nearness:
    """How near the runs looked at so far came to covering each row of a list."""

    def __init__(self, inputs: pa.Table) -> None:
        self.inputs = inputs
        self.uris = inputs["uri"].combine_chunks()
        self.codes: Codes = np.full(inputs.num_rows, NEW, np.int8)  # [rows]
        self.decided = np.zeros(inputs.num_rows, bool)  # a run of the same kind had the photo

    def look_at(
        self, store: Store, manifest: Manifest, old: PinnedSpec, new: RunSpec, pool: Executor
    ) -> None:
        """Take in one more run, older than those before. Raises RecordError."""
        same_kind, code = _kind(new, old)
        unsettled = unsettled_ids(store, manifest) if same_kind else None
        overlaps = list(_overlaps(self.uris, old.plan.files))
        columns = ["image_id", "etag", INPUT_OVERRIDE.name]  # the last not in every list
        fetch = partial(input_file_rows, store, old, columns=columns)
        fetched = pool.map(fetch, [entry for entry, _ in overlaps])
        for (_, rows), theirs in zip(overlaps, fetched, strict=True):
            ours = self.inputs.slice(rows.start, len(rows))
            here, same_etag, same_override, left = _compare(ours, theirs, unsettled)
            settled = np.where(left, FAILED, code)
            decided_alike = np.where(same_override, settled, min(code, OVERRIDE))
            value = np.where(same_etag, decided_alike, CHANGED)
            span = slice(rows.start, rows.stop)
            codes, decided = self.codes[span], self.decided[span]
            undecided = here & ~decided
            if same_kind:  # the latest run of the kind decides
                codes[undecided] = value[undecided]
                decided |= here
            else:
                codes[undecided] = np.maximum(codes, value)[undecided]


def _kind(new: Identity, old: Identity) -> tuple[bool, int]:
    """Whether an earlier run has the same settings, weights and detector; if not, what differs."""
    if (old.weights_sha256, old.detector) != (new.weights_sha256, new.detector):
        return False, WEIGHTS
    if old.settings != new.settings:
        return False, SETTINGS
    return True, COVERED


def _overlaps(uris: pa.Array, files: Iterable[InputFile]) -> Iterable[tuple[InputFile, range]]:
    """The input files whose range of uris overlaps ours, each with our rows in that range."""
    for entry in files:
        first = bisect_left(range(len(uris)), entry.first_uri, key=lambda i: uris[i].as_py())
        last = bisect_right(range(len(uris)), entry.last_uri, key=lambda i: uris[i].as_py())
        if first < last:
            yield entry, range(first, last)


def _compare(
    ours: pa.Table, theirs: pa.Table, unsettled: pa.Array | None
) -> tuple[Any, Any, Any, Any]:
    """For each of our rows: is it in theirs, with the same ETag, the same override, and unsettled.

    Boolean arrays.
    """
    ids = ours["image_id"].combine_chunks()
    at = pc.index_in(ids, theirs["image_id"].combine_chunks())
    here = pc.is_valid(at)
    same_etag = _same(_column(ours, "etag"), _column(theirs, "etag").take(at))
    override = INPUT_OVERRIDE.name
    same_override = _same(_column(ours, override), _column(theirs, override).take(at))
    left = pc.is_in(ids, unsettled) if unsettled is not None else pa.array([False] * len(ids))
    flags = (here, same_etag, same_override, left)
    return tuple(one.to_numpy(zero_copy_only=False) for one in flags)


def _column(table: pa.Table, name: str) -> pa.Array:
    """A column of texts; all null where the table has none of that name."""
    if name not in table.column_names:
        return pa.nulls(table.num_rows, pa.string())
    return table[name].combine_chunks()


def _same(ours: pa.Array, theirs: pa.Array) -> pa.Array:
    """Where two columns have the same text or are both null."""
    both_null = pc.and_(pc.is_null(ours), pc.is_null(theirs))
    return pc.or_(pc.fill_null(pc.equal(ours, theirs), False), both_null)
