"""Move a channel: create its next version, by a promotion or a rollback.

The first writer creates a number; the others read again what is live by then and retry. Whatever
this machine's clock shows, a version is dated after those of all channels, because channels are
ordered by their promotions.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar

from msgspec import structs

from pipeline.errors import LedgerError, RecordError
from pipeline.gate import check_channel
from pipeline.ledger.channels.channel import (
    Channel,
    ChannelVersion,
    channel_at,
    latest_move_s,
    newest_readable,
    read_channel,
    versions_of,
)
from pipeline.ledger.records import StoredList
from pipeline.ledger.stored_runs import TICK_S
from pipeline.ledger.versions import RECENT, Versions
from pipeline.storage.store import Store

ATTEMPTS = 100
VersionT = TypeVar("VersionT", bound=ChannelVersion | None)


def advance(
    store: Store, name: str, change: Callable[[Channel], ChannelVersion | None]
) -> ChannelVersion | None:
    """Create the next version, even if others do so at the same time; return it.

    change: builds the next version from what is live, with `next_version`; None leaves the channel
        as it is. It is called again, with what is live by then, if somebody else was faster.
    """
    return _create_next(store, name, lambda _: change(read_channel(store, name)))


def next_version(
    store: Store, live: Channel, runs: Iterable[str], action: Literal["start", "promote"],
    **about: Any,
) -> ChannelVersion:  # fmt: skip
    """Return the version after `live` that makes `runs` live, in this order."""
    wanted = tuple(runs)
    withdrawn = tuple(run for run in live.withdrawn if run not in wanted)
    suspect = () if live.version is None else live.version.suspect
    return _version(
        store, live, wanted, action=action, previous=live.number or None, withdrawn=withdrawn,
        **{"suspect": suspect, **about},
    )  # fmt: skip


def roll_back(store: Store, name: str, **about: Any) -> ChannelVersion:
    """Make live again what was live before the last change; `about` has the person and the reason.

    If the last version is damaged, the newest readable version is restored. Raises LedgerError if
    there is nothing to restore.
    """

    def restored(versions: Versions) -> ChannelVersion:
        numbers = versions.numbers()
        if not numbers:
            raise LedgerError(f"nothing was ever promoted in channel {name}")
        return _restored(store, versions, name, numbers, about)

    return _create_next(store, name, restored)


def _create_next(store: Store, name: str, build: Callable[[Versions], VersionT]) -> VersionT:
    """Create the version that `build` returns, unless it returns None; return it.

    build: is called again if somebody else has created a version of that number meanwhile.
    """
    check_channel(name)
    versions = versions_of(store, name)
    for _ in range(ATTEMPTS):
        version = build(versions)
        if version is None or versions.create(version.number, version):
            return version
    raise LedgerError(f"channel {name} is being changed by others; try again later")


def _restored(
    store: Store, versions: Versions, name: str, numbers: list[int], about: Mapping[str, Any]
) -> ChannelVersion:
    try:
        live = channel_at(versions, name, numbers[-1])
    except RecordError:
        before = newest_readable(versions, name, numbers[-1])
        after = Channel(name, before.runs, _numbered(before, numbers[-1]))
        last = before.version
        return _version(
            store, after, before.runs, action="rollback",
            previous=last.previous if last else None, withdrawn=before.withdrawn,
            suspect=last.suspect if last else (), **about,
        )  # fmt: skip
    assert live.version is not None
    if live.version.previous is None and not live.runs:
        raise LedgerError(f"nothing is live in channel {name}, and nothing was before")
    target = Channel(name)
    if live.version.previous is not None:
        target = channel_at(versions, name, live.version.previous)
    removed = tuple(run for run in live.runs if run not in target.runs)
    withdrawn = tuple(r for r in dict.fromkeys([*live.withdrawn, *removed]) if r not in target.runs)
    return _version(
        store, live, target.runs, action="rollback",
        previous=target.version.previous if target.version else None, withdrawn=withdrawn,
        suspect=tuple(dict.fromkeys([*live.version.suspect, *removed])), **about,
    )  # fmt: skip


def _numbered(before: Channel, number: int) -> ChannelVersion:
    """Return a stand-in for a damaged version, so that the next number follows it."""
    if before.version is None:
        return ChannelVersion(channel=before.name, number=number, action="start")
    return structs.replace(before.version, number=number)


def _version(store: Store, live: Channel, runs: tuple[str, ...], **about: Any) -> ChannelVersion:
    recent, earlier = _folded(versions_of(store, live.name), live, runs)
    own = 0.0 if live.version is None else live.version.at
    latest = max(own, latest_move_s(store, but=live.name))
    return ChannelVersion(
        channel=live.name, number=live.number + 1, recent=recent, earlier=earlier,
        added=tuple(run for run in runs if run not in live.runs),
        removed=tuple(run for run in live.runs if run not in runs),
        at=max(time.time(), latest + TICK_S), nonce=secrets.token_hex(8), **about,
    )  # fmt: skip


def _folded(
    versions: Versions, live: Channel, runs: tuple[str, ...]
) -> tuple[tuple[str, ...], StoredList | None]:
    """Split a list of runs as a version holds it. The stored part is rarely rewritten."""
    before = live.version
    if before is not None and before.earlier is not None:
        tail = live.runs[len(before.recent) :]
        if runs[len(runs) - len(tail) :] == tail and len(runs) - len(tail) <= RECENT:
            return runs[: len(runs) - len(tail)], before.earlier
    if len(runs) <= RECENT:
        return runs, None
    return (), versions.write_list(runs)
