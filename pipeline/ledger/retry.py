"""Find the failed photos of a committed run, as the input of a run that processes them again."""

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import NothingToDoError, UsageError
from pipeline.ledger.channels.channel import channel_of
from pipeline.ledger.channels.live import Standing, standing
from pipeline.ledger.failures import FAILURE_COLUMNS, kinds_of
from pipeline.ledger.forgetting import read_forgotten
from pipeline.ledger.known_runs import repair_chain
from pipeline.ledger.pinned import input_rows, read_spec
from pipeline.ledger.reader import Run
from pipeline.ledger.records import Manifest
from pipeline.storage.store import Store

KINDS = ("transient", "circumstances", "permanent", "all")


def failed_inputs(store: Store, run_id: str, kind: str = "transient") -> pa.Table:
    """Return the pinned input rows of a committed run's failed photos; kind: one of KINDS.

    The run is read together with the runs that it repairs and those that have repaired it. The
    latest row of each photo counts, so repaired photos are left out. So are photos that a live run
    committed later has done: a retry would put its own result in front of theirs. Raises
    NothingToDoError if nothing failed in this way, and the errors of `repair_chain`.
    """
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is no kind of failure; choose one of {', '.join(KINDS)}")
    own, known = repair_chain(store, run_id), standing(store)
    later = retries_of(known, run_id)
    images = Run(store, [[*later, *own]], read_forgotten(store).hidden).images(FAILURE_COLUMNS)
    kinds = kinds_of(images)
    failed = pc.is_valid(kinds) if kind == "all" else pc.equal(kinds, kind)
    wanted = images.filter(pc.fill_null(failed, False))["image_id"].combine_chunks()
    failures = len(wanted)
    wanted = _without_done(store, known, own[0], wanted)
    if len(wanted) == 0:
        text = f"run {run_id} has no {'' if kind == 'all' else kind + ' '}failures"
        if later:
            text += f"; its latest retry is run {later[0].run_id} ({known.state(later[0])})"
        if failures:
            text += ", since later live runs have done these photos"
        raise NothingToDoError(text)
    oldest = own[-1].run_id  # a retry's list is part of its first ancestor's list
    parts = [
        rows.filter(pc.is_in(rows["image_id"], wanted))
        for rows in input_rows(store, read_spec(store, oldest))
    ]
    return pa.concat_tables(parts).sort_by("uri").combine_chunks()


def _without_done(store: Store, known: Standing, run: Manifest, ids: pa.Array) -> pa.Array:
    """Leave out the photos of which a live run of the channel, committed after a run, has crops."""
    for manifest in known.live(channel_of(run)):
        if len(ids) and manifest.committed_at > run.committed_at:
            for images in Run(store, [[manifest]]).batches("images", FAILURE_COLUMNS):
                done = images["image_id"].filter(pc.is_null(kinds_of(images)))
                ids = ids.filter(pc.invert(pc.is_in(ids, done)))
    return ids


def retries_of(known: Standing, run_id: str) -> list[Manifest]:
    """Return the committed retries of a run and the retries of those, the latest first.

    Retries that were rolled back or are trials are left out: as in coverage, they repair nothing.
    """
    ancestors, found = {run_id}, []
    for manifest in reversed(known.runs.committed):  # a retry is later than the run that it repairs
        if manifest.parent in ancestors and known.state(manifest) in ("live", "candidate"):
            ancestors.add(manifest.run_id)
            found.append(manifest)
    return found[::-1]
