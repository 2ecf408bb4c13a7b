"""The pinned plan of a run: spec.json and the input list, written once and read by every worker.

The list is stored in files of TASKS_PER_FILE tasks with one row group per task: a worker fetches
one object of a megabyte or so and decodes one row group of it. A file is named by its content and
spec.json names the files in order, so two jobs that begin the same run at once, even with
different task sizes, end with one plan: the one whose spec.json came first.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import lru_cache
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import LedgerError
from pipeline.ledger.plan import Plan, RunSpec
from pipeline.ledger.records import FORMAT, from_bytes, run_key, to_bytes
from pipeline.storage.store import Store

TASKS_PER_FILE = 64
WRITERS = 8  # input files uploaded at a time


def read_spec(store: Store, run_id: str) -> dict[str, Any]:
    """The run's spec.json. Raises LedgerError where there is none."""
    try:
        return from_bytes(store.read(run_key(run_id, "spec.json")), f"the spec of run {run_id}")
    except FileNotFoundError as error:
        raise LedgerError(f"there is no run {run_id} in {store.uri}") from error


def pin(store: Store, spec: RunSpec, inputs: pa.Table, plan: Plan) -> dict[str, Any]:
    """Write the input files and then spec.json, once; return the spec that counts.

    Raises LedgerError if the list does not belong to the plan.
    """
    if inputs.num_rows != plan.rows:
        raise LedgerError(f"the plan has {plan.rows} rows and the input list {inputs.num_rows}")
    with ThreadPoolExecutor(WRITERS) as pool:
        files = list(
            pool.map(lambda part: _pin_file(store, spec.run_id, *part), _parts(inputs, plan))
        )
    document = {
        "format": FORMAT,
        "run_id": spec.run_id,
        **asdict(spec),
        "plan": {
            "rows": plan.rows,
            "tasks": plan.task_count,
            "tasks_per_file": TASKS_PER_FILE,
            "files": files,
        },
    }
    if not store.create_once(run_key(spec.run_id, "spec.json"), to_bytes(document)):
        return read_spec(store, spec.run_id)
    return document


def _parts(inputs: pa.Table, plan: Plan) -> Iterator[tuple[pa.Table, list[range]]]:
    for first in range(0, plan.task_count, TASKS_PER_FILE):
        tasks = [
            plan.task_rows(n) for n in range(first, min(first + TASKS_PER_FILE, plan.task_count))
        ]
        start, stop = tasks[0].start, tasks[-1].stop
        yield (
            inputs.slice(start, stop - start),
            [range(t.start - start, t.stop - start) for t in tasks],
        )


def _pin_file(store: Store, run_id: str, rows: pa.Table, tasks: list[range]) -> dict[str, Any]:
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, rows.schema, compression="zstd") as writer:
        for task in tasks:
            writer.write_table(rows.slice(task.start, len(task)), row_group_size=len(task))
    data = sink.getvalue().to_pybytes()
    sha256 = hashlib.sha256(data).hexdigest()
    store.create_once(_input_key(run_id, sha256), data)
    ends = pc.min_max(rows["uri"]).as_py()
    return {
        "sha256": sha256,
        "rows": rows.num_rows,
        "bytes": len(data),
        "first_uri": ends["min"],  # lets a later run skip this file when it looks for its images
        "last_uri": ends["max"],
    }


def task_rows(store: Store, spec: dict[str, Any], task: int) -> pa.Table:
    """The input rows of one task. Raises LedgerError for a task that the plan does not have."""
    plan = spec["plan"]
    if not 0 <= task < plan["tasks"]:
        raise LedgerError(f"run {spec['run_id']} has tasks 0 to {plan['tasks'] - 1}, not {task}")
    number, group = divmod(task, plan["tasks_per_file"])
    file = _input_file(store, spec["run_id"], plan["files"][number]["sha256"])
    return file.read_row_group(group)


def input_rows(
    store: Store, spec: dict[str, Any], columns: list[str] | None = None
) -> Iterator[tuple[dict[str, Any], pa.Table]]:
    """Every input file of a run: its entry in the plan and its rows, one file at a time."""
    for entry in spec["plan"]["files"]:
        yield entry, input_file_rows(store, spec, entry, columns)


def input_file_rows(
    store: Store, spec: dict[str, Any], entry: dict[str, Any], columns: list[str] | None = None
) -> pa.Table:
    """The rows of the input file that `entry`, an item of the plan's "files", speaks of."""
    return _input_file(store, spec["run_id"], entry["sha256"]).read(columns)


@lru_cache(maxsize=4)
def _input_file(store: Store, run_id: str, sha256: str) -> pq.ParquetFile:
    """One input file, kept in memory: a worker's next task is usually in the same one."""
    data = store.read(_input_key(run_id, sha256))
    if hashlib.sha256(data).hexdigest() != sha256:
        raise LedgerError(f"the input file {sha256} of run {run_id} was changed in the store")
    return pq.ParquetFile(BytesIO(data))


def _input_key(run_id: str, sha256: str) -> str:
    return run_key(run_id, f"input/{sha256}.parquet")
