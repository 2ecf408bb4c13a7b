"""Determine which committed runs are live, and which are candidates, trials or withdrawn.

Runs of the releases before promotion ("earlier runs") are live by the rule of those releases as
long as nothing was promoted into their channel; its first version names them all. A run of this
release is live only if a channel's last version names it.
"""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import LedgerError, RecordError, SettingError
from pipeline.ledger.catalogue import TAIL, copied_manifests
from pipeline.ledger.channels.channel import (
    Channel,
    channel_of,
    promoted_s,
    read_channel,
    read_channels,
)
from pipeline.ledger.layout import manifest_key
from pipeline.ledger.manifest import manifest_of, read_manifest
from pipeline.ledger.records import Abandoned, Manifest
from pipeline.ledger.replaced import RESTORE
from pipeline.storage.store import Store
from pipeline.words import runs_command

READERS = 32  # manifests fetched at a time
PUBLISH_ROUNDS = 10  # attempts to publish what is live, if it changes during each
TICK_S = 0.001  # between two commits, or versions, if the earlier one is in the clock's future

State = Literal["live", "candidate", "trial", "withdrawn"]


@dataclass(frozen=True)
class StoredRuns:
    """The runs of a store.

    committed: the committed runs, the latest first
    damaged:   errors of the manifests that cannot be read, by run id
    open_ids:  ids of runs without a manifest, so neither committed nor given up
    abandoned_ids: ids of runs that `runs.py gc` gave up
    """

    committed: list[Manifest]
    damaged: Mapping[str, RecordError]
    open_ids: tuple[str, ...] = ()
    abandoned_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Standing:
    """Every committed run of a store and what is live in its channels.

    channels: by name, including those of earlier runs
    damaged:  the errors of the damaged channels, by name
    """

    runs: StoredRuns
    channels: Mapping[str, Channel]
    damaged: Mapping[str, RecordError]

    def channel(self, name: str) -> Channel:
        """Return what is live in a channel; nothing if it does not exist. Raises RecordError."""
        if name in self.damaged:
            raise self.damaged[name]
        return self.channels.get(name, Channel(name))

    def live(self, name: str) -> list[Manifest]:
        """Return the live runs of a channel, front first; damaged runs are left out."""
        known = {manifest.run_id: manifest for manifest in self.runs.committed}
        return [known[run] for run in self.channel(name).runs if run in known]

    def state(self, manifest: Manifest, channel: str | None = None) -> State:
        """Return a run's state in a channel; None: live if it is so in any, else as in its own."""
        if channel is None:
            if any(manifest.run_id in each.runs for each in self.channels.values()):
                return "live"
            channel = channel_of(manifest)
        known = self.channels.get(channel, Channel(channel))
        if manifest.run_id in known.runs:
            return "live"
        if manifest.run_id in known.withdrawn:
            return "withdrawn"
        return "trial" if is_trial(manifest) else "candidate"

    def places(self, run_id: str) -> dict[str, tuple[int, int]]:
        """Return a run's place in the list of each channel: (place, length), 1 for the front."""
        return {
            name: (each.runs.index(run_id) + 1, len(each.runs))
            for name, each in self.channels.items()
            if run_id in each.runs
        }

    def waiting(self, name: str) -> list[Manifest]:
        """Return the candidates of a channel, the latest first."""
        own = (m for m in self.runs.committed if channel_of(m) == name)
        return [m for m in own if self.state(m, name) == "candidate"]


def next_commit_s(committed: Iterable[Manifest]) -> float:
    """Return the time of the next commit in Unix seconds: now, but always after the latest commit.

    Another machine's clock may be ahead, so that its commit is in this machine's future. The run
    that is committed next must still count as the later one.
    """
    return max(time.time(), latest_commit_s(committed) + TICK_S)


def latest_commit_s(committed: Iterable[Manifest]) -> float:
    """Return when the latest of these runs was committed, in Unix seconds; 0 if there is none."""
    return max((manifest.committed_at for manifest in committed), default=0.0)


def is_earlier(manifest: Manifest) -> bool:
    """Return whether a run was committed by a release before promotion."""
    return "promote" not in manifest.job


def is_trial(manifest: Manifest) -> bool:
    """Return whether a run is a trial: with `--trial`, or over a part of its input."""
    return manifest.job.get("trial") is True


def stored_runs(store: Store) -> StoredRuns:
    """Return every run; a damaged manifest does not prevent reading the others."""
    return _stored(store, (name for name in store.folders("runs/") if not name.startswith("_")))


def standing(store: Store) -> Standing:
    """Return every committed run, and what is live in each channel."""
    runs = stored_runs(store)
    channels, damaged = read_channels(store)
    earlier: dict[str, list[str]] = {}
    for manifest in filter(is_earlier, runs.committed):
        earlier.setdefault(channel_of(manifest), []).append(manifest.run_id)
    for name, ids in earlier.items():
        if name not in damaged:
            channels.setdefault(name, Channel(name, tuple(ids)))
    return Standing(runs, channels, damaged)


def live_layers(store: Store, channel: str | None = None) -> list[list[Manifest]]:
    """Return the live runs of each channel, front first; the channel promoted last comes first.

    channel: only this one.

    If an output has only earlier runs, they are one list, the latest first. Raises LedgerError if
    nothing is live, and RecordError if a record that decides this is damaged.
    """
    if channel is not None:
        return [_channel_runs(store, channel)]
    channels, damaged = read_channels(store)
    for error in damaged.values():  # what is live there is unknown
        raise error
    named = {run for each in channels.values() for run in each.runs}
    others = _stored(
        store, (n for n in store.folders("runs/") if not n.startswith("_") and n not in named)
    )
    if not channels:
        for error in others.damaged.values():  # it may hide the run that comes first
            raise error
        return [_earlier_runs(store, others.committed)]
    layers = {name: _named(store, each.runs) for name, each in channels.items() if each.runs}
    since: dict[str, float] = {}
    for manifest in filter(is_earlier, others.committed):
        name = channel_of(manifest)
        if name not in channels:
            layers.setdefault(name, []).append(manifest)
            since[name] = max(since.get(name, 0.0), manifest.committed_at)
    if not layers:
        raise LedgerError(_nothing_live(store, others.committed))
    if len(layers) > 1:
        moved = (channels[name].version for name in layers if name in channels)
        since |= {version.channel: promoted_s(store, version) for version in moved if version}
    order = sorted(layers, key=lambda name: (since.get(name, 0.0), name), reverse=True)
    return [layers[name] for name in order]


def _channel_runs(store: Store, name: str) -> list[Manifest]:
    live = read_channel(store, name)
    if live.version is not None and live.runs:
        return _named(store, live.runs)
    found = standing(store)
    if runs := found.live(name):
        return runs
    known = ", ".join(sorted(n for n, each in found.channels.items() if each.runs)) or "none"
    raise SettingError("channel", f"{name!r} has nothing live in {store.uri}; live are {known}")


def _earlier_runs(store: Store, committed: list[Manifest]) -> list[Manifest]:
    found = [manifest for manifest in committed if is_earlier(manifest)]
    if not found:
        raise LedgerError(_nothing_live(store, committed))
    return found


def _nothing_live(store: Store, candidates: list[Manifest]) -> str:
    if not candidates:
        return f"no run is committed in {store.uri}"
    return (
        f"no run is live in {store.uri}; {len(candidates)} are committed, the latest is "
        f"{candidates[0].run_id}: {runs_command('promote', store.uri, candidates[0].run_id)} "
        "makes it live, and a run id opens it"
    )


def _named(store: Store, run_ids: Iterable[str]) -> list[Manifest]:
    """Return the manifests of live runs. Raises RecordError if one is missing."""
    names = list(run_ids)
    copies = copied_manifests(store) if len(names) > TAIL else {}

    def read(run_id: str) -> Manifest:
        manifest = _read(store, run_id, copies)
        if not isinstance(manifest, Manifest):
            raise RecordError(manifest_key(run_id), "it is gone, and the run is live", RESTORE)
        return manifest

    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(read, names))


def _stored(store: Store, run_ids: Iterable[str]) -> StoredRuns:
    names = list(run_ids)
    copies = copied_manifests(store) if len(names) > TAIL else {}

    def read(run_id: str) -> Manifest | Abandoned | RecordError | None:
        try:
            return _read(store, run_id, copies)
        except RecordError as error:
            return error

    with ThreadPoolExecutor(READERS) as pool:
        found = list(pool.map(read, names))
    committed = [one for one in found if isinstance(one, Manifest)]
    committed.sort(key=lambda m: (m.committed_at, m.run_id), reverse=True)
    by_name = dict(zip(names, found, strict=True))
    damaged = {name: one for name, one in by_name.items() if isinstance(one, RecordError)}
    open_ids = tuple(name for name, one in by_name.items() if one is None)
    abandoned_ids = tuple(name for name, one in by_name.items() if isinstance(one, Abandoned))
    return StoredRuns(committed, damaged, open_ids, abandoned_ids)


def _read(store: Store, run_id: str, copies: Mapping[str, bytes]) -> Manifest | Abandoned | None:
    """Return a run's manifest, from a copy if one exists, or None if it has no manifest."""
    if run_id not in copies:
        return read_manifest(store, run_id)
    return manifest_of(copies[run_id], run_id)
