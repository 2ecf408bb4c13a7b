"""Update Iceberg tables to the files that follow from their runs, each in one commit.

A table's properties list the runs that it has (`iceberg_runs`). A commit that loses a race is
started again from the other's result.
"""

import json
import re
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from pipeline.errors import LedgerError, SettingError, UsageError
from pipeline.extras import extra_needed
from pipeline.ledger.forgetting import read_forgotten
from pipeline.ledger.table_formats.iceberg_files import Ids, WantedFile, wanted_files, write_copy
from pipeline.ledger.table_formats.iceberg_runs import LAYERS, PublishedRuns
from pipeline.ledger.table_formats.iceberg_types import (
    TYPES,
    Casts,
    as_ledger_error,
    casts_in,
    casts_of,
    files_of,
    optional,
    own_columns,
    plain_texts,
)
from pipeline.ledger.table_formats.published_rows import RunPhotos, photos_of_run
from pipeline.ledger.tables import TABLES, read_columns
from pipeline.storage.store import Store

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table, Transaction

RunsOf: TypeAlias = Callable[[PublishedRuns], PublishedRuns]

NAMESPACE = "s2cnet"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
# Other engines must not delete data files, and pyiceberg must not retry commits by itself: what a
# run replaces has to be found again after another's commit.
PROPERTIES = {"gc.enabled": "false", "commit.retry.num-retries": "0"}
# A key for each catalogue with tables except the store's own.
CATALOGS_PREFIX = "_iceberg/catalogs/"
READERS = 16  # files read at a time
ATTEMPTS = 20
PAUSE_S = 0.1


class IcebergTables:
    """The tables of one namespace of a catalogue."""

    def __init__(self, store: Store, catalog: str | None, namespace: str) -> None:
        with extra_needed():
            from pipeline.ledger.table_formats.iceberg_catalog import location_of, open_catalog
        for option, name in (("catalog", catalog), ("namespace", namespace)):
            if name is not None and not NAME.fullmatch(name):
                raise SettingError(option, f"{name!r} is no name: letters, digits, ., _ and -")
        if catalog is None and namespace != NAMESPACE:
            raise SettingError("namespace", "is of a catalogue: name one with --catalog")
        self.store, self.catalog_name, self.namespace = store, catalog, namespace
        self.catalog: Catalog = open_catalog(store, catalog)
        self.root = location_of(store, "")
        self._known_runs: dict[str, RunPhotos | None] = {}

    def keys(self) -> set[str]:
        """Return the keys of the files that the tables have now."""
        found = (self._load(name) for name in TABLES if name not in self.elsewhere)
        return {key for table in found if table is not None for key in self._files(table)}

    @cached_property
    def elsewhere(self) -> dict[str, str]:
        """The tables whose files are at another address than the output, and what to do, by name.

        So are those of an output that was moved or copied with its `_iceberg/`.
        """
        found = {name: self._any(name) for name in TABLES}
        return {
            name: self._advice(name, table.location())
            for name, table in found.items()
            if table is not None and not table.location().startswith(self.root)
        }

    def update(self, runs_of: RunsOf, leave_out: Collection[str] = ()) -> dict[str, int | None]:
        """Update every table to its runs; runs_of: returns these, given the runs that it has.

        leave_out: names of tables that stay as they are.
        """
        if self.catalog_name is not None:  # before there are tables that `gc` has to find
            self.store.create_once(f"{CATALOGS_PREFIX}{self.catalog_name}={self.namespace}", b"")
            self.catalog.create_namespace_if_not_exists(self.namespace)
        hidden = frozenset(read_forgotten(self.store).hidden.to_pylist())
        names = [name for name in TABLES if name not in leave_out]
        found = {name: self._update(name, runs_of, hidden) for name in names}
        return {name: number for name, number in found.items() if number != 0}

    def _update(self, name: str, runs_of: RunsOf, hidden: Ids) -> int | None:
        """Update one table to its runs; return its number, None for no change, 0 for no table."""
        from pyiceberg.exceptions import CommitFailedException, ValidationException

        refused: Exception | None = None
        for _ in range(ATTEMPTS):
            table = self._load(name)
            recorded = PublishedRuns.of({} if table is None else table.properties)
            runs = runs_of(recorded)
            own = self._photos_of(runs)
            if table is None:
                columns = [one for run in own if (one := files_of(self.store, run, name))]
                if not columns:
                    return 0
                table = self._create(name, self._columns([columns[0][0].key])[0])
            new = [run for run in own if run.manifest.run_id not in recorded.ids]
            known, there = table.properties.get(TYPES, ""), table.schema().as_arrow()
            columns_in = cache(partial(own_columns, self.store, name))
            casts = casts_of(self.store, name, known, there, new, own, columns_in)
            copies = f"_iceberg/{name}/data/"
            files = wanted_files(self.store, name, own, hidden, copies, casts, columns_in)
            try:
                return self._commit(table, {f.key: f for f in files}, runs, casts)
            except (CommitFailedException, ValidationException) as error:
                refused = error
                time.sleep(PAUSE_S)
            except (UsageError, LedgerError):  # of our own store, which are OSErrors too
                raise
            except OSError as error:
                raise LedgerError(
                    f"files of the Iceberg table {name} cannot be written: {error}; "
                    "docs/ENGINES.md says what a store has to take; publish again"
                ) from error
        raise LedgerError(f"the Iceberg table {name} takes no commit: {refused}; publish again")

    def _commit(
        self, table: "Table", wanted: dict[str, WantedFile], runs: PublishedRuns, casts: Casts
    ) -> int | None:
        from pyiceberg.io.pyarrow import parquet_file_to_data_file
        from pyiceberg.table import TableProperties

        now = self._files(table)
        new = [file for key, file in wanted.items() if key not in now]
        added = [f for f in new if f.source is None or write_copy(self.store, f)]
        removed = [file for key, file in now.items() if key not in wanted]
        if not added and not removed and PublishedRuns.of(table.properties) == runs:
            return None
        with table.transaction() as change:
            mapping = change.table_metadata.schema().name_mapping
            if change.table_metadata.name_mapping() is None:
                mapped = {TableProperties.DEFAULT_NAME_MAPPING: mapping.model_dump_json()}
                change.set_properties(mapped)
            self._widen(change, table, added, casts)
            about = {TYPES: json.dumps(casts)} if casts else {}
            if LAYERS in table.properties:
                change.remove_properties(LAYERS)
            change.set_properties({**runs.properties, **about})
            if added or removed:

                def described(file: WantedFile) -> "DataFile":
                    place = f"{self.root}{file.key}"
                    return parquet_file_to_data_file(table.io, change.table_metadata, place)

                with (
                    as_ledger_error(str(table.name()[-1])),
                    ThreadPoolExecutor(READERS) as pool,  # one or two requests per file
                ):
                    data_files = list(pool.map(described, added))
                with change.update_snapshot(runs.properties).overwrite() as snapshot:
                    for one in data_files:
                        snapshot.append_data_file(one)
                    for gone in removed:
                        snapshot.delete_data_file(gone)
        return int(getattr(table.metadata, "last_sequence_number", 0)) or None  # none in format 1

    def _widen(
        self, change: "Transaction", table: "Table", files: Iterable[WantedFile], casts: Casts
    ) -> None:
        """Give a table the columns that it lacks, and new types. Raises LedgerError."""
        cast = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in casts.items()])
        there = change.table_metadata.schema().as_arrow()
        with as_ledger_error(str(table.name()[-1])), change.update_schema() as update:
            for name in set(casts_in(casts, plain_texts(there))):
                update.delete_column(name)
        keys = {key.rpartition("/")[0]: key for key in (f.source or f.key for f in files)}
        for columns in self._columns(keys.values()):
            left = pa.schema([one for one in columns if one.name not in casts])
            named = [one for one in cast if one.name in columns.names]
            with as_ledger_error(str(table.name()[-1])), change.update_schema() as update:
                update.union_by_name(pa.schema([*left, *named]))

    def _columns(self, keys: Iterable[str]) -> list[pa.Schema]:
        """Read the columns of files. keys: one per run is enough, as its files have the same."""
        return [optional(read_columns(self.store, key)) for key in keys]

    def _create(self, name: str, schema: pa.Schema) -> "Table":
        place = f"{self.root}_iceberg/{name}"
        with as_ledger_error(name):
            return self.catalog.create_table(
                (self.namespace, name), schema, place, properties=dict(PROPERTIES)
            )

    def _load(self, name: str) -> "Table | None":
        """Load a table; None where there is none. Raises LedgerError for one of another output."""
        table = self._any(name)
        if table is not None and not table.location().startswith(self.root):
            raise LedgerError(self._advice(name, table.location()))
        return table

    def _any(self, name: str) -> "Table | None":
        from pyiceberg.exceptions import NoSuchTableError

        try:
            return self.catalog.load_table((self.namespace, name))
        except NoSuchTableError:
            return None

    def _advice(self, name: str, location: str) -> str:
        """Say that a table is that of another output, and what to do."""
        if self.catalog_name is None:
            return (
                f"the Iceberg table {name} was published when the output was at {location}: "
                "publish from there again if it still is, or delete `_iceberg/` here and publish "
                "again"
            )
        return (
            f"the table {self.namespace}.{name} of catalogue {self.catalog_name} is that of "
            f"another output, {location}; choose another namespace, or drop it if this output was "
            "there"
        )

    def _files(self, table: "Table") -> "dict[str, DataFile]":
        """Return the data files that a table has now, by key."""
        tasks = table.scan().plan_files()
        return {task.file.file_path.removeprefix(self.root): task.file for task in tasks}

    def _photos_of(self, runs: PublishedRuns) -> list[RunPhotos]:
        """Read the photos of a table's runs, without those that are not committed."""
        layers: Sequence[int | None] = runs.layers or [None] * len(runs.ids)
        found = [(self._run(one), at) for one, at in zip(runs.ids, layers, strict=True)]
        return [replace(run, layer=at) for run, at in found if run is not None]

    def _run(self, run_id: str) -> RunPhotos | None:
        if run_id not in self._known_runs:
            self._known_runs[run_id] = photos_of_run(self.store, run_id)
        return self._known_runs[run_id]
