"""Move a pointer with only create-once objects: numbered versions, of which the highest counts.

    <prefix><n>.json            version n, created once: if two writers race for a number, one wins;
                                the other reads the new version and tries the next number
    <prefix>list-<sha>.json     a list too long for a version, named by its content

The only atomic operation needed of a store is "create only if absent". Reading a pointer costs one
listing request per thousand versions and one object.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Any

from pipeline.errors import RecordError
from pipeline.ledger.records import (
    FORMAT,
    RecordT,
    StoredList,
    parse,
    read_record,
    to_bytes,
)
from pipeline.ledger.replaced import RESTORE, read_object
from pipeline.storage.store import Store

RECENT = 64  # entries stored in a version itself; the earlier ones are in a list of their own
_NAME = re.compile(r"(\d{8,})\.json")


class Versions:
    """The versions of one pointer. prefix: ends in a slash."""

    def __init__(self, store: Store, prefix: str) -> None:
        self.store, self.prefix = store, prefix

    def key(self, number: int) -> str:
        """Return the key of a version."""
        return f"{self.prefix}{number:08d}.json"

    def numbers(self) -> list[int]:
        """Return the existing numbers in ascending order; other objects are ignored."""
        names = (info.key.removeprefix(self.prefix) for info in self.store.list(self.prefix))
        return sorted(int(found[1]) for name in names if (found := _NAME.fullmatch(name)))

    def latest(self) -> int:
        """Return the highest number, 0 if there is none."""
        return max(self.numbers(), default=0)

    def read(self, number: int, kind: type[RecordT]) -> RecordT:
        """Read one version. Raises RecordError."""
        key = self.key(number)
        try:
            return read_record(self.store, key, kind)
        except FileNotFoundError as error:
            raise RecordError(key, "it is gone", RESTORE) from error

    def create(self, number: int, document: Any) -> bool:
        """Create a version; return whether it is this one. The document must be unique."""
        return self.store.create_once(self.key(number), to_bytes(document))

    def write_list(self, items: Iterable[Any]) -> StoredList | None:
        """Store a list of JSON values; None for an empty one."""
        values = list(items)
        if not values:
            return None
        data = to_bytes({"format": FORMAT, "items": values})
        sha256 = hashlib.sha256(data).hexdigest()
        key = f"{self.prefix}list-{sha256[:32]}.json"
        self.store.create_once(key, data)
        return StoredList(key=key, sha256=sha256, rows=len(values))

    def read_list(self, entry: StoredList | None) -> list[Any]:
        """Read the values of a stored list. Raises RecordError."""
        if entry is None:
            return []
        data = read_object(self.store, entry.key, entry.sha256, "it was written")
        items = parse(data, entry.key, RESTORE).get("items")
        if not isinstance(items, list):
            raise RecordError(entry.key, "it is no list", RESTORE)
        return items
