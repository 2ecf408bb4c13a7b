"""Find which published rows a run replaces, so that a table has each photo once.

The run that was committed later counts, whichever is published first, as in `open_run`. For a photo
that both have, it replaces all rows of `images` and `previews`. In tables with rows for each shape,
it replaces all rows of a run of its channel, and those of its own shapes of a run of another.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipeline.ledger.channels.channel import channel_of
from pipeline.ledger.layout import new_attempt
from pipeline.ledger.manifest import read_committed, shapes_asked
from pipeline.ledger.pinned import input_file_tasks, read_spec
from pipeline.ledger.records import Manifest
from pipeline.ledger.tables import ROW_GROUP_ROWS, TABLES, parquet_bytes, read_columns, read_table
from pipeline.storage.store import Store

# A data file of a run, or what `copy_remaining_rows` wrote of one. `gc` lists only the first kind.
PATH = re.compile(r"(?:run|from)=([^/]+)/(\d{8,})-[^/]+\.parquet")
COPY = "from="
SEVERAL = "several"  # in place of a run's id: a copy of a file whose run is not known


@dataclass(frozen=True, eq=False)
class RunPhotos:
    """A published run and its photos.

    tasks: ids of its photos by task
    layer: number of the channel that it is live in; None: it counts in the one it was made for
    """

    manifest: Manifest
    tasks: Mapping[int, frozenset[str]]
    photos: frozenset[str]
    layer: int | None = None

    @property
    def channel(self) -> int | str:
        """The channel whose runs it replaces, or is replaced by, whatever their shapes."""
        return channel_of(self.manifest) if self.layer is None else self.layer

    @property
    def shapes(self) -> frozenset[str]:
        """The shapes that the run was asked for, see `shapes_asked`."""
        return shapes_asked(self.manifest)

    def is_after(self, other: "RunPhotos") -> bool:
        """Return whether this run's rows take precedence over another's."""
        return takes_precedence(self.manifest, other.manifest)


def takes_precedence(mine: Manifest, theirs: Manifest) -> bool:
    """Return whether a run was committed after another."""
    return (mine.committed_at, mine.run_id) > (theirs.committed_at, theirs.run_id)


def photos_of_run(store: Store, run_id: str) -> RunPhotos | None:
    """Read a committed run's photos from its pinned lists; None if it is not committed."""
    manifest = read_committed(store, run_id)
    if manifest is None:
        return None
    spec = read_spec(store, run_id)
    tasks: dict[int, set[str]] = {}
    for number in range(len(spec.plan.files)):
        listed = input_file_tasks(store, spec, number)
        for image_id, task in zip(*(c.to_pylist() for c in listed.columns), strict=True):
            tasks.setdefault(task, set()).add(image_id)
    kept = {task: frozenset(ids) for task, ids in tasks.items()}
    return RunPhotos(manifest, kept, frozenset().union(*kept.values()))


@dataclass(frozen=True, eq=False)
class DeltaCopy:
    """A copy of what is left of a published file.

    path: below the table's root; None if nothing is left, so that there is no copy
    """

    path: str | None
    bytes: int = 0
    rows: int = 0


def copy_remaining_rows(
    store: Store, table: str, path: str, own: RunPhotos | None, others: list[RunPhotos]
) -> DeltaCopy | None:
    """Copy what is left of a file that other runs take precedence over; None if all of it is.

    The copy is written next to the data files under a new name. own: the file's run;
    None if it is not known, so that all of `others` take precedence.
    """
    mine = photos_in(path, own)
    above = [
        run
        for run in others
        if mine is None or (run.photos & mine and _replaces_any(table, own, run))
    ]
    if not above:
        return None
    if mine is not None and any(
        mine <= run.photos and _replaces_all(table, own, run) for run in above
    ):
        return DeltaCopy(None)
    rows = stored_rows(store, table, path)
    left = rows
    for other in above:
        left = left.filter(pc.invert(_replaced(left, table, own, other)))
    if left.num_rows == rows.num_rows:
        return None
    if left.num_rows == 0:
        return DeltaCopy(None)
    return write_delta_copy(store, table, path, left)


def write_delta_copy(store: Store, table: str, path: str, rows: pa.Table) -> DeltaCopy:
    """Write rows of a published file next to the data files, under a new name."""
    found = PATH.fullmatch(path)
    folder = f"{COPY}{found[1]}/{found[2]}" if found else f"{COPY}{SEVERAL}/00000000"
    key = f"{folder}-{new_attempt()}.parquet"
    data = parquet_bytes(rows, ROW_GROUP_ROWS)
    store.write(f"_data/{table}/{key}", data)
    return DeltaCopy(key, len(data), rows.num_rows)


def stored_rows(store: Store, table: str, path: str, columns: list[str] | None = None) -> pa.Table:
    """Read the rows of a published file. columns: as for `read_table`."""
    return _without_views(read_table(store, f"_data/{table}/{path}", columns))


def owners(
    store: Store, paths: Iterable[str], run_id: str, known: dict[str, RunPhotos | None]
) -> Iterator[tuple[str, RunPhotos | None]]:
    """Yield each file of a table with its run, except the files of `run_id`.

    known: runs that were read before, by id; those that are read are added.
    """
    for path in paths:
        if run_of(path) != run_id:
            yield path, owner_of(store, path, known)


def owner_of(store: Store, path: str, known: dict[str, RunPhotos | None]) -> RunPhotos | None:
    """Return the run of a file; None if its name does not tell it. known: as for `owners`."""
    run_id = run_of(path)
    if run_id not in known:
        known[run_id] = photos_of_run(store, run_id) if run_id else None
    return known[run_id]


def run_of(path: str) -> str:
    """Return the id of a file's run, "" if its name does not tell it."""
    found = PATH.fullmatch(path)
    return found[1] if found and found[1] != SEVERAL else ""


def photos_in(path: str, own: RunPhotos | None) -> frozenset[str] | None:
    """Return the ids of the photos that a file may have; None if its run, `own`, is not known."""
    found = PATH.fullmatch(path)
    return own.tasks.get(int(found[2]), frozenset()) if own and found else None


def stored_schema(store: Store, table: str, path: str) -> pa.Schema:
    """Read the columns of a published file. Raises RecordError."""
    return read_columns(store, f"_data/{table}/{path}")


def _without_views(rows: pa.Table) -> pa.Table:
    """Cast views to plain texts and bytes; files that Delta itself wrote may have views."""
    return rows.cast(pa.schema([_without_view(field) for field in rows.schema]))


def _without_view(field: pa.Field) -> pa.Field:
    kind = field.type
    if pt.is_string_view(kind):
        return field.with_type(pa.string())
    if pt.is_binary_view(kind):
        return field.with_type(pa.large_binary())
    if pt.is_list(kind):
        return field.with_type(pa.list_(_without_view(kind.value_field)))
    if pt.is_struct(kind):
        return field.with_type(pa.struct([_without_view(one) for one in kind]))
    return field


def by_shape(table: str) -> bool:
    """Return whether a table has rows for each shape, rather than for each photo."""
    return "ratio" in TABLES[table].names


def same_channel(own: RunPhotos | None, other: RunPhotos) -> bool:
    """Return whether two runs replace each other's rows whatever their shapes."""
    return own is not None and own.channel == other.channel


def _replaces_any(table: str, own: RunPhotos | None, other: RunPhotos) -> bool:
    """Return whether a run can replace any rows of another's file."""
    if own is None or not by_shape(table) or same_channel(own, other):
        return True
    return bool(own.shapes & other.shapes)


def _replaces_all(table: str, own: RunPhotos | None, other: RunPhotos) -> bool:
    """Return whether all rows of a photo are replaced."""
    if own is None or not by_shape(table) or same_channel(own, other):
        return True
    return own.shapes <= other.shapes


def _replaced(
    rows: pa.Table, table: str, own: RunPhotos | None, other: RunPhotos
) -> pa.ChunkedArray:
    hit = pc.is_in(rows["image_id"], pa.array(sorted(other.photos), pa.string()))
    if by_shape(table) and not same_channel(own, other):
        shapes = pa.array(sorted(other.shapes), pa.string())
        hit = pc.and_(hit, pc.is_in(rows["ratio"], shapes))
    return hit
