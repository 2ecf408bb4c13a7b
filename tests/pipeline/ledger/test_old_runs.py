"""A run made by release 0.1.0 is still read, verified and counted.

tests/golden/runs/release_0_1_0 contains four photos and the output of one run on them, as written
by that release; no test writes to it.
"""

import json
import os
import shutil
from pathlib import Path

import pytest
from msgspec import structs

from pipeline import open_run
from pipeline.inputs.listing import list_all
from pipeline.ledger.audit import list_runs, verify_run
from pipeline.ledger.coverage.incremental import uncovered
from pipeline.ledger.identity import RunSpec
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.pinned import read_spec
from pipeline.ledger.records import to_bytes
from pipeline.ledger.totals import RunTotals
from pipeline.settings import Settings
from pipeline.storage.store import open_store
from tests.support.old_settings import BEFORE, OLD_DEFAULTS

STORED = Path(__file__).parents[2] / "golden" / "runs" / "release_0_1_0"
RUN_ID = "8698ae6aa25651282f8a"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder, its photos with the times that the run saw, as working directory."""
    copy = shutil.copytree(STORED, tmp_path / "made")
    etags = open_run(str(copy / "out")).images(["uri", "etag"]).to_pylist()
    for row in etags:  # a local file's ETag is its time in nanoseconds and its size
        time_ns = int(row["etag"].split("-")[0], 16)
        os.utime(copy / row["uri"], ns=(time_ns, time_ns))
    monkeypatch.chdir(copy)
    return copy


def test_its_tables_are_read(folder: Path) -> None:
    run = open_run("out")
    images = {row["uri"]: row for row in run.images().to_pylist()}
    assert {uri: row["status"] for uri, row in images.items()} == {
        "photos/scene_0.jpg": "ok",
        "photos/scene_1.jpg": "ok",
        "photos/torn.jpg": "truncated",
        "photos/notes.png": "unsupported_format",
    }
    assert [images[f"photos/scene_{i}.jpg"]["owner"] for i in (0, 1)] == ["ada", "bob"]
    crops = run.crops().to_pylist()
    assert sorted(crop["ratio"] for crop in crops) == ["16:9"] * 2 + ["1:1"] * 2 + ["circle"] * 2
    first = next(c for c in crops if c["uri"] == "photos/scene_0.jpg" and c["ratio"] == "16:9")
    assert [first[edge] for edge in ("x0", "y0", "x1", "y1")] == [0.0, 15.0, 160.0, 105.0]
    assert (first["width"], first["height"], first["format"]) == (48, 27, "webp")
    assert len(run.candidates()) == 212


def test_it_verifies_and_is_listed(folder: Path) -> None:
    store = open_store("out")
    assert verify_run(store, RUN_ID).problems == []
    (listed,) = list_runs(store)
    assert listed["run_id"] == RUN_ID
    assert listed["state"] == "committed"


def test_its_run_id_is_still_the_hash_of_its_spec(folder: Path) -> None:
    spec = read_spec(open_store("out"), RUN_ID)
    assert RunSpec.of(spec).run_id == RUN_ID


def test_its_records_would_be_written_as_they_were(folder: Path) -> None:
    home = Path("out", "runs", RUN_ID)
    ledger = Ledger(open_store("out"), RUN_ID)
    assert to_bytes(ledger.spec) == (home / "spec.json").read_bytes()
    for record in ledger.records():
        assert to_bytes(record) == (home / "tasks" / f"{record.task:08d}.json").read_bytes()
    manifest = ledger.manifest
    assert manifest is not None
    stored = (home / "_MANIFEST.json").read_bytes()
    assert manifest.document == json.loads(stored)
    fields = {name: value for name, value in structs.asdict(manifest).items() if name != "document"}
    assert to_bytes(fields) == stored
    totals = RunTotals.of_manifest(manifest)
    assert totals.metrics_json() == (home / "metrics.json").read_bytes()


def test_it_covers_its_photos(folder: Path) -> None:
    """A job of today that asks for the same, with its weights and detector, has nothing to do."""
    store = open_store("out")
    old = read_spec(store, RUN_ID)
    today = Settings.of(
        input="list.csv", output="out", ratios="1:1,16:9,circle", thumbnail_size=48,
        candidates=True, **OLD_DEFAULTS, **BEFORE,
    )  # fmt: skip
    spec = RunSpec(
        settings=today.identity(),
        weights_sha256=old.weights_sha256,
        detector=old.detector,
        code_version="a later one",
        input_sha256="",
    )
    inputs = list_all("list.csv", None).table
    assert uncovered(store, spec, inputs, "incremental").covered == 4
    (folder / "photos" / "torn.jpg").write_bytes(b"another file")
    again = uncovered(store, spec, list_all("list.csv", None).table, "incremental")
    assert again.inputs["uri"].to_pylist() == ["photos/torn.jpg"]
