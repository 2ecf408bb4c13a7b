"""Retry a run's failed photos, and remove files that no committed run needs."""

import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pipeline.cli.runs.command import Command, OneRun
from pipeline.command_line import FAILED
from pipeline.errors import SettingError
from pipeline.ledger.channels.live import is_earlier
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.known_runs import committed_run
from pipeline.ledger.table_formats.iceberg import tables_elsewhere
from pipeline.options import option
from pipeline.settings import Settings
from pipeline.settings.decoding import with_enough_memory
from pipeline.settings.job import CALL_ONLY
from pipeline.words import counted

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, kw_only=True)
class Retry(OneRun):
    """Retry a run's failed photos as a new run; exit codes as of crop_bucket."""

    kind: Literal["transient", "circumstances", "permanent", "all"] = option(
        "transient", "which failures to retry"
    )
    local: bool = option(
        False, "run in processes on this machine, without Ray; else as in the run's own job"
    )

    def run(self) -> int:
        from pipeline.cli.crop import crop

        manifest = committed_run(self.store, self.run_id)
        known = Settings().flat().keys() - set(CALL_ONLY)
        job = {name: value for name, value in manifest.job.items() if name in known}
        if is_earlier(manifest):  # its limit was for the input, and this run is not a trial
            job |= {"limit": None}
        again: dict[str, object] = {
            "output": self.output,
            "retry": self.run_id,
            "retry_kind": self.kind,
        }
        again |= {"resume": "", "prune": False}  # these were about the original job's input
        again |= {"log_format": "json"} if self.json else {}
        again |= {"local": True} if self.local else {}
        return crop(Settings.of(**{**with_enough_memory(job), **again}))


@dataclass(frozen=True, kw_only=True)
class CollectGarbage(Command):
    """Show files that no committed run needs, and remains of forgotten photos, or remove them."""

    older_than: str = option(
        "7d", "only objects written longer ago than this: 90m, 12h, 7d", placeholder="AGE"
    )
    delete: bool = option(False, "remove them instead of showing them")

    def __post_init__(self) -> None:
        _ = self.older_than_s

    @property
    def older_than_s(self) -> float:
        """The age, such as 90m, 12h or 7d, in seconds. Raises SettingError."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", self.older_than)
        if not found:
            raise SettingError(
                "older_than", f"{self.older_than!r} is not an age; write 90m, 12h or 7d"
            )
        return float(found[1]) * SECONDS[found[2]]

    def run(self) -> int:
        store = self.store
        found = look_for_garbage(store, self.older_than_s)
        garbage = found.garbage
        for run_id, error in found.damaged.items():
            print(f"WARNING: run {run_id} is left as it is: {error}", file=sys.stderr)
        lines = [{"why": g.why, "run_id": g.run_id, **asdict(g.info)} for g in garbage]
        self.print_records(lines, _garbage_line)
        size = sum(g.info.bytes for g in garbage)
        freed = remove_garbage(store, garbage) if self.delete else 0
        done = f"{counted(freed, 'byte')} freed" if self.delete else "nothing removed, add --delete"
        summary = {"objects": len(garbage), "bytes": size, "bytes_freed": freed}
        self.print_records(
            [summary],
            lambda s: f"{counted(s['objects'], 'object')}, {counted(s['bytes'], 'byte')}; {done}",
        )
        erased = self.delete and any(g.erase is not None for g in garbage)
        left = tables_elsewhere(store) if erased else []
        for told in left:
            print(f"WARNING: forgotten photos are still in a table: {told}", file=sys.stderr)
        return FAILED if left else 0


def _garbage_line(one: Mapping[str, Any]) -> str:
    return f"{one['why']:<16}  {one['bytes']:>12,}  {one['key']}"
