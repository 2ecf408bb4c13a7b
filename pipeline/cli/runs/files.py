"""Publish the crops that are stored as objects under names from a template."""

from dataclasses import asdict, dataclass

from pipeline.cli.runs.command import block
from pipeline.cli.runs.promotion import OneChannel
from pipeline.ledger.promotion.promotion import only_channel
from pipeline.ledger.promotion.publishing import publish_files


@dataclass(frozen=True, kw_only=True)
class PublishFiles(OneChannel):
    """Copy the live named crops to public/CHANNEL/; detects deleted files, not overwritten ones.

    Run it after promote and rollback. If files were overwritten, delete
    published/CHANNEL.parquet first: then all are copied.
    """

    def run(self) -> int:
        store = self.store
        done = publish_files(store, only_channel(store, self.channel), recheck=True)
        self.print_records([asdict(done)], block)
        return 0
