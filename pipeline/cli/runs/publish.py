"""Publish a run as Delta tables."""

from dataclasses import dataclass

from pipeline.cli.runs.command import OneRun, block
from pipeline.ledger.delta import publish_delta
from pipeline.options import option


@dataclass(frozen=True, kw_only=True)
class Publish(OneRun):
    """Add a run to the Delta tables."""

    delta: bool = option(
        False, "as Delta Lake tables in _data/; needs the package deltalake", required=True
    )

    def run(self) -> int:
        versions = publish_delta(self.store, self.run_id)
        self.tell([{"run_id": self.run_id, "versions": versions}], block)
        return 0
