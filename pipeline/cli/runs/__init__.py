"""List, check, compare, repair, clean and publish the runs of an output store.

    python jobs/runs.py list s3://thumbs/
    python jobs/runs.py verify s3://thumbs/ RUN
    python jobs/runs.py retry s3://thumbs/ RUN --kind transient
    python jobs/runs.py gc s3://thumbs/ --older-than 7d            (shows; --delete removes)

Exit codes: 0 done; 1 failed, or `verify` found a problem; 2 wrong usage; `retry` as crop_bucket.
"""

import argparse
from collections.abc import Sequence

from pipeline.cli.runs.command import Command
from pipeline.cli.runs.listing import Diff, List, Show, Verify
from pipeline.cli.runs.pages import Gallery
from pipeline.cli.runs.publish import Publish
from pipeline.cli.runs.repair import CollectGarbage, Retry
from pipeline.command_line import parser_of, run

# A command is a dataclass in a file of this package, and a line here.
COMMANDS: dict[str, type[Command]] = {
    "list": List,
    "show": Show,
    "verify": Verify,
    "diff": Diff,
    "gallery": Gallery,
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
