"""Make a run live, undo that, and show who did it."""

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from pipeline.cli.runs.command import Command, OneRun
from pipeline.errors import RecordError, UsageError
from pipeline.gate import parse_gate
from pipeline.ledger.channels.channel import (
    ChannelVersion,
    channel_names,
    front_of,
    history,
)
from pipeline.ledger.manifest import read_committed
from pipeline.ledger.promotion.promotion import Outcome, Request, only_channel, promote, rollback
from pipeline.ledger.promotion.published_index import index_key, public_prefix
from pipeline.options import check, option
from pipeline.storage.store import Store

GATE_FAILED = 4


@dataclass(frozen=True, kw_only=True)
class Promote(OneRun):
    """Make a committed run live if the gate holds."""

    gate: str = option(
        "", "comma-separated conditions on its figures: head_cut_rate<=0.02", placeholder="GATE"
    )
    channel: str = option("", "channel; default: the run's own", placeholder="NAME")
    why: str = option("", "a note for `history`", placeholder="TEXT")
    trial: bool = option(False, "promote the run although it is a trial")
    behind_newer: bool = option(
        False, "place it behind live runs committed later, so that none of their rows is hidden"
    )

    def __post_init__(self) -> None:
        check(self)
        parse_gate(self.gate)

    def run(self) -> int:
        request = Request(
            gate=parse_gate(self.gate), channel=self.channel or None, trial=self.trial,
            behind=self.behind_newer, why=self.why,
        )  # fmt: skip
        outcome = promote(self.store, self.run_id, request)
        if outcome.decision == "trial":
            raise UsageError(f"run {self.run_id} is a trial; say --trial to make it live")
        for live, problem in outcome.measured.damaged.items():
            print(f"WARNING: run {live} is not compared with: {problem}", file=sys.stderr)
        more: dict[str, Any] = {"publish_files": None, "other_channels": None}
        if outcome.decision == "promoted":
            more |= _publish_command(self.store, outcome.channel, self.run_id)
        if outcome.version is not None and outcome.version.number == 1:
            names = channel_names(self.store)
            more["other_channels"] = [name for name in names if name != outcome.channel]
        self.print_records([{**_outcome(outcome), **more}], _outcome_line)
        return 0 if outcome.is_live else GATE_FAILED


@dataclass(frozen=True, kw_only=True)
class OneChannel(Command):
    """A command on one channel."""

    channel: str = option("", "channel; needed if there are several", placeholder="NAME")


@dataclass(frozen=True, kw_only=True)
class Rollback(OneChannel):
    """Restore what was live before the last promotion."""

    why: str = option("", "a note for `history`", placeholder="TEXT")

    def run(self) -> int:
        store = self.store
        name = only_channel(store, self.channel)
        version = _version(store, rollback(store, name, why=self.why))
        self.print_records([{**version, **_publish_command(store, name)}], _version_line)
        return 0


@dataclass(frozen=True, kw_only=True)
class PromotionHistory(OneChannel):
    """Show what was made live, when, by whom and why, the latest last."""

    last: int = option(20, "show only the last ones", placeholder="CHANGES", least=1)

    def __post_init__(self) -> None:
        check(self)

    def run(self) -> int:
        store = self.store
        name = only_channel(store, self.channel)
        found = history(store, name, self.last)
        self.print_records((_version(store, version) for version in found), _version_line)
        return 0


def _publish_command(store: Store, channel: str, run_id: str = "") -> dict[str, Any]:
    """Return the command to publish a channel's named crops: moving the channel leaves them as is.

    run_id: the run that went live; its crops may be the channel's first named ones.
    """
    run = read_committed(store, run_id) if run_id else None
    named = run is not None and "crop_files" in run.tables
    has_names = named or store.exists(index_key(channel))
    return {"publish_files": publishing_call(store, channel) if has_names else None}


def publishing_call(store: Store, channel: str) -> str:
    """Return the command that publishes a channel's named crops."""
    return f"runs.py publish-files {shlex.quote(store.uri)} --channel {channel}"


def _publish_hint(record: Mapping[str, Any]) -> list[str]:
    command = record.get("publish_files")
    return [f"`{command}` makes {public_prefix(record['channel'])} follow"] if command else []


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "run_id": outcome.run_id,
        "channel": outcome.channel,
        "decision": outcome.decision,
        "version": None if outcome.version is None else outcome.version.number,
        "gate": [
            {"term": str(j.term), "value": j.value, "held": j.held, "remark": j.remark}
            for j in outcome.judged.terms
        ],
        "figures": dict(outcome.measured.values),
        "not_known": {**outcome.measured.unknown, **outcome.measured.not_applicable},
    }


def _outcome_line(record: Mapping[str, Any]) -> str:
    run, channel = record["run_id"], record["channel"]
    head = {
        "promoted": f"run {run} is live in channel {channel}, version {record['version']}",
        "live already": f"run {run} is live in channel {channel} already: no gate is judged",
    }.get(record["decision"], f"nothing is moved: the gate does not hold for run {run}")
    lines = [head]
    if (others := record["other_channels"]) is not None:
        more = f"; there are: {', '.join(others)}" if others else ""
        lines.append(f"  new channel{more}")
    for term in record["gate"]:
        found = term["remark"] if term["value"] is None else f"{term['value']:.4g}"
        lines.append(f"  {'holds' if term['held'] else 'FAILS'}  {term['term']}: {found}")
    lines += [f"  {name} {value:.4g}" for name, value in sorted(record["figures"].items())]
    return "\n".join(lines + _publish_hint(record))


def _version(store: Store, version: ChannelVersion | RecordError) -> dict[str, Any]:
    if isinstance(version, RecordError):
        return {"damaged": str(version)}
    try:
        front = front_of(store, version)
    except RecordError as error:
        return {"damaged": str(error)}
    document: dict[str, Any] = msgspec.to_builtins(version)
    shown = {name: value for name, value in document.items() if name not in ("format", "nonce")}
    return {**shown, "front": front}


def _version_line(version: Mapping[str, Any]) -> str:
    if "damaged" in version:
        return f"damaged: {version['damaged']}"
    when = datetime.fromtimestamp(version["at"], UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    runs = [f"+{run}" for run in version["added"]] + [f"-{run}" for run in version["removed"]]
    changed = " ".join(runs[:4]) + (f" and {len(runs) - 4} more" if len(runs) > 4 else "")
    figures = ", ".join(f"{name} {value:.4g}" for name, value in version["figures"].items())
    about = f"{version['channel']} {version['number']}  {when}  {version['action']}"
    parts = [
        f"{about}  {changed}" if changed else about,
        f"in front: {version['front']}" if version["front"] else "nothing is live",
        f"by {version['who']}",
        version["why"] and f"why: {version['why']}",
        version["gate"] and f"gate: {version['gate']}",
        figures,
        *_publish_hint(version),
    ]
    return "\n    ".join(part for part in parts if part)
