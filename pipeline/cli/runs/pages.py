"""Compare two runs, and write pages that show runs to people."""

from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from pipeline.cli.runs.command import Command, block
from pipeline.errors import LedgerError, naming
from pipeline.ledger.differences import RunPair, compare_runs
from pipeline.ledger.reader import open_run
from pipeline.ledger.stored_runs import stored_runs
from pipeline.options import option
from pipeline.storage.store import Store, open_store

if TYPE_CHECKING:
    from pipeline.report.scripts import WrittenPages


@dataclass(frozen=True, kw_only=True)
class Gallery(Command):
    """Write a gallery of one run; it opens without a server."""

    run_id: str = option(
        "", "run id, see `list`; default: the latest", placeholder="RUN_ID", positional=True
    )
    into: str = option(
        "", "folder or address to write to instead of the run's own folder", placeholder="ADDRESS"
    )
    whole_crops: Literal["auto", "all", "none"] = option(
        "auto",
        "which photos' crops are copied as they are; `auto`: all in runs of up to 2 GiB of crops, "
        "else those of photos that need attention",
    )

    def run(self) -> int:
        from pipeline.report.gallery.build import gallery_prefix, write_gallery

        own = self.store
        run_id = self.run_id or self._latest(own)
        run = open_run(self.output, run_id)
        with naming("into"):
            store = open_store(self.into) if self.into else own
        prefix = "" if self.into else gallery_prefix(run_id)
        made = write_gallery(run, store, prefix, self.whole_crops)
        self.print_records([_written(made, store)], block)
        return 0

    def _latest(self, store: Store) -> str:
        """Return the run that was committed last. Raises LedgerError if there is none."""
        committed = stored_runs(store).committed
        if not committed:
            raise LedgerError(f"no run is committed in {store.uri}")
        return committed[0].run_id


@dataclass(frozen=True, kw_only=True)
class Diff(Command):
    """Show what differs between two committed runs, or between one and what was live before it."""

    old_id: str = option(
        help="run id, see `list`; without NEW_ID, this run is compared with what was live before "
        "it, or, if it is not live, with what is",
        placeholder="RUN_ID",
        positional=True,
    )
    new_id: str = option(
        "", "a later run, to compare RUN_ID with it", placeholder="NEW_ID", positional=True
    )
    html: str = option(
        "",
        "also write pages that show before and after into this folder or address",
        placeholder="ADDRESS",
    )

    def run(self) -> int:
        store, ids = self.store, (self.old_id, self.new_id)
        with naming("html"):
            pages = open_store(self.html) if self.html else None
        pair = RunPair.of(store, *ids) if self.new_id else RunPair.with_live(store, self.old_id)
        differences = compare_runs(store, pair)
        # The plain comparison has to work without pandas; the pages need it.
        if pages or find_spec("pandas"):
            differences |= _figures(pair, differences, pages)
        self.print_records([differences], block)
        return 0


def _figures(pair: RunPair, differences: dict[str, Any], pages: Store | None) -> dict[str, Any]:
    """Compute figures of what changed, and write the pages where a store for them is given."""
    from pipeline.report.diff.build import write_diff
    from pipeline.report.diff.compare import compared_parts
    from pipeline.report.diff.figures import DiffFigures
    from pipeline.report.diff.most_changed import MostChanged

    counted, changed = DiffFigures(), MostChanged()
    for part in compared_parts(pair.old, pair.new):
        counted.add(part)
        if pages:
            changed.add(part)
    figures = counted.as_dict()
    if pages is None:
        return figures
    made = write_diff(pair.old, pair.new, changed, {**differences, **figures}, pages, "")
    return {**figures, "pages": _written(made, pages)}


def _written(made: "WrittenPages", store: Store) -> dict[str, Any]:
    """Describe the files that were written, with the address to open."""
    return {**asdict(made), "open": f"{store.uri.rstrip('/')}/{made.index}"}
