"""Crops as objects under names that a front end can build, kept for each run and published.

crops/<run_id>/<name>       written by a run, never overwritten; its table `crop_files` is the index
public/<channel>/<name>     the same name for whichever run is live, overwritten by `publish_files`
published/<channel>.parquet what stands there: name and hash; written last

A run may not go live, or be taken back, so it writes where nobody looks. Once a channel's live runs
have changed, publishing copies what differs, and removes what is live no more.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import LedgerError
from pipeline.ledger.channels import channel_of
from pipeline.ledger.forgetting import read_forgotten
from pipeline.ledger.live import Standing, standing
from pipeline.ledger.reader import Run
from pipeline.ledger.tables import decode_table, parquet_bytes
from pipeline.storage.backend import ObjectInfo
from pipeline.storage.store import Store

COPIES = 16  # objects copied at a time
INDEX = pa.schema([pa.field("name", pa.string()), pa.field("sha256", pa.string())])


@dataclass(frozen=True)
class PublishedFiles:
    """What publishing did in a channel: objects copied, left as they were, removed."""

    channel: str
    copied: int
    same: int
    removed: int


@dataclass(frozen=True)
class LiveFile:
    """A live crop. key: of the run's own object. uri is that of its photo's id alone."""

    image_id: str
    key: str
    sha256: str


def run_prefix(run_id: str) -> str:
    """What the keys of a run's named crops start with."""
    return f"crops/{run_id}/"


def public_prefix(channel: str) -> str:
    """What the keys of a channel's published crops start with."""
    return f"public/{channel}/"


def publish_files(store: Store, channel: str) -> PublishedFiles:
    """Make the published names of a channel show what is live in it.

    Killed on the way it leaves some names old; the next call goes on. Raises LedgerError where two
    live photos have one name: nothing is changed then.
    """
    live = live_files(store, standing(store), channel)
    before = _published(store, channel)
    wanted = {name: file.sha256 for name, file in live.items()}
    changed = [name for name, sha256 in wanted.items() if before.get(name) != sha256]
    gone = [name for name in before if name not in wanted]

    def copy(name: str) -> None:
        store.write(public_prefix(channel) + name, store.read(live[name].key))

    with ThreadPoolExecutor(COPIES) as pool:
        list(pool.map(copy, changed))
        list(pool.map(lambda name: store.delete(public_prefix(channel) + name), gone))
    if changed or gone:
        columns = {"name": list(wanted), "sha256": list(wanted.values())}
        store.write(_index_key(channel), parquet_bytes(pa.table(columns, schema=INDEX)))
    return PublishedFiles(channel, len(changed), len(wanted) - len(changed), len(gone))


def live_files(store: Store, stored: Standing, channel: str) -> dict[str, LiveFile]:
    """The named crops that are live in a channel, by name. Raises LedgerError for a collision."""
    found: dict[str, LiveFile] = {}
    for row in _rows(store, stored, channel):
        name = row["name"]
        other = found.get(name)
        if other is not None and (other.image_id, other.sha256) != (row["image_id"], row["sha256"]):
            raise LedgerError(
                f"two live photos of channel {channel} have the crop name {name!r}: "
                f"{other.image_id} and {row['image_id']}; crop them anew with another template"
            )
        found[name] = LiveFile(row["image_id"], row["key"], row["sha256"])
    return found


def old_files(store: Store, stored: Standing) -> Iterator[tuple[str, str, ObjectInfo]]:
    """Objects that no live run needs: (why, run id or "", object).

    Of runs that were live those crops whose photo another run shows now, and of runs that were
    rolled back all; candidates and trials keep theirs. And published names that are live no more.
    Their bytes stay in the tables.
    """
    names = set(stored.channels)
    kept: set[str] = set()
    for channel in sorted(names):
        rows = list(_rows(store, stored, channel))
        kept |= {row["key"] for row in rows}
        shown = {public_prefix(channel) + row["name"] for row in rows}
        for info in store.list(public_prefix(channel)):
            if info.key not in shown:
                yield "published file", "", info
    for manifest in stored.runs.committed:
        if stored.state(manifest, channel_of(manifest)) in ("live", "withdrawn"):
            for info in store.list(run_prefix(manifest.run_id)):
                if info.key not in kept:
                    yield "old crop file", manifest.run_id, info


def _rows(store: Store, stored: Standing, channel: str) -> Iterator[dict[str, str]]:
    """The rows of `crop_files` that are live in a channel."""
    runs = stored.live(channel)
    if not any("crop_files" in manifest.tables for manifest in runs):
        return
    run = Run(store, [runs], read_forgotten(store).hidden)
    for batch in run.batches("crop_files", ["image_id", "name", "key", "sha256"]):
        yield from batch.to_pylist()


def _published(store: Store, channel: str) -> dict[str, str]:
    try:
        table = decode_table(store.read(_index_key(channel)))
    except FileNotFoundError:
        return {}
    return dict(zip(table["name"].to_pylist(), table["sha256"].to_pylist(), strict=True))


def _index_key(channel: str) -> str:
    return f"published/{channel}.parquet"
