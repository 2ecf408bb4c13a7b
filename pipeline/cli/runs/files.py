"""Publish the crops that are objects under names of a template."""

from dataclasses import asdict, dataclass

from pipeline.cli.runs.command import block
from pipeline.cli.runs.promotion import OneChannel
from pipeline.ledger.crop_files import publish_files
from pipeline.ledger.promotion import only_channel


@dataclass(frozen=True, kw_only=True)
class PublishFiles(OneChannel):
    """Make public/<channel>/ show the named crops that are live; after promote and rollback."""

    def run(self) -> int:
        store = self.store
        done = publish_files(store, only_channel(store, self.channel))
        self.tell([asdict(done)], block)
        return 0
