"""Committed runs as Delta tables: the same files, each run once."""

from pathlib import Path

import pytest

from pipeline.errors import LedgerError
from pipeline.ledger.delta import publish_delta
from pipeline.storage.store import open_store
from tests.pipeline.tasks import make_inputs, open_ledger, run_all

deltalake = pytest.importorskip("deltalake")


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_run_is_published_once(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    uri = str(tmp_path) if kind == "folder" else request.getfixturevalue("s3") + "/out"
    store = open_store(uri)
    first, second = open_ledger(store, make_inputs(4)), open_ledger(store, make_inputs(3, start=4))
    with pytest.raises(LedgerError, match="not committed"):
        publish_delta(store, first.run_id)
    run_all(first)
    run_all(second)
    before = {info.key: info.etag for info in store.list("_data/")}
    assert publish_delta(store, first.run_id) == {"images": 0, "crops": 0}
    assert publish_delta(store, second.run_id) == {"images": 1, "crops": 1}
    assert publish_delta(store, first.run_id) == {"images": None, "crops": None}
    options = {} if kind == "folder" else {"storage_options": {"allow_http": "true"}}
    for name in ("images", "crops"):
        table = deltalake.DeltaTable(f"{uri}/_data/{name}", **options)
        rows = table.to_pyarrow_table(columns=["uri"])["uri"].to_pylist()
        assert sorted(rows) == make_inputs(7)["uri"].to_pylist()
    after = {info.key: info.etag for info in store.list("_data/") if "_delta_log" not in info.key}
    assert after == before


def test_open_runs_survive_a_vacuum(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    published, unpublished = open_ledger(store, make_inputs(1)), open_ledger(store, make_inputs(2))
    run_all(published)
    run_all(unpublished)
    publish_delta(store, published.run_id)
    table = deltalake.DeltaTable(f"{tmp_path}/_data/crops")
    assert table.vacuum(dry_run=True) == []
