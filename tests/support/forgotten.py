"""A run with a photo that is forgotten, and its files that the photo is to be erased from."""

from pipeline.ledger.erasing import Erasure, find_erasures
from pipeline.ledger.forgetting import forget, read_forgotten
from pipeline.ledger.records import Manifest
from pipeline.storage.store import Store
from tests.support.tasks import make_inputs, open_ledger, run_all


def with_one_forgotten(store: Store) -> tuple[Manifest, list[Erasure]]:
    """A committed run of three photos, the second of them forgotten."""
    inputs = make_inputs(3)
    run = run_all(open_ledger(store, inputs))
    forget(store, [inputs["image_id"][1].as_py()])
    return run, list(find_erasures(store, run, read_forgotten(store)))
