"""`datasets` opens a run's own files as pictures: by its card, or by the files alone."""

import datetime
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import open_run, schema
from pipeline.ledger.audit import verify_run
from pipeline.ledger.card import card_key, dataset_features, write_card
from pipeline.ledger.forgetting import forget
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.manifest import data_files
from pipeline.ledger.table_formats.delta import publish_delta
from pipeline.storage.store import open_store
from tests.support.picture_runs import SIZE_WH, commit_pictures
from tests.support.tasks import make_inputs


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return pytest.importorskip("datasets")


def listed(count: int) -> pa.Table:
    """A list with columns of many types."""
    extra = {
        "shop": pa.array(["a"] * count),
        "price": pa.array([Decimal("9.90")] * count, pa.decimal128(9, 2)),
        "sold": pa.array([datetime.date(2026, 11, 26)] * count),
        "at": pa.array([datetime.datetime(2026, 11, 26, 9)] * count, pa.timestamp("ms")),
        "rate": pa.array([0.5] * count, pa.float64()),
        "tags": pa.array([["x", "y"]] * count, pa.list_(pa.string())),
        "none": pa.nulls(count),
    }
    inputs = make_inputs(count)
    for name, column in extra.items():
        inputs = inputs.append_column(name, column)
    return inputs


def test_a_folder_of_a_run_opens_as_pictures(tmp_path: Path, datasets: Any) -> None:
    store = open_store(str(tmp_path / "out"))
    manifest = commit_pictures(store, listed(7), 200)
    assert write_card(store, manifest)
    folder = str(tmp_path / "out" / "runs" / manifest.run_id)
    rows = datasets.load_dataset(folder, split="train")
    assert rows.features["image"] == datasets.Image()
    assert [row["image"].size for row in rows] == [SIZE_WH] * 7
    assert rows[3]["image"].getpixel((0, 0)) == (200, 200, 200)
    plain = open_run(store.uri, manifest.run_id).crops()
    assert rows.column_names == plain.column_names
    for name in set(plain.column_names) - {"image"}:
        assert rows[name][:] == plain[name].to_pylist(), name
    photos = datasets.load_dataset(folder, "images", split="train")
    assert photos["uri"][:] == make_inputs(7)["uri"].to_pylist()
    # Files that no record names, of killed attempts, are not of the run.
    stray = data_files(store, manifest, "crops")[0].key.replace(".parquet", "0.parquet")
    store.write(stray, store.read(data_files(store, manifest, "crops")[0].key))
    assert datasets.load_dataset(folder, split="train").num_rows == 7

    forget(store, make_inputs(1)["image_id"].to_pylist())
    remove_garbage(store, look_for_garbage(store, 0).garbage)
    left = datasets.load_dataset(folder, split="train")
    assert left["uri"][:] == make_inputs(7)["uri"].to_pylist()[1:]
    assert left.features["image"] == datasets.Image()


def test_files_with_a_struct_show_pictures_alone_and_are_read_like_others(
    tmp_path: Path, datasets: Any
) -> None:
    store = open_store(str(tmp_path / "out"))
    plain = commit_pictures(store, make_inputs(4), 90)
    manifest = commit_pictures(store, make_inputs(4), 90, picture_column="struct")

    def opened(run_id: str) -> Any:
        files = f"{tmp_path}/out/_data/crops/run={run_id}/*.parquet"
        return datasets.load_dataset("parquet", data_files=files, split="train")

    rows = opened(manifest.run_id)
    assert rows.features["image"] == datasets.Image()
    assert [row["image"].getpixel((1, 1)) for row in rows] == [(90, 90, 90)] * 4
    bare = opened(plain.run_id)  # the footer of plain bytes does no harm
    assert bare.features["image"] == datasets.Value("large_binary")
    assert bare.cast_column("image", datasets.Image())[0]["image"].size == SIZE_WH
    for column in (["image"], None):
        ours, theirs = (open_run(store.uri, m.run_id).crops(column) for m in (manifest, plain))
        assert ours["image"].equals(theirs["image"])
        assert ours.schema.field("image").type == pa.large_binary()
    name = f"{rows['image_id'][0]}-1x1-0.webp"
    stored = polars.read_parquet(f"{tmp_path}/out/_data/crops/run={manifest.run_id}/*.parquet")
    assert stored["image"].struct.field("path")[0] == name

    forget(store, make_inputs(1)["image_id"].to_pylist())
    remove_garbage(store, look_for_garbage(store, 0).garbage)
    assert verify_run(store, manifest.run_id).problems == []
    left = opened(manifest.run_id)
    assert left.num_rows == 3
    assert left.features["image"] == datasets.Image()
    assert not store.exists(card_key(manifest.run_id))  # none was written, so none is now
    publish_delta(store, manifest.run_id)
    delta = polars.read_delta(f"{tmp_path}/out/_data/crops")
    assert delta["image"].struct.field("bytes").len() == 3


def test_the_footer_names_pictures_where_there_are_some(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "out"))
    manifest = commit_pictures(store, make_inputs(1), 1)
    for table, there in (("crops", True), ("images", False)):
        (file,) = data_files(store, manifest, table)
        footer = pq.read_schema(str(tmp_path / "out" / file.key)).metadata
        assert (b"huggingface" in footer) is there
        assert json.loads(footer[b"s2cnet"])["run_id"] == manifest.run_id


def test_a_run_that_datasets_has_no_words_for_has_no_card(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "out"))
    odd = pa.array([{"a": 1}], pa.struct([("a", pa.int32())]))
    manifest = commit_pictures(store, make_inputs(1).append_column("odd", odd), 1)
    assert not write_card(store, manifest)
    assert not store.exists(card_key(manifest.run_id))
    nested = pa.schema([pa.field("x", pa.list_(pa.list_(pa.int8())))])
    assert dataset_features(nested) is None
    assert dataset_features(schema.CROPS) is not None


@pytest.mark.parametrize("pictures", ["struct", "bytes"])
def test_files_in_a_bucket_open_by_their_address(
    s3: str, datasets: Any, pictures: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`datasets` reads s3:// by s3fs; the server's address goes into its storage options."""
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)  # or it asks no store either
    store = open_store(f"{s3}/out")
    manifest = commit_pictures(store, make_inputs(4), 90, picture_column=pictures)
    files = f"{store.uri}/_data/crops/run={manifest.run_id}/*.parquet"
    options = {"client_kwargs": {"endpoint_url": os.environ["AWS_ENDPOINT_URL"]}}
    rows = datasets.load_dataset(
        "parquet", data_files=files, split="train", storage_options=options
    )
    if pictures == "bytes":
        rows = rows.cast_column("image", datasets.Image())
    assert rows.features["image"] == datasets.Image()
    assert [row["image"].size for row in rows] == [SIZE_WH] * 4
    assert rows["uri"][:] == make_inputs(4)["uri"].to_pylist()
