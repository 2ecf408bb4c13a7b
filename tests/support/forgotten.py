"""A run with a forgotten photo, and the files from which the photo has to be erased."""

from pipeline.ledger.erasing import Erasure, find_erasures
from pipeline.ledger.forgetting import forget, read_forgotten
from pipeline.ledger.records import Manifest
from pipeline.storage.store import Store
from tests.support.tasks import make_inputs, open_ledger, run_all


def with_one_forgotten(store: Store) -> tuple[Manifest, list[Erasure]]:
    """Commit a run of three photos, and forget the second."""
    inputs = make_inputs(3)
    run = run_all(open_ledger(store, inputs))
    forget(store, [inputs["image_id"][1].as_py()])
    return run, list(find_erasures(store, run, read_forgotten(store)))
