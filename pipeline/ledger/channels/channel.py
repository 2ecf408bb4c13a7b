"""Record the live runs of a channel: an ordered list, in numbered versions.

channels/<name>/<n>.json        version n; the highest number defines what is live
channels/<name>/list-<sha>.json runs further back in a version's list

A nightly run covers only new photos, so a channel has a list of live runs. The rows of the first
run take precedence. A promotion puts a run in front, and a rollback restores the list of the
version before. Both create a new version (`moves`). No version is ever changed.
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
    """channels/<name>/<n>.json: what is live from this version on, and why.

    added, removed:  runs, compared with the version before
    recent, earlier: the live runs, front first; `earlier` is the rest of a long list
    previous:        the version whose list a rollback restores; None: nothing is live then
    withdrawn:       runs that were rolled back and not promoted since
    suspect:         runs rolled back since a person last promoted one; no job promotes similar runs
    figures, gate:   the measured figures and the required limits
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
    """The live runs of a channel. version: None if nothing was ever promoted into it."""

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
    """Name a channel after its thumbnails' shapes, encoding, size and number per shape.

    Settings that only improve them (quality, limits, how they are chosen) do not change the name,
    so that a better run replaces the one before. An example is 16x9-webp-512-1f0c9d.
    """
    asked = [text.strip() for text in str(settings.get("ratios", "")).split(",")]
    ratios = sorted({text for text in asked if text})
    product = {name: settings.get(name) for name in PRODUCT} | {"ratios": ratios}
    if settings.get("boxes_only"):  # only then, so that the names of other channels stay the same
        product["format"] = "boxes"
    digest = hashlib.sha256(json.dumps(product, sort_keys=True).encode()).hexdigest()[:6]
    shown = [re.sub(r"[^A-Za-z0-9]", "x", ratio) for ratio in ratios[:SHOWN_RATIOS]]
    if len(ratios) > SHOWN_RATIOS:
        shown.append(f"and_{len(ratios) - SHOWN_RATIOS}_more")
    words = ["_".join(shown)[:40] or "all"]
    words += [str(product[name]) for name in ("format", "thumbnail_size") if product[name]]
    return re.sub(r"[^A-Za-z0-9_.=-]", "", "-".join([*words, digest]))


def channel_of(manifest: Manifest) -> str:
    """Return the channel that a run is a candidate for."""
    return str(manifest.job.get("channel") or "") or channel_name(manifest.settings)


def channel_names(store: Store) -> tuple[str, ...]:
    """Return the channels that have a version."""
    return tuple(name for name in store.folders("channels/") if CHANNEL.fullmatch(name))


def read_channel(store: Store, name: str) -> Channel:
    """Return what is live in a channel. Raises RecordError if its last version is unusable."""
    versions = versions_of(store, name)
    numbers = versions.numbers()
    return channel_at(versions, name, numbers[-1]) if numbers else Channel(name)


def read_channels(store: Store) -> tuple[dict[str, Channel], dict[str, RecordError]]:
    """Return every channel that has a version, and the errors of damaged ones, by name."""
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
    """Return the versions of a channel, the latest last; a damaged one as its error."""
    versions = versions_of(store, name)

    def read(number: int) -> ChannelVersion | RecordError:
        try:
            return versions.read(number, ChannelVersion)
        except RecordError as error:
            return error

    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(read, versions.numbers()[-last if last else 0 :]))


def channel_at(versions: Versions, name: str, number: int) -> Channel:
    """Return what was live at a version of a channel. Raises RecordError if it is unusable."""
    version = versions.read(number, ChannelVersion)
    if (version.channel, version.number) != (name, number):
        problem = f"it is version {version.number} of channel {version.channel[:64]!r}"
        raise RecordError(versions.key(number), problem, ChannelVersion.advice)
    earlier = [str(run) for run in versions.read_list(version.earlier)]
    return Channel(name, (*version.recent, *earlier), version)


def front_of(store: Store, version: ChannelVersion) -> str | None:
    """Return the run in front at a version, None where nothing is live. Raises RecordError."""
    if version.recent:
        return version.recent[0]
    earlier = versions_of(store, version.channel).read_list(version.earlier)
    return str(earlier[0]) if earlier else None


def newest_readable(versions: Versions, name: str, before: int) -> Channel:
    """Return the channel at its newest usable version below a number.

    Raises LedgerError if there is none.
    """
    for number in reversed([number for number in versions.numbers() if number < before]):
        try:
            return channel_at(versions, name, number)
        except RecordError:
            continue
    raise LedgerError(f"no version of channel {name} can be read; promote a run into another one")


def promoted_s(store: Store, version: ChannelVersion) -> float:
    """Return when the runs that a version makes live were promoted, in Unix seconds.

    A rollback is not a promotion: the version that it restored has its own promotion time. If
    versions on the way back to it are damaged, the newest readable version below them counts.
    """
    versions = versions_of(store, version.channel)
    while version.action == "rollback":
        before = _restored_by(versions, version)
        if before is None or before.number >= version.number:
            break
        version = before
    return version.at


def _restored_by(versions: Versions, rollback: ChannelVersion) -> ChannelVersion | None:
    """Return the version whose list a rollback restored; None if there was none."""
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
    """Return when the latest version of any channel except `but` was created, in Unix seconds.

    0 if there is none. A channel whose last version is damaged is ignored.
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
    """Return the numbered versions of a channel."""
    return Versions(store, f"channels/{name}/")
