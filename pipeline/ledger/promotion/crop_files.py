"""Publish crops as objects under names that a front end can build.

crops/<run_id>/<name>       written by a run, never overwritten; its table `crop_files` is the index
public/<channel>/<name>     the same name for whichever run is live, overwritten by `publish_files`
published/<channel>.parquet what is there; see `published_index`

A run may never go live, or be taken back, so it writes to a place that no front end reads. After a
channel's live runs have changed, publishing copies what differs and removes what is not live now.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import LedgerError
from pipeline.ledger.channels.channel import channel_of
from pipeline.ledger.channels.live import Standing, standing
from pipeline.ledger.forgetting import read_forgotten
from pipeline.ledger.promotion.published_index import (
    UNKNOWN,
    index_key,
    public_prefix,
    read_published,
    readable_published,
    write_published,
)
from pipeline.ledger.reader import Run
from pipeline.ledger.records import Manifest
from pipeline.storage.backend import ObjectInfo
from pipeline.storage.store import Store

COPIES = 16  # objects copied at a time
PUBLISHED_FILE = "published file"  # why one may be removed
OUTLIVED = ("live", "withdrawn")  # states of runs that keep only the named crops that are shown


@dataclass(frozen=True)
class PublishedFiles:
    """The numbers of objects that publishing copied, left as they were and removed in a channel."""

    channel: str
    copied: int
    same: int
    removed: int


@dataclass(frozen=True)
class LiveFile:
    """A live crop. key: of the run's own object."""

    image_id: str
    key: str
    sha256: str


def run_prefix(run_id: str) -> str:
    """Return the prefix of the keys of a run's named crops."""
    return f"crops/{run_id}/"


def publish_files(store: Store, channel: str, look: bool = False) -> PublishedFiles:
    """Make the published names of a channel show what is live in it; one call at a time.

    look: also list the published objects, so that one that was deleted is copied again. One that
        was overwritten is not noticed.

    If killed halfway, it leaves some names old and marked as unknown in the index; the next call
    continues with whatever is live by then. An object that `gc` removed before its run went live
    again is restored from the run's table.

    Raises LedgerError if two live photos have one name (nothing is changed then), and if the bytes
    of a crop no longer exist anywhere (all other names are published then); RecordError if the
    index is damaged.
    """
    stored = standing(store)
    live = live_files(store, stored, channel)
    before = read_published(store, channel)
    wanted = {name: file.sha256 for name, file in live.items()}
    there = _still_there(store, channel, before) if look else before
    changed = [name for name, sha256 in wanted.items() if there.get(name) != sha256]
    gone = [name for name in before if name not in wanted]
    if changed or gone:
        write_published(store, channel, before | dict.fromkeys([*changed, *gone], UNKNOWN))
        missing = _copy(store, channel, {name: live[name] for name in changed})
        if missing and _make_anew(store, stored, missing.values()):
            missing = _copy(store, channel, missing)
        _delete(store, channel, gone)
        write_published(store, channel, wanted | dict.fromkeys(missing, UNKNOWN))
        if missing:
            first = next(iter(missing.values())).key
            raise LedgerError(
                f"{len(missing)} live crops of channel {channel} have no object any more, and no "
                f"table holds their bytes; the first is {first}. Crop these photos anew "
                "(`--mode full`), or make another run live, and publish again"
            )
    return PublishedFiles(channel, len(changed), len(wanted) - len(changed), len(gone))


def unpublish(store: Store, keys: Iterable[str]) -> None:
    """Remove published objects, and their names from the index; absent ones are fine.

    Other names that a publisher has written into the index meanwhile stay.
    """
    by_channel: dict[str, list[str]] = {}
    for key in keys:
        _, channel, name = key.split("/", 2)
        by_channel.setdefault(channel, []).append(name)
    for channel, names in by_channel.items():
        removed = set(names)
        if known := removed & (before := readable_published(store, channel)).keys():
            write_published(store, channel, before | dict.fromkeys(known, UNKNOWN))
        _delete(store, channel, names)
        if removed & (now := readable_published(store, channel)).keys():
            left = {name: sha256 for name, sha256 in now.items() if name not in removed}
            write_published(store, channel, left)


def live_files(store: Store, stored: Standing, channel: str) -> dict[str, LiveFile]:
    """Return the named crops live in a channel, by name. Raises LedgerError for a collision."""
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
    """Yield objects that no live run needs: (why, run id or "", object).

    These are crops of live runs whose photo another run shows now, all crops of runs that were
    rolled back, and published names that are no longer live, even if only the index still has them.
    Candidates and trials keep their crops. The bytes stay in the tables.
    """
    indexes = {info.key for info in store.list("published/")}
    kept: set[str] = set()
    for channel in sorted(stored.channels):
        rows = list(_rows(store, stored, channel))
        kept |= {row["key"] for row in rows}
        shown = {public_prefix(channel) + row["name"] for row in rows}
        names = readable_published(store, channel) if index_key(channel) in indexes else ()
        without_object = {public_prefix(channel) + name for name in names} - shown
        for info in store.list(public_prefix(channel)):
            if info.key not in shown:
                without_object.discard(info.key)
                yield PUBLISHED_FILE, "", info
        for key in sorted(without_object):
            yield PUBLISHED_FILE, "", ObjectInfo(key, 0, "", 0.0)
    for manifest in stored.runs.committed:
        if stored.state(manifest, channel_of(manifest)) in OUTLIVED:
            for info in store.list(run_prefix(manifest.run_id)):
                if info.key not in kept:
                    yield "old crop file", manifest.run_id, info


def not_needed(store: Store, manifest: Manifest, keys: set[str]) -> set[str]:
    """Return a run's named crops that no live run needs, so that `gc` may have removed them.

    Empty for a candidate or a trial; keys outside the run's prefix are left out. Raises RecordError
    where a live run is damaged.
    """
    stored, prefix = standing(store), run_prefix(manifest.run_id)
    own = {key for key in keys if key.startswith(prefix)}
    if not own or stored.state(manifest, channel_of(manifest)) not in OUTLIVED:
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


def _still_there(store: Store, channel: str, index: Mapping[str, str]) -> dict[str, str]:
    """Return the entries of a channel's index whose object exists."""
    prefix = public_prefix(channel)
    names = (info.key.removeprefix(prefix) for info in store.list(prefix))
    return {name: index[name] for name in names if name in index}


def _copy(store: Store, channel: str, files: Mapping[str, LiveFile]) -> dict[str, LiveFile]:
    """Publish crops by name; return those whose own object is gone."""

    def copy(name: str) -> bool:
        try:
            data = store.read(files[name].key)
        except FileNotFoundError:
            return False
        store.write(public_prefix(channel) + name, data)
        return True

    with ThreadPoolExecutor(COPIES) as pool:
        done = list(pool.map(copy, files))
    return {name: file for (name, file), ok in zip(files.items(), done, strict=True) if not ok}


def _make_anew(store: Store, stored: Standing, files: Iterable[LiveFile]) -> bool:
    """Restore runs' own objects from their tables; return whether the bytes of any were found."""
    wanted = {file.key: file.sha256 for file in files}
    keys, found = pa.array(list(wanted), pa.string()), False
    for manifest in stored.runs.committed:
        if not any(key.startswith(run_prefix(manifest.run_id)) for key in wanted):
            continue
        for rows in Run(store, [[manifest]]).batches("crops", ["file", "image"]):
            for row in rows.filter(pc.is_in(rows["file"], keys)).to_pylist():
                data = row["image"] or b""
                if hashlib.sha256(data).hexdigest() == wanted[row["file"]]:
                    store.create_once(row["file"], data)
                    found = True
    return found


def _delete(store: Store, channel: str, names: Iterable[str]) -> None:
    with ThreadPoolExecutor(COPIES) as pool:
        list(pool.map(lambda name: store.delete(public_prefix(channel) + name), names))
