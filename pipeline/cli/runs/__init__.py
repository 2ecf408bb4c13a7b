"""List, check, compare, promote, repair, clean and publish the runs of an output store.

    python jobs/runs.py list s3://thumbs/
    python jobs/runs.py verify s3://thumbs/ RUN
    python jobs/runs.py export s3://thumbs/ --as imgproxy
    python jobs/runs.py render s3://thumbs/ RUN --thumbnail-size 256 --format avif
    python jobs/runs.py promote s3://thumbs/ RUN --gate "head_cut_rate<=0.02, error_rate<=0.01"
    python jobs/runs.py rollback s3://thumbs/
    python jobs/runs.py forget s3://thumbs/ s3://ugc/a.jpg --why "asked by its owner"
    python jobs/runs.py retry s3://thumbs/ RUN --kind transient
    python jobs/runs.py gc s3://thumbs/ --older-than 7d            (shows; --delete removes)

Exit codes: 0 done; 1 failed, `verify` found a problem, `prune` refused, or `forget` was given an
address that no run has; 2 wrong usage, such as a folder without runs (for `list` that is no error);
4 the gate of `promote` does not hold, and nothing changes; 130 on Ctrl-C; `retry` and `render` have
those of crop_bucket.
"""

import argparse
from collections.abc import Sequence

from pipeline.cli.runs.command import Command
from pipeline.cli.runs.export import Export
from pipeline.cli.runs.files import PublishFiles
from pipeline.cli.runs.listing import List, Show, Verify
from pipeline.cli.runs.pages import Diff, Gallery
from pipeline.cli.runs.promotion import Promote, PromotionHistory, Rollback
from pipeline.cli.runs.publish import Publish
from pipeline.cli.runs.removal import Forget, Prune
from pipeline.cli.runs.render import Render
from pipeline.cli.runs.repair import CollectGarbage, Retry
from pipeline.command_line import parser_of, run

# Each command is a dataclass in one of this package's files, and a line here.
COMMANDS: dict[str, type[Command]] = {
    "list": List,
    "show": Show,
    "verify": Verify,
    "diff": Diff,
    "gallery": Gallery,
    "export": Export,
    "render": Render,
    "promote": Promote,
    "rollback": Rollback,
    "history": PromotionHistory,
    "forget": Forget,
    "prune": Prune,
    "retry": Retry,
    "gc": CollectGarbage,
    "publish": Publish,
    "publish-files": PublishFiles,
}


def parser() -> argparse.ArgumentParser:
    """Return this command's parser."""
    return parser_of(COMMANDS, __doc__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run(COMMANDS, __doc__, lambda command: command.start(), arguments)
