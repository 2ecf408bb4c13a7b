"""Find which files a publication adds to a Delta table and which it removes."""

import json
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from pipeline.errors import RecordError
from pipeline.ledger.forgetting import without
from pipeline.ledger.records import DataFile
from pipeline.ledger.table_formats.published_rows import (
    DeltaCopy,
    RunPhotos,
    copy_remaining_rows,
    owner_of,
    owners,
    photos_in,
    run_of,
    stored_rows,
    write_delta_copy,
)
from pipeline.storage.store import Store

MILLISECONDS = 1000


@dataclass(frozen=True)
class AddedFile:
    """A file that a commit adds. path: below the table's root; modified_ms: Unix time."""

    path: str
    bytes: int
    rows: int
    modified_ms: int

    @classmethod
    def of_copy(cls, copy: DeltaCopy) -> "AddedFile":
        """Describe a copy that was written just now."""
        return cls(str(copy.path), copy.bytes, copy.rows, int(time.time() * MILLISECONDS))

    @classmethod
    def of_run(cls, run: RunPhotos, name: str, file: DataFile) -> "AddedFile":
        """Describe a data file of a run, as it is."""
        modified_ms = int(run.manifest.committed_at * MILLISECONDS)
        return cls(path_of(name, file), file.bytes, file.rows, modified_ms)


@dataclass
class Change:
    """The changes that a publication makes to a table.

    added, removed: the files and their bytes by path; copies: paths of files that were written for
        it. Paths are below the table's root.
    whole: whether the table afterwards has only `added`, with other column types.
    """

    added: dict[str, AddedFile] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    copies: list[str] = field(default_factory=list)
    whole: bool = False

    def add_copy(self, copy: DeltaCopy) -> None:
        """Add a copy that was written for this change."""
        one = AddedFile.of_copy(copy)
        self.copies.append(one.path)
        self.added[one.path] = one

    def add_file(self, run: RunPhotos, name: str, file: DataFile) -> None:
        """Add a data file of a run as it is."""
        one = AddedFile.of_run(run, name, file)
        self.added[one.path] = one

    def actions(self, deltalake: Any) -> list[Any]:
        """Return the actions of the commit. If it is `whole`, the commit itself removes files."""
        made = actions_of(deltalake, self.added.values())
        now, remove = int(time.time() * MILLISECONDS), deltalake.transaction.RemoveAction
        gone = {} if self.whole else self.removed
        return made + [remove(path, True, now, size, {}) for path, size in gone.items()]


def actions_of(deltalake: Any, files: Iterable[AddedFile]) -> list[Any]:
    """Return the actions that add files to a table."""
    return [
        deltalake.transaction.AddAction(
            one.path, one.bytes, {}, one.modified_ms, True, json.dumps({"numRecords": one.rows})
        )
        for one in files
    ]


def change_of(
    store: Store, table: Any, run: RunPhotos, name: str, files: list[DataFile],
    known: dict[str, RunPhotos | None],
) -> Change:  # fmt: skip
    """Add the run's files without what later runs have; remove what the run itself replaces.

    table: None for a new one. known: the runs of all tables by id, as one that has no rows in this
    table replaces those of earlier runs too.
    """
    change, paths = Change(), {} if table is None else paths_of(table)
    others = list(owners(store, paths, run.manifest.run_id, known))
    later = [one for one in known.values() if one is not None and one.is_after(run)]
    for file in files:
        copy = copy_remaining_rows(store, name, path_of(name, file), run, later) if later else None
        if copy is None:
            change.add_file(run, name, file)
        elif copy.path is not None:
            change.add_copy(copy)
    for path, owner in others:
        if owner is not None and owner.is_after(run):
            continue
        copy = copy_remaining_rows(store, name, path, owner, [run])
        if copy is not None:
            change.removed[path] = paths[path]
            if copy.path is not None:
                change.add_copy(copy)
    return change


def change_without(store: Store, table: Any, name: str, image_ids: Collection[str]) -> Change:
    """Replace the files that have rows of photos by copies without them; those keep their runs."""
    change, paths, ids = Change(), paths_of(table), frozenset(image_ids)
    known: dict[str, RunPhotos | None] = {}
    for path in paths:
        if _may_have(store, path, ids, known):
            rows = stored_rows(store, name, path)
            left = without(rows, pa.array(sorted(ids), pa.string()))
            if left.num_rows < rows.num_rows:
                change.removed[path] = paths[path]
                if left.num_rows:
                    change.add_copy(write_delta_copy(store, name, path, left))
    return change


def _may_have(
    store: Store, path: str, ids: frozenset[str], known: dict[str, RunPhotos | None]
) -> bool:
    """Return whether a file may have rows of photos. known: as for `owners`."""
    try:
        own = owner_of(store, path, known)
    except RecordError:
        own = known[run_of(path)] = None  # its files are read instead
    mine = photos_in(path, own)
    return mine is None or bool(mine & ids)


def paths_of(table: Any) -> dict[str, int]:
    """Return the files of a table, below its root, and their sizes in bytes."""
    found = pa.table(table.get_add_actions(flatten=True))
    paths = (unquote(path) for path in found["path"].to_pylist())
    return dict(zip(paths, found["size_bytes"].to_pylist(), strict=True))


def path_of(name: str, file: DataFile) -> str:
    """Return the path of a data file of a table, below the table's root."""
    return file.key.removeprefix(f"_data/{name}/")
