"""Find unfinished runs over the same photos that a job does not resume.

A job resumes only the run with its own id. If the code version differs, or the list because photos
were added or removed, the job starts another run, and the unfinished run's tasks are done again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import RecordError
from pipeline.ledger.identity import RunSpec
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.pinned import overlapping
from pipeline.ledger.records import PinnedSpec
from pipeline.storage.store import Store


@dataclass(frozen=True)
class UnfinishedRun:
    """A run that was started and is not committed. done: the number of its recorded tasks."""

    run_id: str
    code_version: str
    done: int
    tasks: int


def similar_unfinished(
    store: Store, spec: RunSpec, inputs: pa.Table, open_ids: Iterable[str]
) -> tuple[UnfinishedRun, ...]:
    """Return the open runs that are similar to the run of `spec`, without that run itself.

    inputs: the list of the run of `spec`, sorted by address

    Similar runs have the same settings, and an input file in whose range of addresses the list has
    photos. Whether they are the same photos is not checked. A run with damaged records is left out.
    """
    return tuple(_similar(store, spec, inputs["uri"], open_ids))


def _similar(
    store: Store, spec: RunSpec, uris: pa.ChunkedArray, open_ids: Iterable[str]
) -> Iterator[UnfinishedRun]:
    """Yield the similar runs. uris: the sorted addresses of the run of `spec`."""
    for run_id in (one for one in open_ids if one != spec.run_id):
        ledger = Ledger(store, run_id)
        try:
            other = ledger.spec
        except RecordError:  # just started, or damaged
            continue
        if _has_same_settings(other, spec) and any(overlapping(uris, other.plan.files)):
            done = ledger.task_count - len(ledger.pending())
            yield UnfinishedRun(run_id, other.code_version, done, ledger.task_count)


def _has_same_settings(one: PinnedSpec, other: RunSpec) -> bool:
    names = ("settings", "parent", "render_of")
    return all(getattr(one, name) == getattr(other, name) for name in names)
