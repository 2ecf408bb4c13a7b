"""Write a run's decisions for services that cut images themselves."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from pipeline.cli.runs.command import Command
from pipeline.errors import LedgerError, SettingError, UsageError
from pipeline.export.crops import export_decisions
from pipeline.export.formats import ExportSummary, FormatName, write_lines
from pipeline.ledger.reader import Run, open_run
from pipeline.options import check, option
from pipeline.output_files import replacing
from pipeline.standard_output import discard_output, take_all_characters
from pipeline.words import counted


@dataclass(frozen=True, kw_only=True)
class Export(Command):
    """Write decisions as URL fragments, CSS or a table, one line for each photo and shape."""

    run_id: str = option(
        "", "run id, see `list`; default: the live runs", placeholder="RUN_ID", positional=True
    )
    as_: FormatName = option(help="format, see docs/EXPORT.md", placeholder="FORMAT")
    channel: str = option("", "channel of the live runs", placeholder="NAME")
    into: str = option("", "file to write instead of standard output", placeholder="FILE")

    def __post_init__(self) -> None:
        check(self)
        if self.run_id and self.channel:
            raise SettingError("channel", "is of what is live; leave out the run id")
        if self.json:
            raise SettingError(
                "json", "is not for export, which has formats of its own: write --as jsonl"
            )
        if os.path.isdir(self.into):
            raise SettingError("into", f"{self.into} is a folder: name a file in it")

    def run(self) -> int:
        run = open_run(self.output, self.run_id or None, self.channel or None)
        try:
            done = self._write(run)
        except BrokenPipeError:  # `| head` has read enough
            discard_output(sys.stdout)
            return 0
        summary = counted(done.crops, "crop")
        if done.without:
            without = counted(done.without, "photo or shape", "photos or shapes")
            summary += f", {without} without one"
        if done.overlap is not None:
            which = "them" if done.focused == done.crops else f"{done.focused:,} of them"
            summary += f"; focal points alone show {which} with a mean IoU of {done.overlap:.3f}"
        print(summary, file=sys.stderr)
        return 0

    def _write(self, run: Run) -> ExportSummary:
        decisions = export_decisions(run, run.background)
        if not self.into:
            take_all_characters(sys.stdout, for_programs=True)
            done = write_lines(decisions, self.as_, sys.stdout)
            sys.stdout.flush()
            return done
        try:
            with replacing(Path(self.into)) as draft, draft.open("w", encoding="utf-8") as out:
                done = write_lines(decisions, self.as_, out)
        except (UsageError, LedgerError):
            raise  # of the store, not of the file: these can be OSErrors too
        except OSError as error:
            why = error.strerror or str(error)  # the full message would name the draft
            raise SettingError(
                "into",
                f"{self.into} cannot be written ({why}): name a file in a folder that is there and "
                "may be written to",
            ) from error
        return done
