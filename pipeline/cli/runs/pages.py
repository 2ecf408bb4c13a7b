"""Write pages that show runs to a person."""

from dataclasses import asdict, dataclass
from typing import Literal

from pipeline.cli.runs.command import OneRun, block
from pipeline.ledger.reader import open_run
from pipeline.options import option
from pipeline.storage.store import open_store


@dataclass(frozen=True, kw_only=True)
class Gallery(OneRun):
    """Write a gallery of one run, to be opened without a server."""

    into: str = option(
        "", "folder or address to write to instead of the run's own folder", placeholder="ADDRESS"
    )
    whole_crops: Literal["auto", "all", "none"] = option(
        "auto",
        "of which photos crops are copied as they are; `auto`: of all in runs of up to 2 GiB of "
        "crops, else of those that need eyes",
    )

    def run(self) -> int:
        from pipeline.report.gallery.build import gallery_prefix, write_gallery

        run = open_run(self.output, self.run_id)
        store = open_store(self.into) if self.into else self.store
        prefix = "" if self.into else gallery_prefix(self.run_id)
        made = write_gallery(run, store, prefix, self.whole_crops)
        self.tell([{**asdict(made), "open": f"{store.uri.rstrip('/')}/{made.index}"}], block)
        return 0
