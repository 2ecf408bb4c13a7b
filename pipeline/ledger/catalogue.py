"""Keep copies of many runs' manifests in one object, so that a night need not fetch them all.

    runs/_index/manifests/<n>-<sha256>.parquet   run_id and manifest of every run known at the time

The manifests remain authoritative. A copy is used only for runs that the store lists. It is named
by its content's hash; if it is damaged or missing, it is ignored: the manifests are fetched
instead, and the next commit writes a new copy.
"""

import hashlib
import json
import re
from collections.abc import Iterable

import pyarrow as pa

from pipeline.errors import LedgerError
from pipeline.ledger.records import Manifest
from pipeline.ledger.tables import decode_table, parquet_bytes
from pipeline.storage.backend import ObjectInfo
from pipeline.storage.store import Store

PREFIX = "runs/_index/"
MANIFESTS = f"{PREFIX}manifests/"
TAIL = 32  # runs that are read one by one before they are written into an index
KEPT = 2  # indexes that stay: the latest, and the one before, which may still be in use
_NAME = re.compile(r"(\d{8})-([0-9a-f]{64})\.\w+")
_COPIES = pa.schema([pa.field("run_id", pa.string()), pa.field("manifest", pa.large_binary())])


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


def copied_manifests(store: Store) -> dict[str, bytes]:
    """Read the manifests in the latest intact copy, by run id; empty where there is none."""
    for _, sha256, info in numbered(store, MANIFESTS)[:KEPT]:
        data = read_verified(store, info.key, sha256)
        if data is None:
            continue
        try:
            table = decode_table(data, _COPIES.names).select(_COPIES.names)
        except (LedgerError, KeyError):  # of another release
            continue
        names, copies = (table[name].to_pylist() for name in _COPIES.names)
        return dict(zip(names, copies, strict=True))
    return {}


def copy_manifests(store: Store, committed: Iterable[Manifest]) -> bool:
    """Write a new copy if more than TAIL of these runs are in none; return whether it did."""
    manifests = list(committed)
    if len(manifests) <= TAIL:
        return False
    known = copied_manifests(store)
    if sum(manifest.run_id not in known for manifest in manifests) <= TAIL:
        return False
    last = next((number for number, _, _ in numbered(store, MANIFESTS)), 0)
    rows = {
        "run_id": [manifest.run_id for manifest in manifests],
        "manifest": [json.dumps(manifest.document).encode() for manifest in manifests],
    }
    data = parquet_bytes(pa.table(rows, schema=_COPIES))
    write_numbered(store, MANIFESTS, last + 1, data, "parquet")
    return True
