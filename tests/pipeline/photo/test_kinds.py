"""Kinds, on pictures drawn here: what each is, and what must not be mistaken for it."""

import numpy as np
import pytest
from PIL import Image

from pipeline.photo import kinds
from pipeline.photo.decode import Photo, decode
from pipeline.photo.kinds import is_long, surface_of
from tests.support.drawn_pictures import (
    framed,
    lens,
    moving,
    moving_file,
    night_sky,
    page,
    screen,
    thing_on_white,
)  # fmt: skip
from tests.support.odd_photos import raw_png, saved, scene


def of(pixels: np.ndarray | Image.Image, format: str = "PNG", **options: object) -> Photo:
    return decode(saved(pixels, format, **options))


def test_shares_are_those_counted_by_hand() -> None:
    """Two rows of green: 5 5 5 9 | 200 201 201 201, steps 0 0 4 | 1 0 0."""
    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[..., 1] = [[5, 5, 5, 9], [200, 201, 201, 201]]
    found = surface_of(pixels)
    assert (found.flat, found.grain, found.edges) == (pytest.approx(4 / 6), pytest.approx(2 / 6), 0)
    assert (found.ground, found.ground_level) == (4 / 8, 5)
    pixels[0, :, 1] = [5, 5, 5, 105]
    assert surface_of(pixels).edges == pytest.approx(1 / 6)
    assert surface_of(pixels).hardness == pytest.approx((1 / 6) / (2 / 6))


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_pages_are_text_heavy(format: str) -> None:
    for one in (page(), page(dark=True), page(1600, 2200, 40), page(900, 600, 18)):
        photo = of(one, format)
        assert photo.kind == "text-heavy"
        assert photo.content_px is None


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_screens_are_screenshots(format: str) -> None:
    for size in ((1080, 1920), (1080, 2340), (1920, 1080), (750, 1334)):
        photo = of(screen(*size), format)
        assert (photo.kind, photo.by_screen) == ("screenshot", True)


def test_a_screen_may_show_a_photo() -> None:
    wide = framed(lens(1080, 608), 0, 656, 0, 656, 0)
    assert of(wide).content_px == (0, 656, 1080, 1264)
    shown = lens(750, 1334)
    shown[:, 450:] = 250  # a photo on a screen, beside an even ground
    assert of(shown).kind == "screenshot"
    assert of(shown[:, :749]).kind == "photo"
    assert of(shown, "JPEG", quality=98).kind == "photo"


def test_photos_are_photos() -> None:
    for one in (lens(), scene(), thing_on_white(), night_sky(), lens(1080, 1920), lens(1, 1)):
        for format in ("PNG", "JPEG"):
            photo = of(one, format)
            assert (photo.kind, photo.by_screen, photo.frames) == ("photo", False, 1), format
    empty = of(np.full((50, 50, 3), 255, np.uint8))
    assert empty.kind == "photo"


def test_beyond_1_to_2_5_a_picture_is_long() -> None:
    assert [is_long(*size) for size in ((250, 100), (251, 100), (100, 250), (100, 251))] == [
        False, True, False, True,
    ]  # fmt: skip
    assert of(lens(500, 100)).kind == "long"
    tall = of(screen(720, 3000))
    assert (tall.kind, tall.by_screen) == ("long", True)
    turned = decode(saved(lens(500, 100), "JPEG", exif=_turned()))
    assert (turned.width_px, turned.kind) == (100, "long")


def _turned() -> bytes:
    block = Image.Exif()
    block[0x0112] = 6
    return block.tobytes()


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_moving_pictures_are_animated_and_their_frames_counted(format: str) -> None:
    photo = decode(moving_file(format, moving(4), [100] * 4))
    assert (photo.kind, photo.frames) == ("animated", 4)
    assert photo.pixels[20, 30].argmax() == 0  # the first frame is the red one
    still = decode(moving_file(format, moving(1), [100]))
    assert (still.kind, still.frames) == ("photo", 1)


def test_no_lens_has_made_a_drawn_one_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick look at a few rows decides as all rows would."""
    views = [lens(seed=seed) for seed in range(5)] + [np.asarray(page()), np.asarray(screen())]
    quick = [decode(saved(view, "PNG")).kind for view in views]
    monkeypatch.setattr(kinds, "PLAINLY_A_PHOTO", 0.0)
    assert [decode(saved(view, "PNG")).kind for view in views] == quick


def test_a_picture_of_one_column_has_a_kind() -> None:
    assert decode(raw_png(1, 2, 8, 0, b"\0\1\0\2")).kind == "photo"
