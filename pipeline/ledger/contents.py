"""Add up the task records of a run, check the result against the store, write the run's lists.

Records are processed one at a time and dropped. Only a row for every data file and every failed
photo is kept; many rows are spooled to disk (`storage.spool`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import LedgerError
from pipeline.ledger.figures import Figures
from pipeline.ledger.layout import data_prefix, data_task, task_key
from pipeline.ledger.manifest import FAILURES, FILES, UNSETTLED, write_list
from pipeline.ledger.records import DataFile, PinnedPlan, TableTotals, TaskRecord
from pipeline.ledger.tables import TABLES
from pipeline.storage.spool import Spool
from pipeline.storage.store import Store
from pipeline.words import counted

CHUNK_ROWS = 10_000  # rows that are Python objects before they become Arrow memory
HELD_ROWS = 20_000  # of a list kept in memory: rows are long, and there are several lists
STORED = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
    ]
)


class ListedRows:
    """Rows of a list; all but the last CHUNK_ROWS at most are in a spool."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self._spool = Spool(schema, HELD_ROWS)
        self._table: pa.Table | None = None
        self._waiting: list[tuple[Any, ...]] = []

    def add(self, values: tuple[Any, ...]) -> None:
        """Add one row; values: in the order of the schema."""
        self._waiting.append(values)
        if len(self._waiting) >= CHUNK_ROWS:
            self._pack()

    def table(self) -> pa.Table:
        """Return all rows in the order in which they were added; none can be added afterwards."""
        if self._table is None:
            self._pack()
            self._table = self._spool.table()
        return self._table

    def _pack(self) -> None:
        if self._waiting:
            columns = zip(*self._waiting, strict=True)
            arrays = [pa.array(c, f.type) for c, f in zip(columns, self.schema, strict=True)]
            self._spool.add(pa.table(arrays, schema=self.schema))
            self._waiting = []


@dataclass
class RunContents:
    """The sum of task records.

    tasks, photos: number of records, and of photos that went in
    metrics: of all tasks
    tables: totals by table
    files, unsettled, failures: rows of the lists that the manifest names
    lists_failures: whether every record lists its failed photos; those of earlier releases do not
    """

    tasks: int = 0
    photos: int = 0
    metrics: Figures = field(default_factory=Figures)
    tables: dict[str, TableTotals] = field(default_factory=dict)
    files: ListedRows = field(default_factory=lambda: ListedRows(FILES))
    unsettled: ListedRows = field(default_factory=lambda: ListedRows(UNSETTLED))
    failures: ListedRows = field(default_factory=lambda: ListedRows(FAILURES))
    lists_failures: bool = True

    @classmethod
    def of(cls, records: Iterable[TaskRecord]) -> "RunContents":
        """Add up the records of a run's tasks."""
        made = cls()
        for record in records:
            made.add(record)
        return made

    def add(self, record: TaskRecord) -> None:
        """Add one record."""
        self.tasks += 1
        self.photos += record.images
        self.metrics += record.metrics
        for file in record.files:
            self._add_file(file)
        for image_id in record.unsettled:
            self.unsettled.add((image_id,))
        self.lists_failures &= record.failures is not None
        for one in record.failures or ():
            self.failures.add((one.image_id, one.status, one.kind))

    def _add_file(self, file: DataFile) -> None:
        self.files.add((file.table, file.key, file.rows, file.bytes, file.sha256))
        so_far = self.tables.get(file.table, TableTotals(files=0, rows=0, bytes=0))
        self.tables[file.table] = TableTotals(
            files=so_far.files + 1, rows=so_far.rows + file.rows, bytes=so_far.bytes + file.bytes
        )

    def check(self, store: Store, run_id: str, plan: PinnedPlan) -> None:
        """Raise LedgerError if tasks are open, rows out are not rows in, or a file is gone."""
        if self.tasks != plan.tasks:
            missing = plan.tasks - self.tasks
            tasks = counted(plan.tasks, "task is not done", "tasks are not done")
            raise LedgerError(f"{missing} of {tasks}; run it again")
        rows = self.tables["images"].rows if "images" in self.tables else 0
        if rows != plan.rows or self.photos != plan.rows:
            photos, out = counted(plan.rows, "photo"), counted(rows, "row")
            raise LedgerError(f"{photos} went in and {out} came out")
        files = self.files.table()
        gone = np.ones(files.num_rows, bool)
        for name in TABLES:
            own = pc.equal(files["table"], name)
            there = _files_exist(store, data_prefix(run_id, name), files.filter(own))
            gone[own.to_numpy()] = ~there
        if gone.any():
            key = files["key"][int(np.argmax(gone))].as_py()
            task = data_task(key)
            record = "the task's record" if task is None else task_key(run_id, task)
            raise LedgerError(
                f"{key} is on record but missing or cut short in the store. Restore it from a "
                f"copy, or delete {record} and start the job again, which does the task again"
            )

    def write(self, store: Store, run_id: str) -> dict[str, Any]:
        """Write the lists; return the manifest's entries about the contents."""
        return {
            "tables": self.tables,
            "metrics": self.metrics,
            "files": write_list(store, run_id, "files", self.files.table()),
            "unsettled": write_list(store, run_id, "unsettled", self.unsettled.table()),
            "failures": write_list(store, run_id, "failures", self.failures.table())
            if self.lists_failures
            else None,
        }


def _files_exist(store: Store, prefix: str, files: pa.Table) -> NDArray[np.bool_]:
    """Return whether each file exists below a prefix with its recorded size: [files].

    files: with the columns FILES
    """
    listed = ListedRows(STORED)
    for info in store.list(prefix):
        listed.add((info.key, info.bytes))
    there = listed.table()
    place = pc.index_in(files["key"], value_set=there["key"])
    same = pc.equal(there["bytes"].take(place), files["bytes"])
    return pc.fill_null(same, False).to_numpy()  # type: ignore[no-any-return]
