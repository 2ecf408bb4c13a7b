"""The manifest of a run: the commit itself, and the two lists it names.

The manifest is small, whatever the size of the run, because every later run and every reader
fetches it. The list of data files and the list of images left unsettled are Parquet objects beside
it, named by their content and held by the manifest with their hash.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from pipeline.errors import LedgerError
from pipeline.ledger.records import ABANDONED, DataFile, from_bytes, run_key
from pipeline.ledger.tables import decode_table, parquet_bytes
from pipeline.storage.store import Store

FILES = pa.schema(
    [
        pa.field("table", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
    ]
)
UNSETTLED = pa.schema([pa.field("image_id", pa.string(), nullable=False)])


def manifest_key(run_id: str) -> str:
    return run_key(run_id, "_MANIFEST.json")


def read_manifest(store: Store, run_id: str) -> dict[str, Any] | None:
    """The run's manifest, an abandoned run's included, or None."""
    try:
        data = store.read(manifest_key(run_id))
    except FileNotFoundError:
        return None
    return from_bytes(data, f"the manifest of run {run_id}")


def read_committed(store: Store, run_id: str) -> dict[str, Any] | None:
    """The manifest of a committed run, else None."""
    manifest = read_manifest(store, run_id)
    return None if manifest is None or manifest["verdict"] == ABANDONED else manifest


def write_files(store: Store, run_id: str, files: Iterable[DataFile]) -> dict[str, Any]:
    """Store the list of a run's data files; return what the manifest says about it."""
    rows = [asdict(file) for file in files]
    return _write_list(store, run_id, "files", pa.Table.from_pylist(rows, schema=FILES))


def write_unsettled(store: Store, run_id: str, image_ids: Iterable[str]) -> dict[str, Any]:
    """Store the ids of images that failed for a transient reason; likewise."""
    table = pa.table([pa.array(image_ids, pa.string())], schema=UNSETTLED)
    return _write_list(store, run_id, "unsettled", table)


def data_files(store: Store, manifest: dict[str, Any], table: str | None = None) -> list[DataFile]:
    """The data files of a committed run, or those of one table."""
    rows = _read_list(store, manifest, "files").to_pylist()
    return [DataFile(**row) for row in rows if table in (None, row["table"])]


def unsettled_ids(store: Store, manifest: dict[str, Any]) -> pa.Array:
    """Ids of the images of a committed run that failed for a transient reason."""
    return _read_list(store, manifest, "unsettled")["image_id"].combine_chunks()


def _write_list(store: Store, run_id: str, name: str, table: pa.Table) -> dict[str, Any]:
    data = parquet_bytes(table)
    sha256 = hashlib.sha256(data).hexdigest()
    key = run_key(run_id, f"{name}-{sha256[:16]}.parquet")
    store.create_once(key, data)
    return {"key": key, "sha256": sha256, "rows": table.num_rows}


def _read_list(store: Store, manifest: dict[str, Any], name: str) -> pa.Table:
    entry = manifest[name]
    data = store.read(entry["key"])
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise LedgerError(f"{entry['key']} was changed after the run was committed")
    return decode_table(data)
