"""Find the failed photos of a committed run, as the input of a run that does them again."""

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import NothingToDoError, UsageError
from pipeline.ledger.failures import OF_IMAGES, kinds_of
from pipeline.ledger.pinned import input_rows, read_spec
from pipeline.ledger.reader import open_run
from pipeline.storage.store import Store

KINDS = ("transient", "circumstances", "permanent", "all")


def failed_inputs(store: Store, run_id: str, kind: str = "transient") -> pa.Table:
    """Return the pinned input rows of a committed run's failed photos; kind: one of KINDS.

    A retry is looked at together with the runs that it repairs: what it repaired has not failed.
    Raises as `open_run`, and NothingToDoError if nothing failed in this way.
    """
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is no kind of failure; choose one of {', '.join(KINDS)}")
    run = open_run(store.uri, run_id)
    images = run.images(OF_IMAGES)
    kinds = kinds_of(images)
    failed = pc.is_valid(kinds) if kind == "all" else pc.equal(kinds, kind)
    wanted = images.filter(pc.fill_null(failed, False))["image_id"].combine_chunks()
    if len(wanted) == 0:
        raise NothingToDoError(f"run {run_id} has no {'' if kind == 'all' else kind + ' '}failures")
    oldest = run.manifests[-1]["run_id"]  # a retry's list is a part of its first parent's
    parts = [
        rows.filter(pc.is_in(rows["image_id"], wanted))
        for rows in input_rows(store, read_spec(store, oldest))
    ]
    return pa.concat_tables(parts).sort_by("uri").combine_chunks()
