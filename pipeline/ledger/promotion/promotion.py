"""Make committed runs live: on a person's request, or at a job's commit if the gate holds."""

from dataclasses import dataclass, field
from typing import Literal

from pipeline.errors import LedgerError, RecordError, SettingError, UsageError
from pipeline.gate import Gate, GateFigures, GateResult
from pipeline.ledger.author import whoami
from pipeline.ledger.channels.channel import Channel, ChannelVersion, channel_of
from pipeline.ledger.channels.live import Standing, is_trial, standing
from pipeline.ledger.channels.moves import advance, next_version, roll_back
from pipeline.ledger.identity import Identity
from pipeline.ledger.known_runs import repair_chain
from pipeline.ledger.manifest import read_committed
from pipeline.ledger.promotion.measure import measure
from pipeline.ledger.records import Manifest
from pipeline.storage.store import Store

Decision = Literal["promoted", "live already", "gate", "trial", "rolled back", "damaged"]
NO_GATE = Gate(())
BEFORE = "live before promotion was kept"


@dataclass(frozen=True)
class Outcome:
    """The result of a request to make a run live.

    decision: why it is live now, or is not; `problem` describes damage
    judged:   the gate's judgement; `measured` has all figures
    version:  of the channel, if it was moved
    """

    run_id: str
    channel: str
    decision: Decision
    judged: GateResult = field(default_factory=GateResult)
    measured: GateFigures = field(default_factory=GateFigures)
    version: ChannelVersion | None = None
    problem: str = ""

    @property
    def is_live(self) -> bool:
        return self.decision in ("promoted", "live already")


@dataclass(frozen=True)
class Request:
    """How runs are to be made live.

    channel: None is the run's own
    strict:  a figure of the gate that is not known fails it
    trial:   trials may be made live too
    behind:  place the run behind live runs that were committed later, so that it hides none of
             their rows; else in front
    """

    gate: Gate = NO_GATE
    strict: bool = True
    channel: str | None = None
    trial: bool = False
    behind: bool = False
    who: str = ""
    why: str = ""


def promote(store: Store, run_id: str, request: Request) -> Outcome:
    """Make a committed run live, with the runs that it repairs, if the gate holds.

    Concurrent promotions take effect one after the other: the gate is evaluated again against what
    is live then. Raises LedgerError if the run is not committed.
    """
    manifests = repair_chain(store, run_id)
    known = standing(store)
    name = request.channel or channel_of(manifests[0])
    if is_trial(manifests[0]) and not request.trial and run_id not in known.channel(name).runs:
        return Outcome(run_id, name, "trial")
    _keep_earlier_runs(store, known)
    return _promote(store, known, manifests, name, request, forgive=True)


def promote_waiting(store: Store, channel: str, request: Request) -> list[Outcome]:
    """Make the candidates of a channel live that meet the gate, the latest first; report each.

    A run that failed the gate before is judged only by photos of which no later live run has rows,
    so it may pass once a later night has repaired it. Trials, runs whose job was given
    `--promote manual`, runs like one that a person rolled back, and runs in which only photos that
    had failed before failed again are left as they are; so are retries of runs that were rolled
    back, since those would be live again with them. The first run of an empty output must meet a
    gate only if one was asked for.
    """
    known = standing(store)
    waiting = [
        m
        for m in known.waiting(channel)
        if m.job.get("promote") == "auto" and not m.only_failed_again
    ]
    _keep_earlier_runs(store, known)
    withdrawn, suspect = known.channel(channel).withdrawn, _suspect(known, channel)
    outcomes = []
    for manifest in waiting:
        try:
            manifests = repair_chain(store, manifest.run_id)
            if any(
                m.run_id in withdrawn or any(_alike(m, other) for other in suspect)
                for m in manifests
            ):
                outcomes.append(Outcome(manifest.run_id, channel, "rolled back"))
            else:
                outcomes.append(_promote(store, known, manifests, channel, request, forgive=False))
        except RecordError as error:  # it does not stop the others
            outcomes.append(
                Outcome(manifest.run_id, channel, "damaged", problem=f"it is damaged: {error}")
            )
    return outcomes


def rollback(store: Store, channel: str, who: str = "", why: str = "") -> ChannelVersion:
    """Make live again what was live before the channel's last change.

    Runs taken back no longer cover any photo, so later runs do their photos again. No job makes a
    run with the same settings, weights, detector and code live until a person has promoted one.
    Raises LedgerError where there is no earlier state.
    """
    return roll_back(store, channel, who=who or whoami(), why=why)


def only_channel(store: Store, asked: str) -> str:
    """Return the channel asked for, or the only one there is.

    Raises UsageError where it is not clear, LedgerError where there is no channel.
    """
    known = standing(store)
    names = sorted({*known.channels, *known.damaged})
    if asked:
        if asked not in names:
            others = ", ".join(names) or "none"
            raise SettingError("channel", f"{asked!r} does not exist; there are {others}")
        return asked
    if len(names) == 1:
        return names[0]
    if not names:
        raise LedgerError(f"nothing was ever promoted in {store.uri}")
    raise UsageError(f"choose a channel with --channel: {', '.join(names)}")


def _promote(
    store: Store, known: Standing, manifests: list[Manifest], name: str, request: Request,
    forgive: bool,
) -> Outcome:  # fmt: skip
    """Evaluate the gate, then move the channel.

    forgive: a person promotes, so jobs may make runs like those rolled back live again.
    """
    run_id = manifests[0].run_id
    outcomes: list[Outcome] = []

    def change(live: Channel) -> ChannelVersion | None:
        outcomes.clear()
        if _in_place(live, manifests, request.behind):
            outcomes.append(Outcome(run_id, name, "live already"))
            return None
        others = _readable(store, known, live)
        measured = measure(store, run_id, others, request.behind)
        empty = not any(channel.runs for channel in known.channels.values())
        gate = NO_GATE if empty and not request.strict and not live.runs else request.gate
        judged = gate.judge(measured, request.strict)
        if not judged.held:
            outcomes.append(Outcome(run_id, name, "gate", judged, measured))
            return None
        about = {"who": request.who or whoami(), "why": request.why, "gate": str(gate)}
        runs = _placed(live, manifests, others if request.behind else [])
        more = {"suspect": ()} if forgive else {}
        figures = dict(measured.values)
        version = next_version(store, live, runs, "promote", figures=figures, **about, **more)
        outcomes.append(Outcome(run_id, name, "promoted", judged, measured, version))
        return version

    advance(store, name, change)
    return outcomes[0]


def _placed(live: Channel, manifests: list[Manifest], others: list[Manifest]) -> list[str]:
    """Insert a run and those it repairs into the live runs, each behind later ones of `others`.

    Runs that it repairs stay where they are if they are live.
    """
    new = [manifests[0], *(m for m in manifests[1:] if m.run_id not in live.runs)]
    names = {manifest.run_id for manifest in new}
    runs = [run for run in live.runs if run not in names]
    for manifest in reversed(new):  # the oldest first, so that each is in front of what it repairs
        later = {m.run_id for m in others if m.committed_at > manifest.committed_at}
        at = max((i + 1 for i, run in enumerate(runs) if run in later), default=0)
        runs.insert(at, manifest.run_id)
    return runs


def _readable(store: Store, known: Standing, live: Channel) -> list[Manifest]:
    """Return the live runs, front to back; those that cannot be read are left out."""
    manifests = {manifest.run_id: manifest for manifest in known.runs.committed}
    for run_id in live.runs:
        if run_id not in manifests and run_id not in known.runs.damaged:  # promoted since
            found = read_committed(store, run_id)
            manifests |= {run_id: found} if found else {}
    return [manifests[run_id] for run_id in live.runs if run_id in manifests]


def _in_place(live: Channel, manifests: list[Manifest], behind: bool) -> bool:
    """Return whether the run and those that it repairs are already where they would be put."""
    if any(manifest.run_id not in live.runs for manifest in manifests):
        return False
    return behind or live.runs[0] == manifests[0].run_id


def _keep_earlier_runs(store: Store, known: Standing) -> None:
    """Create the first version of channels: what is live by the rule of earlier releases."""
    # The channel of the latest run comes first here; it is started last, so it stays in front.
    for name, channel in reversed([*known.channels.items()]):
        if channel.version is None and channel.runs:
            _start(store, name, channel.runs)


def _start(store: Store, name: str, runs: tuple[str, ...]) -> None:
    def first(live: Channel) -> ChannelVersion | None:
        if live.version is not None:  # another process was faster
            return None
        return next_version(store, live, runs, "start", who=whoami(), why=BEFORE)

    advance(store, name, first)


def _suspect(known: Standing, channel: str) -> list[Manifest]:
    version = known.channel(channel).version
    ids = () if version is None else version.suspect
    return [manifest for manifest in known.runs.committed if manifest.run_id in ids]


def _alike(one: Identity, other: Identity) -> bool:
    """Return whether two runs would crop a photo in the same way."""
    names = ("settings", "weights_sha256", "detector", "code_version")
    return all(getattr(one, name) == getattr(other, name) for name in names)
