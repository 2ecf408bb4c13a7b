"""Write the pinned plan of a run once: spec.json and the input list. Read it in every worker.

The list is stored in files of TASKS_PER_FILE tasks with one row group per task, so a worker fetches
an object of about a megabyte and decodes one row group of it. A file is named by its content, and
spec.json lists the files in order. So two jobs that start the same run at the same time, even with
different task sizes, end up with one plan: that of the spec.json that was created first.
"""

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import structs

from pipeline.errors import LedgerError, RecordError
from pipeline.ledger.bounded_map import bounded_map
from pipeline.ledger.identity import RunSpec
from pipeline.ledger.layout import run_key, spec_key
from pipeline.ledger.plan import TaskCuts
from pipeline.ledger.records import InputFile, PinnedPlan, PinnedSpec, read_record, to_bytes
from pipeline.ledger.replaced import RESTORE, read_object
from pipeline.schema import INPUT_SEEN
from pipeline.storage.spool import release, spooled
from pipeline.storage.store import Store
from pipeline.words import counted, runs_command

TASKS_PER_FILE = 64
WRITERS = 8  # input files uploaded at a time


def read_spec(store: Store, run_id: str) -> PinnedSpec:
    """Read the run's spec.json. Raises RecordError, also where there is none."""
    key = spec_key(run_id)
    try:
        spec = read_record(store, key, PinnedSpec)
    except FileNotFoundError as error:
        missing = f"there is no run {run_id} in {store.uri}"
        advice = f"{runs_command('list', store.uri)} names those that there are."
        raise RecordError(key, missing, advice) from error
    if spec.run_id != run_id:
        raise RecordError(key, f"it is that of run {spec.run_id[:40]!r}", PinnedSpec.advice)
    return spec


def pin(store: Store, spec: RunSpec, inputs: pa.Table, cuts: TaskCuts) -> PinnedSpec:
    """Write the input files and then spec.json, once; return the spec that counts.

    The spec that counts is another job's if that job was first. Raises LedgerError if `inputs` is
    not the list that was cut.
    """
    if inputs.num_rows != cuts.rows:
        cut = counted(cuts.rows, "row")
        raise LedgerError(f"the plan has {cut} and the input list {inputs.num_rows:,}")
    with ThreadPoolExecutor(WRITERS) as pool:
        parts = _parts(inputs, cuts)
        files = tuple(bounded_map(pool, lambda part: _pin_file(store, spec.run_id, *part), parts))
    plan = PinnedPlan(
        rows=cuts.rows, tasks=cuts.task_count, tasks_per_file=TASKS_PER_FILE, files=files
    )
    pinned = PinnedSpec(**structs.asdict(spec), run_id=spec.run_id, plan=plan)
    if not store.create_once(spec_key(spec.run_id), to_bytes(pinned)):
        return read_spec(store, spec.run_id)
    return pinned


def _parts(inputs: pa.Table, cuts: TaskCuts) -> Iterator[tuple[pa.Table, list[range]]]:
    for first in range(0, cuts.task_count, TASKS_PER_FILE):
        tasks = [
            cuts.task_rows(n) for n in range(first, min(first + TASKS_PER_FILE, cuts.task_count))
        ]
        start, stop = tasks[0].start, tasks[-1].stop
        yield (
            inputs.slice(start, stop - start),
            [range(t.start - start, t.stop - start) for t in tasks],
        )
        release()


def _pin_file(store: Store, run_id: str, rows: pa.Table, tasks: list[range]) -> InputFile:
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, rows.schema, compression="zstd") as writer:
        for task in tasks:
            writer.write_table(rows.slice(task.start, len(task)), row_group_size=len(task))
    data = sink.getvalue().to_pybytes()
    sha256 = hashlib.sha256(data).hexdigest()
    store.create_once(input_key(run_id, sha256), data)
    ends = pc.min_max(rows["uri"]).as_py()
    return InputFile(
        sha256=sha256,
        rows=rows.num_rows,
        bytes=len(data),
        first_uri=ends["min"],
        last_uri=ends["max"],
    )


def task_rows(store: Store, spec: PinnedSpec, task: int) -> pa.Table:
    """Return the input rows of one task. Raises LedgerError for a task that is not in the plan."""
    plan = spec.plan
    if not 0 <= task < plan.tasks:
        raise LedgerError(f"run {spec.run_id} has tasks 0 to {plan.tasks - 1}, not {task}")
    number, group = divmod(task, plan.tasks_per_file)
    entry = plan.files[number]
    with _as_record_error(spec.run_id, entry):
        return _input_file(store, spec.run_id, entry.sha256).read_row_group(group)


def input_rows(
    store: Store, spec: PinnedSpec, columns: list[str] | None = None
) -> Iterator[pa.Table]:
    """Yield the rows of the pinned list, one file at a time. Raises RecordError."""
    for entry in spec.plan.files:
        yield input_file_rows(store, spec, entry, columns)


def whole_list(store: Store, spec: PinnedSpec) -> pa.Table:
    """Return all rows of the pinned list, in its order. Raises RecordError."""
    return spooled(input_rows(store, spec))


def input_file_rows(
    store: Store, spec: PinnedSpec, entry: InputFile, columns: list[str] | None = None
) -> pa.Table:
    """Read the rows of one input file of the plan. Raises RecordError.

    columns: those to read, where the file has them; None for all but the column that a plan adds.

    Rows that `erasing` has emptied are left out if `uri` is read, as they are of no use without an
    address. If only other columns are read, they are included.
    """
    with _as_record_error(spec.run_id, entry):
        rows = _input_file(store, spec.run_id, entry.sha256).read(columns)
    if "uri" in rows.column_names:
        rows = rows.filter(pc.not_equal(rows["uri"], ""))
    added = INPUT_SEEN.name if columns is None else ""
    return rows.drop_columns(added) if added in rows.column_names else rows


def input_file_tasks(
    store: Store, spec: PinnedSpec, number: int, more: Sequence[str] = ()
) -> pa.Table:
    """Read image_id, task and `more` columns of the rows of one input file of the plan.

    more: further columns; those that the list lacks are left out. Raises RecordError.
    """
    entry = spec.plan.files[number]
    first = number * spec.plan.tasks_per_file
    with _as_record_error(spec.run_id, entry):
        file = _input_file(store, spec.run_id, entry.sha256)
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        rows = file.read(["image_id", *more])
    task = pa.array(np.repeat(np.arange(len(sizes)) + first, sizes))
    return rows.add_column(1, "task", task)


def overlapping(
    uris: pa.Array | pa.ChunkedArray, files: Iterable[InputFile]
) -> Iterator[tuple[int, range]]:
    """Yield the input files whose uris overlap a sorted list: number, and rows of the list."""
    for number, entry in enumerate(files):
        first = bisect_left(range(len(uris)), entry.first_uri, key=lambda i: uris[i].as_py())
        last = bisect_right(range(len(uris)), entry.last_uri, key=lambda i: uris[i].as_py())
        if first < last:
            yield number, range(first, last)


@contextmanager
def _as_record_error(run_id: str, entry: InputFile) -> Iterator[None]:
    """Turn errors in reading an input file whose hash is right into a RecordError."""
    try:
        yield
    except (pa.ArrowException, IndexError) as error:
        key = input_key(run_id, entry.sha256)
        raise RecordError(key, f"it is not what the plan says: {error}", RESTORE) from error


@lru_cache(maxsize=4)
def _input_file(store: Store, run_id: str, sha256: str) -> pq.ParquetFile:
    """Open one input file and cache it: a worker's next task is usually in the same one."""
    data = read_object(store, input_key(run_id, sha256), sha256, "the run was planned")
    return pq.ParquetFile(BytesIO(data))


def input_key(run_id: str, sha256: str) -> str:
    """Return the key of a file of the pinned list."""
    return run_key(run_id, f"input/{sha256}.parquet")
