"""Give each column of several runs one type, whatever types their lists had."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from pipeline.errors import did_you_mean
from pipeline.ledger.manifest import data_files
from pipeline.ledger.pinned import input_rows, read_spec
from pipeline.ledger.records import Manifest
from pipeline.ledger.tables import TABLES, columns_of_files, read_table
from pipeline.ledger.unify import TEXT, cast_column, shared_type
from pipeline.schema import CROPS, IMAGES, INPUTS, pass_through
from pipeline.storage.store import Store

READERS = 16  # runs read at a time


@dataclass(frozen=True)
class ColumnSource:
    """A run whose columns are compared. read: yields a column's values, a file at a time."""

    run_id: str
    schema: pa.Schema
    read: Callable[[str], Iterable[pa.ChunkedArray]]

    @classmethod
    def of_list(cls, run_id: str, rows: Callable[[int], pa.Table], tasks: int) -> "ColumnSource":
        """Take the pass-through columns of a run's pinned list. rows: reads a task's, by number."""
        listed = rows(0).schema if tasks else INPUTS
        own = pa.schema(pass_through(listed))
        return cls(run_id, own, lambda column: (rows(n)[column] for n in range(tasks)))


@dataclass(frozen=True)
class Unified:
    """A column whose type differs between runs.

    type: the type that all its rows have now
    was:  ids of the runs by the type that the column had in them
    """

    column: str
    type: pa.DataType
    was: Mapping[pa.DataType, tuple[str, ...]]

    def __str__(self) -> str:
        kind = "text" if self.type == TEXT else str(self.type)
        types = (
            f"{one} in run {runs[0]}" + (f" and {len(runs) - 1} more" if runs[1:] else "")
            for one, runs in self.was.items()
        )
        return f"{self.column} is {kind}: {', '.join(types)}"

    def entry(self) -> dict[str, Any]:
        """Return JSON for a manifest: the type, and by former type its runs (number, latest id)."""
        was = {str(one): {"runs": len(ids), "latest": ids[0]} for one, ids in self.was.items()}
        return {"type": str(self.type), "was": was}


@dataclass(frozen=True)
class Columns:
    """The columns of `images` of several runs.

    types:   of every column that a run has, by name
    unified: those whose type differs between runs, by name
    """

    types: Mapping[str, pa.DataType]
    unified: Mapping[str, Unified]

    def declared(self, table: str) -> dict[str, pa.DataType]:
        """Return the type of each column that files of a table can have: ours and the lists'.

        Those of `images` alone are not of `crops`, where they would be null.
        """
        lists = self.types.keys() - set(IMAGES.names) if table in ("images", "crops") else ()
        return {
            **{name: self.types[name] for name in sorted(lists)},
            **{field.name: field.type for field in TABLES[table]},
        }

    def cast(self, rows: pa.Table) -> pa.Table:
        """Cast rows to the types that their columns have in all runs."""
        for name in self.unified.keys() & set(rows.column_names):
            place, wanted = rows.schema.get_field_index(name), self.unified[name].type
            column = cast_column(rows[name], wanted)
            rows = rows.set_column(place, pa.field(name, wanted), column)
        return rows


def columns_of(store: Store, manifests: Sequence[Manifest]) -> Columns:
    """Return the columns of runs; all files of a run have the same. Raises RecordError.

    Reads one file of `images` of each run, and the values of columns whose types differ.
    """
    return _compared(_sources(store, manifests))


def column_entries(store: Store, live: Sequence[Manifest], own: ColumnSource) -> dict[str, Any]:
    """Return the entries of a run's manifest on the columns of lists, given the live runs.

    `columns`: the type of each, in the run's list or in those before it. `unified`: for those that
    differ between the run and the live ones, the common type, and which runs had which. Costs
    nothing if the latest live run had the same types and nothing differed there. Raises
    RecordError.
    """
    mine = {field.name: str(field.type) for field in own.schema}
    before = live[0].columns if live else {}
    differed = bool(live and live[0].unified)
    if before is not None and not differed and _agree(before, mine):
        return {"columns": {**before, **mine}}
    found = _compared([own, *_sources(store, live)])
    ours = {*IMAGES.names, *CROPS.names}
    theirs = {n: str(kind) for n, kind in found.types.items() if n not in ours}
    unified = {name: one.entry() for name, one in found.unified.items() if name not in ours}
    return {"columns": {**theirs, **mine}, "unified": unified}


def _agree(before: Mapping[str, str], mine: Mapping[str, str]) -> bool:
    return all(before.get(name, kind) == kind for name, kind in mine.items())


def _sources(store: Store, manifests: Sequence[Manifest]) -> list[ColumnSource]:
    with ThreadPoolExecutor(READERS) as pool:
        files = pool.map(lambda one: data_files(store, one, "images"), manifests)
        schemas = list(pool.map(lambda of_run: columns_of_files(store, of_run), files))
    return [
        ColumnSource(manifest.run_id, schema, partial(column_values, store, manifest))
        for manifest, schema in zip(manifests, schemas, strict=True)
    ]


def _compared(sources: Iterable[ColumnSource]) -> Columns:
    types: dict[str, dict[pa.DataType, list[ColumnSource]]] = {}
    for source in sources:
        for field in source.schema:
            types.setdefault(field.name, {}).setdefault(field.type, []).append(source)
    unified = {name: _unified(name, was) for name, was in types.items() if len(was) > 1}
    single = {name: next(iter(was)) for name, was in types.items()}
    return Columns({**single, **{name: one.type for name, one in unified.items()}}, unified)


def _unified(name: str, was: Mapping[pa.DataType, Sequence[ColumnSource]]) -> Unified:
    parts = [(kind, partial(one.read, name)) for kind, runs in was.items() for one in runs]
    wanted = shared_type(parts)
    return Unified(name, wanted, {k: tuple(m.run_id for m in runs) for k, runs in was.items()})


def column_values(store: Store, manifest: Manifest, name: str) -> Iterator[pa.ChunkedArray]:
    """Yield the values of a column of a run's `images`, a file at a time. Raises RecordError.

    Those of a list's column are in the pinned list too, whose files hold 64 tasks and no pictures.
    """
    if pass_through(pa.schema([(name, pa.null())])):
        for rows in input_rows(store, read_spec(store, manifest.run_id), [name]):
            yield rows[name]
    else:
        for file in data_files(store, manifest, "images"):
            yield read_table(store, file.key, ["image_id", name])[name]


def select_columns(
    rows: pa.Table, declared: Mapping[str, pa.DataType], columns: list[str]
) -> pa.Table:
    """Select columns of a file, in this order; those that only other files have are null.

    Raises KeyError for a column that there is nowhere.
    """
    for name in columns:
        place = rows.schema.get_field_index(name)
        if place >= 0 and name in declared and rows.schema.field(place).type != declared[name]:
            rows, place = rows.remove_column(place), -1  # a list's, from before we used the name
        if place < 0 and name in declared:
            empty = pa.nulls(len(rows), declared[name])
            rows = rows.append_column(pa.field(name, empty.type), empty)
        elif place < 0:
            wrong = f"this table has no column {name!r} in any run; docs/TABLES.md lists them"
            raise KeyError(wrong + did_you_mean(name, declared))
    return rows.select(columns)
