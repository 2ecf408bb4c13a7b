"""Keep copies of many runs' manifests in one object, so that a night need not fetch them all.

    runs/_index/manifests/<n>-<sha256>.parquet   run_id and manifest of every run known at the time

The manifests remain authoritative: a copy is used only for runs that the store lists.
"""

import json
from collections.abc import Iterable

import pyarrow as pa

from pipeline.errors import LedgerError
from pipeline.ledger.indexes import KEPT, PREFIX, TAIL, numbered, read_verified, write_numbered
from pipeline.ledger.records import Manifest
from pipeline.ledger.tables import decode_table, parquet_bytes
from pipeline.storage.store import Store

MANIFESTS = f"{PREFIX}manifests/"
_COPIES = pa.schema([pa.field("run_id", pa.string()), pa.field("manifest", pa.large_binary())])


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
