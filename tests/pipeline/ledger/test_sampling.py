"""Which files are read of a run that has too many, and which run a photo comes from."""

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.ledger.manifest import read_committed
from pipeline.ledger.sampling import live_crops, locate_photos, rows_of, sampled_rows, spread
from pipeline.storage.store import open_store
from tests.support.tasks import make_inputs, open_ledger, run_all


@pytest.mark.parametrize(
    ("numbers", "most", "taken"),
    [
        (range(10), 5, {0, 2, 4, 6, 8}),
        (range(10), 3, {0, 3, 6}),
        (range(10), 10, set(range(10))),
        (range(10), 11, set(range(10))),
        ([7, 7, 1, 3], 2, {1, 3}),
        ([], 4, set()),
    ],
)
def test_numbers_are_taken_at_even_distances(
    numbers: list[int], most: int, taken: set[int]
) -> None:
    assert spread(numbers, most) == taken


def test_rows_of_some_tasks_alone(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    manifest = run_all(open_ledger(store, make_inputs(7)))  # tasks of 3, 3 and 1
    inputs = make_inputs(7)["image_id"].to_pylist()

    def ids(tasks: set[int] | None) -> list[str]:
        return sorted(
            rows_of(store, manifest, "images", ["image_id"], tasks)["image_id"].to_pylist()
        )

    assert ids(None) == sorted(inputs)
    assert ids({2}) == [inputs[6]]
    assert ids({0, 1}) == sorted(inputs[:6])
    none = rows_of(store, manifest, "crops", ["image_id", "nothing"], set())
    assert (none.num_rows, none.column_names) == (0, ["image_id"])
    assert rows_of(store, manifest, "crops", ["image_id", "ratio"], {2}).num_rows == 1


def test_a_photo_of_several_runs_is_in_the_first(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    older = run_all(open_ledger(store, make_inputs(7)))
    newer = run_all(open_ledger(store, make_inputs(4, etag="v2"), code_version="other"))
    photos = make_inputs(6).select(["image_id", "uri"])
    damaged: dict[str, str] = {}
    places = locate_photos(store, [newer, older], photos, damaged)
    ids = photos["image_id"].to_pylist()
    assert [places[one] for one in ids] == [
        (newer.run_id, 0), (newer.run_id, 0), (newer.run_id, 0), (newer.run_id, 1),
        (older.run_id, 1), (older.run_id, 1),
    ]  # fmt: skip
    assert locate_photos(store, [], photos, damaged) == {}
    assert locate_photos(store, [newer], photos.slice(0, 0), damaged) == {}
    found = list(live_crops(store, [newer, older], places, ["image_id"], damaged))
    assert [(images.num_rows, crops.num_rows) for images, crops in found] == [(4, 4), (2, 2)]
    assert damaged == {}
    images, whole = sampled_rows(
        store, [newer, older], pa.array(ids[:1], pa.string()), {"images": ["image_id", "etag"]}
    )
    etags = dict(
        zip(*(images["images"][name].to_pylist() for name in ("image_id", "etag")), strict=True)
    )
    assert whole is True
    assert etags == {**dict.fromkeys(ids[1:4], "v2"), **dict.fromkeys(
        make_inputs(7)["image_id"].to_pylist()[4:], "v1")}  # fmt: skip


def test_a_run_whose_list_is_damaged_is_left_out_and_named(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    manifest = run_all(open_ledger(store, make_inputs(3)))
    places = {make_inputs(3)["image_id"][0].as_py(): (manifest.run_id, 0)}
    for file in (tmp_path / "_data" / "crops").rglob("*.parquet"):
        file.write_bytes(b"no table")
    damaged: dict[str, str] = {}
    again = read_committed(store, manifest.run_id)
    assert again is not None
    assert list(live_crops(store, [again], places, ["image_id"], damaged)) == []
    assert list(damaged) == [manifest.run_id]
