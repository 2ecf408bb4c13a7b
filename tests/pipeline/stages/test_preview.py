"""Previews: a small picture of the whole photo, and its gaze map in few cells."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline import schema
from pipeline.detectors import Attention, Detections
from pipeline.photo.decode import Photo
from pipeline.stages.preview import preview_of, small_gaze
from pipeline.stages.task import PhotoRow, Task
from pipeline.stages.wire import task_tables
from tests.support.odd_photos import scene

SIDE = schema.GAZE_SIDE


def row_of(width_px: int, height_px: int, view_wh: tuple[int, int]) -> PhotoRow:
    """A decoded photo: its left half red, its right half blue."""
    pixels = np.zeros((view_wh[1], view_wh[0], 3), np.uint8)
    pixels[:, : view_wh[0] // 2] = (220, 20, 20)
    pixels[:, view_wh[0] // 2 :] = (20, 20, 220)
    return PhotoRow("a", "b", photo=Photo(pixels, width_px, height_px, "jpeg", 1))


@pytest.mark.parametrize(
    ("photo_wh", "view_wh", "expected"),
    [((4000, 3000), (1000, 750), (256, 192)), ((90, 120), (90, 120), (90, 120)),
     ((8000, 10), (1000, 1), (256, 1))],
)  # fmt: skip
def test_the_whole_photo_is_in_it(
    photo_wh: tuple[int, int], view_wh: tuple[int, int], expected: tuple[int, int]
) -> None:
    made = preview_of(row_of(*photo_wh, view_wh), 256)
    assert (made.width, made.height) == expected
    picture = Image.open(io.BytesIO(made.image))
    assert picture.size == expected
    assert picture.format == "WEBP"
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    left, right = pixels[0, expected[0] // 8], pixels[-1, -expected[0] // 8]
    assert left[0] > 150 > left[2]
    assert right[2] > 150 > right[0]


def test_a_preview_of_a_large_view_is_that_of_all_its_rows() -> None:
    """Every third row of 1,200 is read; Pillow reads all of them."""
    pixels = scene(1600, 1200)
    row = PhotoRow("a", "b", photo=Photo(pixels, 1600, 1200, "jpeg", 1))
    made = np.asarray(Image.open(io.BytesIO(preview_of(row, 256).image)).convert("RGB"))
    whole = Image.fromarray(pixels).resize((256, 192), Image.Resampling.BICUBIC)
    encoded = io.BytesIO()
    whole.save(encoded, "webp", quality=70, method=2)
    expected = np.asarray(Image.open(encoded).convert("RGB")).astype(int)
    assert np.abs(made - expected).mean() < 0.5
    assert np.abs(np.roll(made, 1, axis=0) - expected).mean() > 0.8


def test_gaze_cells_hold_what_they_cover() -> None:
    quarter = np.zeros((2, 2))
    quarter[1, 0] = 1.0  # all looks fall into the lower left quarter
    cells = np.frombuffer(small_gaze(quarter) or b"", np.uint8).reshape(SIDE, SIDE)
    assert (cells[SIDE // 2 :, : SIDE // 2] == 255).all()
    assert cells.sum() == 255 * SIDE * SIDE // 4

    # 24 cells become 16: the first takes cell 0 and half of cell 1, the second the other half of
    # cell 1 and cell 2.
    row = np.zeros((1, 24))
    row[0, :3] = (0.2, 0.4, 0.1)
    first = np.frombuffer(small_gaze(row) or b"", np.uint8).reshape(SIDE, SIDE)[0]
    assert first[:3].tolist() == [255, round(255 * (0.2 + 0.1) / (0.2 + 0.2)), 0]
    assert small_gaze(np.zeros((3, 3))) is None


def test_the_table_has_a_row_a_photo_and_is_left_out_where_there_is_none() -> None:
    row = row_of(40, 30, (40, 30))
    gaze = np.ones((4, 4)) / 16
    boxes = np.zeros((0, 4), np.float32)
    row.objects = Detections(
        boxes, boxes[:, 0], [], Attention(gaze, gaze, np.zeros((0, 4)), np.zeros(0))
    )
    with_gaze = preview_of(row, 256)
    without = preview_of(row_of(40, 30, (40, 30)), 256)
    tables = task_tables(Task(1, [row]), [], False, [with_gaze, without])
    assert tables["previews"].schema == schema.PREVIEWS
    assert tables["previews"]["gaze"].to_pylist() == [bytes([255]) * SIDE * SIDE, None]
    assert "previews" not in task_tables(Task(1, [row]), [], False)
