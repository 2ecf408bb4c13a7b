"""Committed runs for tests of publishing, whatever kind of table they are published as."""

from collections.abc import Callable

import pyarrow as pa
import pytest

from pipeline.errors import LedgerError
from pipeline.ledger.records import Manifest
from pipeline.storage.store import Store
from tests.support.tasks import make_inputs, open_ledger, run_all


@pytest.fixture(params=["folder", "s3"])
def published_uri(request: pytest.FixtureRequest) -> str:
    """An empty place for runs and their tables: a folder, and a bucket."""
    if request.param == "folder":
        return str(request.getfixturevalue("tmp_path"))
    bucket: str = request.getfixturevalue("s3")
    return f"{bucket}/out"


def refused_until_committed(
    store: Store, publish: Callable[[Store, str], object]
) -> tuple[Manifest, Manifest]:
    """Runs of photos 0 to 3 and 4 to 6; `publish` refuses the first while both are open."""
    first, second = open_ledger(store, make_inputs(4)), open_ledger(store, make_inputs(3, start=4))
    with pytest.raises(LedgerError, match="not committed"):
        publish(store, first.run_id)
    return run_all(first), run_all(second)


def committed_runs(store: Store, first: pa.Table, second: pa.Table, **job: str) -> list[Manifest]:
    """Two runs, one after the other, whose crops name them: `first` and `second`."""
    return [
        run_all(open_ledger(store, inputs), mark=f" {name}", **job)
        for inputs, name in ((first, "first"), (second, "second"))
    ]


def runs_of_pictures(crops: pa.Table) -> dict[int, str]:
    """Which run's crop a reader gets, by the number of the photo; each photo has one crop."""
    rows = crops.select(["uri", "image"]).to_pylist()
    found = {int(row["uri"][-10:-4]): row["image"].decode().split()[-1] for row in rows}
    assert len(found) == len(rows)
    return found
