"""Move a pointer with create-once objects alone: numbered versions, of which the highest counts.

    <prefix><n>.json            version n, created once: of two writers of one number one wins, and
                                the other reads what is new and tries the next number
    <prefix>list-<sha>.json     a list too long for a version, named by its content

Nothing here needs a store's compare-and-swap beyond "create only if absent". A pointer costs one
listing a thousand versions and one object to read.
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

RECENT = 64  # entries that a version holds itself; the earlier ones are in a list beside it
_NAME = re.compile(r"(\d{8,})\.json")


class Versions:
    """The versions of one pointer. prefix: ends in a slash."""

    def __init__(self, store: Store, prefix: str) -> None:
        self.store, self.prefix = store, prefix

    def key(self, number: int) -> str:
        """The key of a version."""
        return f"{self.prefix}{number:08d}.json"

    def numbers(self) -> list[int]:
        """The numbers that there are, rising; other objects are ignored."""
        names = (info.key.removeprefix(self.prefix) for info in self.store.list(self.prefix))
        return sorted(int(found[1]) for name in names if (found := _NAME.fullmatch(name)))

    def read(self, number: int, kind: type[RecordT]) -> RecordT:
        """One version. Raises RecordError."""
        key = self.key(number)
        try:
            return read_record(self.store, key, kind)
        except FileNotFoundError as error:
            raise RecordError(key, "it is gone", RESTORE) from error

    def create(self, number: int, document: Any) -> bool:
        """Create a version; whether it is this one. The document must be like no other's."""
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
        """The values of such a list. Raises RecordError."""
        if entry is None:
            return []
        data = read_object(self.store, entry.key, entry.sha256, "it was written")
        items = parse(data, entry.key, RESTORE).get("items")
        if not isinstance(items, list):
            raise RecordError(entry.key, "it is no list", RESTORE)
        return items
