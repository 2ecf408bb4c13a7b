"""Publish the named crops that are live in a channel: copy what differs, remove what is not live.

One index records which crop each name shows (`published_index`). Stores only have to create an
object once, so neither the index nor the objects can be updated by compare-and-swap: a publisher
that another one has overtaken may still write both, and may be killed before it notices. So each
publisher trusts an entry of the index only if the listed object has the ETag of the entry. It also
checks afterwards whether what is live has changed: of two, the one with the older version repeats.

For the same reason the index may lack names that such a publisher wrote. They are recognised by the
tables of the runs (`own_names`). Other objects in `public/<channel>/` are not removed.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import LedgerError
from pipeline.ledger.channels.channel import versions_of
from pipeline.ledger.channels.live import PUBLISH_ROUNDS, Standing, every_live_run, standing
from pipeline.ledger.forgetting import forgotten_number
from pipeline.ledger.promotion.crop_files import LiveFile, live_files, own_names, run_prefix
from pipeline.ledger.promotion.published_index import (
    PublishedName,
    public_prefix,
    published_objects,
    read_published,
    readable_published,
    write_published,
)
from pipeline.ledger.reader import Run
from pipeline.storage.addresses import scheme_of
from pipeline.storage.store import Store
from pipeline.words import counted

COPIES = 16  # objects copied at a time


@dataclass(frozen=True)
class PublishedFiles:
    """The numbers of objects that publishing copied, left as they were and removed in a channel."""

    channel: str
    copied: int
    same: int
    removed: int


@dataclass(frozen=True)
class Deviation:
    """How the published names of a channel differ from what is live in it.

    changed: names that do not show their live crop, or may not, as somebody else wrote them
    gone:    names of objects that a publication wrote and that are not live
    live:    the live crops, by name
    index:   what was published, by name
    """

    changed: list[str]
    gone: list[str]
    live: Mapping[str, LiveFile]
    index: Mapping[str, PublishedName]


def deviation(
    store: Store, stored: Standing, channel: str, written: Iterable[str] = ()
) -> Deviation:
    """Compare published names with what is live, by the index and one listing of the objects.

    written: names that the caller has published, whatever the index says

    Raises LedgerError if two live photos have one name, or if one's name is a folder of the other's
    and the output is a folder; RecordError if the index or a live run is damaged: it is unknown
    then which names are live.
    """
    every_live_run(stored, channel)  # an unreadable one is not among `live_files`
    live, index = live_files(store, stored, channel), read_published(store, channel)
    _check_one_kind(store, channel, live)
    prefix = public_prefix(channel)
    listed = {o.key.removeprefix(prefix): o.etag for o in published_objects(store, channel)}
    shown = {name: one.sha256 for name, one in index.items() if one.etag == listed.get(name)}
    old = listed.keys() - live.keys()
    own = old.intersection(index, written)
    own |= own_names(store, stored, old - own)
    return Deviation(
        changed=[name for name, file in live.items() if shown.get(name) != file.sha256],
        gone=sorted(own),
        live=live,
        index=index,
    )


def publish_files(store: Store, channel: str) -> PublishedFiles:
    """Make the published names of a channel show what is live in it.

    If what is live changes meanwhile, or photos are forgotten, it publishes again, so that in the
    end all names show the same version. If killed halfway, the next call continues with whatever is
    live by then. An object that `gc` removed before its run went live again is restored from the
    run's table.

    Raises LedgerError and RecordError as `deviation`, before anything is changed; LedgerError if
    the bytes of a crop no longer exist anywhere (all other names are published then), and if what
    is live changes in each of PUBLISH_ROUNDS attempts.
    """
    copied = removed = 0
    names = set[str]()
    for _ in range(PUBLISH_ROUNDS):
        versions, stored = _versions(store, channel), standing(store)
        found = deviation(store, stored, channel, names)
        first = in_the_way(found.gone, found.changed)
        _delete(store, channel, first)
        written = _copy(store, stored, channel, {name: found.live[name] for name in found.changed})
        names |= written.keys()
        _delete(store, channel, set(found.gone) - first)
        copied, removed = copied + len(written), removed + len(found.gone)
        missing = [found.live[name] for name in found.changed if name not in written]
        same = found.live.keys() - set(found.changed)
        index = {name: found.index[name] for name in same} | written
        if index != found.index:
            write_published(store, channel, index)
        if _versions(store, channel) == versions:
            _check_none_missing(channel, missing)
            return PublishedFiles(channel, copied, len(same), removed)
    raise LedgerError(f"channel {channel} changes each time it is published; publish again later")


def in_the_way(gone: Iterable[str], names: Iterable[str]) -> set[str]:
    """Return which old names are folders of new ones, or the reverse.

    In a folder of this machine a name cannot be a file and a folder, so the old file goes first.
    """
    new, old = set(names), set(gone)
    inside = {name for name in old if any(folder in new for folder in _folders(name))}
    return inside | old.intersection(folder for name in new for folder in _folders(name))


def _folders(name: str) -> Iterator[str]:
    """Yield every folder that a name lies in."""
    return (name[: slash.start()] for slash in re.finditer("/", name))


def _check_one_kind(store: Store, channel: str, live: Mapping[str, LiveFile]) -> None:
    """Raise LedgerError if a live name is a file and a folder, where names are files."""
    if scheme_of(store.uri) != "file":
        return
    for name in live:
        for folder in _folders(name):
            if folder in live:
                raise LedgerError(
                    f"live crops of channel {channel} have the names {folder!r} and {name!r}, and "
                    "one cannot be a file and the other in a folder of that name; crop these "
                    "photos again with one template (`--mode full`)"
                )


def _versions(store: Store, channel: str) -> tuple[int, int]:
    """Return the version numbers of the channel and of the list of forgotten photos."""
    return versions_of(store, channel).latest(), forgotten_number(store)


def _check_none_missing(channel: str, missing: list[LiveFile]) -> None:
    """Raise LedgerError if crops have no object any more."""
    if missing:
        crops = counted(
            len(missing),
            f"live crop of channel {channel} has",
            f"live crops of channel {channel} have",
        )
        raise LedgerError(
            f"{crops} no object any more, and no table holds their bytes; the first is "
            f"{missing[0].key}. Crop these photos again (`--mode full`), or make another run live, "
            "and publish again"
        )


def unpublish(store: Store, keys: Iterable[str]) -> None:
    """Remove published objects, and their names from the index; absent ones are fine."""
    by_channel: dict[str, list[str]] = {}
    for key in keys:
        _, channel, name = key.split("/", 2)
        by_channel.setdefault(channel, []).append(name)
    for channel, names in by_channel.items():
        _delete(store, channel, names)
        removed, known = set(names), readable_published(store, channel)
        if removed & known.keys():
            left = {name: one for name, one in known.items() if name not in removed}
            write_published(store, channel, left)


def _copy(
    store: Store, stored: Standing, channel: str, files: Mapping[str, LiveFile]
) -> dict[str, PublishedName]:
    """Publish crops by name; return those whose bytes still exist anywhere."""
    written = _copy_objects(store, channel, files)
    missing = {name: file for name, file in files.items() if name not in written}
    if missing and _restore(store, stored, missing.values()):
        written |= _copy_objects(store, channel, missing)
    return written


def _copy_objects(
    store: Store, channel: str, files: Mapping[str, LiveFile]
) -> dict[str, PublishedName]:
    """Publish crops by name; return those whose own object exists."""

    def copy(name: str) -> PublishedName | None:
        try:
            data = store.read(files[name].key)
        except FileNotFoundError:
            return None
        key = public_prefix(channel) + name
        return PublishedName(files[name].sha256, store.write(key, data) or store.head(key).etag)

    with ThreadPoolExecutor(COPIES) as pool:
        done = zip(files, pool.map(copy, files), strict=True)
        return {name: one for name, one in done if one is not None}


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
