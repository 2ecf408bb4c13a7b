"""Follow files that were replaced because rows of forgotten photos were removed from them.

A committed file never changes. `erasing` writes a new one next to it, creates a record under a key
derived from the old file's name, and only then deletes the old one. So a reader looks for the
record only if a file is gone, and one that still reads the old file leaves the same rows out.
"""

import hashlib
from collections.abc import Mapping
from typing import ClassVar

from msgspec import Struct

from pipeline.errors import RecordError
from pipeline.ledger.layout import replaced_key, run_key
from pipeline.ledger.records import FORMAT, Count, DataFile, read_record
from pipeline.storage.store import Store

RESTORE = "Restore it from a copy."


class Replacement(Struct, frozen=True, kw_only=True):
    """runs/<run_id>/replaced/<hash>.json: `key` has the rows of `old_key` except those removed.

    removed: ids of the photos whose rows are gone; in an input list their rows stay, emptied.
    """

    advice: ClassVar[str] = RESTORE
    format: int = FORMAT
    old_key: str
    key: str
    rows: Count
    bytes: Count
    sha256: str
    removed: tuple[str, ...]
    at: float = 0.0

    def as_file(self, table: str) -> DataFile:
        """Return the new object as a data file of a table."""
        return DataFile(table, self.key, self.rows, self.bytes, self.sha256)


def replacement_of(store: Store, key: str) -> Replacement | None:
    """Read the record of what replaced an object; None if nothing did."""
    at = replaced_key(key)
    if at is None:
        return None
    try:
        found = read_record(store, at, Replacement)
    except FileNotFoundError:
        return None
    if found.old_key != key:
        raise RecordError(at, f"it is that of {found.old_key[:200]!r}", RESTORE)
    return found


def chain_of(store: Store, key: str) -> list[Replacement]:
    """Return the successive replacements of an object, the first one first."""
    found: list[Replacement] = []
    while (one := replacement_of(store, found[-1].key if found else key)) is not None:
        found.append(one)
    return found


def replaced_files(store: Store, run_id: str) -> dict[str, Replacement]:
    """Read a run's replacements, by the old key; costs one listing where there are none."""
    found = {}
    for info in store.list(run_key(run_id, "replaced/")):
        one = read_record(store, info.key, Replacement)
        found[one.old_key] = one
    return found


def current_file(file: DataFile, replaced: Mapping[str, Replacement]) -> DataFile:
    """Return a data file as it is now, after any replacements."""
    while file.key in replaced:
        file = replaced[file.key].as_file(file.table)
    return file


def current_key(key: str, replaced: Mapping[str, Replacement]) -> str:
    """Return the key that an object has now, after any replacements."""
    while key in replaced:
        key = replaced[key].key
    return key


def read_object(store: Store, key: str, sha256: str | None = None, when: str = "") -> bytes:
    """Read an object that a record names, or its replacement.

    sha256: its hash; None skips the check. when: for the message, when the hash was taken.

    Raises RecordError where it is gone or was changed.
    """
    try:
        data = store.read(key)
    except FileNotFoundError as error:
        chain = chain_of(store, key)
        if not chain:
            raise RecordError(key, "it is gone", RESTORE) from error
        last = chain[-1]
        try:
            data, sha256, when = store.read(last.key), last.sha256, "it was rewritten"
        except FileNotFoundError as gone:
            raise RecordError(last.key, "it is gone", RESTORE) from gone
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise RecordError(key, f"it was changed after {when}", RESTORE)
    return data
