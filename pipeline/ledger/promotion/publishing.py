"""Publish the named crops that are live in a channel: copy what differs, remove what is not live.

One index records which crop each name shows (`published_index`). Stores only have to create an
object once, so the index cannot be updated by compare-and-swap. Instead, each publisher checks
afterwards whether what is live has changed: of two, the one with the older version repeats.
"""

import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import LedgerError
from pipeline.ledger.channels.channel import versions_of
from pipeline.ledger.channels.live import PUBLISH_ROUNDS, Standing, standing
from pipeline.ledger.forgetting import forgotten_number
from pipeline.ledger.promotion.crop_files import LiveFile, live_files, run_prefix
from pipeline.ledger.promotion.published_index import (
    UNKNOWN,
    public_prefix,
    read_published,
    readable_published,
    write_published,
)
from pipeline.ledger.reader import Run
from pipeline.storage.store import Store

COPIES = 16  # objects copied at a time


@dataclass(frozen=True)
class PublishedFiles:
    """The numbers of objects that publishing copied, left as they were and removed in a channel."""

    channel: str
    copied: int
    same: int
    removed: int


def publish_files(store: Store, channel: str, recheck: bool = False) -> PublishedFiles:
    """Make the published names of a channel show what is live in it.

    recheck: also list the published objects, so that one that was deleted is copied again. One that
        was overwritten is not noticed.

    If what is live changes meanwhile, or photos are forgotten, it publishes again, so that in the
    end all names show the same version. If killed halfway, it leaves some names old and marked as
    unknown in the index; the next call continues with whatever is live by then. An object that `gc`
    removed before its run went live again is restored from the run's table.

    Raises LedgerError if two live photos have one name (nothing is changed then), if the bytes of a
    crop no longer exist anywhere (all other names are published then), and if what is live changes
    in each of PUBLISH_ROUNDS attempts; RecordError if the index is damaged.
    """
    written: dict[str, str | None] = {}  # hash of each object written by this call; None: removed
    copied = removed = 0
    for _ in range(PUBLISH_ROUNDS):
        versions, stored = _versions(store, channel), standing(store)
        live = live_files(store, stored, channel)
        before = read_published(store, channel)
        # A concurrent call may have written its index last, but this call its objects.
        before |= {name: UNKNOWN for name, sha256 in written.items() if before.get(name) != sha256}
        wanted = {name: file.sha256 for name, file in live.items()}
        there = _still_there(store, channel, before) if recheck else before
        changed = [name for name, sha256 in wanted.items() if there.get(name) != sha256]
        gone = [name for name in before if name not in wanted]
        missing: dict[str, LiveFile] = {}
        if changed or gone:
            write_published(store, channel, before | dict.fromkeys([*changed, *gone], UNKNOWN))
            missing = _copy(store, stored, channel, {name: live[name] for name in changed})
            _delete(store, channel, gone)
            written |= {**{name: wanted[name] for name in changed}, **dict.fromkeys(gone)}
            copied, removed = copied + len(changed), removed + len(gone)
            write_published(store, channel, wanted | dict.fromkeys(missing, UNKNOWN))
        if _versions(store, channel) == versions:
            _check_none_missing(channel, missing)
            return PublishedFiles(channel, copied, len(wanted) - len(changed), removed)
    raise LedgerError(f"channel {channel} changes each time it is published; publish again later")


def _versions(store: Store, channel: str) -> tuple[int, int]:
    """Return the version numbers of the channel and of the list of forgotten photos."""
    return versions_of(store, channel).latest(), forgotten_number(store)


def _check_none_missing(channel: str, missing: Mapping[str, LiveFile]) -> None:
    """Raise LedgerError if crops have no object any more."""
    if missing:
        first = next(iter(missing.values())).key
        raise LedgerError(
            f"{len(missing)} live crops of channel {channel} have no object any more, and no "
            f"table holds their bytes; the first is {first}. Crop these photos again "
            "(`--mode full`), or make another run live, and publish again"
        )


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


def _still_there(store: Store, channel: str, index: Mapping[str, str]) -> dict[str, str]:
    """Return the entries of a channel's index whose object exists."""
    prefix = public_prefix(channel)
    names = (info.key.removeprefix(prefix) for info in store.list(prefix))
    return {name: index[name] for name in names if name in index}


def _copy(
    store: Store, stored: Standing, channel: str, files: Mapping[str, LiveFile]
) -> dict[str, LiveFile]:
    """Publish crops by name; return those whose bytes no longer exist anywhere."""
    missing = _copy_objects(store, channel, files)
    if missing and _restore(store, stored, missing.values()):
        missing = _copy_objects(store, channel, missing)
    return missing


def _copy_objects(store: Store, channel: str, files: Mapping[str, LiveFile]) -> dict[str, LiveFile]:
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


def _restore(store: Store, stored: Standing, files: Iterable[LiveFile]) -> bool:
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
