"""Find which files an Iceberg table of several runs consists of, so that each photo is in it once.

A photo's rows come from the first run that has it, in order of precedence, as in `open_run`. That
run takes all rows of `images` and `previews`. In tables with rows for each shape, it takes all rows
from runs of its channel, and those of its own shapes from runs of others. The channel is the one in
which the run is live, or was made for where it was published by its id. Forgotten photos have no
rows. The files follow from the runs alone: a file of which only some rows are left is a copy whose
name is a hash of what it holds.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ledger.layout import data_task
from pipeline.ledger.manifest import data_files
from pipeline.ledger.replaced import replaced_files
from pipeline.ledger.table_formats.iceberg_types import Casts, ColumnsIn, casts_in
from pipeline.ledger.table_formats.published_rows import RunPhotos, by_shape, same_channel
from pipeline.ledger.tables import ROW_GROUP_ROWS, parquet_bytes, read_table
from pipeline.ledger.unify import cast_column
from pipeline.storage.store import Store

Ids = frozenset[str]


@dataclass(frozen=True)
class WantedFile:
    """A file of a table.

    key:    where it is, or will be
    source: the data file that it is a partial copy of; None if `key` is a run's own file
    gone:   ids of photos whose rows are left out
    shapes: (ids, shapes): rows of these photos and shapes are left out
    casts:  (column, Arrow type) of columns that have another type in the table
    """

    key: str
    source: str | None = None
    gone: Ids = frozenset()
    shapes: tuple[tuple[Ids, Ids], ...] = ()
    casts: tuple[tuple[str, str], ...] = ()

    def rows(self, store: Store) -> pa.Table:
        """Read the rows of a partial copy from its source."""
        rows = read_table(store, str(self.source))
        rows = rows.filter(pc.invert(_is_of(rows, "image_id", self.gone)))
        for ids, shapes in self.shapes:
            hit = pc.and_(_is_of(rows, "image_id", ids), _is_of(rows, "ratio", shapes))
            rows = rows.filter(pc.invert(hit))
        for column, kind in self.casts:
            place, wanted = rows.schema.get_field_index(column), pa.type_for_alias(kind)
            cast = cast_column(rows[column], wanted)
            rows = rows.set_column(place, pa.field(column, wanted), cast)
        return rows


def wanted_files(
    store: Store,
    name: str,
    runs: Sequence[RunPhotos],
    hidden: Ids,
    copies: str,
    casts: Casts,
    columns_in: ColumnsIn,
) -> Iterator[WantedFile]:
    """Yield the files of a table that have rows. runs: its runs, in order of precedence.

    hidden: ids of forgotten photos. copies: prefix of the keys of partial copies. casts,
    columns_in: of `iceberg_types`; not called without casts.
    """
    above: list[RunPhotos] = []  # with the photos that are theirs in their channel
    seen: dict[int | str, Ids] = {}
    for run in runs:
        replaced = replaced_files(store, run.manifest.run_id)
        own = casts_in(casts, columns_in(run)) if casts else {}
        for file in data_files(store, run.manifest, name):
            key, rows, erased = file.key, file.rows, set[str]()
            while key in replaced:
                erased |= {*replaced[key].removed}
                key, rows = replaced[key].key, replaced[key].rows
            if not rows:  # pyiceberg would warn of each of its columns
                continue
            task = data_task(file.key)
            mine = run.tasks.get(-1 if task is None else task, frozenset()) - erased
            gone, shapes = _left_out(name, run, mine, above)
            gone |= mine & hidden
            if not gone and not shapes and not own:
                yield WantedFile(key)
            elif not mine <= gone:
                holds = [key, sorted(gone), [list(map(sorted, one)) for one in shapes]]
                text = json.dumps([*holds, own] if own else holds, sort_keys=True)
                digest = hashlib.sha256(text.encode()).hexdigest()[:32]
                copy = f"{copies}from={run.manifest.run_id}/{task:08d}-{digest}.parquet"
                yield WantedFile(copy, key, gone, shapes, tuple(own.items()))
        before = seen.get(run.channel, frozenset())
        above.append(replace(run, photos=run.photos - before))
        seen[run.channel] = before | run.photos


def write_copy(store: Store, file: WantedFile) -> bool:
    """Write a partial copy; return False where it has no rows, and is not written."""
    rows = file.rows(store)
    if rows.num_rows:
        store.write(file.key, parquet_bytes(rows, ROW_GROUP_ROWS))
    return bool(rows.num_rows)


def _left_out(
    name: str, own: RunPhotos, mine: Ids, above: Sequence[RunPhotos]
) -> tuple[Ids, tuple[tuple[Ids, Ids], ...]]:
    """Return a task's photos that other runs replace entirely, and those with some shapes."""
    whole: set[str] = set()
    parts: list[tuple[Ids, Ids]] = []
    for other in above:
        hit, common = other.photos & mine, own.shapes & other.shapes
        if not by_shape(name) or same_channel(own, other) or own.shapes <= other.shapes:
            whole |= hit
        elif hit and common:
            parts.append((hit, common))
    gone = frozenset(whole)
    return gone, tuple((ids - gone, shapes) for ids, shapes in parts if ids - gone)


def _is_of(rows: pa.Table, column: str, values: Ids) -> pa.ChunkedArray:
    return pc.is_in(rows[column], pa.array(sorted(values), pa.string()))
