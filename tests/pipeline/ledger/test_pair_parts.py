"""Two runs are read and compared in parts: as many rows as there are, each photo in one part."""

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.ledger.differences import RunPair, compare_runs
from pipeline.ledger.pair_parts import pair_parts
from pipeline.ledger.reader import Run
from pipeline.storage.store import open_store
from tests.support.row_runs import commit_rows, crop_row, image_row

NAMES = [f"u/{n:02}.jpg" for n in range(60)]


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts by two digits of the id, as of runs of millions of photos."""
    monkeypatch.setattr("pipeline.ledger.coverage.key_ranges.RANGE_ROWS", 1)


def two_runs(folder: Path) -> tuple[Run, Run]:
    """The first has photos 0 to 49, the second 10 to 59 with their crops moved, 30 and 31 new."""
    runs = []
    for night, names in enumerate((NAMES[:50], NAMES[10:])):
        images = [
            image_row(name, content_sha256="two" if night and name in NAMES[30:32] else "one")
            for name in names
        ]
        crops = [crop_row(name, "1:1", (night, 0, night + 200, 200)) for name in names]
        crops += [crop_row(name, "4:3", (0, 0, 400, 300)) for name in names]
        runs.append(commit_rows(folder, images, crops, settings={"top_k": night + 1}))
    return runs[0], runs[1]


@pytest.mark.usefixtures("small_parts")
def test_each_photo_is_in_one_part_with_all_its_rows(tmp_path: Path) -> None:
    runs = two_runs(tmp_path)
    parts = list(pair_parts(*runs, ["uri"], ["uri", "ratio"]))
    assert len(parts) == 256
    seen: list[str] = []
    for part in parts:
        ids = {uri for rows in part for uri in rows.images["uri"].to_pylist()}
        assert {uri for rows in part for uri in rows.crops["uri"].to_pylist()} == ids
        seen += ids
    assert sorted(seen) == NAMES
    for n, run in enumerate(runs):
        for name, rows in (("images", run.images()), ("crops", run.crops())):
            found = pa.concat_tables([getattr(part[n], name) for part in parts])
            assert sorted(found["uri"].to_pylist()) == sorted(rows["uri"].to_pylist())


@pytest.mark.usefixtures("small_parts")
def test_a_comparison_in_parts_counts_all_and_names_the_first(tmp_path: Path) -> None:
    old, new = (str(run.manifest["run_id"]) for run in two_runs(tmp_path))
    store = open_store(str(tmp_path))
    told = compare_runs(store, RunPair.of(store, old, new))
    assert told["images"] == {
        "both": 40, "only_old": 10, "only_new": 10, "status_changed": 0, "content_changed": 2,
    }  # fmt: skip
    assert told["crops"] == {
        "both": 80, "only_old": 20, "only_new": 20, "moved": 38, "of_changed_photos": 4,
    }  # fmt: skip
    assert told["content_examples"] == [
        {"uri": name, "old": "one", "new": "two"} for name in NAMES[30:32]
    ]
    assert [one["uri"] for one in told["moved_examples"]] == NAMES[10:30]  # 20 of 38
    assert {one["ratio"] for one in told["moved_examples"]} == {"1:1"}


def test_small_runs_are_one_part(tmp_path: Path) -> None:
    ((was, now),) = pair_parts(*two_runs(tmp_path), ["uri"], [])
    assert (len(was.images), len(now.images)) == (50, 50)
    assert (len(was.crops), was.crops.column_names) == (100, ["image_id"])


def test_runs_without_crops_or_without_files_are_one_part(tmp_path: Path) -> None:
    rows = [image_row("u/a.jpg", None, status="corrupt", error_kind="permanent")]
    run = commit_rows(tmp_path, rows, [])
    ((was, now),) = pair_parts(run, run, ["uri"], ["ratio", "x0"])
    assert (len(was.images), len(was.crops), len(now.crops)) == (1, 0, 0)
    assert was.crops.column_names == ["image_id", "ratio", "x0"]
    nothing = Run(open_store(str(tmp_path)), [])
    ((was, now),) = pair_parts(nothing, run, ["uri"], ["ratio", "x0"])
    assert (len(was.images), was.images.column_names) == (0, ["image_id", "uri"])
    assert len(now.images) == 1
