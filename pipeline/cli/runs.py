"""List, check, compare, repair, clean and publish the runs of an output store.

    python jobs/runs.py list s3://thumbs/
    python jobs/runs.py verify s3://thumbs/ RUN
    python jobs/runs.py retry s3://thumbs/ RUN --kind transient
    python jobs/runs.py gc s3://thumbs/ --older-than 7d            (shows; --delete removes)

Exit codes: 0 done; 1 failed, or `verify` found a problem; 2 wrong usage; `retry` as crop_bucket.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import structs

from pipeline.command_line import FAILED, parser_of, run
from pipeline.errors import LedgerError, SettingError
from pipeline.ledger.audit import compare_runs, describe_run, list_runs, verify_run
from pipeline.ledger.delta import publish_delta
from pipeline.ledger.garbage import find_garbage, remove_garbage
from pipeline.ledger.ledger import Ledger
from pipeline.options import option
from pipeline.settings import Settings
from pipeline.storage.store import Store, open_store

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command on an output store."""

    output: str = option(
        help="folder or s3:// prefix that holds the runs", placeholder="OUTPUT", positional=True
    )
    json: bool = option(False, "print one JSON object a line")

    @property
    def store(self) -> Store:
        return open_store(self.output)

    def run(self) -> int:
        """Carry the command out; returns the exit code."""
        raise NotImplementedError

    def tell(
        self, records: Iterable[Mapping[str, Any]], in_words: Callable[[Mapping[str, Any]], str]
    ) -> None:
        """Print records, as JSON or in words."""
        for record in records:
            print(json.dumps(record, ensure_ascii=False) if self.json else in_words(record))


@dataclass(frozen=True, kw_only=True)
class OneRun(Command):
    """A command on one run."""

    run_id: str = option(help="run id, see `list`", placeholder="RUN_ID", positional=True)


class List(Command):
    """List every run, one a line, the latest last."""

    def run(self) -> int:
        lines = list_runs(self.store)
        self.tell(sorted(lines, key=lambda line: line.get("committed_at", 0)), _run_line)
        return 0


class Show(OneRun):
    """Show all figures and settings of one run."""

    def run(self) -> int:
        ledger = Ledger(self.store, self.run_id)
        about = {n: value for n, value in structs.asdict(ledger.spec).items() if n != "plan"}
        manifest = ledger.manifest
        figures = {} if manifest is None else {"metrics": msgspec.to_builtins(manifest.metrics)}
        self.tell([{**about, **describe_run(self.store, self.run_id), **figures}], _block)
        return 0


class Verify(OneRun):
    """Hash every file of a run again and count its rows."""

    def run(self) -> int:
        found = verify_run(self.store, self.run_id)
        self.tell([asdict(found)], _block)
        return FAILED if found.problems else 0


@dataclass(frozen=True, kw_only=True)
class Diff(Command):
    """Show what differs between two committed runs."""

    old_id: str = option(help="run id, see `list`", placeholder="OLD_ID", positional=True)
    new_id: str = option(help="run id, see `list`", placeholder="NEW_ID", positional=True)

    def run(self) -> int:
        self.tell([compare_runs(self.store, self.old_id, self.new_id)], _block)
        return 0


@dataclass(frozen=True, kw_only=True)
class Retry(OneRun):
    """Do a run's failed photos again, as a new run; exit codes as of crop_bucket."""

    kind: Literal["transient", "permanent", "all"] = option("transient", "which failures")

    def run(self) -> int:
        from pipeline.cli.crop import crop

        manifest = Ledger(self.store, self.run_id).manifest
        if manifest is None:
            raise LedgerError(f"run {self.run_id} is not committed; submit its job again instead")
        known = Settings().flat().keys()
        job = {name: value for name, value in manifest.job.items() if name in known}
        again = {"output": self.output, "retry": self.run_id, "retry_kind": self.kind}
        return crop(Settings.of(**{**job, **again}))


@dataclass(frozen=True, kw_only=True)
class CollectGarbage(Command):
    """Show what no committed run needs, or remove it."""

    older_than: str = option(
        "7d", "only what was written longer ago: 90m, 12h, 7d", placeholder="AGE"
    )
    delete: bool = option(False, "remove it instead of showing it")

    def __post_init__(self) -> None:
        _ = self.older_than_s

    @property
    def older_than_s(self) -> float:
        """Seconds of an age like 90m, 12h or 7d. Raises SettingError."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", self.older_than)
        if not found:
            raise SettingError(
                "older_than", f"{self.older_than!r} is not an age; write 90m, 12h or 7d"
            )
        return float(found[1]) * SECONDS[found[2]]

    def run(self) -> int:
        store = self.store
        garbage = find_garbage(store, self.older_than_s)
        lines = [{"why": g.why, "run_id": g.run_id, **asdict(g.info)} for g in garbage]
        self.tell(lines, _garbage_line)
        size = sum(g.info.bytes for g in garbage)
        freed = remove_garbage(store, garbage) if self.delete else 0
        done = f"{freed:,} bytes freed" if self.delete else "nothing removed, add --delete"
        summary = {"objects": len(garbage), "bytes": size, "bytes_freed": freed}
        self.tell([summary], lambda s: f"{s['objects']} objects, {s['bytes']:,} bytes; {done}")
        return 0


@dataclass(frozen=True, kw_only=True)
class Publish(OneRun):
    """Add a run to the Delta tables."""

    delta: bool = option(
        False, "as Delta Lake tables in _data/; needs the package deltalake", required=True
    )

    def run(self) -> int:
        versions = publish_delta(self.store, self.run_id)
        self.tell([{"run_id": self.run_id, "versions": versions}], _block)
        return 0


COMMANDS: dict[str, type[Command]] = {
    "list": List,
    "show": Show,
    "verify": Verify,
    "diff": Diff,
    "retry": Retry,
    "gc": CollectGarbage,
    "publish": Publish,
}


def parser() -> argparse.ArgumentParser:
    """The parser of this command."""
    return parser_of(COMMANDS, __doc__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run(COMMANDS, __doc__, lambda command: command.run(), arguments)


def _run_line(run: Mapping[str, Any]) -> str:
    if run["state"] == "open":
        state = f"open, {run['tasks_done']} of {run['tasks']} tasks done"
    elif run["state"] == "committed":
        when = datetime.fromtimestamp(run["committed_at"], UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        statuses = ", ".join(f"{n} {status}" for status, n in run["statuses"].items())
        state = f"{when}  {run['verdict']}  {run['images']} images: {statuses}"
    elif run["state"] == "damaged":
        state = f"damaged: {run['problem']}"
    else:
        state = run["state"]
    parent = f"  (retry of {run['parent']})" if run.get("parent") else ""
    return f"{run['run_id']}  {state}{parent}"


def _garbage_line(one: Mapping[str, Any]) -> str:
    return f"{one['why']:<14}  {one['bytes']:>12,}  {one['key']}"


def _block(record: Mapping[str, Any]) -> str:
    return json.dumps(record, indent=2, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main())
