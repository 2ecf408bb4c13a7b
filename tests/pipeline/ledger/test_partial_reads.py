"""Only the columns that are read are fetched from a store, and of a schema only a file's end."""

import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import RecordError
from pipeline.ledger.erasing import erase
from pipeline.ledger.replaced import replacement_of
from pipeline.ledger.tables import ROW_GROUP_ROWS, parquet_bytes, read_columns, read_table
from pipeline.storage import object_parts
from pipeline.storage.backend import ObjectPart, StoreFailedError, StoreUnavailableError
from pipeline.storage.object_parts import END_BYTES
from pipeline.storage.store import Store, open_store
from pipeline.storage.traffic import traffic_so_far
from tests.support.forgotten import with_one_forgotten

ROWS, PICTURE_BYTES = 400, 10_000


def crops(rows: int = ROWS, picture_bytes: int = PICTURE_BYTES) -> pa.Table:
    """As a task's crops: pictures between small columns, nested ones among them."""
    draw = random.Random(5)
    return pa.table(
        {
            "image_id": [f"{number:032x}" for number in range(rows)],
            "point": [{"x": number, "names": ["a", str(number)]} for number in range(rows)],
            "image": [draw.randbytes(picture_bytes) for _ in range(rows)],
            "pointless": [number / 7 for number in range(rows)],
            "ratio": ["1:1", "16:9"] * (rows // 2),
        }
    )


def cost(store: Store, read: Callable[[], Any]) -> tuple[Any, int, int]:
    """What a call returns, the bytes that it fetched, and its requests."""
    before, requests = traffic_so_far().read_bytes, store.requests["get"]
    found = read()
    return found, traffic_so_far().read_bytes - before, store.requests["get"] - requests


@pytest.mark.parametrize("dictionaries", [False, True])
def test_columns_are_read_without_the_pictures(store_uri: str, dictionaries: bool) -> None:
    """A file of 4 MB with four row groups: the whole of it was fetched in each case."""
    store, rows = open_store(store_uri), crops()
    whole = parquet_bytes(rows, ROW_GROUP_ROWS, dictionaries)
    assert len(whole) > ROWS * PICTURE_BYTES
    store.write("a.parquet", whole)
    assert cost(store, lambda: read_columns(store, "a.parquet")) == (rows.schema, END_BYTES, 1)
    for names in (["image_id", "point"], ["image_id", "ratio"], ["ratio", "image_id"]):
        found, size, requests = cost(store, lambda n=names: read_table(store, "a.parquet", n))
        assert found.to_pylist() == rows.select(names).to_pylist()
        groups = pq.ParquetFile(pa.BufferReader(whole)).metadata
        needed = sum(
            groups.row_group(group).column(place).total_compressed_size
            for group in range(4)
            for place in range(groups.num_columns)
            if groups.row_group(group).column(place).path_in_schema.split(".")[0] in names
        )
        assert size < END_BYTES + 2 * needed + 20_000 < len(whole) / 30
        assert requests <= 1 + 5
    found, size, requests = cost(store, lambda: read_table(store, "a.parquet"))
    assert (found, size, requests) == (rows, len(whole), 1)
    some = ["image_id", "image"]
    found, size, requests = cost(store, lambda: read_table(store, "a.parquet", some))
    assert (found, size, requests) == (rows.select(some), len(whole), 1)


def test_small_pictures_between_columns_are_fetched_too(store: Store) -> None:
    """Gaps of 100 kB in each of four row groups: one request in place of five."""
    data = parquet_bytes(crops(picture_bytes=1_000), ROW_GROUP_ROWS)
    store.write("a.parquet", data)
    names = ["image_id", "ratio"]
    found, size, requests = cost(store, lambda: read_table(store, "a.parquet", names))
    assert found.to_pylist() == crops().select(names).to_pylist()
    assert requests == 2
    assert 300_000 + END_BYTES < size < len(data)  # all but the last pictures


def test_a_small_file_takes_one_request(store: Store) -> None:
    data = parquet_bytes(crops(2))
    store.write("a.parquet", data)
    found, size, requests = cost(store, lambda: read_table(store, "a.parquet", ["image_id"]))
    assert (len(found), size, requests) == (2, len(data), 1)


def test_a_long_footer_is_read_in_whole(store: Store) -> None:
    rows = crops(4).replace_schema_metadata({"about": "".join(map(str, range(60_000)))})
    store.write("a.parquet", parquet_bytes(rows))
    assert read_columns(store, "a.parquet").metadata == rows.schema.metadata
    assert read_table(store, "a.parquet", ["image_id", "ratio"]).num_rows == 4


def test_damage_names_the_file(store: Store) -> None:
    """Arrow raises an OSError of its own for some damage, which is none of the store's."""
    whole = bytearray(parquet_bytes(crops(200), ROW_GROUP_ROWS))
    cases = [bytes(whole[:-1]), bytes(whole[:200]), b"", b"PAR1"]
    footer = int.from_bytes(whole[-8:-4], "little")
    for at in (len(whole) - 8 - footer, len(whole) - 8 - footer + 5, len(whole) - 8):
        cases.append(bytes(whole[:at]) + bytes([whole[at] ^ 0xFF]) + bytes(whole[at + 1 :]))
    for data in cases:
        store.write("a.parquet", data)
        for read in (
            lambda: read_columns(store, "a.parquet"),
            lambda: read_table(store, "a.parquet", ["image_id"]),
            lambda: read_table(store, "a.parquet"),
        ):
            with pytest.raises(RecordError, match="a Parquet file of a run cannot be read"):
                read()


def test_damage_names_the_file_that_is_erased(store: Store) -> None:
    _, erasures = with_one_forgotten(store)
    for erasure in erasures:
        whole = store.read(erasure.key)
        at = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")  # the footer's first byte
        store.write(erasure.key, whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with pytest.raises(RecordError, match="Couldn't deserialize thrift") as caught:
            erase(store, erasure)
        assert caught.value.key == erasure.key
    assert any(erasure.is_list for erasure in erasures)


def test_a_file_that_is_rewritten_between_two_requests(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader has its end when a forgotten photo is erased from it, and the file is deleted."""
    _, erasures = with_one_forgotten(store)
    (erasure,) = (one for one in erasures if one.key.startswith("_data/images/"))
    ids = read_table(store, erasure.key, ["image_id"])["image_id"].to_pylist()
    monkeypatch.setattr(object_parts, "END_BYTES", 100)  # a part of the footer
    plain = Store.read_part

    def read_part(self: Store, key: str, size: int, start: int | None = None) -> ObjectPart:
        part = plain(self, key, size, start)
        if self.exists(erasure.key):
            erase(self, erasure)
        return part

    monkeypatch.setattr(Store, "read_part", read_part)
    rows = read_table(store, erasure.key, ["image_id", "uri"])
    assert rows["image_id"].to_pylist() == [ids[0], *ids[2:]]
    assert read_columns(store, erasure.key).names[:1] == ["image_id"]
    replacement = replacement_of(store, erasure.key)
    assert replacement is not None
    store.write(replacement.key, parquet_bytes(rows.slice(0, 1)))
    with pytest.raises(RecordError, match="it was changed after it was rewritten"):
        read_table(store, erasure.key, ["image_id"])


@pytest.mark.parametrize(
    "error", [StoreFailedError("the disk is full"), StoreUnavailableError("network", "no answer")]
)
def test_a_store_that_fails_is_not_taken_for_damage(
    error: Exception, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is there, within Arrow, and while the columns are fetched."""
    store.write("a.parquet", parquet_bytes(crops(200), ROW_GROUP_ROWS))
    plain = Store.read_part
    for end_bytes, requests in ((END_BYTES, 0), (100, 1), (END_BYTES, 1)):
        left = [None] * requests
        monkeypatch.setattr(object_parts, "END_BYTES", end_bytes)

        def read_part(
            self: Store, key: str, size: int, start: int | None = None, left: list[None] = left
        ) -> ObjectPart:
            if not left:
                raise error
            left.pop()
            return plain(self, key, size, start)

        monkeypatch.setattr(Store, "read_part", read_part)
        with pytest.raises(type(error)) as caught:
            read_table(store, "a.parquet", ["image_id"])
        assert caught.value is error
