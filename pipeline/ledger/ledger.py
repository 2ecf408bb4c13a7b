"""Plan, record and commit a run in its output store, even if processes die or run twice.

Three kinds of objects are authoritative, and each is created once: spec.json (what the run is),
tasks/<n>.json (task n is done, in these files) and _MANIFEST.json (the run is committed). Data
files are written under unique names before any record names them. So an attempt that dies, is
repeated or comes too late leaves at most files that no record names. See `layout` for the keys.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import structs

from pipeline import schema
from pipeline.errors import LedgerError, RecordError
from pipeline.ledger.bounded_map import bounded_map
from pipeline.ledger.channels.channel import channel_name
from pipeline.ledger.channels.live import Standing, standing
from pipeline.ledger.columns import ColumnSource, column_entries
from pipeline.ledger.contents import RunContents
from pipeline.ledger.failures import failed_rows
from pipeline.ledger.figures import Figures
from pipeline.ledger.identity import Identity, RunSpec, spec_differences
from pipeline.ledger.layout import (
    TASK_FILE,
    data_key,
    figures_key,
    manifest_key,
    new_attempt,
    run_key,
    spec_key,
    task_key,
)
from pipeline.ledger.manifest import first_not_abandoned, read_committed, read_unless_abandoned
from pipeline.ledger.pictures import as_struct
from pipeline.ledger.pinned import pin, read_spec, task_rows
from pipeline.ledger.plan import TaskCuts
from pipeline.ledger.records import (
    FORMAT,
    DataFile,
    FailedPhoto,
    Manifest,
    PinnedSpec,
    TaskRecord,
    read_record,
    to_bytes,
)
from pipeline.ledger.stored_runs import next_commit_s
from pipeline.ledger.tables import TABLES, check_tables, encode_table, with_provenance
from pipeline.ledger.totals import RunTotals
from pipeline.storage.store import Store
from pipeline.storage.traffic import requests_so_far

READERS = 32  # task records fetched at a time
NOTHING = Figures()


class Ledger:
    """One run in one store. Cheap to create and pickle: workers build their own from the run id."""

    def __init__(self, store: Store, run_id: str) -> None:
        self.store = store
        self.run_id = run_id
        self._spec: PinnedSpec | None = None

    def __reduce__(self) -> tuple[Callable[[Store, str], "Ledger"], tuple[Store, str]]:
        return Ledger, (self.store, self.run_id)

    @classmethod
    def open(cls, store: Store, spec: RunSpec, inputs: pa.Table, cuts: TaskCuts) -> "Ledger":
        """Start the run of `spec`, or continue it if it was started before.

        A run that was started keeps its plan, whatever `cuts` is. Raises LedgerError where the
        store cannot create once.
        """
        spec = first_not_abandoned(store, spec)
        ledger = cls(store, spec.run_id)
        if store.exists(spec_key(spec.run_id)):
            ledger._spec = read_spec(store, spec.run_id)
        else:
            store.probe_create_once()
            ledger._spec = pin(store, spec, inputs, cuts)
        if differences := spec_differences(ledger._spec, spec):
            raise LedgerError(f"spec.json of run {spec.run_id} is not its own: {differences[0]}")
        return ledger

    @classmethod
    def resume(cls, store: Store, run_id: str, spec: RunSpec) -> "Ledger":
        """Continue the run `run_id` with its own pinned list, whatever the input holds now.

        Raises LedgerError if the job's settings, weights, detector or code are not the run's; the
        message names each difference. The list is not compared.
        """
        ledger = cls(store, run_id)
        ours = structs.replace(spec, input_sha256=ledger.spec.input_sha256)
        if differences := spec_differences(ledger.spec, ours):
            raise LedgerError(
                f"run {run_id} cannot go on with this job, which is another run: "
                f"{'; '.join(differences)}. Give the run's own settings, or begin a new run."
            )
        return ledger

    @property
    def spec(self) -> PinnedSpec:
        """spec.json: settings, hashes and the plan."""
        if self._spec is None:
            self._spec = read_spec(self.store, self.run_id)
        return self._spec

    @property
    def task_count(self) -> int:
        return self.spec.plan.tasks

    @property
    def rows(self) -> int:
        """Photos of the run."""
        return self.spec.plan.rows

    @property
    def is_committed(self) -> bool:
        return self.manifest is not None

    @property
    def manifest(self) -> Manifest | None:
        """The manifest of the run if it is committed, else None."""
        return read_committed(self.store, self.run_id)

    def pending(self) -> list[int]:
        """Return the numbers of the tasks that have no record yet; costs one listing."""
        done = set(self._recorded())
        return [n for n in range(self.task_count) if n not in done]

    def task_inputs(self, n: int) -> pa.Table:
        """Return the pinned input rows of task n."""
        return task_rows(self.store, self.spec, n)

    def commit_task(
        self,
        n: int,
        tables: Mapping[str, pa.Table],
        metrics: Figures = NOTHING,
        late: Callable[[], Figures] = Figures,
        attempt: str | None = None,
    ) -> TaskRecord:
        """Write the tables of task n and create its record; return the record that counts.

        late: called after the files are written, for figures that are known only then.
        attempt: a name from `new_attempt`. If another attempt's record came first, that one counts,
            and no record names the files written here. Raises LedgerError for bad or missing rows.
        """
        before = requests_so_far()
        inputs = self.task_inputs(n)
        check_tables(tables, inputs)
        attempt = attempt or new_attempt()
        files = tuple(self._write_table(n, attempt, name, table) for name, table in tables.items())
        transient = pc.equal(tables["images"]["error_kind"], "transient")
        requests = requests_so_far() - before
        requests["put"] += 1  # the record itself
        record = TaskRecord(
            task=n,
            attempt=attempt,
            images=inputs.num_rows,
            files=files,
            unsettled=tuple(tables["images"]["image_id"].filter(transient).to_pylist()),
            failures=tuple(FailedPhoto(**row) for row in failed_rows(tables["images"]).to_pylist()),
            metrics=metrics + Figures(requests=requests) + late(),
        )
        if self.store.create_once(task_key(self.run_id, n), to_bytes(record)):
            return record
        return self.record(n)

    def record(self, n: int) -> TaskRecord:
        """Read the record of a task that is done. Raises RecordError."""
        key = task_key(self.run_id, n)
        record = read_record(self.store, key, TaskRecord)
        if record.task != n:
            raise RecordError(key, f"it is that of task {record.task}", TaskRecord.advice)
        return record

    def records(self, tasks: Iterable[int] | None = None) -> Iterator[TaskRecord]:
        """Yield the records of tasks, None for all that are done; few are in memory at once."""
        with ThreadPoolExecutor(READERS) as pool:
            numbers = self._recorded() if tasks is None else tasks
            yield from bounded_map(pool, self.record, numbers, READERS)

    def finish(self, about: Mapping[str, Any]) -> Manifest:
        """Commit the run: check that nothing is missing, then create the manifest.

        about: the manifest's "verdict" (default "done"), "weights", "job" and "session". Returns
            the manifest that counts: if two jobs finish at once, the first one's.

        Raises LedgerError if the run was given up, tasks are open, rows out are not rows in, or a
        file is gone.
        """
        read_unless_abandoned(self.store, self.run_id)  # first: missing records would say less
        contents = RunContents.of(self.records())
        contents.check(self.store, self.run_id, self.spec.plan)
        known = standing(self.store)
        document = {
            "format": FORMAT,
            "run_id": self.run_id,
            "verdict": "done",
            "committed_at": next_commit_s(known.runs.committed),
            **self._column_entries(known, about),
            **{name: getattr(self.spec, name) for name in Identity.__struct_fields__},
            "rows": self.rows,
            "tasks": self.task_count,
            **contents.write(self.store, self.run_id),
            **about,
        }
        self.store.create_once(manifest_key(self.run_id), to_bytes(document))
        found = read_unless_abandoned(self.store, self.run_id)
        assert found is not None
        figures = RunTotals.of_manifest(found)
        self.store.create_once(figures_key(self.run_id), figures.metrics_json())
        return found

    def _write_table(self, n: int, attempt: str, name: str, table: pa.Table) -> DataFile:
        if schema.PROVENANCE[0].name in TABLES[name].names:
            table = with_provenance(table, self.run_id, self.spec.weights_sha256, time.time())
        if name == "crops" and self.spec.settings.get("picture_column") == "struct":
            table = as_struct(table)
        data = encode_table(table, self.spec.footer)
        key = data_key(self.run_id, name, n, attempt)
        self.store.write(key, data)
        return DataFile(name, key, table.num_rows, len(data), hashlib.sha256(data).hexdigest())

    def _column_entries(self, known: Standing, about: Mapping[str, Any]) -> dict[str, Any]:
        """Return the manifest's entries on the list's columns, compared with those of live runs.

        Empty if a record of another run is damaged, which must not keep this run from committing.
        """
        name = about.get("job", {}).get("channel") or channel_name(self.spec.settings)
        source = ColumnSource.of_list(self.run_id, self.task_inputs, self.task_count)
        try:
            return column_entries(self.store, known.live(name), source)
        except RecordError:
            return {}

    def _recorded(self) -> list[int]:
        """Return the numbers of the plan's tasks that have a record; ignore other objects."""
        prefix = run_key(self.run_id, "tasks/")
        names = (info.key[len(prefix) :] for info in self.store.list(prefix))
        numbers = (int(found[1]) for name in names if (found := TASK_FILE.fullmatch(name)))
        return sorted(n for n in numbers if n < self.task_count)
