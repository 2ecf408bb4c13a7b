"""Determine which committed runs are live, and which are candidates, trials or withdrawn.

Runs of the releases before promotion ("earlier runs") are live by the rule of those releases as
long as nothing was promoted into their channel; its first version names them all. A run of this
release is live only if a channel's last version names it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import LedgerError, RecordError, SettingError
from pipeline.ledger.channels.channel import (
    Channel,
    channel_of,
    promoted_s,
    read_channel,
    read_channels,
)
from pipeline.ledger.records import Manifest
from pipeline.ledger.stored_runs import (
    StoredRuns,
    gone_live_run,
    live_manifests,
    read_runs,
    run_ids,
    stored_runs,
)
from pipeline.storage.store import Store
from pipeline.words import runs_command

PUBLISH_ROUNDS = 10  # attempts to publish what is live, if it changes during each

State = Literal["live", "candidate", "trial", "withdrawn"]


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


def is_earlier(manifest: Manifest) -> bool:
    """Return whether a run was committed by a release before promotion."""
    return "promote" not in manifest.job


def is_trial(manifest: Manifest) -> bool:
    """Return whether a run is a trial: with `--trial`, or over a part of its input."""
    return manifest.job.get("trial") is True


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


def every_live_run(stored: Standing, channel: str, behind: int = 0) -> list[Manifest]:
    """Return the live runs of a channel, front first, without the first `behind` of them.

    `Standing.live`, in contrast, leaves damaged runs out. Raises RecordError if one of those
    returned is damaged or gone.
    """
    known = {manifest.run_id: manifest for manifest in stored.runs.committed}
    wanted = stored.channel(channel).runs[behind:]
    for run_id in wanted:
        if run_id not in known:
            raise stored.runs.damaged.get(run_id, gone_live_run(run_id))
    return [known[run_id] for run_id in wanted]


def live_layers(store: Store, channel: str | None = None) -> list[list[Manifest]]:
    """Return the live runs of each channel, front first; the channel promoted last comes first.

    channel: only this one.

    If an output has only earlier runs, they are one list, the latest first. Raises LedgerError if
    nothing is live, and RecordError if a record that decides this is damaged.
    """
    if channel is not None:
        return [_channel_runs(store, channel)]
    layers, others = _layers(store)
    if not layers:
        raise LedgerError(_nothing_live(store, others))
    return layers


def live_layers_if_any(store: Store) -> list[list[Manifest]]:
    """Return what `live_layers` does; nothing if nothing is live. Raises RecordError."""
    return _layers(store)[0]


def _layers(store: Store) -> tuple[list[list[Manifest]], list[Manifest]]:
    """Return the live runs of each channel, in order, and the committed runs that are in none."""
    channels, damaged = read_channels(store)
    for error in damaged.values():  # what is live there is unknown
        raise error
    named = {run for each in channels.values() for run in each.runs}
    others = read_runs(store, (run for run in run_ids(store) if run not in named))
    earlier = [manifest for manifest in others.committed if is_earlier(manifest)]
    if not channels:
        for error in others.damaged.values():  # it may hide the run that comes first
            raise error
        return [earlier] if earlier else [], others.committed
    layers = {
        name: live_manifests(store, each.runs) for name, each in channels.items() if each.runs
    }
    since: dict[str, float] = {}
    for manifest in earlier:
        name = channel_of(manifest)
        if name not in channels:
            layers.setdefault(name, []).append(manifest)
            since[name] = max(since.get(name, 0.0), manifest.committed_at)
    if len(layers) > 1:
        moved = (channels[name].version for name in layers if name in channels)
        since |= {version.channel: promoted_s(store, version) for version in moved if version}
    order = sorted(layers, key=lambda name: (since.get(name, 0.0), name), reverse=True)
    return [layers[name] for name in order], others.committed


def _channel_runs(store: Store, name: str) -> list[Manifest]:
    live = read_channel(store, name)
    if live.version is not None and live.runs:
        return live_manifests(store, live.runs)
    found = standing(store)
    if runs := found.live(name):
        return runs
    known = ", ".join(sorted(n for n, each in found.channels.items() if each.runs)) or "none"
    raise SettingError("channel", f"{name!r} has nothing live in {store.uri}; live are {known}")


def _nothing_live(store: Store, candidates: list[Manifest]) -> str:
    if not candidates:
        return f"no run is committed in {store.uri}"
    return (
        f"no run is live in {store.uri}; {len(candidates)} are committed, the latest is "
        f"{candidates[0].run_id}: {runs_command('promote', store.uri, candidates[0].run_id)} "
        "makes it live, and a run id opens it"
    )
