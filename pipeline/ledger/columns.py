"""Give each column of several runs one type, whatever the lists of their nights said."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ledger.manifest import data_files
from pipeline.ledger.records import Manifest
from pipeline.ledger.replaced import read_object
from pipeline.ledger.tables import read_table
from pipeline.ledger.unify import TEXT, cast_column, common_type, fits
from pipeline.storage.store import Store

READERS = 16  # runs looked at at a time


@dataclass(frozen=True)
class Unified:
    """A column whose runs disagree.

    type: what all its rows have now
    was:  ids of the runs by the type that they gave it
    """

    column: str
    type: pa.DataType
    was: Mapping[pa.DataType, tuple[str, ...]]

    def __str__(self) -> str:
        kind = "text" if self.type == TEXT else str(self.type)
        said = (
            f"{one} in run {runs[0]}" + (f" and {len(runs) - 1} more" if runs[1:] else "")
            for one, runs in self.was.items()
        )
        return f"{self.column} is {kind}: {', '.join(said)}"


@dataclass(frozen=True)
class Columns:
    """The columns of `images` of several runs.

    types:   of every column that a run has, by name
    unified: those whose runs disagree, by name
    """

    types: Mapping[str, pa.DataType]
    unified: Mapping[str, Unified]

    def cast(self, rows: pa.Table) -> pa.Table:
        """The rows with the types that their columns have in all runs."""
        for name in self.unified.keys() & set(rows.column_names):
            place, wanted = rows.schema.get_field_index(name), self.unified[name].type
            column = cast_column(rows[name], wanted)
            rows = rows.set_column(place, pa.field(name, wanted), column)
        return rows


def columns_of(store: Store, manifests: Sequence[Manifest]) -> Columns:
    """The columns of runs; all files of a run have the same. Raises RecordError.

    Reads one file of `images` of each run. Where runs disagree about a column, it is read whole.
    """
    with ThreadPoolExecutor(READERS) as pool:
        schemas = list(pool.map(lambda one: _schema(store, one), manifests))
    types: dict[str, dict[pa.DataType, list[Manifest]]] = {}
    for manifest, schema in zip(manifests, schemas, strict=True):
        for field in schema:
            types.setdefault(field.name, {}).setdefault(field.type, []).append(manifest)
    unified = {name: _unified(store, name, was) for name, was in types.items() if len(was) > 1}
    single = {name: next(iter(was)) for name, was in types.items()}
    return Columns({**single, **{name: one.type for name, one in unified.items()}}, unified)


def _schema(store: Store, manifest: Manifest) -> pa.Schema:
    files = data_files(store, manifest, "images")
    if not files:
        return pa.schema([])
    return pq.read_schema(BytesIO(read_object(store, files[0].key)))


def _unified(store: Store, name: str, was: Mapping[pa.DataType, Sequence[Manifest]]) -> Unified:
    wanted = common_type(was)
    others = [one for kind, runs in was.items() if kind != wanted for one in runs]
    if wanted != TEXT and not all(fits(column, wanted) for column in _column(store, name, others)):
        wanted = TEXT
    return Unified(name, wanted, {k: tuple(m.run_id for m in runs) for k, runs in was.items()})


def _column(store: Store, name: str, manifests: Iterable[Manifest]) -> Iterable[pa.ChunkedArray]:
    for manifest in manifests:
        for file in data_files(store, manifest, "images"):
            yield read_table(store, file.key, ["image_id", name])[name]
