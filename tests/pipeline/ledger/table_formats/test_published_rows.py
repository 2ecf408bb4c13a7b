"""Delta tables have each photo once, in any order of publishing; other engines can read them."""

from itertools import permutations
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import LedgerError
from pipeline.inputs.listing import image_id
from pipeline.ledger.forgetting import forget
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.table_formats.delta import publish_delta
from pipeline.ledger.table_formats.iceberg import publish_iceberg
from pipeline.storage.store import Store
from tests.support.committed import committed_runs, runs_of_pictures
from tests.support.row_runs import commit_rows, crop_row, image_row, preview_row
from tests.support.tasks import done, make_inputs, open_ledger, run_all

deltalake = pytest.importorskip("deltalake")


def in_table(store: Store, name: str) -> pa.Table:
    table = deltalake.DeltaTable(f"{store.uri}/_data/{name}").to_pyarrow_table()
    return table.sort_by("uri")


def pictures(store: Store) -> dict[int, str]:
    """Which run's crop a reader gets, by the number of the photo."""
    return runs_of_pictures(in_table(store, "crops"))


def copies(store: Store) -> list[str]:
    return [info.key for info in store.list("_data/") if "/from=" in info.key]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "the later run first"])
def test_two_runs_of_the_same_photos_give_one_row_a_photo(
    order: tuple[int, int], store: Store
) -> None:
    runs = committed_runs(store, make_inputs(32), make_inputs(32, etag="v2"))
    for number in order:
        publish_delta(store, runs[number].run_id)
    for number in order:
        assert publish_delta(store, runs[number].run_id) == {"images": None, "crops": None}
    assert in_table(store, "images").num_rows == 32
    assert set(in_table(store, "images")["etag"].to_pylist()) == {"v2"}
    assert pictures(store) == dict.fromkeys(range(32), "second")
    assert copies(store) == []
    polars = pytest.importorskip("polars")
    for name in ("images", "crops"):
        read = polars.scan_delta(f"{store.uri}/_data/{name}").select("uri", "image_id").collect()
        assert (read.height, read["uri"].n_unique()) == (32, 32)


def test_duckdb_reads_one_row_a_photo(store: Store) -> None:
    duckdb = pytest.importorskip("duckdb")
    try:
        duckdb.sql("LOAD delta")
    except duckdb.Error:
        pytest.skip("DuckDB's extension is not on this machine")
    for run in committed_runs(store, make_inputs(32), make_inputs(32, etag="v2")):
        publish_delta(store, run.run_id)
    assert duckdb.sql(f"SELECT count(*) FROM delta_scan('{store.uri}/_data/crops')").fetchall() == [
        (32,)
    ]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "the later run first"])
def test_runs_that_share_some_photos(order: tuple[int, int], store: Store) -> None:
    """Tasks are of 3: photos 2 to 5 of the second run are a part of one task and whole others."""
    runs = committed_runs(store, make_inputs(8), make_inputs(4, start=2))
    for number in order:
        publish_delta(store, runs[number].run_id)
    second = dict.fromkeys(range(2, 6), "second")
    assert pictures(store) == {**dict.fromkeys(range(8), "first"), **second}
    assert in_table(store, "images")["uri"].to_pylist() == make_inputs(8)["uri"].to_pylist()
    assert len(copies(store)) == 2  # what is left of one task, of `images` and `crops`


def test_a_third_run_finds_what_was_left_of_the_first(store: Store) -> None:
    runs = committed_runs(store, make_inputs(3), make_inputs(1, start=1))
    runs.append(run_all(open_ledger(store, make_inputs(1, etag="v3")), mark=" third"))
    for run in runs:
        publish_delta(store, run.run_id)
    assert pictures(store) == {0: "third", 1: "second", 2: "first"}


def test_a_failed_photo_has_no_older_crops(store: Store) -> None:
    publish_delta(store, run_all(open_ledger(store, make_inputs(2))).run_id)
    newer = run_all(open_ledger(store, make_inputs(2, etag="v2")), failed={0: "permanent"})
    publish_delta(store, newer.run_id)
    assert in_table(store, "images")["status"].to_pylist() == ["corrupt", "ok"]
    assert in_table(store, "crops")["uri"].to_pylist() == ["s3://ugc/000001.jpg"]


def test_shapes_of_two_channels_stand_side_by_side(store: Store) -> None:
    wide: dict[str, Any] = {"settings": {"ratios": "16:9", "top_k": 1}}
    for changes in ({}, wide):
        ledger = open_ledger(store, make_inputs(3), **changes)
        tables = done(ledger.task_inputs(0))
        if changes:
            crops = tables["crops"]
            place, ratio = crops.schema.get_field_index("ratio"), crops.schema.field("ratio")
            tables["crops"] = crops.set_column(place, ratio, pa.array(["16:9"] * 3))
        ledger.commit_task(0, tables)
        publish_delta(store, ledger.finish({}).run_id)
    assert sorted(in_table(store, "crops")["ratio"].to_pylist()) == ["16:9"] * 3 + ["1:1"] * 3
    assert in_table(store, "images").num_rows == 3


def test_a_forgotten_photo_does_not_come_back(store: Store) -> None:
    inputs = make_inputs(3)
    runs = committed_runs(store, inputs, make_inputs(1, start=1))
    for run in runs:
        publish_delta(store, run.run_id)
    assert len(copies(store)) == 2
    forget(store, [inputs["image_id"][0].as_py()])
    remove_garbage(store, look_for_garbage(store, 0).garbage)
    for run in runs:
        publish_delta(store, run.run_id)
    assert pictures(store) == {1: "second", 2: "first"}
    late = run_all(open_ledger(store, make_inputs(1, start=2, etag="v2")), mark=" late")
    publish_delta(store, late.run_id)
    assert pictures(store) == {1: "second", 2: "late"}
    for info in store.list("_data/"):
        if info.key.endswith(".parquet"):
            assert b"000000.jpg first" not in bytes(uncompressed(store.read(info.key)))


def uncompressed(data: bytes) -> bytes:
    """The values of a file's texts and pictures, one after the other."""
    table = pq.read_table(pa.BufferReader(data))
    return repr(table.to_pylist()).encode()


def test_a_column_that_the_table_lacks_is_added(store: Store) -> None:
    publish_delta(store, run_all(open_ledger(store, make_inputs(1))).run_id)
    inputs = make_inputs(1, start=1).append_column("album", pa.array(["007"]))
    publish_delta(store, run_all(open_ledger(store, inputs)).run_id)
    assert in_table(store, "images")["album"].to_pylist() == [None, "007"]


FOX, HEN = "s3://ugc/fox.jpg", "s3://ugc/hen.jpg"


def with_and_without_previews(store: Store) -> list[str]:
    """A run of two photos with previews, and a later one of the first photo with `--preview 0`."""
    crops = [crop_row(uri, "1:1", (100, 0, 400, 300)) for uri in (FOX, HEN)]
    previews = [preview_row(uri, (9, 9, 9)) for uri in (FOX, HEN)]
    images = [image_row(uri) for uri in (FOX, HEN)]
    candidates = [
        {"image_id": image_id(uri), "ratio": "1:1", "x0": 0.0, "y0": 0.0, "x1": 1.0,
         "y1": 1.0, "score": 0.5}
        for uri in (FOX, HEN)
    ]  # fmt: skip
    first = commit_rows(store.uri, images, crops, previews, candidates)
    second = commit_rows(store.uri, [image_row(FOX, etag="v2")], crops[:1])
    return [str(run.manifest["run_id"]) for run in (first, second)]


def delta_ids(store: Store, name: str) -> list[str]:
    table = deltalake.DeltaTable(f"{store.uri}/_data/{name}").to_pyarrow_table()
    return table["image_id"].to_pylist()


def iceberg_ids(store: Store, name: str) -> list[str]:
    static = pytest.importorskip("pyiceberg.table").StaticTable
    found = static.from_metadata(f"{store.uri}/_iceberg/{name}").scan().to_arrow()
    return found["image_id"].to_pylist()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "the later run first"])
def test_a_later_run_without_previews_replaces_those_of_its_photos(
    order: tuple[int, int], store: Store
) -> None:
    runs = with_and_without_previews(store)
    for number in order:
        publish_delta(store, runs[number])
        publish_iceberg(store, runs[number])
    for ids_in in (delta_ids, iceberg_ids):
        assert sorted(ids_in(store, "images")) == sorted(map(image_id, (FOX, HEN)))
        for name in ("previews", "candidates"):
            assert ids_in(store, name) == [image_id(HEN)], (ids_in.__name__, name)
    for number in order:  # a second time, nothing has to change
        assert set(publish_delta(store, runs[number]).values()) == {None}
        assert set(publish_iceberg(store, runs[number]).values()) == {None}


def test_a_table_of_which_later_runs_replace_every_row_is_not_made(store: Store) -> None:
    crops = [crop_row(FOX, "1:1", (100, 0, 400, 300))]
    first = commit_rows(store.uri, [image_row(FOX)], crops, [preview_row(FOX, (9, 9, 9))])
    second = commit_rows(store.uri, [image_row(FOX, etag="v2")], crops)
    publish_delta(store, second.manifest["run_id"])
    counts = publish_delta(store, first.manifest["run_id"])
    assert counts == {"images": 1, "crops": 1, "previews": None}
    assert not deltalake.DeltaTable.is_deltatable(f"{store.uri}/_data/previews")
    assert delta_ids(store, "crops") == [image_id(FOX)]


def shaped_run(store: Store, number: int, ratios: str, channel: str) -> str:
    """Commit a run of FOX whose crops, one for each ratio, have the run's number as their score."""
    crops = [crop_row(FOX, r, (100, 0, 400, 300), score=float(number)) for r in ratios.split(",")]
    run = commit_rows(
        store.uri,
        [image_row(FOX, etag=f"v{number}")],
        crops,
        about={"job": {"channel": channel}},
        settings={"ratios": ratios, "top_k": 1},
    )
    return str(run.manifest["run_id"])


@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_a_run_without_rows_still_replaces_those_of_its_channel(
    order: tuple[int, ...], store: Store
) -> None:
    """The second run replaces both crops of the first, and the third the only one of the second."""
    runs = [
        shaped_run(store, 1, "1:1,16:9", "ours"),
        shaped_run(store, 2, "1:1", "ours"),
        shaped_run(store, 3, "1:1", "theirs"),
    ]
    for number in order:
        publish_delta(store, runs[number])
        publish_iceberg(store, runs[number])
    static = pytest.importorskip("pyiceberg.table").StaticTable
    iceberg = static.from_metadata(f"{store.uri}/_iceberg/crops").scan().to_arrow()
    for crops in (in_table(store, "crops"), iceberg):
        assert crops.select(["ratio", "score"]).to_pylist() == [{"ratio": "1:1", "score": 3.0}]
    assert in_table(store, "images")["etag"].to_pylist() == ["v3"]


def test_files_without_rows_are_not_in_an_iceberg_table(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """A failed photo's task has no crops; pyiceberg warned of each column of the empty file."""
    images = [image_row(FOX, None, status="corrupt")]
    failed = commit_rows(store.uri, images, [])
    publish_iceberg(store, str(failed.manifest["run_id"]))
    assert iceberg_ids(store, "images") == [image_id(FOX)]
    crops = [crop_row(HEN, "1:1", (100, 0, 400, 300))]
    good = commit_rows(store.uri, [image_row(HEN)], crops)
    publish_iceberg(store, str(good.manifest["run_id"]))
    forget(store, [image_id(HEN)])  # all rows of the second run
    remove_garbage(store, look_for_garbage(store, 0).garbage)
    publish_iceberg(store, str(good.manifest["run_id"]))
    assert (iceberg_ids(store, "images"), iceberg_ids(store, "crops")) == ([image_id(FOX)], [])
    assert not caplog.records


def test_a_column_that_iceberg_cannot_describe_is_told(store: Store) -> None:
    half = [pa.field("half", pa.float16())]
    images = [image_row(FOX, half=1.5)]
    run = commit_rows(store.uri, images, [], extra=half)
    with pytest.raises(LedgerError, match=r"images cannot take a column: .* 'half'"):
        publish_iceberg(store, str(run.manifest["run_id"]))
