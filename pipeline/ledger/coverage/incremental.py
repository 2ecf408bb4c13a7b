"""Find the photos that no committed run covers, and the reason why each is to be done.

Of the committed runs with the same settings, weights and detector that had a photo, the latest
decides. The photo is covered if its ETag is unchanged and it was settled: it has its crops, or
failed for good. People's decisions about it (column `override` of the pinned lists), and the list's
values that decide its crops or their names (`listed`), have to be the same too. Runs with other
settings in the same output do not matter. In a list without ETags objects are assumed not to
change: null equals null. A photo that failed by circumstances is done again in nights 1, 2, 4, 8
and so on after its first failure (`failures`).

Only runs that are live in the channel, or may go live there, count: trials, runs that were rolled
back and runs of other channels cover nothing. A candidate does cover its photos, or each night
would do them again; `Todo.waiting` counts them by run. Forgotten photos are left out.

Only input lists are read, not data. A run's list is sorted and cut into files whose first and last
uri are in its spec, so only those files of earlier runs that overlap the new list are fetched. An
index stands for all but the latest runs (`covered`), so that many nights cost as much as a few.
Rows that are to be done name earlier photos that may have the same bytes (`seen`).
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace
from numpy.typing import NDArray

from pipeline.errors import RecordError
from pipeline.ledger.channels.channel import channel_name
from pipeline.ledger.channels.live import standing
from pipeline.ledger.coverage.compare import nearness_of
from pipeline.ledger.coverage.nearness import (
    CHANGED,
    CHANNEL,
    COVERED,
    DUE,
    FAILED,
    NEW,
    OVERRIDE,
    POSTPONED,
    RETURNED,
    ROW,
    SETTINGS,
    TRIAL,
    WEIGHTS,
    WITHDRAWN,
    Codes,
    Nearness,
)
from pipeline.ledger.coverage.seen import with_seen
from pipeline.ledger.coverage.unfinished import UnfinishedRun, similar_unfinished
from pipeline.ledger.forgetting import Forgotten, read_forgotten
from pipeline.ledger.identity import RunSpec, input_sha256
from pipeline.ledger.known_runs import started_run
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.pinned import read_spec, whole_list
from pipeline.ledger.stored_runs import StoredRuns, latest_commit_s
from pipeline.storage.spool import filtered, numbered_pieces
from pipeline.storage.store import Store

REASONS = {
    NEW: "new",  # no committed run has had it
    CHANGED: "changed",  # its ETag is different
    WEIGHTS: "weights",  # done with other weights or another detector
    SETTINGS: "settings",  # done with other settings
    CHANNEL: "channel",  # done for another channel
    TRIAL: "trial",  # done by a trial
    WITHDRAWN: "withdrawn",  # done by a run that was rolled back
    RETURNED: "returned",  # was forgotten or pruned, and is to be shown again
    OVERRIDE: "override changed",  # done with another override, or with none
    ROW: "row changed",  # done with other boxes of the list, or other columns in the crops' names
    DUE: "circumstances",  # failed by circumstances, and may work tonight
    FAILED: "failed",  # failed for a transient reason
}
REPEATS = (DUE, FAILED, POSTPONED)  # of photos that failed before, and may work now
RESUMED = "resumed"  # of a run that --resume names
FORCED = "forced"  # covered, and done again because --mode full asks for it


@dataclass(frozen=True)
class Todo:
    """What is left to do.

    inputs:  rows of the list to do, in its order
    spec:    the spec of a run that does them; two jobs that find the same rows left share it
    reasons: number of photos by the reason why they are done
    covered: number of photos left out
    damaged: by run id, why a committed run could not be read, so that it covers nothing
    channel: the channel that they are done for
    waiting: photos covered by runs that are not live yet, by run id
    forgotten: photos of the list that are not to be shown, and therefore left out
    returned:  ids of photos that were pruned and are listed again
    postponed: covered photos that failed by circumstances; a later night does them
    given_up:  covered photos that failed for good under another version of the code
    latest:    id of the latest run that decides a photo of those left out; "" if there is none
    unfinished: similar runs that were started but not committed, and are not resumed
    begun_tasks: tasks of the run if it was begun before, which keeps its plan; else 0
    repeats:   whether every photo to do has failed before; always so in a retry
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
    postponed: int = 0
    given_up: int = 0
    latest: str = ""
    unfinished: tuple[UnfinishedRun, ...] = ()
    begun_tasks: int = 0
    repeats: bool = False
    ahead_s: float = 0.0


def uncovered(
    store: Store,
    spec: RunSpec,
    inputs: pa.Table,
    mode: str = "incremental",
    channel: str | None = None,
) -> Todo:
    """Compare a list (sorted by uri, as `list_all` returns it) with what is committed.

    mode: "incremental" leaves covered photos out, "full" does them again.
    spec: of the job; its `input_sha256` may be empty.
    channel: the channel that photos are done for; None: named after the settings

    The spec returned has the hash of the rows to do. Its generation is one of which no run was
    committed or given up, since the same photos may be left over, or forced, more than once.
    Raises RecordError where the channel's last version, or the list of forgotten photos, cannot be
    used.
    """
    channel = channel or channel_name(spec.settings)
    stored = standing(store)  # once: `Ledger.open` sees a run that is committed later
    _ = stored.channel(channel)  # raises if damaged: nothing could be promoted into it
    runs, forgotten = stored.runs, read_forgotten(store)
    shown = filtered(inputs, ~_are_among(inputs, forgotten.ids("forgotten")))
    found, damaged = nearness_of(store, spec, shown, stored, channel, forgotten)
    is_incremental = mode == "incremental"
    wanted = found.codes < COVERED if is_incremental else np.ones(shown.num_rows, bool)
    rows, codes = filtered(shown, wanted), found.codes[wanted]
    spec = _of_new_run(replace(spec, input_sha256=input_sha256(rows), generation=0), runs)
    back = shown["image_id"].filter(pa.array(_are_among(shown, forgotten.ids("pruned"))))
    todo = Todo(
        rows,
        spec,
        _count_reasons(codes),
        covered=shown.num_rows - rows.num_rows,
        damaged={**runs.damaged, **damaged},
        channel=channel,
        forgotten=inputs.num_rows - shown.num_rows,
        returned=tuple(back.to_pylist()),
        unfinished=similar_unfinished(store, spec, rows, runs.open_ids),
        begun_tasks=begun_tasks(store, spec.run_id) if spec.run_id in runs.open_ids else 0,
        repeats=spec.parent is not None or bool(np.isin(codes, REPEATS).all()),
        ahead_s=max(0.0, latest_commit_s(runs.committed) - time.time()),
    )
    return _using_runs(store, todo, found, forgotten) if is_incremental else todo


def _of_new_run(spec: RunSpec, runs: StoredRuns) -> RunSpec:
    """Return the first generation of a spec that no run was committed, damaged or given up with."""
    taken = {manifest.run_id for manifest in runs.committed} | {*runs.damaged, *runs.abandoned_ids}
    while spec.run_id in taken:
        spec = spec.next_generation()
    return spec


def _count_reasons(codes: Codes) -> dict[str, int]:
    """Count photos to do by the name of the reason; two codes may have one name."""
    names = {**REASONS, COVERED: FORCED, POSTPONED: FORCED}
    reasons: dict[str, int] = {}
    for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
        reasons[names[int(code)]] = reasons.get(names[int(code)], 0) + int(count)
    return reasons


def _using_runs(store: Store, todo: Todo, found: Nearness, forgotten: Forgotten) -> Todo:
    """Add what committed runs spare: the photos left out, and results for the same bytes.

    The run's id stays as it is, since it depends on the list and not on other runs.
    """
    # Photos with the same bytes may have different boxes, in the list or in files of their own.
    like = [] if todo.spec.takes_boxes else [manifest for manifest, _ in found.deciding]
    alike = [run for run in like if run.code_version == todo.spec.code_version]
    left_out = pa.array(forgotten.ids("forgotten"), pa.string())
    return dataclasses.replace(
        todo,
        inputs=with_seen(store, todo.inputs, alike, left_out),
        waiting=found.waiting(),
        postponed=int((found.codes == POSTPONED).sum()),
        given_up=found.given_up(todo.spec.code_version),
        latest=found.latest(),
    )


def resumed(store: Store, spec: RunSpec, run_id: str) -> Todo:
    """Return the pinned list of the uncommitted run `run_id`, whatever the input holds now.

    Raises LedgerError, naming the differences, where `spec` except for its list is not the run's,
    and what `started_run` raises where there is no such run or it was given up.
    """
    started_run(store, run_id)
    old = Ledger.resume(store, run_id, spec).spec
    rows, spec = whole_list(store, old), RunSpec.of(old)
    reasons, is_retry = {RESUMED: rows.num_rows}, spec.parent is not None
    return Todo(rows, spec, reasons, 0, begun_tasks=old.plan.tasks, repeats=is_retry)


def begun_tasks(store: Store, run_id: str) -> int:
    """Return how many tasks the plan of a begun run has; 0 if there is none, or none to read."""
    try:
        return read_spec(store, run_id).plan.tasks
    except RecordError:  # `Ledger.open` reports it
        return 0


def _are_among(inputs: pa.Table, ids: Sequence[str]) -> NDArray[np.bool_]:
    """Return which rows of a list are photos with one of these ids: [rows]."""
    found = np.zeros(inputs.num_rows, bool)
    if not ids:
        return found
    known = pa.array(ids, pa.string())
    for start, piece in numbered_pieces(inputs):
        found[start : start + piece.num_rows] = pc.is_in(piece["image_id"], known).to_numpy()
    return found
