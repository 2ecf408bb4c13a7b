"""What most tests of the ledger need: an empty store in a folder of their own."""

import uuid
from pathlib import Path

import pytest

from pipeline.storage.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store in the test's folder; what it writes lies below `tmp_path`."""
    return open_store(str(tmp_path))


@pytest.fixture
def memory() -> Store:
    """An empty store in this process's memory, for tests that look at no file."""
    return open_store(f"memory://{uuid.uuid4().hex}")
