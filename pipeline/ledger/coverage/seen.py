"""Find photos of committed runs that may have the same bytes as photos of a new list.

This is a guess from the pinned lists (`plan.alike_key`); no photo and no result is read for it. The
worker that later reads a photo compares the hash of its bytes with the one that the run has stored.
If they are equal it takes over that result, else it decodes the photo.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import RecordError
from pipeline.ledger.bounded_map import bounded_map
from pipeline.ledger.failures import failures_of
from pipeline.ledger.pinned import input_file_tasks, read_spec
from pipeline.ledger.plan import alike_key
from pipeline.ledger.records import Manifest, PinnedSpec
from pipeline.ledger.tables import one_array
from pipeline.schema import INPUT_BOXES, INPUT_OVERRIDE, INPUT_SEEN
from pipeline.storage.spool import pieces, spooled
from pipeline.storage.store import Store

READERS = 16  # specs and input files fetched at a time
# Bounds on what a plan costs, however many nights there were: earlier runs that are read, rows of
# their lists that are read, and photos of the new list that are looked up.
MAX_RUNS = 32
MAX_LISTED_ROWS = 5_000_000
MAX_WANTED_KEYS = 1_000_000
_LIST_COLUMNS = ("uri", "etag", "bytes", INPUT_OVERRIDE.name, INPUT_BOXES.name)


def with_seen(
    store: Store, inputs: pa.Table, runs: Sequence[Manifest], left_out: pa.Array
) -> pa.Table:
    """Add the column `schema.INPUT_SEEN` to a list; return it unchanged where nothing is found.

    runs: committed runs whose results count for this list, the latest first.
    left_out: ids of photos whose results are not to be taken over.

    A run that cannot be read is skipped.
    """
    wanted = _wanted(inputs) if runs else set()
    found: dict[str, str] = {}
    for key, place in _places(store, _choose_runs(runs), wanted, left_out) if wanted else ():
        found.setdefault(key, place)
    if not found:
        return inputs
    return spooled(_with_places(piece, found) for piece in pieces(inputs))


def _choose_runs(runs: Sequence[Manifest]) -> list[Manifest]:
    """Choose at most MAX_RUNS runs, in their order: half the latest, half the largest others.

    Photos that are uploaded twice often come within days. Photos that are moved are often from a
    backfill, which is large.
    """
    latest = MAX_RUNS // 2
    others = range(min(latest, len(runs)), len(runs))
    by_size = sorted(others, key=lambda place: -runs[place].rows)[: MAX_RUNS - latest]
    return [*runs[:latest], *(runs[place] for place in sorted(by_size))]


def _wanted(inputs: pa.Table) -> set[str]:
    """Return the keys to look up: the first MAX_WANTED_KEYS distinct ones of the list."""
    wanted: dict[str, None] = {}
    for piece in pieces(inputs):
        wanted.update(dict.fromkeys(pc.unique(_own_keys(piece)).drop_null().to_pylist()))
        if len(wanted) >= MAX_WANTED_KEYS:
            break
    return set(islice(wanted, MAX_WANTED_KEYS))


def _with_places(rows: pa.Table, found: Mapping[str, str]) -> pa.Table:
    column = pa.array([found.get(key) for key in _own_keys(rows).to_pylist()], INPUT_SEEN.type)
    return rows.append_column(INPUT_SEEN, column)


def _own_keys(rows: pa.Table) -> pa.Array:
    """Return `alike_key`, null for photos with an override or given boxes, which decide crops."""
    keys = alike_key(rows)
    for field in (INPUT_OVERRIDE, INPUT_BOXES):
        if field.name in rows.column_names:
            has_value = one_array(pc.is_valid(rows[field.name]))
            keys = pc.if_else(has_value, pa.scalar(None, keys.type), keys)
    return keys


def _places(
    store: Store, runs: Sequence[Manifest], wanted: set[str], left_out: pa.Array
) -> Iterator[tuple[str, str]]:
    """Yield (key, place of its rows) of photos that have their crops, the latest runs first."""
    with ThreadPoolExecutor(READERS) as pool:
        lists = _lists(store, runs, left_out, pool)
        for found in bounded_map(pool, lambda one: _in_list(store, one, wanted), lists, READERS):
            yield from found


@dataclass(frozen=True)
class _List:
    """One file of a run's pinned list. left_out: ids of its photos that are skipped."""

    spec: PinnedSpec
    number: int
    left_out: pa.Array


def _lists(
    store: Store, runs: Sequence[Manifest], left_out: pa.Array, pool: Executor
) -> Iterator[_List]:
    """Yield the files of the runs' lists, as many as a plan may read."""
    listed = 0
    for found in bounded_map(pool, lambda run: _read_run(store, run), runs, READERS):
        if found is None:
            continue
        spec, failed = found
        passed_over = pa.concat_arrays([failed, left_out])
        for number, file in enumerate(spec.plan.files):
            listed += file.rows
            if listed > MAX_LISTED_ROWS:
                return
            yield _List(spec, number, passed_over)


def _read_run(store: Store, run: Manifest) -> tuple[PinnedSpec, pa.Array] | None:
    """Read a run's spec and the ids of its failed photos; None where it cannot be read."""
    try:
        failures = failures_of(store, run)
        return read_spec(store, run.run_id), one_array(failures["image_id"]).cast(pa.string())
    except RecordError:
        return None


def _in_list(store: Store, one: _List, wanted: set[str]) -> list[tuple[str, str]]:
    try:
        rows = input_file_tasks(store, one.spec, one.number, _LIST_COLUMNS)
    except RecordError:
        return []
    keys = _own_keys(rows)
    fits = pa.array([key in wanted for key in keys.to_pylist()], pa.bool_())
    fits = pc.and_(fits, pc.invert(pc.is_in(one_array(rows["image_id"]), one.left_out)))
    hits = zip(*(rows[name].filter(fits).to_pylist() for name in ("task", "image_id")), strict=True)
    places = (f"{one.spec.run_id}/{task}/{image_id}" for task, image_id in hits)
    return list(zip(keys.filter(fits).to_pylist(), places, strict=True))
