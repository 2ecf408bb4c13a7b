"""What the values of a file mean: expected colours are worked from the definitions of the spaces.

`srgb` and the matrices here are the standards' own numbers, not the product's.
"""

import io
import random
import struct

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from pipeline.photo.animation import Animation, decode_frames
from pipeline.photo.answers import photo_from
from pipeline.photo.colour import SRGB, to_space, wide_space
from pipeline.photo.decode import Photo, decode
from pipeline.photo.decoder import Decoder
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.media_boxes import media_facts
from pipeline.photo.pipes import DiedError
from pipeline.photo.spaces import Space, bright_space, profile_of
from tests.support.colour_photos import (
    COLOURS,
    SRGB_CURVE,
    cicp,
    colour_cases,
    gama,
    gamma_curve,
    levels,
    rgb_profile,
    squares,
    tagged_avif,
    with_chunks,
)
from tests.support.odd_photos import exif, png_chunk, saved, scene, turned

CASES = colour_cases()
# Linear RGB of a space to linear sRGB, both of white D65 (SMPTE EG 432-1; ITU-R BT.2087).
P3_TO_SRGB = np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]])
BT2020_TO_SRGB = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)


def light(values: np.ndarray, exponent: float | None = None) -> np.ndarray:
    """Linear light of stored values 0 to 255: by an exponent, or sRGB's curve."""
    v = np.asarray(values, float) / 255
    if exponent is not None:
        return v**exponent
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def srgb(linear: np.ndarray) -> np.ndarray:
    """Stored values of sRGB for linear light (IEC 61966-2-1)."""
    x = np.clip(linear, 0, 1)
    return 255 * np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)


def shown(name: str) -> np.ndarray:
    return levels(decode(CASES[name]).pixels)


EXPONENTS = {
    "gama 1.png": 1.0, "gama 1.8.png": 1.8, "gama 3.png": 3.0, "cicp linear.png": 1.0,
    "cicp 2.2.png": 2.2, "cicp 2.8.png": 2.8, "cicp 709.png": 2.4, "gama chrm.png": 1.0,
    "gama 45455 chrm.png": 2.2, "icc linear srgb.png": 1.0, "gama 43000.png": 1 / 0.43,
    "cicp before icc.png": 1.0,
}  # fmt: skip


@pytest.mark.parametrize("name", EXPONENTS)
def test_a_curve_is_applied(name: str) -> None:
    expected = srgb(light(COLOURS, EXPONENTS[name]))
    np.testing.assert_allclose(shown(name), expected, atol=1.2)


AS_STORED = [
    "plain.png", "gama 45455.png", "gama 47500.png", "gama 0.png", "gama srgb.png", "chrm p3.png",
    "chrm broken.png", "cicp srgb.png", "cicp unknown.png", "cicp narrow.png", "cicp log.png",
    "cicp no primaries.png", "icc srgb.png",
]  # fmt: skip


@pytest.mark.parametrize("name", AS_STORED)
def test_what_means_srgb_stays_as_stored(name: str) -> None:
    np.testing.assert_array_equal(decode(CASES[name]).pixels, squares())


@pytest.mark.parametrize(
    ("name", "matrix", "atol"),
    [
        ("cicp p3.png", P3_TO_SRGB, 1.2),
        ("icc before gama.png", P3_TO_SRGB, 1.2),
        ("nclx p3.avif", P3_TO_SRGB, 3),
        ("nclx p3 alone.avif", P3_TO_SRGB, 3),
        ("icc p3.webp", P3_TO_SRGB, 1.2),
        ("nclx 2020.avif", BT2020_TO_SRGB, 3),
    ],
)
def test_primaries_are_applied(name: str, matrix: np.ndarray, atol: float) -> None:
    stored = shown("nclx srgb.avif") if name.endswith("avif") else COLOURS  # as it was coded
    np.testing.assert_allclose(shown(name), srgb(light(stored) @ matrix.T), atol=atol)


def test_a_png_of_bt2020_has_a_screens_curve() -> None:
    expected = srgb(light(COLOURS, 2.4) @ BT2020_TO_SRGB.T)
    np.testing.assert_allclose(shown("cicp 2020.png"), expected, atol=1.2)


@pytest.mark.parametrize(
    ("transfer", "stored", "expected"),
    [
        # The reference white of 203 cd/m² is .5807 of PQ and .7500 of HLG: 148 and 191 of 255. It
        # becomes half of a screen's light, 188 of sRGB. 1,000 cd/m², the peak, becomes white.
        (16, 148, 188), (18, 191, 188), (16, 192, 255), (18, 255, 255), (16, 0, 0), (18, 0, 0),
        # PQ of 100 is 31.83 cd/m² (.3922 of PQ), .1568 of the reference white; half of that is
        # .0784, 79 of sRGB. HLG of 128 is .0840 of the scene, .0840 ** 1.2 x 1000 / 203 / 2 = .126.
        (18, 128, 99),
    ],
)  # fmt: skip
def test_bright_greys_are_mapped_by_the_reference_white(
    transfer: int, stored: int, expected: int
) -> None:
    grey = np.full(COLOURS.shape, stored, np.uint8)
    pixels = decode(tagged_avif(9, transfer, grey)).pixels
    np.testing.assert_allclose(levels(pixels), expected, atol=1.5)


def test_code_points_in_a_profile_go_before_its_curve() -> None:
    for name, same in (("icc pq.png", "cicp pq.png"), ("icc hlg.jpg", "cicp hlg.png")):
        np.testing.assert_allclose(shown(name), shown(same), atol=4)
    assert bright_space(rgb_profile("p3", SRGB_CURVE)) is None
    assert bright_space(rgb_profile("p3", SRGB_CURVE, points=bytes([12, 13, 0, 1]))) is None
    whole = rgb_profile("p3", SRGB_CURVE, points=bytes([9, 16, 0, 1]))
    assert bright_space(whole) is not None
    assert [bright_space(whole[:size]) for size in range(0, 400, 7)].count(None) > 20


def test_a_picture_that_says_how_bright_it_is_is_mapped_by_that() -> None:
    """A peak of 400 is .978 stops above the reference white, the usual one 2.300: white loses .787.

    PQ of 128 is 94.07 cd/m² (.4634 of the reference white), .3648 of a screen, 163 of sRGB. At 150
    nothing is mapped: .4634 is 181. At 4,000 white loses no more than at 1,000: .2317, 132.
    """
    assert {name: round(shown(f"cicp pq {name}.png")[0, 4, 0]) for name in ("400", "150", "4000")} \
        == {"400": 163, "150": 181, "4000": 132}  # fmt: skip
    assert round(shown("nclx pq 400.avif")[0, 4, 0]) == 163
    np.testing.assert_array_equal(shown("cicp pq 0.png"), shown("cicp pq.png"))
    # HLG of 128 is .2522 of the reference white, .787 of that .1985: 123.
    assert round(shown("cicp hlg 400.png")[0, 4, 0]) == 123


def test_grey_takes_a_profile_of_colours() -> None:
    grey = np.asarray(Image.fromarray(squares()).convert("L"))
    expected = srgb(light(levels(grey), 1.0))
    for end in ("png", "jpg"):
        found = levels(decode(CASES[f"icc rgb on grey.{end}"]).pixels)
        np.testing.assert_allclose(found, np.repeat(expected, 3, axis=2), atol=1.6)
        assert np.abs(levels(decode(CASES[f"icc grey on rgb.{end}"]).pixels) - COLOURS).max() < 3


def test_profiles_are_compared_by_what_they_do() -> None:
    """Another name and another way to write sRGB's curve change nothing, not even by rounding."""
    points = np.arange(1024) / 1023
    table = np.rint(65535 * light(255 * points)).astype(">u2").tobytes()
    curve = b"curv" + bytes(4) + (1024).to_bytes(4, "big") + table
    for name in ("sRGB", "holiday"):
        data = saved(squares(), "PNG", icc_profile=rgb_profile("srgb", curve, name))
        np.testing.assert_array_equal(decode(data).pixels, squares())
    wide = saved(squares(), "PNG", icc_profile=rgb_profile("p3", SRGB_CURVE, "sRGB"))
    assert np.abs(decode(wide).pixels.astype(int) - squares()).max() > 20


def test_a_profile_of_a_space_says_what_the_space_does() -> None:
    """Gamma 2.2 with sRGB's primaries, read back by Pillow's own engine."""
    profile = profile_of(Space((0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06), 2.2))
    image = to_space(Image.fromarray(squares()), profile, SRGB)
    np.testing.assert_allclose(levels(np.asarray(image)), srgb(light(COLOURS, 2.2)), atol=1.2)
    assert profile_of(Space((0.3, 0.3, *(0.5, 0.5) * 3), 2.2)) is None  # all primaries the same


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_grey_keys_of_every_depth_are_transparent(depth: int) -> None:
    photo = decode(CASES[f"grey key {depth}.png"])
    assert photo.alpha is not None
    stored = np.round(squares()[..., 1] / 255 * (2**depth - 1))
    np.testing.assert_array_equal(photo.alpha == 0, stored == stored[8, 4 * 16 + 8])
    assert (photo.pixels[photo.alpha == 0] == 255).all()


def test_a_deep_colour_key_is_transparent() -> None:
    photo = decode(CASES["deep key.png"])
    assert photo.alpha is not None
    clear = (squares() == squares()[8, 80]).all(axis=2)
    np.testing.assert_array_equal(photo.alpha == 0, clear)


def test_four_channels_are_inverted_with_and_without_a_marker() -> None:
    """C, M, Y of the scene and K = 64: each channel times 191 / 255."""
    for name in ("cmyk adobe.jpg", "cmyk plain.jpg", "cmyk rgb profile.jpg"):
        np.testing.assert_allclose(shown(name), COLOURS * (191 / 255), atol=2.5)


def test_a_profile_of_inks_is_applied() -> None:
    """Its black counts twice: (1 - 64 / 255) ** 2."""
    expected = COLOURS * (191 / 255) ** 2
    np.testing.assert_allclose(shown("cmyk profile.jpg"), expected, atol=4)


def test_a_gif_is_clear_outside_its_first_frame() -> None:
    photo = decode(CASES["small frame.gif"])
    assert photo.alpha is not None
    assert (photo.width_px, photo.height_px) == (96, 64)
    np.testing.assert_array_equal(photo.alpha[:32, :48], 255)
    assert not photo.alpha[32:].any()
    assert not photo.alpha[:, 48:].any()
    assert (photo.pixels[32:] == 255).all()
    np.testing.assert_allclose(levels(photo.pixels)[:2, :3], COLOURS[:2, :3], atol=4)


def test_frames_of_a_gif_fill_their_canvas_bit_by_bit() -> None:
    one = saved(Image.new("P", (8, 4)), "GIF")
    at = one.index(b"\x2c", 13 + 3 * 2 ** (1 + (one[10] & 7)))
    frame = one[at:-1]
    moved = frame[:1] + (8).to_bytes(2, "little") + frame[3:]
    canvas = one[:6] + (16).to_bytes(2, "little") + (4).to_bytes(2, "little") + one[10:at]
    left, right = [255] * 8 + [0] * 8, [0] * 8 + [255] * 8
    kept = control(1) + frame + control(1) + moved  # each stays
    gone = control(2) + frame + control(2) + moved  # each is cleared after its time
    for frames, expected in ((kept, [left, [255] * 16]), (gone, [left, right])):
        found = decode_frames(canvas + frames + b";", DecodeLimits(), 1024)
        assert found.alphas is not None
        assert found.alphas[:, 0].tolist() == expected


def control(disposal: int) -> bytes:
    """The block before a GIF's frame that says what becomes of it (GIF89a, 23)."""
    return b"\x21\xf9\x04" + bytes([disposal << 2, 1, 0, 0, 0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_turn_an_avif_as_pillow_reads_them(orientation: int) -> None:
    data = saved(turned(scene(), orientation), "AVIF", exif=exif(orientation))
    assert media_facts(data)[0] == orientation
    photo = decode(data)
    assert (photo.orientation, photo.width_px, photo.height_px) == (orientation, 320, 240)
    assert np.abs(photo.pixels.astype(int) - scene()).mean() < 3


def test_exif_turns_no_avif() -> None:
    """Pillow writes boxes for EXIF; without them the EXIF alone turns nothing (MIAF)."""
    data = saved(scene(), "AVIF", exif=exif(6))
    at = data.index(b"irot") + 4
    data = data[:at] + b"\0" + data[at + 1 :]
    photo = decode(data)
    assert (photo.orientation, photo.width_px) == (1, 320)


def test_no_numbers_in_chunks_and_boxes_cost_the_picture() -> None:
    """Whatever a stranger writes there: extremes, and numbers drawn at random."""
    draw = random.Random(5)
    ends = (0, 1, 2, 0x7FFFFFFF, 0xFFFFFFFF, 100_000, 31_270)
    plain = saved(squares()[:16, :16], "PNG")
    avif = saved(squares()[:16, :16], "AVIF")
    at = avif.index(b"colrnclx") + 8
    for turn in range(300):
        numbers = [draw.choice(ends) if turn % 2 else draw.getrandbits(32) for _ in range(9)]
        chunks = (
            png_chunk(b"gAMA", struct.pack(">I", numbers[0])),
            png_chunk(b"cHRM", struct.pack(">8I", *numbers[1:])),
            png_chunk(b"cICP", bytes(draw.choices(range(20), k=2)) + b"\0\1"),
            png_chunk(b"cLLI", struct.pack(">II", *numbers[:2])),
            png_chunk(b"mDCV", struct.pack(">6I", *numbers[3:])),
        )
        for some in (chunks[:1], chunks[:2], chunks[2:], (cicp(9, 16), *chunks[3:])):
            photo = decode(with_chunks(plain, *some), colour="keep")
            assert photo.pixels.shape == (16, 16, 3)
        points = struct.pack(">HH", *(number & 31 for number in numbers[:2]))
        tagged = avif[:at] + points + avif[at + 4 :]
        media_facts(tagged[: draw.randrange(len(tagged))])
        media_facts(tagged[:turn] + bytes([draw.randrange(256)]) + tagged[turn + 1 :])
        assert media_facts(tagged)[0] == 1


def test_chunks_behind_the_pixels_say_nothing() -> None:
    plain = CASES["plain.png"]
    data = plain[:-12] + cicp(12, 8) + gama(100_000) + plain[-12:]
    np.testing.assert_array_equal(decode(data).pixels, squares())


def tagged_heic(primaries: int, transfer: int, orientation: int = 1, boxes: bool = True) -> bytes:
    """The squares as HEIC with code points; `boxes`: turned by boxes, else by EXIF alone."""
    image = Image.fromarray(np.ascontiguousarray(turned(squares(), orientation)))
    stream = io.BytesIO()
    pillow_heif.from_pillow(image).save(stream, quality=100, chroma=444, exif=exif(orientation))
    data = stream.getvalue()
    at = data.index(b"colrnclx") + 8
    data = data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]
    if not boxes:
        at = data.index(b"irot") + 4
        data = data[:at] + b"\0" + data[at + 1 :]
    return data


def test_code_points_of_a_heic_are_applied() -> None:
    stored = levels(decode(tagged_heic(1, 13)).pixels)
    found = levels(decode(tagged_heic(12, 13)).pixels)
    np.testing.assert_allclose(found, srgb(light(stored) @ P3_TO_SRGB.T), atol=1.5)
    bright = levels(decode(tagged_heic(9, 16)).pixels)
    np.testing.assert_allclose(bright, shown("cicp pq.png"), atol=12)  # coded with loss
    assert decode(tagged_heic(12, 13), colour="keep").wide_space == "p3"


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_boxes_turn_a_heic_and_its_exif_does_not(orientation: int) -> None:
    photo = decode(tagged_heic(1, 13, orientation))
    assert (photo.orientation, photo.width_px, photo.height_px) == (orientation, 96, 64)
    np.testing.assert_allclose(levels(photo.pixels), COLOURS, atol=6)
    if orientation > 1:
        stored = decode(tagged_heic(1, 13, orientation, boxes=False))
        assert stored.orientation == 1
        sides = (64, 96) if orientation > 4 else (96, 64)
        assert (stored.width_px, stored.height_px) == sides


def test_media_boxes_that_are_cut_say_nothing() -> None:
    data = CASES["nclx p3.avif"]
    assert media_facts(data)[1] is not None
    for size in range(0, 400, 7):
        assert media_facts(data[:size])[0] == 1
    assert media_facts(b"\0\0\0\x08meta") == (1, None)


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


def test_a_broken_or_large_profile_is_no_profile() -> None:
    assert wide_space("RGB", b"no profile") is None
    image = Image.fromarray(squares())
    linear = rgb_profile("srgb", gamma_curve(1.0))
    np.testing.assert_array_equal(to_space(image, linear + bytes(4 << 20)), image)
    assert isinstance(decode(saved(image, "PNG", icc_profile=b"x" * 300)), Photo)


def test_an_answer_of_the_child_names_a_space_that_is_known() -> None:
    header: dict[str, object] = {
        "status": "ok", "view_wh": [2, 1], "width_px": 2, "height_px": 1, "format": "png",
        "orientation": 1, "wide_space": "p3",
    }  # fmt: skip
    photo = photo_from(header, bytearray(range(12)))
    assert photo.wide is not None
    assert photo.wide.tolist() == [[[6, 7, 8], [9, 10, 11]]]
    for change in ({"wide_space": "prophoto"}, {"wide_space": 3}, {"wide_space": None}, {"x": 1}):
        with pytest.raises(DiedError):
            photo_from(header | change, bytearray(13 if "x" in change else 12))


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
