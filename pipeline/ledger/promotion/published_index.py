"""Record which crops are published under which names of a channel.

published/<channel>.parquet  of each object in public/<channel>/: its name, the SHA-256 of its
                             content, and the ETag that it got when it was written. An object with
                             another ETag was written by somebody else since, so its content is
                             unknown
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import LedgerError, RecordError
from pipeline.ledger.tables import decode_table, parquet_bytes
from pipeline.storage.backend import ObjectInfo
from pipeline.storage.keys import is_own_key
from pipeline.storage.store import Store

INDEX = pa.schema([pa.field(name, pa.string()) for name in ("name", "sha256", "etag")])


@dataclass(frozen=True)
class PublishedName:
    """What was written under a name.

    etag: "" in an index of an earlier release, so that the crop is copied again
    """

    sha256: str
    etag: str


def public_prefix(channel: str) -> str:
    """Return the prefix of the keys of a channel's published crops."""
    return f"public/{channel}/"


def index_key(channel: str) -> str:
    """Return the key of a channel's index."""
    return f"published/{channel}.parquet"


def published_objects(store: Store, channel: str) -> Iterator[ObjectInfo]:
    """Yield the objects in public/<channel>/, without files such as a file manager's own."""
    return (info for info in store.list(public_prefix(channel)) if is_own_key(info.key))


def read_published(store: Store, channel: str) -> dict[str, PublishedName]:
    """Read a channel's index, by name. Raises RecordError for a bad index."""
    key = index_key(channel)
    try:
        data = store.read(key)
    except FileNotFoundError:
        return {}
    try:
        table = decode_table(data)
        names, hashes = (table[column].to_pylist() for column in ("name", "sha256"))
    except (LedgerError, KeyError) as error:
        advice = "Delete it: the next publish-files copies all names again"
        raise RecordError(key, f"it is no such index: {error}", advice) from error
    has_etags = "etag" in table.column_names
    etags = table["etag"].to_pylist() if has_etags else [""] * len(names)
    return dict(zip(names, map(PublishedName, hashes, etags), strict=True))


def readable_published(store: Store, channel: str) -> dict[str, PublishedName]:
    """Read a channel's index; empty where it is damaged, which publishing reports."""
    try:
        return read_published(store, channel)
    except RecordError:
        return {}


def write_published(store: Store, channel: str, names: Mapping[str, PublishedName]) -> None:
    """Write a channel's index."""
    columns = {
        "name": list(names),
        "sha256": [one.sha256 for one in names.values()],
        "etag": [one.etag for one in names.values()],
    }
    store.write(index_key(channel), parquet_bytes(pa.table(columns, schema=INDEX)))
