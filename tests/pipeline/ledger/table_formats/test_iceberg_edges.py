"""Edge cases of Iceberg tables: what is copied, retried, removed and recorded."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import LedgerError, UsageError
from pipeline.ledger.forgetting import forget
from pipeline.ledger.manifest import data_files
from pipeline.ledger.table_formats import iceberg, iceberg_tables
from pipeline.ledger.table_formats.iceberg import forget_in_iceberg, publish_iceberg
from pipeline.ledger.table_formats.published_rows import RunPhotos, photos_of_run
from pipeline.storage.backend import StoreRefusedError
from pipeline.storage.store import Store
from tests.support.committed import committed_runs
from tests.support.shaped_runs import HOUR_S, IDS, ids, of_shapes, run_photos
from tests.support.tasks import make_inputs, open_ledger, run_all

pytest.importorskip("pyiceberg")
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.schema import Schema
from pyiceberg.table import StaticTable
from pyiceberg.types import LongType, NestedField
from pyiceberg.utils.config import Config

from pipeline.ledger.table_formats import iceberg_catalog
from pipeline.ledger.table_formats.iceberg_catalog import StoreCatalog, location_of, open_catalog
from pipeline.ledger.table_formats.iceberg_files import (
    WantedFile,
    _left_out,
    wanted_files,
    write_copy,
)
from pipeline.ledger.table_formats.iceberg_tables import NAMESPACE, IcebergTables
from pipeline.ledger.table_formats.iceberg_types import _widens, casts_in, plain_texts


def shapes(*names: str) -> frozenset[str]:
    return frozenset(names)


def iceberg_schema() -> Schema:
    return Schema(NestedField(1, "a", LongType(), required=False))


def test_which_rows_of_a_file_other_runs_take_the_place_of(memory: Store) -> None:
    run = run_all(open_ledger(memory, make_inputs(1)))
    own = run_photos(run, "1:1, 16:9", "web", 0, 1, 2, 3)
    mine = ids(0, 1, 2, 3)
    same = run_photos(run, "4:3", "web", 0, 8)  # the channel is the same, whatever the shapes
    some = run_photos(run, "16:9,4:3", "app", 1, 2, 8)
    all_of_them = run_photos(run, "16:9,1:1,4:3", "tv", 2)
    none = run_photos(run, "4:3", "tv", 0, 1, 2, 3)
    above = [same, some, all_of_them, none]
    assert _left_out("crops", own, mine, above) == (ids(0, 2), ((ids(1), shapes("16:9")),))
    assert _left_out("crops", own, mine, [some]) == (ids(), ((ids(1, 2), shapes("16:9")),))
    assert _left_out("crops", own, mine, [none]) == (ids(), ())
    assert _left_out("crops", own, ids(3), above[:3]) == (ids(), ())
    assert _left_out("images", own, mine, [some, same]) == (ids(0, 1, 2), ())
    assert _left_out("crops", own, mine, [all_of_them, some]) == (
        ids(2), ((ids(1), shapes("16:9")),),
    )  # fmt: skip


def not_read(run: RunPhotos) -> pa.Schema:
    raise AssertionError("without casts, no file's columns are needed")


def test_files_of_an_iceberg_table_where_channels_share_a_shape(store: Store) -> None:
    wide = of_shapes(store, "16:9", 1, start=1)
    both = of_shapes(store, "1:1,16:9", 4)  # tasks of photos 0 to 2, and 3
    runs = [c for c in (photos_of_run(store, run.run_id) for run in (wide, both)) if c is not None]
    found = list(wanted_files(store, "crops", runs, frozenset([IDS[3]]), "copies/", {}, not_read))
    first, second = data_files(store, both, "crops")
    (of_wide,) = data_files(store, wide, "crops")
    assert [(file.key, file.source) for file in found[:1]] == [(of_wide.key, None)]
    (copy,) = found[1:]  # of the second file no row is left
    assert copy.key.startswith(f"copies/from={both.run_id}/00000000-")
    assert len(copy.key) == len(f"copies/from={both.run_id}/00000000-.parquet") + 32
    assert (copy.source, copy.gone, copy.shapes) == (
        first.key, frozenset(), ((frozenset([IDS[1]]), frozenset(["16:9"])),),
    )  # fmt: skip
    rows = sorted((row["image_id"], row["ratio"]) for row in copy.rows(store).to_pylist())
    assert rows == sorted([*((IDS[n], "1:1") for n in range(3)), (IDS[0], "16:9"),
                           (IDS[2], "16:9")])  # fmt: skip
    again = list(wanted_files(store, "crops", runs, frozenset([IDS[3]]), "copies/", {}, not_read))
    assert [file.key for file in again] == [file.key for file in found]
    other = list(wanted_files(store, "crops", runs, frozenset(IDS[2:4]), "copies/", {}, not_read))
    assert other[1].gone == {IDS[2]}
    assert other[1].key != copy.key
    written = replace(copy, key="_iceberg/crops/data/from=a/0-b.parquet")
    assert write_copy(store, written)
    assert store.exists(written.key)
    nothing = WantedFile("_iceberg/crops/data/from=a/1-b.parquet", second.key, ids(3))
    assert not write_copy(store, nothing)
    assert not store.exists(nothing.key)


def test_a_table_of_the_store_s_own_catalogue(store: Store) -> None:
    catalog = StoreCatalog(store)
    table = catalog.create_table(("s2cnet", "t"), iceberg_schema(), properties={"x": "y"})
    assert (table.location(), table.properties["x"]) == (location_of(store, "_iceberg/t"), "y")
    assert location_of(store, "k") == f"file://{Path(store.uri).absolute()}/k"
    assert store.read("_iceberg/t/metadata/version-hint.text") == b"1"
    assert b"null" not in store.read("_iceberg/t/metadata/v1.metadata.json")
    place = f"{location_of(store, '')}elsewhere"
    assert catalog.create_table(("n", "u"), iceberg_schema(), place).location() == place
    for value in ("1", "2"):
        with table.transaction() as change:
            change.set_properties({"n": value})
    logged = [entry.metadata_file.rpartition("/")[2] for entry in table.metadata.metadata_log]
    assert logged == ["v1.metadata.json", "v2.metadata.json"]
    hint = "_iceberg/t/metadata/version-hint.text"
    writes = store.requests["put"]
    assert catalog.load_table(("s2cnet", "t")).properties["n"] == "2"
    assert store.requests["put"] == writes, "a hint that is right stays"
    for wrong in (b"1", None):
        if wrong is None:
            store.delete(hint)
        else:
            store.write(hint, wrong)
        catalog.load_table(("s2cnet", "t"))
        assert store.read(hint) == b"3"
    assert not catalog.supports_server_side_planning()


def test_of_two_that_commit_to_one_table_one_fails(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = StoreCatalog(store)
    table = catalog.create_table(("s2cnet", "t"), iceberg_schema())
    monkeypatch.setattr(store, "create_once", lambda key, data: False)
    with pytest.raises(CommitFailedException, match="version 2 of _iceberg/t/metadata/ is anoth"):
        table.transaction().set_properties({"n": "1"}).commit_transaction()


@pytest.mark.parametrize("error", [ValueError("no such"), KeyError("no such")])
def test_a_catalogue_that_pyiceberg_does_not_know(
    memory: Store, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> None:
        raise error

    monkeypatch.setattr(iceberg_catalog, "load_catalog", refuse)
    with pytest.raises(UsageError, match="PYICEBERG_CATALOG__LAKE__URI"):
        open_catalog(memory, "lake")


def test_what_a_catalogue_keeps_secret_is_not_told(
    memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token with a line break, as it comes from a file, which the client's error shows."""
    for name, value in (
        ("TYPE", "rest"), ("URI", "http://ann:hush-hush@127.0.0.1:9"), ("TOKEN", "tok-secret\n"),
    ):  # fmt: skip
        monkeypatch.setenv(f"PYICEBERG_CATALOG__LAKE__{name}", value)
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())  # read once, on import
    told = r"'lake' is none that pyiceberg opens: Invalid header .*\*\*\*"
    with pytest.raises(UsageError, match=told) as caught:
        open_catalog(memory, "lake")
    assert "secret" not in str(caught.value)

    def refuse(name: str) -> None:
        raise ValueError("http://ann:hush-hush@127.0.0.1:9/ and hush-hush of type rest")

    monkeypatch.setattr(iceberg_catalog, "load_catalog", refuse)
    with pytest.raises(UsageError, match=r": \*\*\*/ and \*\*\* of type rest\. Write"):
        open_catalog(memory, "lake")


def test_what_an_iceberg_table_says_of_its_runs(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(3)))
    assert publish_iceberg(store, run.run_id) == {"images": 1, "crops": 1}
    table = StaticTable.from_metadata(location_of(store, "_iceberg/crops"))
    assert table.properties["s2cnet.runs"] == run.run_id
    assert (table.properties["commit.retry.num-retries"], table.properties["gc.enabled"]) == (
        "0", "false",
    )  # fmt: skip
    (snapshot,) = table.metadata.snapshots
    assert snapshot.summary is not None
    assert snapshot.summary["s2cnet.runs"] == run.run_id
    assert "s2cnet.types" not in table.properties
    assert iceberg_tables.CATALOGS_PREFIX == "_iceberg/catalogs/"
    assert list(store.list("_iceberg/catalogs/")) == []


@pytest.mark.parametrize("created", [False, True])
def test_a_store_that_refuses_a_table_is_no_matter_of_columns(
    store: Store, created: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_all(open_ledger(store, make_inputs(1)))
    number = 1 if created else 0
    write = Store.create_once

    def refuse(self: Store, key: str, data: bytes) -> bool:
        if key.endswith(f"metadata/v{number + 1}.metadata.json"):
            raise StoreRefusedError(f"refuses a put of {key!r}")
        return write(self, key, data)

    monkeypatch.setattr(Store, "create_once", refuse)
    with pytest.raises(StoreRefusedError, match=r"^refuses a put of '_iceberg/images/metadata/v"):
        publish_iceberg(store, run.run_id)


def test_a_file_that_pyarrow_cannot_write_is_one_line(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_all(open_ledger(store, make_inputs(1)))

    def fail(*_: object, **__: object) -> None:
        raise OSError("AWS Error UNKNOWN (HTTP status 411): MissingContentLength")

    monkeypatch.setattr("pyiceberg.io.pyarrow.PyArrowFile.create", fail)
    told = "files of the Iceberg table images cannot be written: AWS .*Length; docs/ENGINES.md says"
    with pytest.raises(LedgerError, match=told):
        publish_iceberg(store, run.run_id)
    monkeypatch.undo()
    assert publish_iceberg(store, run.run_id)["images"] == 1


@pytest.mark.parametrize("kind", [CommitFailedException, ValidationException])
def test_an_iceberg_commit_is_tried_twenty_times(
    store: Store, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_all(open_ledger(store, make_inputs(1)))
    tried: list[int] = []

    def refuse(*_: object) -> None:
        tried.append(1)
        raise kind("another was faster")

    monkeypatch.setattr(IcebergTables, "_commit", refuse)
    monkeypatch.setattr(iceberg_tables, "PAUSE_S", 0.0)
    with pytest.raises(LedgerError, match="images takes no commit: another was faster; publish"):
        publish_iceberg(store, run.run_id)
    assert len(tried) == 20


def test_photos_are_forgotten_in_iceberg_tables_by_name(store: Store) -> None:
    assert forget_in_iceberg(store, IDS[:1]) == []
    first, second = committed_runs(store, make_inputs(3), make_inputs(1, start=1))
    for run in (first, second):
        publish_iceberg(store, run.run_id)
    assert forget_in_iceberg(store, []) == []
    copy, *_ = (info.key for info in store.list("_iceberg/images/data/"))
    for name in ("young", "old"):
        store.write(f"_iceberg/images/data/from=a/{name}.parquet", b"1")
    old = Path(store.uri, "_iceberg/images/data/from=a/old.parquet")
    os.utime(old, (time.time() - 25 * HOUR_S,) * 2)
    forget(store, [IDS[0]])
    assert forget_in_iceberg(store, [IDS[0]]) == ["crops", "images"]
    left = {info.key for info in store.list("_iceberg/images/data/")}
    assert copy not in left
    assert "_iceberg/images/data/from=a/young.parquet" in left
    assert len(left) == 2
    assert forget_in_iceberg(store, [IDS[0]]) == []
    assert iceberg.NAMESPACE == NAMESPACE == "s2cnet"


@pytest.mark.parametrize(
    ("kinds", "widens"),
    [
        ([pa.string(), pa.large_string()], True),
        ([pa.binary(), pa.large_binary()], True),
        ([pa.string(), pa.binary()], False),
        ([pa.int8(), pa.int64()], True),
        ([pa.int8(), pa.uint8()], False),
        ([pa.float32(), pa.float64()], True),
        ([pa.int8(), pa.float32()], False),
        ([pa.decimal128(5, 2), pa.decimal128(9, 2)], True),
        ([pa.decimal128(5, 2), pa.decimal128(5, 1)], False),
        ([pa.decimal128(5, 2), pa.int64()], False),
        ([pa.bool_()], True),
        ([pa.bool_(), pa.date32()], False),
    ],
    ids=str,
)
def test_types_that_iceberg_brings_together(kinds: list[pa.DataType], widens: bool) -> None:
    assert _widens(set(kinds)) is widens


def test_columns_that_files_have_in_another_type() -> None:
    columns = pa.schema([("a", pa.int64()), ("b", pa.string()), ("c", pa.int8())])
    assert casts_in({"a": "string", "b": "string", "x": "double"}, columns) == {"a": "string"}
    large = pa.schema([("a", pa.large_string()), ("b", pa.int8())])
    assert plain_texts(large) == pa.schema([("a", pa.string()), ("b", pa.int8())])
