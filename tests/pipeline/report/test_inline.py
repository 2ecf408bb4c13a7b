"""The functions shared by self-contained pages."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from pipeline.report.inline import PALETTE, data_uri, preview, rectangle


def jpeg(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(file, "jpeg")
    return file.getvalue()


def decoded(uri: str) -> Image.Image:
    head, _, body = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(body)))


def test_a_rectangle_in_tenths_of_a_pixel() -> None:
    assert rectangle([10.04, 20.0, 40.06, 25.25]) == {"x": 10.0, "y": 20.0, "w": 30.1, "h": 5.2}


def test_the_right_edge_is_where_the_box_ends() -> None:
    """Width is counted from the rounded corner, so that its rounding does not move the far edge."""
    found = rectangle([0.44, 0.0, 100.0, 10.0])
    assert found["x"] + found["w"] == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("width", "height", "size"), [(400, 100, (200, 50)), (90, 300, (60, 200)), (30, 20, (30, 20))]
)
def test_a_preview_is_small_and_never_enlarged(
    width: int, height: int, size: tuple[int, int]
) -> None:
    uri = preview(jpeg(width, height), side=200)
    assert uri is not None
    shown = decoded(uri)
    assert shown.size == size
    assert np.abs(np.asarray(shown).mean(axis=(0, 1)) - (200, 30, 30)).max() < 3


def test_what_is_no_photo_has_no_preview() -> None:
    assert preview(b"no photo", side=200) is None


def test_a_data_uri() -> None:
    assert data_uri(b"\x00\xff", "webp") == "data:image/webp;base64,AP8="


def test_colours_differ() -> None:
    assert len({*PALETTE.values()}) == 8
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in PALETTE.values())
