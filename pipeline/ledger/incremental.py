"""Find the photos that no committed run covers, and say why each is to be done.

Of the committed runs with the same settings, weights and detector that had a photo, the latest
decides. The photo is covered if its ETag is still the same and it was settled: it has its crops, or
failed for good. What people decided about it (column `override` of the pinned lists) has to be the
same too. Runs with other settings in the same output change nothing about that. A list without
ETags says that its objects do not change: null equals null.

What counts is what is live in the channel or waits to be: a trial covers nothing, a run that was
rolled back covers nothing, and a run of another channel covers nothing here. A candidate does
cover its photos, or each night would do them again; `Todo.waiting` says how many and whose, so that
nobody has to find out. Forgotten photos are left out.

Only input lists are read, not data. A run's list is sorted and cut into files whose first and last
uri are in its spec, so of earlier runs only the files that overlap the new list are fetched.
"""

import time
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from pipeline.errors import RecordError
from pipeline.ledger.channels import channel_name, channel_of
from pipeline.ledger.forgetting import Forgotten, read_forgotten, without
from pipeline.ledger.identity import Identity, RunSpec, input_sha256
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.live import Standing, standing
from pipeline.ledger.manifest import unsettled_ids
from pipeline.ledger.pinned import input_file_rows, input_rows, overlapping, read_spec
from pipeline.ledger.records import Manifest, PinnedSpec
from pipeline.schema import INPUT_OVERRIDE
from pipeline.storage.store import Store

# How near the committed runs came to covering a photo; the largest value found counts.
NEW, CHANGED, WEIGHTS, SETTINGS, CHANNEL, TRIAL, WITHDRAWN, RETURNED, OVERRIDE, FAILED, COVERED = (
    range(11)
)
REASONS = {
    NEW: "new",  # no committed run has had it
    CHANGED: "changed",  # its ETag is another
    WEIGHTS: "weights",  # done with other weights or another detector
    SETTINGS: "settings",  # done with other settings
    CHANNEL: "channel",  # done for another channel
    TRIAL: "trial",  # done by a trial
    WITHDRAWN: "withdrawn",  # done by a run that was rolled back
    RETURNED: "returned",  # was forgotten or pruned, and is to be shown again
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
    channel: the one that they are done for
    waiting: photos covered by runs that are not live yet, by run id
    forgotten: photos of the list that are not to be shown, and therefore left out
    returned:  ids of photos that were pruned and are listed again
    ahead_s:   by how much the latest committed run is ahead of this machine's clock, seconds
    """

    inputs: pa.Table
    spec: RunSpec
    reasons: dict[str, int]
    covered: int
    damaged: Mapping[str, RecordError] = field(default_factory=dict)
    channel: str = ""
    waiting: Mapping[str, int] = field(default_factory=dict)
    forgotten: int = 0
    returned: tuple[str, ...] = ()
    ahead_s: float = 0.0


def uncovered(
    store: Store,
    spec: RunSpec,
    inputs: pa.Table,
    mode: str = "incremental",
    channel: str | None = None,
) -> Todo:
    """Compare a list (sorted by uri, as `list_inputs` gives it) with what is committed.

    mode: "incremental" leaves covered photos out, "full" does them again.
    spec: of the job; its `input_sha256` may be empty.
    channel: the one that photos are done for; None: named after the settings

    The spec returned has the hash of the rows to do. Its generation is one that no committed run
    has, since the same photos may be left over, or forced, more than once. Raises RecordError where
    the channel's last version, or the list of forgotten photos, cannot be used.
    """
    channel = channel or channel_name(spec.settings)
    stored = standing(store)  # once: `Ledger.open` sees a run that is committed later
    _ = stored.channel(channel)  # damaged, nothing could be promoted into it
    runs = stored.runs
    forgotten = read_forgotten(store)
    listed = inputs.num_rows
    inputs = without(inputs, pa.array(forgotten.ids("forgotten"), pa.string())).combine_chunks()
    found, damaged = _nearness(store, spec, inputs, stored, channel, forgotten)
    nearness = found.codes
    wanted = nearness < COVERED if mode == "incremental" else np.ones(len(nearness), bool)
    codes, counts = np.unique(nearness[wanted], return_counts=True)
    names = {**REASONS, COVERED: FORCED}
    rows = inputs.filter(pa.array(wanted)).combine_chunks()
    spec = replace(spec, input_sha256=input_sha256(rows), generation=0)
    taken = {manifest.run_id for manifest in runs.committed} | runs.damaged.keys()
    while spec.run_id in taken:
        spec = spec.next_generation()
    reasons = {names[int(code)]: int(count) for code, count in zip(codes, counts, strict=True)}
    pruned = pa.array(forgotten.ids("pruned"), pa.string())
    back = inputs["image_id"].filter(pc.is_in(inputs["image_id"], pruned))
    latest = max((manifest.committed_at for manifest in runs.committed), default=0.0)
    return Todo(
        rows,
        spec,
        reasons,
        covered=inputs.num_rows - rows.num_rows,
        damaged={**runs.damaged, **damaged},
        channel=channel,
        waiting=found.waiting if mode == "incremental" else {},
        forgotten=listed - inputs.num_rows,
        returned=tuple(back.to_pylist()),
        ahead_s=max(0.0, latest - time.time()),
    )


def resumed(store: Store, spec: RunSpec, run_id: str) -> Todo:
    """Return the pinned list of the uncommitted run `run_id`, whatever the input holds now.

    Raises LedgerError where `spec`, but for its list, is not the run's, saying what differs.
    """
    old = Ledger.resume(store, run_id, spec).spec
    rows = pa.concat_tables(input_rows(store, old)).combine_chunks()
    return Todo(rows, RunSpec.of(old), {RESUMED: rows.num_rows}, covered=0)


def _nearness(
    store: Store,
    spec: RunSpec,
    inputs: pa.Table,
    stored: Standing,
    channel: str,
    forgotten: Forgotten,
) -> tuple["_Nearness", dict[str, RecordError]]:
    """How near the committed runs, latest first, came to covering each row of `inputs`.

    Also, by run id, what kept a run from being looked at.
    """
    found = _Nearness(inputs, forgotten)
    damaged: dict[str, RecordError] = {}
    manifests = stored.runs.committed
    with ThreadPoolExecutor(READERS) as pool:
        specs = [pool.submit(read_spec, store, manifest.run_id) for manifest in manifests]
        for manifest, old in zip(manifests, specs, strict=True):
            try:
                how = _relation(stored, manifest, spec, channel)
                found.look_at(store, manifest, old.result(), how, pool)
            except RecordError as error:
                damaged[manifest.run_id] = error
    return found, damaged


@dataclass(frozen=True)
class _Relation:
    """What a committed run is to a job. decides: it may cover photos; code: else why not."""

    decides: bool
    code: int
    waits: bool = False  # it is not live yet


def _relation(stored: Standing, old: Manifest, new: Identity, channel: str) -> _Relation:
    if (old.weights_sha256, old.detector) != (new.weights_sha256, new.detector):
        return _Relation(False, WEIGHTS)
    if old.settings != new.settings:
        return _Relation(False, SETTINGS)
    state = stored.state(old, channel)
    if state == "trial":
        return _Relation(False, TRIAL)
    if state == "withdrawn":
        return _Relation(False, WITHDRAWN)
    if state == "candidate" and channel_of(old) != channel:
        return _Relation(False, CHANNEL)
    return _Relation(True, COVERED, waits=state == "candidate")


class _Nearness:
    """How near the runs looked at so far came to covering each row of a list."""

    def __init__(self, inputs: pa.Table, forgotten: Forgotten) -> None:
        self.inputs = inputs
        self.uris = inputs["uri"].combine_chunks()
        self.codes: Codes = np.full(inputs.num_rows, NEW, np.int8)  # [rows]
        self.decided = np.zeros(inputs.num_rows, bool)  # a run of the same kind had the photo
        self.waiting: dict[str, int] = {}
        self.shown_from_s = _shown_from(inputs, forgotten)  # [rows]

    def look_at(
        self, store: Store, manifest: Manifest, old: PinnedSpec, how: _Relation, pool: Executor
    ) -> None:
        """Take in one more run, older than those before. Raises RecordError."""
        unsettled = unsettled_ids(store, manifest) if how.decides else None
        overlaps = list(overlapping(self.uris, old.plan.files))
        columns = ["image_id", "etag", INPUT_OVERRIDE.name]  # the last not in every list
        fetch = partial(input_file_rows, store, old, columns=columns)
        fetched = pool.map(fetch, [old.plan.files[number] for number, _ in overlaps])
        for (_, rows), theirs in zip(overlaps, fetched, strict=True):
            ours = self.inputs.slice(rows.start, len(rows))
            here, same_etag, same_override, left = _compare(ours, theirs, unsettled)
            span = slice(rows.start, rows.stop)
            settled = np.where(left, FAILED, how.code)
            alike = np.where(same_override, settled, min(how.code, OVERRIDE))
            value = np.where(same_etag, alike, CHANGED)
            value[manifest.committed_at <= self.shown_from_s[span]] = RETURNED
            codes, decided = self.codes[span], self.decided[span]
            undecided = here & ~decided
            if how.decides:  # the latest run of the kind decides
                codes[undecided] = value[undecided]
                decided |= here
                covers = int((undecided & (value == COVERED)).sum()) if how.waits else 0
                if covers:
                    known = self.waiting.get(manifest.run_id, 0)
                    self.waiting[manifest.run_id] = known + covers
            else:
                codes[undecided] = np.maximum(codes, value)[undecided]


def _shown_from(inputs: pa.Table, forgotten: Forgotten) -> np.ndarray[Any, np.dtype[np.float64]]:
    """For each row since when the photo is shown again, seconds; pruned ones from now on.

    Runs committed before that may have lost its bytes, and cover it no longer.
    """
    since = forgotten.returned | dict.fromkeys(forgotten.ids("pruned"), np.inf)
    if not since:
        return np.full(inputs.num_rows, -np.inf)
    ids = inputs["image_id"].to_pylist()
    return np.array([since.get(image_id, -np.inf) for image_id in ids], np.float64)


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
