"""Make runs in a folder, so that tests can damage their records."""

from pathlib import Path

import pytest

from pipeline.ledger.pinned import _input_file
from pipeline.storage.store import Store, open_store
from tests.support.tasks import make_inputs, open_ledger, run_all


@pytest.fixture
def store(tmp_path: Path) -> Store:
    _input_file.cache_clear()
    return open_store(str(tmp_path / "out"))


@pytest.fixture
def run_id(store: Store) -> str:
    """Commit a run of 7 photos in 3 tasks; returns its id."""
    ledger = open_ledger(store, make_inputs(7))
    run_all(ledger, failed={1: "transient"})
    return ledger.run_id


def path_of(store: Store, key: str) -> Path:
    return Path(store.uri, key)
