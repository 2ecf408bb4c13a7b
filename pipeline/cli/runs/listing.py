"""List runs, and show or verify one."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import structs

from pipeline.cli.runs.command import Command, OneRun, block
from pipeline.command_line import FAILED
from pipeline.ledger.audit import describe_run, list_runs, verify_run
from pipeline.ledger.channels.live import standing
from pipeline.ledger.known_runs import check_known
from pipeline.ledger.ledger import Ledger
from pipeline.report.progress import duration
from pipeline.words import counted

STANDING = {
    "candidate": "candidate for",
    "trial": "trial for",
    "withdrawn": "rolled back in",
}
NO_RUN = "no run: a folder of somebody else's, or of a run that was only just begun"
HEADER = "run                   what it is  [live or not]  from its input  (shapes, pixels, format)"


class List(Command):
    """List all runs, one a line, the latest last."""

    def run(self) -> int:
        store = self.store
        known = standing(store)
        for name, error in known.damaged.items():
            print(f"WARNING: what is live in channel {name} is not known: {error}", file=sys.stderr)
        lines = sorted(list_runs(store, known), key=lambda line: line.get("committed_at", 0))
        for line in lines:
            if line["state"] == "damaged" and not store.exists(f"runs/{line['run_id']}/spec.json"):
                line["problem"] = NO_RUN
        if not lines:
            print(f"there are no runs in {store.uri}", file=sys.stderr)
        self.print_records(lines, _run_line, HEADER)
        return 0


class Show(OneRun):
    """Show all figures and settings of a run."""

    def run(self) -> int:
        check_known(self.store, self.run_id)
        ledger = Ledger(self.store, self.run_id)
        about = {n: value for n, value in structs.asdict(ledger.spec).items() if n != "plan"}
        manifest = ledger.manifest
        figures = {} if manifest is None else {"metrics": msgspec.to_builtins(manifest.metrics)}
        self.print_records(
            [{**about, **describe_run(self.store, self.run_id, standing(self.store)), **figures}],
            block,
        )
        return 0


class Verify(OneRun):
    """Hash every file of a run again, including crop files, and count its rows."""

    def run(self) -> int:
        found = verify_run(self.store, self.run_id)
        self.print_records([asdict(found)], block)
        return FAILED if found.problems else 0


def _run_line(run: Mapping[str, Any]) -> str:
    if run["state"] == "open":
        state = f"open, {run['tasks_done']} of {counted(run['tasks'], 'task')} done"
    elif run["state"] == "committed":
        when = datetime.fromtimestamp(run["committed_at"], UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        statuses = ", ".join(f"{n} {status}" for status, n in run["statuses"].items())
        took = f" in {duration(run['wall_s'])}" if run.get("wall_s") is not None else ""
        state = f"{when}  {run['verdict']}  {counted(run['images'], 'image')}{took}: {statuses}"
    elif run["state"] == "damaged":
        state = f"damaged: {run['problem']}"
    else:
        state = run["state"]
    if run.get("live"):
        state += "  [live in " + ", ".join(map(_place, run["live"].items())) + "]"
    elif standing_words := STANDING.get(run.get("standing", "")):
        state += f"  [{standing_words} {run['channel']}]"
    parent = f"  (retry of {run['parent']})" if run.get("parent") else ""
    source = f"  from {run['input']}" if run.get("input") else ""
    return f"{run['run_id']}  {state}{parent}{source}{_settings(run.get('settings') or {})}"


def _place(where: tuple[str, tuple[int, int]]) -> str:
    """Name a channel and a run's place among its live runs: for a shared photo the first wins."""
    channel, (place, count) = where
    if count == 1:
        return channel
    return f"{channel} (in front of {count})" if place == 1 else f"{channel} ({place} of {count})"


def _settings(settings: Mapping[str, Any]) -> str:
    """Summarize the settings that distinguish runs."""
    boxes_only = settings.get("boxes_only")
    names = ("ratios",) if boxes_only else ("ratios", "thumbnail_size", "format")
    shown = [str(settings[name]) for name in names if name in settings]
    shown += ["boxes alone"] if boxes_only else []
    return f"  ({' '.join(shown)})" if shown else ""
