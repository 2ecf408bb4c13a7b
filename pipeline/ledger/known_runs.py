"""Look up a run id that a user gives: of a committed run, a retry, an open run, or unknown."""

from pipeline.errors import LedgerError, UnknownRunError, did_you_mean
from pipeline.ledger.layout import manifest_key, spec_key
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.manifest import read_committed, read_unless_abandoned
from pipeline.ledger.records import Manifest
from pipeline.ledger.stored_runs import run_ids
from pipeline.storage.store import Store
from pipeline.words import counted, runs_command


def committed_run(store: Store, run_id: str) -> Manifest:
    """Return the manifest of a committed run.

    Raises UnknownRunError where there is no such run, LedgerError where it is open or was given up,
    RecordError where its manifest is damaged.
    """
    manifest = started_run(store, run_id)
    if manifest is None:
        ledger = Ledger(store, run_id)
        of = ledger.task_count
        done, tasks = of - len(ledger.pending()), counted(of, "task is", "tasks are")
        raise LedgerError(
            f"run {run_id} is not committed: {done} of {tasks} done. "
            "Start its job again, which does the others and commits it"
        )
    return manifest


def repair_chain(store: Store, run_id: str) -> list[Manifest]:
    """Return a committed run and, if it is a retry, the runs that it repairs, the latest first.

    Raises what `committed_run` raises, and LedgerError if a run that it repairs is not committed.
    """
    manifests = [committed_run(store, run_id)]
    while (parent := manifests[-1].parent) is not None:
        manifest = read_committed(store, parent)
        if manifest is None:
            raise LedgerError(f"run {run_id} repairs run {parent}, which is not committed")
        manifests.append(manifest)
    return manifests


def started_run(store: Store, run_id: str) -> Manifest | None:
    """Return the manifest of a run, None if the run is open.

    Raises UnknownRunError where there is no such run, LedgerError where it was given up,
    RecordError where its manifest is damaged.
    """
    manifest = read_unless_abandoned(store, run_id)
    if manifest is None:
        check_known(store, run_id)
    return manifest


def check_known(store: Store, run_id: str) -> None:
    """Raise UnknownRunError if there is no such run, suggesting one that may be meant."""
    if store.exists(spec_key(run_id)) or store.exists(manifest_key(run_id)):
        return
    named = run_id or "''"  # an empty one often comes from a variable that is not set
    raise UnknownRunError(
        f"there is no run {named} in {store.uri}, see {runs_command('list', store.uri)}"
        f"{did_you_mean(run_id, run_ids(store))}"
    )
