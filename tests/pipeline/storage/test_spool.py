"""Tables spooled to disk are the same tables, and their files are removed with them."""

import errno
import gc
import io
import os
import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.storage import spool
from pipeline.storage.backend import StoreFailedError
from pipeline.storage.partitions import Partitions, reordered, sorted_by
from pipeline.storage.spool import Spool, filtered, pieces, release, spooled
from tests.support.small_pieces import in_small_pieces

SCHEMA = pa.schema(
    [
        pa.field("uri", pa.string(), nullable=False),
        pa.field("bytes", pa.int64()),
        pa.field("boxes", pa.list_(pa.list_(pa.float32(), 4))),
    ]
)


def table_of(rows: int, seed: int = 0) -> pa.Table:
    draw = random.Random(seed)
    uris = [f"s3://b/{draw.choice('aäz%[ 😀')}{draw.random()}" for _ in range(rows)]
    sizes = [draw.choice([None, 1, 5 << 40]) for _ in range(rows)]
    boxes = [draw.choice([None, [], [[0.0, 0.0, 1.0, 1.5]] * 2]) for _ in range(rows)]
    return pa.table([uris, sizes, pa.array(boxes, SCHEMA.field(2).type)], schema=SCHEMA)


def open_files() -> int:
    """Files without a name that this process still has mapped."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as lines:
        return len({line.split()[4] for line in lines if "s2cnet-" in line or "(deleted)" in line})


@pytest.fixture(params=["in memory", "on the disk"])
def on_disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if request.param == "on the disk":
        in_small_pieces(monkeypatch)
    return bool(request.param == "on the disk")


def test_long_rows_go_to_the_disk_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "PIECE_ROWS", 3)
    table, kept, mapped = table_of(12), [], []
    before = open_files()
    for held in (None, 12, 11):
        grown = Spool(SCHEMA, held)
        for start in range(0, 12, 2):
            grown.add(table.slice(start, 2))
        kept.append(grown.table())
        mapped.append(open_files() - before)
    assert mapped == [0, 0, 1]
    assert all(one.equals(table) for one in kept)


@pytest.mark.parametrize("rows", [0, 1, 5, 6, 23])
def test_what_is_added_comes_back(on_disk: bool, rows: int) -> None:
    table = table_of(rows)
    grown = Spool(SCHEMA)
    for start in range(0, rows, 2):
        grown.add(table.slice(start, 2))
    found = grown.table()
    assert grown.rows == rows
    assert found.schema == SCHEMA
    assert found.equals(table)
    assert list(spooled([table.slice(0, 0), table])["uri"]) == list(table["uri"])
    assert pa.concat_tables([SCHEMA.empty_table(), *pieces(found)]).equals(table)


def test_a_mapped_table_outlives_its_release_and_its_file_does_not_outlive_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_small_pieces(monkeypatch)
    gc.collect()
    before, descriptors, table = open_files(), len(os.listdir("/proc/self/fd")), table_of(40)
    found = spooled(pieces(table))
    assert open_files() == before + 1
    assert len(os.listdir("/proc/self/fd")) == descriptors + 1  # Python's mmap keeps one
    release()
    assert found.equals(table)
    del found
    gc.collect()
    assert open_files() == before
    assert len(os.listdir("/proc/self/fd")) == descriptors
    release()


def test_rows_are_kept_by_flags(on_disk: bool) -> None:
    table = table_of(17)
    flags = np.array([n % 3 == 0 for n in range(17)])
    assert filtered(table, flags).to_pylist() == [
        row for n, row in enumerate(table.to_pylist()) if n % 3 == 0
    ]
    assert filtered(table, np.zeros(17, bool)).num_rows == 0
    assert filtered(table, np.ones(17, bool)) is table


@pytest.mark.parametrize("rows", [0, 1, 4, 9, 50])
def test_rows_are_put_in_another_order_and_sorted(on_disk: bool, rows: int) -> None:
    table = table_of(rows, seed=rows)
    order = np.random.default_rng(rows).permutation(rows)
    assert reordered(table, order).to_pylist() == [table.to_pylist()[n] for n in order]
    found = sorted_by(table, "uri")
    assert found["uri"].to_pylist() == sorted(table["uri"].to_pylist())
    by_uri = {row["uri"]: row for row in table.to_pylist()}
    assert all(by_uri[row["uri"]] == row for row in found.to_pylist())


def test_a_sort_of_equal_texts_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    in_small_pieces(monkeypatch)
    table = pa.table({"uri": ["b"] * 30 + ["a"]})
    assert sorted_by(table, "uri")["uri"].to_pylist() == ["a"] + ["b"] * 30


def test_parts_keep_the_order_in_which_rows_came(on_disk: bool) -> None:
    table, draw = table_of(31), random.Random(5)
    numbers = np.array([draw.randrange(6) for _ in range(31)])
    partitions = Partitions(SCHEMA)
    for start in range(0, 31, 4):
        partitions.add(table.slice(start, 4), numbers[start : start + 4])
    rows = table.to_pylist()
    for part in range(7):
        found = partitions.read(part)
        assert found.to_pylist() == [rows[n] for n in range(31) if numbers[n] == part]
        assert found.schema == SCHEMA


def test_a_full_disk_is_told_with_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    in_small_pieces(monkeypatch)
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: Full())
    with pytest.raises(StoreFailedError, match=r"(?s)does not fit into .*No space.* with TMPDIR"):
        spooled(pieces(table_of(20)))


def test_pieces_are_as_long_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "PIECE_ROWS", 4)
    assert [piece.num_rows for piece in pieces(table_of(9))] == [4, 4, 1]
    assert [piece.num_rows for piece in pieces(table_of(9), 5)] == [5, 4]
