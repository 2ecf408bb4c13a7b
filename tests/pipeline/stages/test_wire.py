"""Rows travel as a table and come back; packing keeps nothing."""

import weakref

import numpy as np
import pyarrow as pa
import pytest

from pipeline.photo.decode import Photo
from pipeline.stages import wire


def row_of(pixels: np.ndarray | None) -> wire.Row:
    row = wire.new_row(3, {"image_id": "a", "uri": "b", "etag": "c", "bytes": 1, "album": "x"})
    if pixels is None:
        wire.fail(row, "decode", "corrupt", "permanent", "no picture")
        return row
    height, width = pixels.shape[:2]
    size = {"width_px": 2 * width, "height_px": 2 * height}
    row.update(format="jpeg", orientation=1, **size)
    row["photo"] = Photo(pixels=pixels, format="jpeg", orientation=1, **size)
    return row


@pytest.mark.parametrize(
    "shapes", [[], [None], [(4, 6)], [(4, 6), None, (1, 1), (7, 3)], [None, (2, 2)]]
)
def test_pixels_come_back(shapes: list[tuple[int, int] | None]) -> None:
    draw = np.random.default_rng(0)
    sent = [shape and draw.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]
    extra = [pa.field("album", pa.string())]
    table = wire.pack([row_of(pixels) for pixels in sent], extra)
    table.validate(full=True)
    for row, pixels in zip(wire.unpack(table), sent, strict=True):
        assert row["task"] == 3
        assert row["extra"] == {"album": "x"}
        if pixels is None:
            assert row["photo"] is None
            assert row["status"] == "corrupt"
        else:
            assert np.array_equal(row["photo"].pixels, pixels)
            assert row["photo"].width_px == 2 * pixels.shape[1]


def test_pixels_that_do_not_lie_in_a_row() -> None:
    wide = np.random.default_rng(0).integers(0, 256, (5, 8, 3), np.uint8)
    table = wire.pack([row_of(wide[:, 2:6])], [])
    (row,) = wire.unpack(table)
    assert np.array_equal(row["photo"].pixels, wide[:, 2:6])


def test_packing_keeps_no_pixels() -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    gone = weakref.ref(pixels)
    table = wire.pack([row_of(pixels)], [])
    del pixels
    assert gone() is None
    del table
