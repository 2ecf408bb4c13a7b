"""Publish the crops that are stored as objects under names from a template."""

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.cli.runs.command import block
from pipeline.cli.runs.promotion import OneChannel, publishing_call
from pipeline.ledger.channels.live import standing
from pipeline.ledger.promotion.promotion import only_channel
from pipeline.ledger.promotion.published_index import public_prefix
from pipeline.ledger.promotion.publishing import Deviation, deviation, publish_files
from pipeline.options import option
from pipeline.words import counted


@dataclass(frozen=True, kw_only=True)
class PublishFiles(OneChannel):
    """Copy the live named crops to public/CHANNEL/, and remove what is not live there.

    Run it after promote and rollback. Files that others deleted or overwrote are copied again.
    """

    check: bool = option(False, "change nothing; exit with 1 if they differ from what is live")

    def run(self) -> int:
        store = self.store
        channel = only_channel(store, self.channel)
        if not self.check:
            self.print_records([asdict(publish_files(store, channel))], block)
            return 0
        found = deviation(store, standing(store), channel)
        problems = _problems(found, channel)
        same = len(found.live) - len(found.changed)
        to_do = f"`{publishing_call(store, channel)}` publishes what is live" if problems else None
        record = {"channel": channel, "same": same, "problems": problems, "to_do": to_do}
        self.print_records([record], block)
        return 1 if problems else 0


def _problems(found: Deviation, channel: str) -> list[str]:
    """Return what is wrong with the published names of a channel, one line for each kind."""
    kinds: list[tuple[list[str], tuple[Any, Any]]] = [
        (found.changed, ("name does not show its live crop", "names do not show their live crops")),
        (found.gone, ("name is not live", "names are not live")),
    ]
    return [
        f"{counted(len(names), *words)}, the first is {public_prefix(channel)}{min(names)}"
        for names, words in kinds
        if names
    ]
