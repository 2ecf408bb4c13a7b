"""Committed runs as Iceberg tables: the same files, each photo once, read by other engines."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.cli.runs import main
from pipeline.errors import LedgerError, SettingError
from pipeline.ledger.channels.channel import channel_of
from pipeline.ledger.forgetting import forget
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.promotion.promotion import Request, promote, rollback
from pipeline.ledger.table_formats.iceberg import publish_iceberg, publish_live_as_iceberg
from pipeline.storage.store import Store, open_store
from tests.support.committed import (
    committed_runs,
    published_uri,
    refused_until_committed,
    runs_of_pictures,
)
from tests.support.faultproxy import FaultProxy, once
from tests.support.tasks import done, make_inputs, open_ledger, run_all

pytest.importorskip("pyiceberg")
from pyiceberg.catalog import load_catalog
from pyiceberg.table import StaticTable
from pyiceberg.utils.config import Config

from pipeline.ledger.table_formats.iceberg_catalog import StoreCatalog, io_properties, location_of
from pipeline.ledger.table_formats.iceberg_tables import NAMESPACE, IcebergTables

__all__ = ["published_uri"]  # a fixture

two_runs = partial(committed_runs, promote="manual")


def in_table(store: Store, name: str) -> pa.Table:
    """A table as pyiceberg finds it by its folder, without our catalogue."""
    place = location_of(store, f"_iceberg/{name}")
    table = StaticTable.from_metadata(place, io_properties())
    return table.scan().to_arrow().sort_by("uri")


def pictures(store: Store) -> dict[int, str]:
    """Which run's crop a reader gets, by the number of the photo."""
    return runs_of_pictures(in_table(store, "crops"))


def files(store: Store) -> set[str]:
    return {info.key for info in store.list("_iceberg/") if info.key.endswith(".parquet")}


def test_a_run_is_published_once(published_uri: str) -> None:
    store = open_store(published_uri)
    first, second = refused_until_committed(store, publish_iceberg)
    before = {info.key: info.etag for info in store.list("_data/")}
    assert publish_iceberg(store, first.run_id) == {"images": 1, "crops": 1}
    assert publish_iceberg(store, second.run_id) == {"images": 2, "crops": 2}
    log = {info.key for info in store.list("_iceberg/")}
    assert publish_iceberg(store, first.run_id) == {"images": None, "crops": None}
    assert {info.key for info in store.list("_iceberg/")} == log
    for name in ("images", "crops"):
        assert in_table(store, name)["uri"].to_pylist() == make_inputs(7)["uri"].to_pylist()
    assert {info.key: info.etag for info in store.list("_data/")} == before
    assert files(store) == set()  # nothing is copied


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "the later run first"])
def test_two_runs_of_the_same_photos_give_one_row_a_photo(
    order: tuple[int, int], store: Store
) -> None:
    runs = two_runs(store, make_inputs(8), make_inputs(6, etag="v2", start=4))
    for number in order:
        publish_iceberg(store, runs[number].run_id)
    assert pictures(store) == {n: "first" if n < 4 else "second" for n in range(10)}
    images = in_table(store, "images")
    assert images["etag"].to_pylist() == ["v1"] * 4 + ["v2"] * 6
    assert len(files(store)) == 2  # photo 3 is left of a task of three


def test_a_reader_of_an_older_snapshot_still_has_it(store: Store) -> None:
    for run in two_runs(store, make_inputs(3), make_inputs(3, etag="v2")):
        publish_iceberg(store, run.run_id)
    table = StaticTable.from_metadata(location_of(store, "_iceberg/images"))
    old, new = table.metadata.snapshots
    assert set(table.scan(snapshot_id=old.snapshot_id).to_arrow()["etag"].to_pylist()) == {"v1"}
    assert set(table.scan(snapshot_id=new.snapshot_id).to_arrow()["etag"].to_pylist()) == {"v2"}
    assert table.properties["gc.enabled"] == "false"


def test_other_engines_read_one_row_a_photo(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """DataFusion reads by Iceberg's implementation in Rust, polars by its own."""
    datafusion, polars = pytest.importorskip("datafusion"), pytest.importorskip("polars")
    pytest.importorskip("pyiceberg_core")
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")  # else it warns of a faster one
    for run in two_runs(store, make_inputs(8), make_inputs(6, etag="v2", start=4)):
        publish_iceberg(store, run.run_id)
    place = location_of(store, "_iceberg/crops")
    context = datafusion.SessionContext()
    context.register_table("crops", StaticTable.from_metadata(place))
    found = context.sql("SELECT uri, image, ratio FROM crops ORDER BY uri").to_pydict()
    ours = in_table(store, "crops")
    assert found["uri"] == ours["uri"].to_pylist()
    assert found["image"] == ours["image"].to_pylist()
    assert context.sql("SELECT count(DISTINCT uri) AS n FROM crops").to_pydict() == {"n": [10]}
    scan = polars.scan_iceberg(f"{place}/metadata/v3.metadata.json").select("uri", "image")
    assert scan.collect().sort("uri")["image"].to_list() == ours["image"].to_pylist()


def test_nested_columns_are_read_whole(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes, objects and skipped shapes, by PyIceberg and by polars."""
    polars = pytest.importorskip("polars")
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")  # else it warns of a faster one
    ledger = open_ledger(store, make_inputs(2))
    tables = done(ledger.task_inputs(0))
    box = {"x0": 1.0, "y0": 2.0, "x1": 3.0, "y1": 4.0, "score": 0.5, "label": "face"}
    values = {
        "content": [[1.0, 2.0, 3.0, 4.0], None],
        "objects": [[box], []],
        "skipped": [None, [{"ratio": "1:1", "reason": "low_confidence"}]],
        "phash": [-(2**63), 7],
    }
    images = tables["images"]
    for name, column in values.items():
        field = images.schema.field(name)
        place = images.schema.get_field_index(name)
        images = images.set_column(place, field, pa.array(column, field.type))
    ledger.commit_task(0, {**tables, "images": images})
    publish_iceberg(store, ledger.finish({}).run_id)
    rows = in_table(store, "images").select(list(values)).to_pydict()
    # PyIceberg 0.12 gives an empty list of structs for none.
    assert rows == {**values, "skipped": [[], *values["skipped"][1:]]}
    scan = polars.scan_iceberg(f"{location_of(store, '_iceberg/images')}/metadata/v2.metadata.json")
    assert scan.select(list(values)).collect().to_dict(as_series=False) == values


def test_what_is_live_follows_promotion_and_rollback(store: Store) -> None:
    first, second = two_runs(store, make_inputs(8), make_inputs(6, etag="v2", start=4))
    promote(store, first.run_id, Request())
    assert publish_live_as_iceberg(store) == {"images": 1, "crops": 1}
    promote(store, second.run_id, Request())
    publish_live_as_iceberg(store)
    both = {n: "first" if n < 4 else "second" for n in range(10)}
    assert pictures(store) == both
    rollback(store, channel_of(second))
    publish_live_as_iceberg(store)
    assert pictures(store) == dict.fromkeys(range(8), "first")
    promote(store, second.run_id, Request())
    publish_live_as_iceberg(store)
    assert pictures(store) == both
    assert set(publish_live_as_iceberg(store).values()) == {None}


@pytest.mark.parametrize("before", [0, 1])
def test_tables_hold_what_is_live_if_another_process_promotes_and_publishes(
    store: Store, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    """The other process acts while the first table is committed, or the second."""
    first, second = two_runs(store, make_inputs(8), make_inputs(6, etag="v2", start=4))
    promote(store, first.run_id, Request())
    plain, commits = StoreCatalog.commit_table, 0

    def late(self: StoreCatalog, *arguments: object) -> object:
        nonlocal commits
        commits += 1
        if commits == before + 1:
            promote(store, second.run_id, Request())
            publish_live_as_iceberg(store)
        return plain(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(StoreCatalog, "commit_table", late)
    publish_live_as_iceberg(store)
    assert pictures(store) == {n: "first" if n < 4 else "second" for n in range(10)}
    assert in_table(store, "images")["uri"].to_pylist() == make_inputs(10)["uri"].to_pylist()


def test_forgotten_photos_leave_the_table_and_its_copies(store: Store) -> None:
    runs = two_runs(store, make_inputs(8), make_inputs(6, etag="v2", start=4))
    for run in runs:
        publish_iceberg(store, run.run_id)
    gone = [make_inputs(10)["image_id"].to_pylist()[n] for n in (3, 5)]  # one is in a copy
    before = files(store)
    forget(store, gone)
    remove_garbage(store, look_for_garbage(store, 0).garbage)
    left = {n: "first" if n < 4 else "second" for n in range(10) if n not in (3, 5)}
    assert pictures(store) == left
    assert in_table(store, "images").num_rows == 8
    assert not before & files(store)
    for info in store.list(""):
        if info.key.endswith(".parquet") and "/run=" in info.key + "/from=":
            assert b"000003.jpg first" not in store.read(info.key)
    publish_iceberg(store, runs[0].run_id)
    assert pictures(store) == left


def test_a_run_with_forgotten_photos_is_published_without_them(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(4)), mark=" first")
    forget(store, make_inputs(1)["image_id"].to_pylist())
    publish_iceberg(store, run.run_id)
    assert pictures(store) == dict.fromkeys(range(1, 4), "first")


def test_columns_are_added_and_widened_and_become_text_or_are_refused_by_name(store: Store) -> None:
    def inputs(start: int, **columns: pa.Array) -> pa.Table:
        table = make_inputs(2, start=start)
        for name, values in columns.items():
            table = table.append_column(name, values)
        return table

    nights = [
        inputs(0, shop=pa.array([1, 2], pa.int32())),
        inputs(2, shop=pa.array([3, 2**40], pa.int64()), name=pa.array(["a", "b"])),
    ]
    for night in nights:
        publish_iceberg(store, run_all(open_ledger(store, night)).run_id)
    rows = in_table(store, "images").select(["shop", "name"])
    assert rows.to_pydict() == {"shop": [1, 2, 3, 2**40], "name": [None, None, "a", "b"]}
    assert not files(store)  # Iceberg widens by itself
    text = run_all(open_ledger(store, inputs(4, shop=pa.array(["x", "y"]))))
    publish_iceberg(store, text.run_id)
    rows = in_table(store, "images")
    assert rows["shop"].to_pylist() == ["1", "2", "3", str(2**40), "x", "y"]
    spans = run_all(open_ledger(store, inputs(6, took=pa.array([1, 2], pa.duration("s")))))
    with pytest.raises(LedgerError, match=r"table images cannot take a column: .*duration"):
        publish_iceberg(store, spans.run_id)
    assert in_table(store, "images").num_rows == 6


def test_a_catalogue_of_the_users_own(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "catalogue.db"
    monkeypatch.setenv("PYICEBERG_CATALOG__OURS__TYPE", "sql")
    monkeypatch.setenv("PYICEBERG_CATALOG__OURS__URI", f"sqlite:///{database}")
    monkeypatch.setenv("PYICEBERG_CATALOG__OURS__WAREHOUSE", f"file://{tmp_path}/house")
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())  # read at import
    run = run_all(open_ledger(store, make_inputs(4)), mark=" first")
    for _ in range(2):
        assert main(["publish", store.uri, run.run_id, "--as", "iceberg", "--catalog", "ours"]) == 0
    with sqlite3.connect(database) as rows:
        tables = rows.execute("SELECT table_namespace, table_name FROM iceberg_tables").fetchall()
    assert sorted(tables) == [("s2cnet", "crops"), ("s2cnet", "images")]
    assert load_catalog("ours").load_table("s2cnet.crops").scan().to_arrow().num_rows == 4
    forget(store, make_inputs(1)["image_id"].to_pylist())
    remove_garbage(store, look_for_garbage(store, 0).garbage)
    assert load_catalog("ours").load_table("s2cnet.crops").scan().to_arrow().num_rows == 3
    other = open_store(str(tmp_path / "other"))
    with pytest.raises(LedgerError, match="another output"):
        publish_iceberg(other, run_all(open_ledger(other, make_inputs(1))).run_id, "ours")
    with pytest.raises(SettingError, match=r"^catalog 'nobody' is none that pyiceberg opens: "):
        publish_iceberg(store, run.run_id, "nobody")
    with pytest.raises(SettingError, match=r"^namespace 'a/b' is no name: letters, digits"):
        publish_iceberg(store, run.run_id, "ours", "a/b")


@pytest.fixture
def lost(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """S3 whose answer to the second version of `images` is lost: the request is made again."""
    proxy = FaultProxy(
        os.environ["AWS_ENDPOINT_URL"], once("lost", "PUT", r"/images/metadata/v2\.metadata\.json")
    )
    with proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        yield s3
    assert proxy.counts["lost"] == 1


def test_a_commit_whose_answer_is_lost_is_made_once(lost: str) -> None:
    store = open_store(lost)
    publish_iceberg(store, run_all(open_ledger(store, make_inputs(4))).run_id)
    assert in_table(store, "images").num_rows == 4


class KilledError(BaseException):
    """In place of kill -9."""


@pytest.mark.parametrize("at", ["copies", "v2", "hint"])
def test_a_publication_that_dies_is_made_again(
    at: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the commit nothing is seen of it; after it, publishing again ends what it began."""
    first, second = two_runs(store, make_inputs(8), make_inputs(6, etag="v2", start=4))
    publish_iceberg(store, first.run_id)
    before = {"copies": "/data/from=", "v2": "v3.metadata.json", "hint": "version-hint"}[at]

    def dies(plain: Callable[..., object]) -> Callable[..., object]:
        def write(self: Store, key: str, data: bytes) -> object:
            if before in key and "/crops/" in key:
                raise KilledError
            return plain(self, key, data)

        return write

    with monkeypatch.context() as patched:
        for name in ("write", "create_once"):
            patched.setattr(Store, name, dies(getattr(Store, name)))
        with pytest.raises(KilledError):
            publish_iceberg(store, second.run_id)
    assert pictures(store) == dict.fromkeys(range(8), "first")
    publish_iceberg(store, second.run_id)
    assert pictures(store) == {n: "first" if n < 4 else "second" for n in range(10)}


def test_of_two_commits_at_once_one_begins_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other publishes everything while the first is about to commit."""
    runs = two_runs(store, make_inputs(4), make_inputs(4, start=4))
    plain, others = StoreCatalog.commit_table, [runs[1].run_id]

    def late(self: StoreCatalog, *arguments: object) -> object:
        if others:
            publish_iceberg(store, others.pop())
        return plain(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(StoreCatalog, "commit_table", late)
    publish_iceberg(store, runs[0].run_id)
    for name in ("images", "crops"):
        assert in_table(store, name)["uri"].to_pylist() == make_inputs(8)["uri"].to_pylist()


@pytest.mark.parametrize(
    ("names", "region"),
    [({}, "us-east-1"), ({"AWS_REGION": "eu-1"}, "eu-1"), ({"AWS_DEFAULT_REGION": "eu-2"}, "eu-2"),
     ({"AWS_REGION": "eu-1", "AWS_DEFAULT_REGION": "eu-2"}, "eu-1")],
)  # fmt: skip
def test_files_are_reached_as_the_environment_says(
    names: dict[str, str], region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    assert io_properties() == {"s3.region": region}
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert io_properties()["s3.endpoint"] == "http://127.0.0.1:1"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:2")
    assert io_properties()["s3.endpoint"] == "http://127.0.0.1:2"


def test_only_the_stores_own_catalogue_has_one_namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(str(tmp_path))
    own = StoreCatalog(store)
    assert own.name == "store"
    monkeypatch.setattr(
        "pipeline.ledger.table_formats.iceberg_catalog.open_catalog", lambda *_: own
    )
    assert IcebergTables(store, "lake", "shop").namespace == "shop"
    assert IcebergTables(store, None, NAMESPACE).catalog_name is None
    with pytest.raises(SettingError, match=r"^namespace is of a catalogue"):
        IcebergTables(store, None, "shop")
