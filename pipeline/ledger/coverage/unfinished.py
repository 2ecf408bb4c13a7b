"""Find the runs over the same photos that were begun and that a job does not go on with.

A job goes on with a run of its own id alone. With another version of the code, or with another list
since photos have come or gone, it begins a run of its own, and the tasks of the unfinished one are
done again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import RecordError
from pipeline.ledger.identity import RunSpec
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.records import PinnedSpec
from pipeline.storage.store import Store


@dataclass(frozen=True)
class Unfinished:
    """A run that is begun and not committed. done: its tasks that are on record."""

    run_id: str
    code_version: str
    done: int
    tasks: int


def unfinished_like(
    store: Store, spec: RunSpec, inputs: pa.Table, begun: Iterable[str]
) -> tuple[Unfinished, ...]:
    """Those of the runs `begun` that are like the run of `spec` but not the same.

    inputs: the list of that run

    They have its settings, and addresses in the same range: whether these are the very photos is
    not looked up. One whose records are damaged is left out.
    """
    if not inputs.num_rows:
        return ()
    ends = pc.min_max(inputs["uri"]).as_py()
    return tuple(_like(store, spec, (ends["min"], ends["max"]), begun))


def _like(
    store: Store, spec: RunSpec, uris: tuple[str, str], begun: Iterable[str]
) -> Iterator[Unfinished]:
    for run_id in (one for one in begun if one != spec.run_id):
        ledger = Ledger(store, run_id)
        try:
            other = ledger.spec
        except RecordError:  # only just begun, or damaged
            continue
        if _is_alike(other, spec) and any(
            file.first_uri <= uris[1] and uris[0] <= file.last_uri for file in other.plan.files
        ):
            done = ledger.task_count - len(ledger.pending())
            yield Unfinished(run_id, other.code_version, done, ledger.task_count)


def _is_alike(one: PinnedSpec, other: RunSpec) -> bool:
    names = ("settings", "parent", "render_of")
    return all(getattr(one, name) == getattr(other, name) for name in names)
