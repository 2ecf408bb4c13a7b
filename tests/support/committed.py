"""Committed runs for tests of publishing, for any table format."""

from collections.abc import Callable

import pyarrow as pa
import pytest

from pipeline.errors import LedgerError
from pipeline.ledger.records import Manifest
from pipeline.storage.store import Store
from tests.support.tasks import make_inputs, open_ledger, run_all


@pytest.fixture(params=["folder", "s3"])
def published_uri(request: pytest.FixtureRequest) -> str:
    """Provide an empty output for runs and their tables: a folder, and a bucket."""
    if request.param == "folder":
        return str(request.getfixturevalue("tmp_path"))
    bucket: str = request.getfixturevalue("s3")
    return f"{bucket}/out"


def refused_until_committed(
    store: Store, publish: Callable[[Store, str], object]
) -> tuple[Manifest, Manifest]:
    """Commit runs of photos 0 to 3 and 4 to 6; `publish` must refuse the first while it is open."""
    first, second = open_ledger(store, make_inputs(4)), open_ledger(store, make_inputs(3, start=4))
    with pytest.raises(LedgerError, match="not committed"):
        publish(store, first.run_id)
    return run_all(first), run_all(second)


def committed_runs(store: Store, first: pa.Table, second: pa.Table, **job: str) -> list[Manifest]:
    """Commit two runs in turn, whose crops contain their names: `first` and `second`."""
    return [
        run_all(open_ledger(store, inputs), mark=f" {name}", **job)
        for inputs, name in ((first, "first"), (second, "second"))
    ]


def runs_of_pictures(crops: pa.Table) -> dict[int, str]:
    """Return which run's crop a reader gets, by photo number; each photo has one crop."""
    rows = crops.select(["uri", "image"]).to_pylist()
    found = {int(row["uri"][-10:-4]): row["image"].decode().split()[-1] for row in rows}
    assert len(found) == len(rows)
    return found
