"""The encoding that `--format auto` gives each crop, and its quality."""

import ctypes
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage.data import coffee
from skimage.metrics import structural_similarity

from pipeline.cropping.results import ScoredCrop
from pipeline.errors import EncodeError
from pipeline.photo.animations.animation import Animation
from pipeline.photo.decode import Photo
from pipeline.photo.encoding import jpegli, libjpegli, photo_codes
from pipeline.photo.encoding.automatic import LEAST_PIXELS, format_for, in_words, jpegli_quality
from pipeline.photo.encoding.jpegli import encode_jpegli
from pipeline.photo.encoding.thumbnail import encode, encode_circle, resample
from pipeline.settings import ThumbnailSettings
from pipeline.stages.encode import encoded_crops, sized_crop
from pipeline.stages.preview import preview_of
from pipeline.stages.task import PhotoRow

pytest.importorskip("pyjpegli")
WIDE = np.ascontiguousarray(coffee()[:300, :400])  # a photo with grain, 120,000 pixels
PHOTO = Photo(WIDE, 400, 300, "jpeg", 1)
CODES = ("BRIGHTNESS_DC", "BRIGHTNESS_AC", "COLOUR_DC", "COLOUR_AC")
BOX = {"4:3": (0.0, 0.0, 400.0, 300.0), "circle": (0.0, 0.0, 300.0, 300.0)}


def crops_of(photo: Photo, *shapes: str, fit: Any = "crop", **settings: Any) -> list[Image.Image]:
    chosen = [ScoredCrop(s, 0, BOX[s], 0.5, None, None, [], 0, fit=fit) for s in shapes]
    row = PhotoRow("a", "b", photo=photo, crops=chosen)
    made = encoded_crops(row, ThumbnailSettings(**settings), {}, no_frames)
    found: list[Image.Image] = []
    for crop in made:
        assert crop.image is not None
        image = Image.open(io.BytesIO(crop.image))
        assert crop.format == str(image.format).lower()
        assert image.size == (crop.width, crop.height)
        found.append(image)
    return found


def no_frames(_: bytes) -> Animation:
    raise AssertionError("no moving photo")


def test_an_opaque_photo_is_jpeg_and_its_circle_webp() -> None:
    square, circle = crops_of(PHOTO, "4:3", "circle")
    assert (square.format, square.mode) == ("JPEG", "RGB")
    assert (circle.format, circle.mode) == ("WEBP", "RGBA")
    assert crops_of(PHOTO, "4:3", fit="pad", background="102030")[0].format == "JPEG"


def test_the_bytes_are_those_of_the_quality_in_the_table() -> None:
    row = PhotoRow(
        "a", "b", photo=PHOTO, crops=[ScoredCrop("4:3", 0, BOX["4:3"], 0, None, None, [], 0)]
    )
    for asked, of_jpegli in ((80, 77), (90, 89), (50, 49), (65, 62)):
        (made,) = encoded_crops(row, ThumbnailSettings(quality=asked), {}, no_frames)
        assert made.image == encode_jpegli(WIDE, of_jpegli, photo=True)
        explicit = ThumbnailSettings(format="jpeg", jpeg_encoder="jpegli", quality=asked)
        (plain,) = encoded_crops(row, explicit, {}, no_frames)
        assert plain.image == encode(WIDE, "jpeg", asked, jpegli=True)  # no table where asked for


def test_qualities_rise_together() -> None:
    found = [jpegli_quality(quality) for quality in range(1, 101)]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (1, 96)


def test_a_round_photo_is_webp_of_less_effort_and_another_quality() -> None:
    def circle(photo: Photo, **settings: Any) -> bytes | None:
        chosen = ScoredCrop("circle", 0, BOX["circle"], 0, None, None, [], 0)
        row = PhotoRow("a", "b", photo=photo, crops=[chosen])
        (made,) = encoded_crops(row, ThumbnailSettings(**settings), {}, no_frames)
        assert made.format == "webp"
        return made.image

    square = WIDE[:, :300]
    for asked, of_method_1 in ((80, 79), (70, 68), (90, 90), (100, 100)):  # 67.5 is 68
        assert circle(PHOTO, quality=asked) == encode_circle(square, of_method_1)
    assert circle(PHOTO, format="webp") == encode(square, "webp", 80, circle=True)
    drawn = np.full((300, 400, 3), 240, np.uint8)
    drawn[::9, :, 1] = 20
    assert circle(replace(PHOTO, pixels=drawn)) == encode(drawn[:, :300], circle=True)
    small = encode(resample(square, (200, 200)), circle=True)
    assert circle(PHOTO, thumbnail_size=200) == small
    clear = np.full((300, 400), 255, np.uint8)
    clear[100:140, 100:140] = 0
    on_white = np.where(clear[..., None] == 0, 255, WIDE).astype(np.uint8)
    seen = np.dstack([on_white, clear])[:, :300]
    assert circle(replace(PHOTO, pixels=on_white, alpha=clear)) == encode(seen, circle=True)


def test_what_jpeg_cannot_hold_is_webp() -> None:
    clear = np.full((300, 400), 255, np.uint8)
    assert crops_of(replace(PHOTO, alpha=clear), "4:3")[0].format == "JPEG"  # opaque after all
    clear[:40, :40] = 0
    (made,) = crops_of(replace(PHOTO, alpha=clear), "4:3")
    assert (made.format, made.mode) == ("WEBP", "RGBA")
    assert crops_of(replace(PHOTO, alpha=clear), "4:3", fit="pad")[0].format == "JPEG"
    assert format_for(WIDE, False, b"a profile") == "webp"
    assert format_for(WIDE, False, None) == "jpeg"


def test_moving_crops_are_webp() -> None:
    row = PhotoRow(
        "a", "b", photo=PHOTO, crops=[ScoredCrop("4:3", 0, BOX["4:3"], 0, None, None, [], 0)]
    )
    row.moving, row.frames = np.zeros(3, np.uint8), 2
    views = np.stack([WIDE, WIDE[::-1]])
    frames = Animation(views, None, (40, 80), 0)
    (made,) = encoded_crops(row, ThumbnailSettings(), {}, lambda _: frames)
    assert made.image is not None
    image = Image.open(io.BytesIO(made.image))
    assert (made.format, made.frames, image.format, image.n_frames) == ("webp", 2, "WEBP", 2)
    assert sized_crop(row, row.crops[0], ThumbnailSettings()).frames == 2
    assert sized_crop(row, row.crops[0], ThumbnailSettings(format="jpeg")).frames == 1


def test_drawn_pictures_and_small_ones_are_webp() -> None:
    drawn = np.full((300, 400, 3), 240, np.uint8)
    drawn[::9, :, 1] = 20
    drawn[:, ::11] = (10, 60, 200)
    assert format_for(drawn, False, None) == "webp"
    assert len(encode(drawn, "webp", 80)) < len(encode(drawn, "jpeg", 77, jpegli=True))
    width = LEAST_PIXELS // 200
    assert format_for(WIDE[:200, :width], False, None) == "jpeg"
    assert format_for(WIDE[:200, : width - 1], False, None) == "webp"


def test_a_preview_is_jpeg_where_crops_are_chosen_so() -> None:
    row = PhotoRow("a", "b", photo=PHOTO)
    for jpegli_too, format in ((True, "JPEG"), (False, "WEBP")):
        made = preview_of(row, 256, jpegli_too)
        image = Image.open(io.BytesIO(made.image))
        assert (image.format, made.format) == (format, format.lower())
        assert (image.size, image.mode) == ((256, 192), "RGB")


def test_a_worker_without_the_package_fails_by_circumstances(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jpegli, "find_spec", lambda _: None)
    with pytest.raises(EncodeError, match=r"pip install 's2cnet-thumbnails\[jpegli\]'") as caught:
        crops_of(PHOTO, "4:3")
    assert (caught.value.status, caught.value.kind) == ("encoder_missing", "circumstances")


def test_what_a_person_reads_of_it() -> None:
    assert (
        in_words("auto")
        == "JPEG by jpegli; WebP where they are round, transparent, moving, drawn or small"
    )
    assert (in_words("webp", True), in_words("jpeg")) == ("WebP", "JPEG")
    assert in_words("jpeg", True) == "JPEG by jpegli"


def test_photos_take_the_cheap_way_from_a_quality_on() -> None:
    """All parts are quantised alike: at one quality that keeps more than by adapting to texture."""
    direct = libjpegli.jpegli_encoder()
    assert direct is not None
    for quality, alike in ((66, 57), (77, 69), (79, 72), (89, 87), (100, 100)):  # 71.6 is 72
        expected = direct.encode(WIDE, alike, optimal=False, alike=True)
        assert direct.encode_photo(WIDE, quality) == expected
        assert encode_jpegli(WIDE, quality, photo=True) == expected
    assert encode_jpegli(WIDE, 65, photo=True) == direct.encode(WIDE, 65)
    assert encode_jpegli(WIDE, 77) == direct.encode(WIDE, 77)
    adapted, plain = (direct.encode(WIDE, 80, alike=alike) for alike in (False, True))
    assert 1.1 * len(adapted) < len(plain)

    def likeness(file: bytes) -> float:
        seen = np.asarray(Image.open(io.BytesIO(file)))
        return float(structural_similarity(WIDE, seen, channel_axis=2, data_range=255))

    for quality in (69, 77, 89):
        files = direct.encode(WIDE, quality), direct.encode_photo(WIDE, quality)
        before, now = map(likeness, files)
        assert now == pytest.approx(before, abs=0.01)
        assert len(files[1]) == pytest.approx(len(files[0]), rel=0.08)


def test_codes_of_photos_serve_every_picture() -> None:
    """The pixels are those of codes of its own; noise has the symbols that photos lack."""
    direct = libjpegli.jpegli_encoder()
    assert direct is not None
    noise = np.random.default_rng(5).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    blocks = np.kron(noise[:8, :10, :1] // 128 * 255, np.ones((8, 8, 3))).astype(np.uint8)
    for pixels in (WIDE, noise, blocks, WIDE[:1, :1].copy()):
        for quality in (1, 60, 95, 100):
            own, photos = (direct.encode(pixels, quality, codes, True) for codes in (True, False))
            seen = [np.asarray(Image.open(io.BytesIO(file))) for file in (own, photos)]
            assert np.array_equal(seen[0], seen[1])
    own, photos = (direct.encode(WIDE, 68, codes, True) for codes in (True, False))
    assert len(own) < len(photos) < 1.05 * len(own)
    for name in CODES:
        assert getattr(photo_codes, name) in photos


@pytest.mark.parametrize("name", CODES)
def test_every_symbol_of_a_baseline_file_has_a_code(name: str) -> None:
    """ITU-T T.81: sizes 0 to 11 for DC; runs 0 to 15 before sizes 1 to 10, 0x00 and 0xF0 for AC."""
    table = getattr(photo_codes, name)
    counts, symbols = table[:16], table[16:]
    sizes = range(1, 11)
    runs = {run << 4 | size for run in range(16) for size in sizes} | {0x00, 0xF0}
    assert sorted(symbols) == sorted(range(12) if name.endswith("DC") else runs)
    assert sum(counts) == len(symbols)
    # No code is a prefix of another, and none is of ones alone (T.81, C.2).
    assert sum(count / 2 ** (bits + 1) for bits, count in enumerate(counts)) < 1


def test_codes_are_made_for_each_picture() -> None:
    """The pixels are the package's own; the file is smaller, and small ones by more."""
    import pyjpegli

    direct = libjpegli.jpegli_encoder()
    assert direct is not None, "the library that the package has loaded can be reached"
    for pixels, most in ((WIDE, 0.97), (WIDE[:90, :120], 0.92), (WIDE[:1, :1], 0.8)):
        pixels = np.ascontiguousarray(pixels)
        theirs = pyjpegli.encode(pixels, pixels.shape[1], pixels.shape[0], 80)
        ours = direct.encode(pixels, 80)
        assert len(ours) <= most * len(theirs)
        seen = [np.asarray(Image.open(io.BytesIO(file))) for file in (ours, theirs)]
        assert np.array_equal(seen[0], seen[1])
        assert direct.encode(pixels, 80, optimal=False) == theirs
    upside_down = WIDE[::-1, ::-2]
    assert direct.encode(upside_down, 80) == direct.encode(upside_down.copy(), 80)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (1, 65_501)])
def test_impossible_sizes_are_refused(size: tuple[int, int]) -> None:
    direct = libjpegli.jpegli_encoder()
    assert direct is not None
    with pytest.raises(EncodeError, match="width and height must be positive"):
        direct.encode(np.zeros((*size, 3), np.uint8), 80)


def test_the_package_encodes_where_its_library_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import pyjpegli

    monkeypatch.setattr(libjpegli, "jpegli_encoder", lambda: None)
    assert jpegli.encode_jpegli(WIDE, 80) == pyjpegli.encode(WIDE, 400, 300, 80)


def test_a_release_that_was_not_tried_is_not_called_directly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its structures may be others, and a wrong size would end the process."""
    import pyjpegli

    monkeypatch.setattr(pyjpegli, "__version__", "99.0")
    libjpegli.jpegli_encoder.cache_clear()
    assert libjpegli.jpegli_encoder() is None
    libjpegli.jpegli_encoder.cache_clear()


def test_the_structure_is_as_large_as_libjpegs() -> None:
    assert ctypes.sizeof(libjpegli.Compressor) == 520
    assert libjpegli.Compressor.optimize_coding.offset == 264
