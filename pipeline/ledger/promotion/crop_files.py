"""Publish crops as objects under names that a front end can build.

crops/<run_id>/<name>       written by a run, never overwritten; its table `crop_files` is the index
public/<channel>/<name>     the same name for whichever run is live, overwritten by `publish_files`;
                            objects there that have no run's name are other people's, and stay
published/<channel>.parquet what is there; see `published_index`

A run may never go live, or be taken back, so it writes to a place that no front end reads. After a
channel's live runs have changed, publishing copies what differs and removes what is not live now.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from pipeline.errors import LedgerError
from pipeline.ledger.channels.channel import channel_of
from pipeline.ledger.channels.live import Standing, standing
from pipeline.ledger.forgetting import read_forgotten
from pipeline.ledger.promotion.published_index import (
    index_key,
    public_prefix,
    published_objects,
    readable_published,
)
from pipeline.ledger.reader import Run
from pipeline.ledger.records import Manifest
from pipeline.ledger.removable import Garbage
from pipeline.storage.backend import ObjectInfo
from pipeline.storage.store import Store

COLLECTED_STATES = (
    "live",
    "withdrawn",
)  # states of runs that keep only the named crops that are shown


@dataclass(frozen=True)
class LiveFile:
    """A live crop. key: of the run's own object."""

    image_id: str
    key: str
    sha256: str


def run_prefix(run_id: str) -> str:
    """Return the prefix of the keys of a run's named crops."""
    return f"crops/{run_id}/"


def live_files(store: Store, stored: Standing, channel: str) -> dict[str, LiveFile]:
    """Return the named crops live in a channel, by name. Raises LedgerError for a collision."""
    found: dict[str, LiveFile] = {}
    for row in _rows(store, stored, channel):
        name = row["name"]
        other = found.get(name)
        if other is not None and (other.image_id, other.sha256) != (row["image_id"], row["sha256"]):
            raise LedgerError(
                f"two live photos of channel {channel} have the crop name {name!r}: "
                f"{other.image_id} and {row['image_id']}; crop them again with another template"
            )
        found[name] = LiveFile(row["image_id"], row["key"], row["sha256"])
    return found


def own_names(store: Store, stored: Standing, names: Iterable[str]) -> set[str]:
    """Return which of the names crops of any committed run have, live or not.

    An object in `public/` whose name no run has was not published by this product. A run whose
    table cannot be read has no names here, so that what may be another's is not removed.
    """
    asked, found = set(names), set[str]()
    for manifest in reversed(stored.runs.committed):  # the latest are the most likely
        if asked == found:
            break
        if "crop_files" in manifest.tables:
            with suppress(LedgerError):
                for rows in Run(store, [[manifest]]).batches("crop_files", ["name"]):
                    found |= asked.intersection(rows["name"].to_pylist())
    return found


def old_files(store: Store, stored: Standing) -> Iterator[Garbage]:
    """Yield named crops and published files that no live run needs.

    These are crops of live runs whose photo another run shows now, all crops of runs that were
    rolled back, and published names that are no longer live, even if only the index still has them.
    Candidates and trials keep their crops. The bytes stay in the tables.
    """
    indexes = {info.key for info in store.list("published/")}
    kept: set[str] = set()
    for channel in sorted(stored.channels):
        rows = list(_rows(store, stored, channel))
        kept |= {row["key"] for row in rows}
        indexed = readable_published(store, channel) if index_key(channel) in indexes else ()
        live = {row["name"] for row in rows}
        yield from _old_published(store, stored, channel, live, indexed)
    for manifest in stored.runs.committed:
        if stored.state(manifest, channel_of(manifest)) in COLLECTED_STATES:
            for info in store.list(run_prefix(manifest.run_id)):
                if info.key not in kept:
                    yield Garbage(info, manifest.run_id, "old crop file")


def _old_published(
    store: Store, stored: Standing, channel: str, live: set[str], indexed: Iterable[str]
) -> Iterator[Garbage]:
    """Yield what is published in a channel under names that are not live.

    live, indexed: the live names, and those in the channel's index, which may have no object.
    """
    prefix = public_prefix(channel)
    objects = {o.key.removeprefix(prefix): o for o in published_objects(store, channel)}
    old = set(indexed) - live
    old |= own_names(store, stored, objects.keys() - live - old)
    for name in sorted(old):
        info = objects.get(name, ObjectInfo(prefix + name, 0, "", 0.0))
        yield Garbage(info, "", "published file")


def removable_crops(store: Store, manifest: Manifest, keys: set[str]) -> set[str]:
    """Return a run's named crops that no live run needs, so that `gc` may have removed them.

    Empty for a candidate or a trial; keys outside the run's prefix are left out. Raises RecordError
    where a live run is damaged.
    """
    stored, prefix = standing(store), run_prefix(manifest.run_id)
    own = {key for key in keys if key.startswith(prefix)}
    if not own or stored.state(manifest, channel_of(manifest)) not in COLLECTED_STATES:
        return set()
    for channel in stored.channels:
        own -= {row["key"] for row in _rows(store, stored, channel)}
    return own


def _rows(store: Store, stored: Standing, channel: str) -> Iterator[dict[str, str]]:
    """Yield the rows of `crop_files` that are live in a channel."""
    runs = stored.live(channel)
    if not any("crop_files" in manifest.tables for manifest in runs):
        return
    run = Run(store, [runs], read_forgotten(store).hidden)
    for batch in run.batches("crop_files", ["image_id", "name", "key", "sha256"]):
        yield from batch.to_pylist()
