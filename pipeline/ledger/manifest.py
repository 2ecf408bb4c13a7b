"""Read the manifest of a run, and read and write the lists that it names.

The manifest is small, whatever the size of the run, because every later run and every reader
fetches it. The lists of data files, of failed photos and of those left unsettled are Parquet
objects next to it, named by their content; the manifest records their keys and hashes.
"""

import hashlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import structs

from pipeline.errors import LedgerError, RecordError
from pipeline.ledger.identity import RunSpec
from pipeline.ledger.layout import manifest_key, run_key
from pipeline.ledger.records import (
    ABANDONED,
    Abandoned,
    DataFile,
    Manifest,
    StoredList,
    parse,
    typed,
)
from pipeline.ledger.replaced import RESTORE, read_object
from pipeline.ledger.tables import decode_table, parquet_bytes
from pipeline.storage.store import Store

LISTED_ROWS = 10_000  # rows of a list that are Python objects at a time
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
FAILURES = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
    ]
)


def read_manifest(store: Store, run_id: str) -> Manifest | Abandoned | None:
    """Read the run's manifest; None where there is none. Raises RecordError."""
    try:
        data = store.read(manifest_key(run_id))
    except FileNotFoundError:
        return None
    return manifest_of(data, run_id)


def first_not_abandoned(store: Store, spec: RunSpec) -> RunSpec:
    """Return the spec of the first generation from this one on that was not given up."""
    while isinstance(read_manifest(store, spec.run_id), Abandoned):
        spec = spec.next_generation()
    return spec


def manifest_of(data: bytes, run_id: str) -> Manifest | Abandoned:
    """Parse a manifest from its bytes. Raises RecordError."""
    key = manifest_key(run_id)
    document = parse(data, key, Manifest.advice)
    if document.get("verdict") == ABANDONED:
        return typed(document, key, Abandoned)
    manifest = typed(document, key, Manifest)
    if manifest.run_id != run_id:
        raise RecordError(key, f"it is that of run {manifest.run_id[:40]!r}", Manifest.advice)
    return structs.replace(manifest, document=document)


def read_committed(store: Store, run_id: str) -> Manifest | None:
    """Read the manifest of a committed run, else None. Raises RecordError."""
    manifest = read_manifest(store, run_id)
    return manifest if isinstance(manifest, Manifest) else None


def read_unless_abandoned(store: Store, run_id: str) -> Manifest | None:
    """Read the manifest of a run; None where the run is open or does not exist.

    Raises LedgerError where the run was given up, RecordError where the manifest is unusable.
    """
    manifest = read_manifest(store, run_id)
    if isinstance(manifest, Abandoned):
        raise LedgerError(
            f"run {run_id} was given up (runs.py gc) and has no results. A job over the same "
            "input, without --resume, does its photos in a new run"
        )
    return manifest


def write_list(store: Store, run_id: str, name: str, table: pa.Table) -> StoredList:
    """Store a list of a run next to its manifest; return the manifest's entry for it.

    table: with the columns FILES, UNSETTLED or FAILURES
    """
    data = parquet_bytes(table)
    sha256 = hashlib.sha256(data).hexdigest()
    key = run_key(run_id, f"{name}-{sha256[:16]}.parquet")
    store.create_once(key, data)
    return StoredList(key=key, sha256=sha256, rows=table.num_rows)


def failed_photos(store: Store, entry: StoredList) -> pa.Table:
    """Read the list of all failed photos of a run, as `FAILURES`. Raises RecordError."""
    return _read_list(store, entry, FAILURES)


def data_files(store: Store, manifest: Manifest, table: str | None = None) -> list[DataFile]:
    """List the data files of a committed run, or those of one table. Raises RecordError."""
    listed = file_list(store, manifest)
    return list(files_in(listed if table is None else of_table(listed, table)))


def file_list(store: Store, manifest: Manifest) -> pa.Table:
    """Read the list of a committed run's data files, as `FILES`. Raises RecordError."""
    return _read_list(store, manifest.files, FILES)


def of_table(listed: pa.Table, table: str) -> pa.Table:
    """Return the rows of a list of data files that are of one table."""
    return listed.filter(pc.equal(listed["table"], table))


def files_in(listed: pa.Table) -> Iterator[DataFile]:
    """Yield the data files of a list, with few of them in memory."""
    for batch in listed.to_batches(LISTED_ROWS):
        for row in batch.to_pylist():
            yield DataFile(**row)


def shapes_asked(manifest: Manifest) -> frozenset[str]:
    """Return the shapes that a run was asked for: as written, and as rows spell them.

    Rows use lower case without spaces; those of earlier releases keep spaces as written.
    """
    asked = {text.strip() for text in str(manifest.settings.get("ratios", "")).split(",")}
    small = {text.lower() for text in asked}
    return frozenset(asked | small | {text.replace(" ", "") for text in small})


def unsettled_ids(store: Store, manifest: Manifest) -> pa.Array:
    """Read the ids of the photos of a committed run that failed for a transient reason."""
    return _read_list(store, manifest.unsettled, UNSETTLED)["image_id"].combine_chunks()


def _read_list(store: Store, entry: StoredList, schema: pa.Schema) -> pa.Table:
    """Read a list's columns of `schema`; others, of a later release, are left out."""
    data = read_object(store, entry.key, entry.sha256, "the run was committed")
    try:
        return decode_table(data, schema.names).select(schema.names).cast(schema)
    except (LedgerError, KeyError, ValueError, pa.ArrowException) as error:
        raise RecordError(entry.key, f"it is not such a list: {error}", RESTORE) from error
