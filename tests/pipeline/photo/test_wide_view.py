"""The second view of photos with colours outside sRGB."""

import numpy as np
import pytest

from pipeline.photo.animations.animation import Animation
from pipeline.photo.decode import decode
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.sandbox.answers import photo_from
from pipeline.photo.sandbox.decoder import Decoder
from pipeline.photo.sandbox.pipes import DiedError
from tests.support.colour_photos import (
    colour_cases,
    levels,
    squares,
)
from tests.support.icc_profiles import SRGB_CURVE, rgb_profile
from tests.support.odd_photos import exif, saved, scene, turned

CASES = colour_cases()


KEPT = {
    "icc p3.jpg": "p3", "cicp p3.png": "p3", "nclx p3.avif": "p3", "icc adobe.jpg": "adobe",
    "nclx 2020.avif": "bt2020", "icc prophoto.png": "bt2020", "cicp pq.png": "p3",
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_wide_colours_are_kept_beside_those_of_srgb(name: str) -> None:
    photo, plain = decode(CASES[name], colour="keep"), decode(CASES[name])
    np.testing.assert_array_equal(photo.pixels, plain.pixels)
    assert plain.wide is None
    assert (photo.wide is not None, photo.wide_space) == (True, KEPT[name])
    own = photo.in_own_colours
    assert own.profile is not None
    if "pq" in name:  # its colours lie far outside of both
        return
    again = decode(saved(own.pixels, "PNG", icc_profile=own.profile))
    np.testing.assert_allclose(levels(again.pixels), levels(photo.pixels), atol=3)


@pytest.mark.parametrize("name", ["plain.png", "gama 1.png", "cmyk profile.jpg", "cicp grey.png"])
def test_what_srgb_holds_is_not_kept_twice(name: str) -> None:
    photo = decode(CASES[name], colour="keep")
    assert (photo.wide, photo.wide_space, photo.profile) == (None, None, None)
    assert photo.in_own_colours is photo


def test_p3_is_kept_as_it_is_stored() -> None:
    photo = decode(CASES["cicp p3.png"], colour="keep")
    np.testing.assert_array_equal(photo.wide, squares())
    assert photo.in_own_colours.colour_of((255, 0, 0))[1] > 40  # sRGB's red is inside P3
    assert photo.colour_of((255, 0, 0)) == (255, 0, 0)


def test_the_child_gives_the_same_planes() -> None:
    names = ["icc p3.jpg", "cicp hlg.png", "cicp alpha.png", "nclx p3.avif", "plain.png"]
    with Decoder(colour="keep") as decoder:
        for name in names:
            found, expected = decoder.decode(CASES[name]), decode(CASES[name], colour="keep")
            for plane in ("pixels", "alpha", "wide"):
                one, other = getattr(found, plane), getattr(expected, plane)
                assert (one is None) == (other is None)
                if one is not None:
                    np.testing.assert_array_equal(one, other)
    both = decode(CASES["cicp alpha.png"], colour="keep")
    assert both.alpha is not None
    assert both.wide is not None


def test_an_answer_of_the_child_names_a_space_that_is_known() -> None:
    header: dict[str, object] = {
        "status": "ok", "view_wh": [2, 1], "width_px": 2, "height_px": 1, "format": "png",
        "orientation": 1, "wide_space": "p3",
    }  # fmt: skip
    photo = photo_from(DecodeLimits(), header, bytearray(range(12)))
    assert photo.wide is not None
    assert photo.wide.tolist() == [[[6, 7, 8], [9, 10, 11]]]
    for change in ({"wide_space": "prophoto"}, {"wide_space": 3}, {"wide_space": None}, {"x": 1}):
        with pytest.raises(DiedError):
            photo_from(DecodeLimits(), header | change, bytearray(13 if "x" in change else 12))


def test_the_wide_view_is_turned_and_cut_with_the_other() -> None:
    p3 = rgb_profile("p3", SRGB_CURVE)
    upright = np.array(scene(96, 64))
    turned_png = saved(turned(upright, 6), "PNG", exif=exif(6), icc_profile=p3)
    photo = decode(turned_png, colour="keep")
    np.testing.assert_array_equal(photo.wide, upright)
    bars = np.pad(np.array(scene(320, 180)), ((60, 60), (0, 0), (0, 0)))
    bordered = decode(saved(bars, "PNG", icc_profile=p3), colour="keep")
    assert bordered.content_px == (0, 60, 320, 240)
    np.testing.assert_array_equal(bordered.content.wide, scene(320, 180))


def test_frames_of_a_moving_picture_are_srgb() -> None:
    photo = decode(CASES["cicp p3.png"], colour="keep")
    views = np.zeros((2, 64, 96, 3), np.uint8)
    for frame in Animation(views, None, (1, 1), 0).photos(photo):
        assert (frame.wide, frame.profile) == (None, None)
        assert frame.in_own_colours is frame
