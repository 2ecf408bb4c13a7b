"""Outputs whose addresses the libraries of table formats misread are refused, others published."""

from pathlib import Path

import pytest

from pipeline.cli.runs import main
from pipeline.errors import UsageError
from pipeline.ledger.forgetting import forget
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.reader import open_run
from pipeline.ledger.table_formats.delta import publish_delta
from pipeline.ledger.table_formats.iceberg import publish_iceberg
from pipeline.ledger.table_formats.iceberg_tables import IcebergTables
from pipeline.storage.store import Store, open_store
from tests.support.put_live import put
from tests.support.shaped_runs import IDS
from tests.support.tasks import make_inputs, open_ledger, run_all

deltalake = pytest.importorskip("deltalake")
pytest.importorskip("pyiceberg")

PLAIN = "a b, 100%, é+[1];&='x"


def rows_of(store: Store, format: str) -> int:
    """Publish a run, and count the photos that the library itself reads."""
    run_id = run_all(open_ledger(store, make_inputs(3))).run_id
    if format == "iceberg":
        publish_iceberg(store, run_id)
        table = IcebergTables(store, None, "s2cnet").catalog.load_table(("s2cnet", "images"))
        return int(table.scan().to_arrow().num_rows)
    publish_delta(store, run_id)
    options = {"storage_options": {"allow_http": "true"}} if store.uri.startswith("s3") else {}
    table = deltalake.DeltaTable(f"{store.uri}/_data/images", **options)
    return int(table.to_pyarrow_table().num_rows)


@pytest.mark.parametrize(
    ("format", "name", "part"),
    [
        ("delta", "50%20x", "%20"),
        ("delta", "a\\b", "\\\\"),
        ("delta", "a\tb", "\\t"),
        ("delta", "a#1? " + PLAIN, None),
        ("iceberg", "a#1", "#"),
        ("iceberg", "what?", "?"),
        ("iceberg", "a\tb", "\\t"),
        ("iceberg", "50%20x " + PLAIN, None),
    ],
)
def test_folders_whose_names_are_misread_are_refused(
    format: str, name: str, part: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(str(tmp_path / name / "out"))
    if part is None:
        assert rows_of(store, format) == 3
        return
    put(store, run_all(open_ledger(store, make_inputs(3))).run_id)
    assert main(["publish", store.uri, "--as", format]) == 2
    told = capsys.readouterr().err
    assert f"{format.capitalize()} tables cannot be in " in told
    assert f"their readers take '{part}' in an address for something else" in told
    assert not [i for i in store.list("") if "_delta_log" in i.key or "_iceberg" in i.key]


@pytest.mark.parametrize(
    ("format", "prefix", "part"),
    [
        ("delta", "50%20x", "%20"), ("delta", "a#1", "#"), ("delta", "a//b", "//"),
        ("delta", PLAIN, None), ("iceberg", "what?", "?"), ("iceberg", "a//b", "//"),
        ("iceberg", PLAIN, None),
    ],
)  # fmt: skip
def test_prefixes_that_are_misread_are_refused(
    format: str, prefix: str, part: str | None, s3: str
) -> None:
    store = open_store(f"{s3}/{prefix}")
    if part is None:
        assert rows_of(store, format) == 3
        return
    with pytest.raises(UsageError) as refused:
        rows_of(store, format)
    assert f"their readers take {part!r} in an address" in str(refused.value)
    bucket = open_store(s3)
    assert not [i for i in bucket.list("") if "_delta_log" in i.key or "_iceberg" in i.key]


def test_photos_are_erased_beside_a_delta_log_that_nobody_can_read(tmp_path: Path) -> None:
    """Earlier releases began a table at such an address, and failed."""
    store = open_store(str(tmp_path / "50%20x"))
    run = run_all(open_ledger(store, make_inputs(3)))
    store.write("_data/images/_delta_log/00000000000000000000.json", b"{}")
    forget(store, [IDS[0]])
    remove_garbage(store, look_for_garbage(store, 0).garbage)
    assert look_for_garbage(store, 0).garbage == []
    assert open_run(store.uri, run.run_id).images().num_rows == 2
