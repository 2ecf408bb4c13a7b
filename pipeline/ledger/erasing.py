"""Remove the bytes of forgotten photos from the files of committed runs.

A data file is rewritten under a new name without their rows; in an input list their rows are
emptied except for the id. A create-once record names the new file, and the old one is deleted.
Crops that are objects of their own are deleted unless another photo has the same one. Galleries of
the run are deleted entirely, as they can be rebuilt in a minute. See `replaced` for how readers
follow.

What remains of a photo is its id (a hash of its uri) and, if it was first or last in a file of the
pinned list, the uri in spec.json.
"""

import hashlib
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import LedgerError, RecordError
from pipeline.ledger.forgetting import Forgotten, without
from pipeline.ledger.layout import data_key, data_task, new_attempt, replaced_key, run_key
from pipeline.ledger.manifest import data_files
from pipeline.ledger.pinned import input_file_tasks, input_key, read_spec
from pipeline.ledger.records import Manifest, to_bytes
from pipeline.ledger.replaced import (
    RESTORE,
    Replacement,
    chain_of,
    read_object,
    replacement_of,
)
from pipeline.ledger.tables import (
    ROW_GROUP_ROWS,
    UNREADABLE,
    decode_table,
    parquet_bytes,
    read_table,
)
from pipeline.storage.store import Store

KEPT = ("image_id",)  # columns kept in an emptied row of an input list


@dataclass(frozen=True)
class Erasure:
    """A file of a run that holds rows of forgotten photos.

    key: of the file as it is now; committed: as the run's records name it
    ids: the photos to remove from it
    """

    run_id: str
    key: str
    committed: str
    ids: tuple[str, ...]

    @property
    def is_list(self) -> bool:
        """Whether it is a file of the pinned input list."""
        return self.key.startswith("runs/")


def find_erasures(store: Store, manifest: Manifest, forgotten: Forgotten) -> Iterator[Erasure]:
    """Find the files of a committed run that hold photos that are not to be shown.

    Reads the run's lists and replacement records, but no data files. Raises RecordError.
    """
    hidden = forgotten.hidden
    if len(hidden) == 0:
        return
    spec = read_spec(store, manifest.run_id)
    by_task: dict[int, list[str]] = {}
    for number, entry in enumerate(spec.plan.files):
        listed = input_file_tasks(store, spec, number)
        hit = listed.filter(pc.is_in(listed["image_id"], hidden))
        for image_id, task in zip(*(c.to_pylist() for c in hit.columns), strict=True):
            by_task.setdefault(task, []).append(image_id)
        if hit.num_rows:
            ids = hit["image_id"].to_pylist()
            yield from _pending_erasure(
                store, manifest.run_id, input_key(spec.run_id, entry.sha256), ids
            )
    for file in data_files(store, manifest) if by_task else ():
        task = data_task(file.key)
        if task in by_task:
            yield from _pending_erasure(store, manifest.run_id, file.key, by_task[task])


def _pending_erasure(store: Store, run_id: str, key: str, ids: Iterable[str]) -> Iterator[Erasure]:
    """Yield the erasure of a file, unless it was completed before."""
    chain = chain_of(store, key)
    removed = {image_id for one in chain for image_id in one.removed}
    left = tuple(sorted({*ids} - removed))
    if left:
        yield Erasure(run_id, chain[-1].key if chain else key, key, left)


def erase(store: Store, erasure: Erasure) -> int:
    """Rewrite a file without the photos, then delete the old one; return the bytes freed.

    If killed halfway, it leaves the old file, with or without a record of the new one; the next
    call continues from there. Raises RecordError where the file is damaged.
    """
    data = read_object(store, erasure.key)
    ids = pa.array(erasure.ids, pa.string())
    try:
        made = _emptied_list(data, ids) if erasure.is_list else _without_rows(data, ids)
    except (*UNREADABLE, LedgerError) as error:
        raise RecordError(erasure.key, str(error), RESTORE) from error
    key = _new_key(erasure)
    if not store.create_once(key, made):  # a bucket may refuse anything else below runs/
        raise LedgerError(f"{key} was there before, though its name is drawn; collect again")
    again = decode_table(made, ["image_id"])
    record = Replacement(
        old_key=erasure.key,
        key=key,
        rows=again.num_rows,
        bytes=len(made),
        sha256=hashlib.sha256(made).hexdigest(),
        removed=erasure.ids,
        at=time.time(),
    )
    at = replaced_key(erasure.key)
    if at is None:
        raise LedgerError(f"{erasure.key} is no file of a run")
    if not store.create_once(at, to_bytes(record)):
        store.delete(key)  # another process was faster, and no record names our file
        record = replacement_of(store, erasure.key) or record
    store.head(record.key)  # raises unless the new file exists: only then is the old one deleted
    store.delete(erasure.key)
    return max(0, len(data) - len(made))


def crop_files_of(store: Store, erasure: Erasure) -> set[str]:
    """Return the keys of the removed photos' crops that are objects of their own.

    Raises RecordError where the file is damaged.
    """
    if erasure.is_list or not erasure.key.startswith("_data/crops/"):
        return set()
    rows = read_table(store, erasure.key, ["image_id", "file"])
    if "file" not in rows.column_names:
        return set()
    own = rows.filter(pc.is_in(rows["image_id"], pa.array(erasure.ids, pa.string())))
    return set(own["file"].drop_null().to_pylist())


def shared_crop_files(
    store: Store, manifest: Manifest, keys: set[str], forgotten: Forgotten
) -> set[str]:
    """Return the keys that a photo still shown has too: the same picture was uploaded twice.

    manifest: of the run whose photos are meant. Raises RecordError where a file is damaged.
    """
    shared: set[str] = set()
    wanted = pa.array(sorted(keys), pa.string())
    for file in data_files(store, manifest, "crops"):
        rows = read_table(store, file.key, ["image_id", "file"])
        if "file" in rows.column_names:
            rows = without(rows.filter(pc.is_in(rows["file"], wanted)), forgotten.hidden)
            shared |= set(rows["file"].to_pylist())
    return shared


def _new_key(erasure: Erasure) -> str:
    if erasure.is_list:
        return run_key(erasure.run_id, f"input/{secrets.token_hex(32)}.parquet")
    task = data_task(erasure.key)
    if task is None:
        raise LedgerError(f"{erasure.key} is no data file")
    return data_key(erasure.run_id, erasure.key.split("/")[1], task, new_attempt())


def _without_rows(data: bytes, ids: pa.Array) -> bytes:
    """Encode the table without some photos' rows, as `encode_table` does; keep its metadata."""
    table = decode_table(data)
    left = without(table, ids)
    made = parquet_bytes(left, ROW_GROUP_ROWS, dictionaries=False)
    again = decode_table(made)
    if again.schema != table.schema or not again["image_id"].equals(left["image_id"]):
        raise LedgerError("a Parquet file read back differently from what was written")
    return made


def _emptied_list(data: bytes, ids: pa.Array) -> bytes:
    """Encode the input list with some photos' rows emptied but for the id, row groups kept."""
    file = pq.ParquetFile(BytesIO(data))
    schema = pa.schema(
        [f if f.name in (*KEPT, "uri") else f.with_nullable(True) for f in file.schema_arrow]
    )
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group)
            hit = pc.is_in(rows["image_id"], ids)
            columns = [
                column if field.name in KEPT
                else pc.if_else(hit, pa.scalar("", field.type), column) if field.name == "uri"
                else _emptied(column, hit)
                for field, column in zip(schema, rows.columns, strict=True)
            ]  # fmt: skip
            table = pa.table(columns, schema=schema)
            writer.write_table(table, row_group_size=rows.num_rows)
    made: bytes = sink.getvalue().to_pybytes()
    return made


def _emptied(column: pa.ChunkedArray, hit: pa.ChunkedArray) -> pa.ChunkedArray:
    """Set a column to null where `hit`; works for nested types too."""
    places = pa.array(range(len(column)), pa.int64())
    return column.take(pc.if_else(hit, pa.scalar(None, pa.int64()), places))
