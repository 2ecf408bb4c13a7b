"""Store indexes of runs and photos: objects that hold nothing of their own and only save time.

    runs/_index/<index>/<n>-<sha256>.<ending>   the latest number counts

An index is named by the hash of its content. If it is damaged or missing, it is ignored: what it
was made from is read instead, and the next commit writes a new one.
"""

import hashlib
import re

from pipeline.storage.backend import ObjectInfo
from pipeline.storage.store import Store

PREFIX = "runs/_index/"
TAIL = 32  # runs that are read one by one before they are written into an index
KEPT = 2  # indexes that stay: the latest, and the one before, which may still be in use
_NAME = re.compile(r"(\d{8})-([0-9a-f]{64})\.\w+")


def numbered(store: Store, prefix: str) -> list[tuple[int, str, ObjectInfo]]:
    """List the number, hash and object of each index below a prefix, the latest first."""
    found = ((_NAME.fullmatch(info.key.removeprefix(prefix)), info) for info in store.list(prefix))
    named = [(int(name[1]), name[2], info) for name, info in found if name]
    return sorted(named, key=lambda one: one[:2], reverse=True)


def read_verified(store: Store, key: str, sha256: str) -> bytes | None:
    """Read an object that is named by its hash; None where it is gone or its hash differs."""
    try:
        data = store.read(key)
    except FileNotFoundError:
        return None
    return data if hashlib.sha256(data).hexdigest() == sha256 else None


def write_numbered(store: Store, prefix: str, number: int, data: bytes, ending: str) -> str:
    """Store an index under its number and hash; return its key."""
    key = f"{prefix}{number:08d}-{hashlib.sha256(data).hexdigest()}.{ending}"
    store.create_once(key, data)
    return key
