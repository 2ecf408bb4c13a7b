"""Record which crops are published under which names of a channel.

published/<channel>.parquet  name and hash of each object in public/<channel>/. Before a name is
                             changed or removed, its hash becomes UNKNOWN here, since its content
                             is not known if the writer is killed
"""

from collections.abc import Mapping

import pyarrow as pa

from pipeline.errors import LedgerError, RecordError
from pipeline.ledger.tables import decode_table, parquet_bytes
from pipeline.storage.store import Store

UNKNOWN = ""  # the hash of a name that is being changed
INDEX = pa.schema([pa.field("name", pa.string()), pa.field("sha256", pa.string())])


def public_prefix(channel: str) -> str:
    """Return the prefix of the keys of a channel's published crops."""
    return f"public/{channel}/"


def index_key(channel: str) -> str:
    """Return the key of a channel's index."""
    return f"published/{channel}.parquet"


def read_published(store: Store, channel: str) -> dict[str, str]:
    """Read the hash of each name published in a channel. Raises RecordError for a bad index."""
    key = index_key(channel)
    try:
        data = store.read(key)
    except FileNotFoundError:
        return {}
    try:
        table = decode_table(data)
    except LedgerError as error:
        advice = "Delete it: the next publish-files copies all names again"
        raise RecordError(key, str(error), advice) from error
    return dict(zip(table["name"].to_pylist(), table["sha256"].to_pylist(), strict=True))


def readable_published(store: Store, channel: str) -> dict[str, str]:
    """Read a channel's index; empty where it is damaged, which publishing reports."""
    try:
        return read_published(store, channel)
    except RecordError:
        return {}


def write_published(store: Store, channel: str, names: Mapping[str, str]) -> None:
    """Write a channel's index: the hash of each name, or UNKNOWN."""
    columns = {"name": list(names), "sha256": list(names.values())}
    store.write(index_key(channel), parquet_bytes(pa.table(columns, schema=INDEX)))
