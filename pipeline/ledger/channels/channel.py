"""Keep which runs of a channel are live: an ordered list of them, in numbered versions.

channels/<name>/<n>.json        version n; the highest number says what is live
channels/<name>/list-<sha>.json runs further back in a version's list

A nightly run covers only what is new, so what is live is a list of runs, in front the one whose
rows count first. A promotion puts a run in front, a rollback restores the list of the version
before. Both are a new version (`moves`); none is ever changed.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from msgspec import Struct

from pipeline.errors import LedgerError, RecordError
from pipeline.gate import CHANNEL
from pipeline.ledger.records import FORMAT, Count, Manifest, StoredList
from pipeline.ledger.versions import Versions
from pipeline.storage.store import Store

PRODUCT = ("ratios", "top_k", "thumbnail_size", "format")  # settings that tell products apart
SHOWN_RATIOS = 3
READERS = 16


class ChannelVersion(Struct, frozen=True, kw_only=True):
    """channels/<name>/<n>.json: what is live from here on, and how it came about.

    added, removed:  runs, against the version before
    recent, earlier: the live runs, in front first; `earlier` is the rest of a long list
    previous:        the version whose list a rollback restores; None: nothing is live then
    withdrawn:       runs that were rolled back and not promoted since
    suspect:         runs rolled back since a person last promoted one: no job promotes their like
    figures, gate:   what was measured and asked for
    nonce:           makes two promoters' documents differ
    """

    advice: ClassVar[str] = (
        "Restore it from a copy, or let `runs.py rollback` make the version before it live again."
    )
    format: int = FORMAT
    channel: str
    number: Count
    action: Literal["start", "promote", "rollback"]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    recent: tuple[str, ...] = ()
    earlier: StoredList | None = None
    previous: Count | None = None
    withdrawn: tuple[str, ...] = ()
    suspect: tuple[str, ...] = ()
    who: str = ""
    at: float = 0.0
    why: str = ""
    gate: str = ""
    figures: Mapping[str, float] = {}
    nonce: str = ""


@dataclass(frozen=True)
class Channel:
    """What is live in a channel. version: None where it was never promoted into."""

    name: str
    runs: tuple[str, ...] = ()
    version: ChannelVersion | None = None

    @property
    def number(self) -> int:
        return 0 if self.version is None else self.version.number

    @property
    def withdrawn(self) -> tuple[str, ...]:
        """Runs that were rolled back: they cover no photo."""
        return () if self.version is None else self.version.withdrawn


def channel_name(settings: Mapping[str, Any]) -> str:
    """Name a channel after what its thumbnails are: shapes, encoding, size and how many a shape.

    Settings that only make them better (quality, limits, how they are chosen) leave the name as it
    is, so that a better run takes the place of the one before. For instance 16x9-webp-512-1f0c9d.
    """
    asked = [text.strip() for text in str(settings.get("ratios", "")).split(",")]
    ratios = sorted({text for text in asked if text})
    product = {name: settings.get(name) for name in PRODUCT} | {"ratios": ratios}
    if settings.get("boxes_only"):  # named only there: the names of other channels stay
        product["format"] = "boxes"
    digest = hashlib.sha256(json.dumps(product, sort_keys=True).encode()).hexdigest()[:6]
    shown = [re.sub(r"[^A-Za-z0-9]", "x", ratio) for ratio in ratios[:SHOWN_RATIOS]]
    if len(ratios) > SHOWN_RATIOS:
        shown.append(f"and_{len(ratios) - SHOWN_RATIOS}_more")
    words = ["_".join(shown)[:40] or "all"]
    words += [str(product[name]) for name in ("format", "thumbnail_size") if product[name]]
    return re.sub(r"[^A-Za-z0-9_.=-]", "", "-".join([*words, digest]))


def channel_of(manifest: Manifest) -> str:
    """The channel that a run is a candidate for."""
    return str(manifest.job.get("channel") or "") or channel_name(manifest.settings)


def channel_names(store: Store) -> tuple[str, ...]:
    """The channels that have a version."""
    return tuple(name for name in store.folders("channels/") if CHANNEL.fullmatch(name))


def read_channel(store: Store, name: str) -> Channel:
    """What is live in a channel. Raises RecordError where its last version cannot be used."""
    versions = versions_of(store, name)
    numbers = versions.numbers()
    return channel_at(versions, name, numbers[-1]) if numbers else Channel(name)


def read_channels(store: Store) -> tuple[dict[str, Channel], dict[str, RecordError]]:
    """Every channel that has a version, by name, and what is wrong with the damaged ones."""
    names = channel_names(store)

    def read(name: str) -> Channel | RecordError:
        try:
            return read_channel(store, name)
        except RecordError as error:
            return error

    with ThreadPoolExecutor(READERS) as pool:
        found = dict(zip(names, pool.map(read, names), strict=True))
    return (
        {n: one for n, one in found.items() if isinstance(one, Channel) and one.version},
        {name: one for name, one in found.items() if isinstance(one, RecordError)},
    )


def history(store: Store, name: str, last: int | None = None) -> list[ChannelVersion | RecordError]:
    """The versions of a channel, the latest last; for a damaged one what is wrong with it."""
    versions = versions_of(store, name)

    def read(number: int) -> ChannelVersion | RecordError:
        try:
            return versions.read(number, ChannelVersion)
        except RecordError as error:
            return error

    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(read, versions.numbers()[-last if last else 0 :]))


def channel_at(versions: Versions, name: str, number: int) -> Channel:
    """What was live at a version of a channel. Raises RecordError where it cannot be used."""
    version = versions.read(number, ChannelVersion)
    if (version.channel, version.number) != (name, number):
        problem = f"it is version {version.number} of channel {version.channel[:64]!r}"
        raise RecordError(versions.key(number), problem, ChannelVersion.advice)
    earlier = [str(run) for run in versions.read_list(version.earlier)]
    return Channel(name, (*version.recent, *earlier), version)


def newest_readable(versions: Versions, name: str, before: int) -> Channel:
    """The channel at its newest version below a number that can be used. Raises LedgerError."""
    for number in reversed([number for number in versions.numbers() if number < before]):
        try:
            return channel_at(versions, name, number)
        except RecordError:
            continue
    raise LedgerError(f"no version of channel {name} can be read; promote a run into another one")


def promoted_s(store: Store, version: ChannelVersion) -> float:
    """When what a version makes live was promoted, Unix seconds.

    A rollback is no promotion: what it made live again was promoted at its own time. Of damaged
    versions on the way to that one the time is taken that a rollback over them would lead to.
    """
    versions = versions_of(store, version.channel)
    while version.action == "rollback":
        before = _restored_by(versions, version)
        if before is None or before.number >= version.number:
            break
        version = before
    return version.at


def _restored_by(versions: Versions, rollback: ChannelVersion) -> ChannelVersion | None:
    """The version whose list a rollback made live again; None where that was none."""
    try:
        undone = versions.read(rollback.number - 1, ChannelVersion)
        if undone.previous is None:
            return None
        return versions.read(undone.previous, ChannelVersion)
    except RecordError:
        try:
            return newest_readable(versions, rollback.channel, rollback.number - 1).version
        except LedgerError:
            return None


def latest_move_s(store: Store, but: str) -> float:
    """When the latest version of any channel `but` one was made, Unix seconds; 0 where none is.

    A channel whose last version is damaged says nothing.
    """

    def moved_s(name: str) -> float:
        versions = versions_of(store, name)
        numbers = versions.numbers()
        try:
            return versions.read(numbers[-1], ChannelVersion).at if numbers else 0.0
        except RecordError:
            return 0.0

    with ThreadPoolExecutor(READERS) as pool:
        others = (name for name in channel_names(store) if name != but)
        return max(pool.map(moved_s, others), default=0.0)


def versions_of(store: Store, name: str) -> Versions:
    """The numbered versions of a channel."""
    return Versions(store, f"channels/{name}/")
