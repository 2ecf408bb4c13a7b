"""Each row of images and crops records which run made it, when, and with which weights."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from pipeline import schema
from pipeline.ledger import tables
from pipeline.ledger.reader import open_run
from pipeline.storage.store import open_store
from tests.support.tasks import SPEC, done, make_inputs, open_ledger, run_all

PROVENANCE = ["run_id", "processed_at", "weights"]


def test_rows_say_who_made_them_and_when(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    store = open_store(str(tmp_path))
    first = run_all(open_ledger(store, make_inputs(2)))
    between = datetime.now(UTC)
    second = run_all(
        open_ledger(store, make_inputs(1, start=1, etag="v2"), weights_sha256="b" * 64)
    )
    run = open_run(str(tmp_path))
    for table in (run.images(), run.crops(["uri", *PROVENANCE])):
        one, other = table.sort_by("uri").to_pylist()
        assert (one["run_id"], one["weights"]) == (first.run_id, SPEC.weights_sha256[:12])
        assert (other["run_id"], other["weights"]) == (second.run_id, "b" * 12)
        assert before <= one["processed_at"] <= between <= other["processed_at"]
        assert other["processed_at"] <= datetime.now(UTC)


def test_runs_of_an_earlier_release_have_nulls(tmp_path: Path) -> None:
    """An old file lacks the columns; a list's own column of such a name is not taken for ours."""
    store = open_store(str(tmp_path))
    ledger = open_ledger(store, make_inputs(1))
    old = {
        name: table.drop_columns(PROVENANCE) for name, table in done(ledger.task_inputs(0)).items()
    }
    old["images"] = old["images"].append_column("weights", pa.array([12.5]))
    declared = {
        "images": pa.schema([f for f in schema.IMAGES if f.name not in PROVENANCE]),
        "crops": pa.schema([f for f in schema.CROPS if f.name not in PROVENANCE]),
    }
    known = dict(tables.TABLES)
    tables.TABLES.update(declared)
    try:
        ledger.commit_task(0, old)
        ledger.finish({})
    finally:
        tables.TABLES.update(known)
    run_all(open_ledger(store, make_inputs(1, start=1)))
    run = open_run(str(tmp_path))
    for rows in (run.images(["uri", *PROVENANCE]), run.crops(["uri", *PROVENANCE])):
        one, other = rows.sort_by("uri").to_pylist()
        assert [one[name] for name in PROVENANCE] == [None] * 3
        assert None not in other.values()
    assert run.images().sort_by("uri")["weights"].to_pylist() == ["12.5", "aaaaaaaaaaaa"]
