"""Damaged photos: the decodable part is measured, and no crop shows what is missing.

Files are cut where the number of rows before the cut is known: at a JPEG's restart markers, after a
flushed row of a PNG, or it is found by comparing rows with those of the whole file.
"""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from pipeline.cropping.overrides import Override
from pipeline.errors import DecodeError
from pipeline.photo.decode import Photo, decode
from pipeline.photo.files.damaged import decoded_box
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.sandbox.decoder import Decoder
from tests.support.drawn_pictures import framed, lens
from tests.support.odd_photos import exif, png_chunk, raw_png, saved, scene, turned

SCENE = scene()
ANY = DecodeLimits(least_complete=0.001)
OLD = DecodeLimits(least_complete=1)


def noisy(width: int = 320, height: int = 480) -> np.ndarray:
    """The scene with noise, so that every row has about as many bytes."""
    noise = np.random.default_rng(3).integers(0, 16, (height, width, 3))
    return (scene(width, height) // 2 + noise).astype(np.uint8)


def rough() -> np.ndarray:
    """The scene with so much noise that no row is like another."""
    noise = np.random.default_rng(4).integers(0, 64, SCENE.shape)
    return (SCENE // 2 + noise).astype(np.uint8)


def flushed_png(pixels: np.ndarray, rows: int, *before: bytes) -> bytes:
    """A PNG that is cut right behind its first `rows` rows."""
    height, width = pixels.shape[:2]
    packer = zlib.compressobj()
    packed = b"".join(packer.compress(b"\0" + row.tobytes()) for row in pixels[:rows])
    packed += packer.flush(zlib.Z_FULL_FLUSH)
    colour = 6 if pixels.shape[2] == 4 else 2
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    start = b"\x89PNG\r\n\x1a\n" + head + b"".join(before)
    return start + struct.pack(">I", 1 << 20) + b"IDAT" + packed


def cut_at_restart(pixels: np.ndarray, rows: int, **options: object) -> bytes:
    """A JPEG that is cut behind `rows` rows of its blocks."""
    data = saved(pixels, "JPEG", restart_marker_rows=1, **options)
    at = 0
    for number in range(rows):
        at = data.index(bytes([0xFF, 0xD0 + number % 8]), at + 1)
    return data[:at]


@pytest.mark.parametrize(
    ("options", "block"), [({"subsampling": 2}, 16), ({"subsampling": 0}, 8)], ids=["420", "444"]
)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.9])
def test_the_rows_of_a_cut_jpeg_are_counted(
    options: dict[str, object], block: int, share: float
) -> None:
    pixels = noisy(320, 1600)
    rows = round(share * 1600 / block)
    photo = decode(cut_at_restart(pixels, rows, **options), ANY)
    # Colours of rows near the cut are blended from those of the next ones: some count as missing.
    assert rows * block / 1600 - 0.02 <= photo.complete <= rows * block / 1600
    assert photo.content_px == (0, 0, 320, photo.content.height_px)
    whole = decode(saved(pixels, "JPEG", **options)).pixels
    there = len(photo.content.pixels)
    np.testing.assert_array_equal(photo.content.pixels, whole[:there])


@pytest.mark.parametrize("share", [0.3, 0.8, 0.95])
def test_a_jpeg_without_restarts_is_compared_with_the_whole_one(share: float) -> None:
    pixels = noisy(400, 1600)
    data = saved(pixels, "JPEG", quality=90)
    whole = decode(data).pixels
    photo = decode(data[: int(share * len(data))], ANY)
    there = photo.content.pixels
    np.testing.assert_array_equal(there, whole[: len(there)])
    assert abs(photo.complete - share) < 0.02  # every row has about as many bytes


def test_a_large_jpeg_is_measured_at_the_scale_of_its_view() -> None:
    pixels = noisy(3200, 2400)
    photo = decode(cut_at_restart(pixels, 120, quality=60), ANY)  # 120 of 150 rows of blocks
    assert photo.pixels.shape[:2] == (1200, 1600)
    assert 0.78 <= photo.complete <= 0.8
    assert photo.content.height_px <= 1920
    assert photo.content.pixels.std(axis=(1, 2)).min() > 3


def test_a_progressive_jpeg_counts_by_its_first_scan() -> None:
    pixels = noisy(640, 1600)
    data = saved(pixels, "JPEG", progressive=True, quality=90)
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    assert decode(data[: scans[1] + 2]).complete == 1
    most = decode(data[: (scans[-1] + len(data)) // 2])
    assert most.complete == 1
    assert np.abs(most.pixels.astype(int) - decode(data).pixels).mean() < 2  # the detail as well
    half = decode(data[: (scans[0] + scans[1]) // 2], ANY)
    assert 0.4 < half.complete < 0.52
    with pytest.raises(DecodeError, match=r"4\d % of its rows are there"):
        decode(data[: (scans[0] + scans[1]) // 2])


@pytest.mark.parametrize("subsampling", [0, 2])
def test_a_file_that_lacks_its_end_marker_is_whole(subsampling: int) -> None:
    data = saved(SCENE, "JPEG", quality=90, subsampling=subsampling)
    for cut in (data[:-2], data[:-1], data[:-2] + bytes(500)):
        photo = decode(cut)
        assert (photo.complete, photo.there_px, photo.content_px) == (1.0, None, None)
        np.testing.assert_array_equal(photo.pixels, decode(data).pixels)


@pytest.mark.parametrize("rows", [1, 120, 200, 239])
def test_the_rows_of_a_cut_png_are_counted(rows: int) -> None:
    photo = decode(flushed_png(SCENE, rows), ANY)
    assert photo.complete == rows / 240
    assert photo.content_px == (0, 0, 320, rows)
    np.testing.assert_array_equal(photo.content.pixels, SCENE[:rows])


def test_the_share_decides() -> None:
    at_the_limit = flushed_png(SCENE, 180)  # of 240
    assert decode(at_the_limit).complete == 0.75
    with pytest.raises(DecodeError, match="74 % of its rows are there") as caught:
        decode(flushed_png(SCENE, 179))
    assert caught.value.status == "truncated"
    with pytest.raises(DecodeError) as caught:
        decode(flushed_png(SCENE, 239), OLD)
    assert caught.value.status == "truncated"
    assert "rows" not in caught.value.message


@pytest.mark.parametrize("room", [10_000, 100_000])
def test_room_that_was_not_used_is_no_picture(room: int) -> None:
    """Zero bytes decode as pixels of one colour; of many, all missing rows are made."""
    data = saved(noisy(320, 1600), "JPEG")
    photo = decode(data[: int(0.8 * len(data))] + bytes(room))
    assert 0.78 < photo.complete < 0.82
    assert decode(data + bytes(room)).complete == 1


def test_a_row_of_no_known_filter_ends_the_picture() -> None:
    rows = b"".join(b"\0" + row.tobytes() for row in SCENE[:200])
    rows += b"\7" + SCENE[200].tobytes() + b"".join(b"\0" + row.tobytes() for row in SCENE[201:])
    photo = decode(raw_png(320, 240, 8, 2, rows))
    assert photo.complete == 200 / 240
    np.testing.assert_array_equal(photo.content.pixels, SCENE[:200])


def damaged_block(index: int) -> bytes:
    """A PNG in blocks of 24 rows each, of which one has two wrong bytes in the middle."""
    packer, blocks = zlib.compressobj(), []
    for at in range(0, 240, 24):
        rows = b"".join(b"\0" + row.tobytes() for row in noisy(320, 240)[at : at + 24])
        blocks.append(png_chunk(b"IDAT", packer.compress(rows) + packer.flush(zlib.Z_FULL_FLUSH)))
    blocks.append(png_chunk(b"IDAT", packer.flush()))
    bad = bytearray(blocks[index])
    bad[len(bad) // 2] ^= 0x55
    bad[len(bad) // 2 + 40] ^= 0x55
    blocks[index] = bytes(bad)
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 320, 240, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(blocks) + png_chunk(b"IEND", b"")


def test_of_a_png_nothing_counts_from_the_first_damaged_block_on() -> None:
    """But for rows of that block before the place where it fails to unpack."""
    photo = decode(damaged_block(8))
    assert 0.8 <= photo.complete < 0.85
    there = photo.content.pixels
    np.testing.assert_array_equal(there, noisy(320, 240)[: len(there)])
    with pytest.raises(DecodeError, match=r"1\d % of its rows") as caught:
        decode(damaged_block(1))
    assert caught.value.status == "corrupt"


@pytest.mark.parametrize("last", [0, 1, 2])
def test_an_interlaced_png_counts_by_its_last_pass(last: int) -> None:
    """Adam7: the seventh pass has every second row, so what it lacks is missing."""
    starts = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
              (1, 0, 2, 1))  # fmt: skip
    rows = [
        b"\0" + row.tobytes()
        for y, x, step_y, step_x in starts
        for row in SCENE[y::step_y, x::step_x]
    ]
    lacking = (0, 20, 120)[last]
    body = zlib.compress(b"".join(rows))
    data = b"\x89PNG\r\n\x1a\n"
    data += png_chunk(b"IHDR", struct.pack(">IIBBBBB", 320, 240, 8, 2, 0, 0, 1))
    np.testing.assert_array_equal(decode(data + png_chunk(b"IDAT", body)).pixels, SCENE)
    packer = zlib.compressobj()
    body = packer.compress(b"".join(rows[: len(rows) - lacking])) + packer.flush(zlib.Z_FULL_FLUSH)
    cut = data + struct.pack(">I", 1 << 20) + b"IDAT" + body
    photo = decode(cut, ANY)
    expected = min(240, 2 * (120 - lacking) + 1)
    assert photo.complete == expected / 240
    np.testing.assert_array_equal(photo.content.pixels, SCENE[:expected])


@pytest.mark.parametrize("share", [0.4, 0.95])
def test_the_first_frame_of_a_cut_gif(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    picture = Image.fromarray(noisy(320, 1200)).quantize(128)
    data = saved(picture, "GIF", interlace=0)
    whole = decode(data).pixels
    cut = data[: int(len(data) * share)]
    with monkeypatch.context() as patched:
        patched.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        lenient = np.asarray(Image.open(io.BytesIO(cut)).convert("RGB"))
    rows = int((lenient != whole).any(axis=(1, 2)).argmax())
    assert 100 < rows < 1200
    photo = decode(cut, ANY)
    assert photo.complete == pytest.approx(rows / 1200, abs=0.002)
    assert photo.frames == 1
    np.testing.assert_array_equal(photo.content.pixels, whole[: photo.content.height_px])


def marked(orientation: int, format: str) -> Photo:
    stored = np.ascontiguousarray(turned(rough(), orientation))
    rows = round(0.8 * len(stored))
    if format == "PNG":
        block = png_chunk(b"eXIf", exif(orientation)[6:])
        return decode(flushed_png(stored, rows, block))
    options = {"exif": exif(orientation), "quality": 95, "subsampling": 0}
    return decode(cut_at_restart(stored, rows // 8, **options))


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_missing_side_is_turned_with_the_photo(orientation: int, format: str) -> None:
    photo = marked(orientation, format)
    assert (photo.width_px, photo.height_px, photo.orientation) == (320, 240, orientation)
    assert photo.there_px == photo.content_px
    assert photo.there_px is not None
    x0, y0, x1, y1 = photo.there_px
    share = (x1 - x0) * (y1 - y0) / (320 * 240)
    assert share == pytest.approx(photo.complete)
    assert 0.75 <= share <= 0.8
    away = np.abs(photo.content.pixels.astype(int) - rough()[y0:y1, x0:x1].astype(int))
    assert away.mean(axis=(0, 2)).max() < 8  # a row beside its own is some 21 levels away
    assert away.mean(axis=(1, 2)).max() < 8


def test_parts_of_reduced_photos_stay_inside_what_is_there() -> None:
    for orientation in range(1, 9):
        sides = (1000, 700) if orientation < 5 else (700, 1000)
        x0, y0, x1, y1 = decoded_box(sides, 233, 200, orientation)
        stored = (y1 - y0) if orientation < 5 else (x1 - x0)
        assert stored == 200 * 700 // 233


def test_borders_lie_within_the_rows_that_are_there() -> None:
    picture = framed(lens(320, 240), 40, 0, 40, 0, 0)  # bars at the left and at the right
    photo = decode(flushed_png(picture, 200))
    assert photo.content_px == (40, 0, 360, 200)
    assert photo.with_borders().content_px == (0, 0, 400, 200)
    assert decode(saved(picture, "PNG")).with_borders().content_px is None


def test_what_a_person_said_holds_for_the_part_that_is_there() -> None:
    said = Override("x", (0.5, 0.5), {"1:1": (100.0, 50.0, 200.0, 150.0)})
    moved = said.within((40, 0, 200, 100), (400, 200))
    assert moved.boxes_px == {"1:1": (60.0, 50.0, 160.0, 150.0)}
    assert moved.focus_rel == (1.0, 1.0)
    assert said.within((0, 0, 400, 160), (400, 200)).focus_rel == (0.5, 0.625)


def test_missing_rows_repeat_the_last_one() -> None:
    """A thumbnail's filter reaches beyond its box; it must not find grey or black there."""
    photo = decode(flushed_png(SCENE, 200))
    np.testing.assert_array_equal(photo.pixels[200:], np.repeat(SCENE[199:200], 40, axis=0))
    alpha = np.dstack([SCENE, np.full((240, 320), 255, np.uint8)])
    assert decode(flushed_png(alpha, 200)).alpha is None


def test_the_child_tells_the_same() -> None:
    files = {
        "png": flushed_png(SCENE, 200),
        "jpeg": cut_at_restart(noisy(), 25, quality=90),
        "end": saved(SCENE, "JPEG")[:-2],
        "gif": (gif := saved(Image.fromarray(noisy()).quantize(128), "GIF"))[: len(gif) * 9 // 10],
    }
    with Decoder() as decoder:
        for data in files.values():
            found, expected = decoder.decode(data), decode(data)
            np.testing.assert_array_equal(found.pixels, expected.pixels)
            assert found.complete == pytest.approx(expected.complete)
            assert (found.there_px, found.content_px) == (expected.there_px, expected.content_px)
        with pytest.raises(DecodeError, match="41 % of its rows are there"):
            decoder.decode(flushed_png(SCENE, 100))
    with Decoder(OLD) as decoder, pytest.raises(DecodeError) as caught:
        decoder.decode(files["png"])
    assert caught.value.status == "truncated"


def test_what_shows_nothing_is_refused() -> None:
    jpeg, png = saved(SCENE, "JPEG"), saved(SCENE, "PNG")
    for data in (jpeg[: jpeg.index(b"\xff\xda") + 14], png[: png.index(b"IDAT") + 6]):
        with pytest.raises(DecodeError, match=" 0 % of its rows are there"):
            decode(data, ANY)
    with pytest.raises(DecodeError):
        decode(saved(SCENE, "WEBP")[:-200], ANY)


def test_what_stands_behind_a_cut_is_no_picture() -> None:
    """The bytes of another JPEG behind the cut, which end the decoding of this one."""
    cut = cut_at_restart(noisy(320, 1600), 80, subsampling=2)[:-9]  # 80 of 100
    photo = decode(cut + saved(SCENE, "JPEG")[:-2])
    assert 0.77 < photo.complete < 0.8


def test_a_wrong_sum_over_right_pixels_is_no_damage() -> None:
    png = saved(SCENE, "PNG")
    end = png.index(b"IEND") - 4
    photo = decode(png[: end - 1] + bytes([png[end - 1] ^ 1]) + png[end:])
    assert photo.complete == 1
    np.testing.assert_array_equal(photo.pixels, SCENE)


@pytest.mark.parametrize("laced", [0, 1])
@pytest.mark.parametrize("rows", [1, 180, 238, 239])
def test_a_png_that_ends_between_two_rows_is_no_whole_one(rows: int, laced: int) -> None:
    """Its blocks have right sums and an end; decoders show black rows and no error."""
    if laced:
        saved_rows = [b"\0" + row.tobytes() for row in laced_rows(SCENE)]
        packed = zlib.compress(b"".join(saved_rows[: len(saved_rows) - (240 - rows + 1) // 2]))
    else:
        packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in SCENE[:rows]))
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 320, 240, 8, 2, 0, 0, laced))
    data = b"\x89PNG\r\n\x1a\n" + head + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")
    photo = decode(data, ANY)
    there = photo.content_px[3] if photo.content_px else 240
    assert photo.complete == there / 240
    assert rows - 2 < there < 240
    np.testing.assert_array_equal(photo.content.pixels, SCENE[:there])
    with pytest.raises(DecodeError, match="its pixels end before its last row"):
        decode(data, OLD)


def laced_rows(pixels: np.ndarray) -> list[np.ndarray]:
    """The rows of the seven passes of an interlaced PNG (third edition, 8.1)."""
    starts = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
              (1, 0, 2, 1))  # fmt: skip
    return [row for y, x, step_y, step_x in starts for row in pixels[y::step_y, x::step_x]]


def test_black_rows_at_the_end_are_no_damage() -> None:
    dark = SCENE.copy()
    dark[-30:] = 0
    assert decode(saved(dark, "PNG")).complete == 1
    rows = b"".join(b"\0" + row.tobytes() for row in dark)
    assert decode(raw_png(320, 240, 8, 2, rows + bytes(961))).complete == 1  # more than it needs


def test_a_wrong_sum_behind_all_rows_costs_none() -> None:
    """The last four bytes of zlib's stream are a sum of all; the block's own sum is right."""
    packed = bytearray(zlib.compress(b"".join(b"\0" + row.tobytes() for row in SCENE)))
    packed[-1] ^= 5
    png = saved(SCENE, "PNG")
    data = png[:33] + png_chunk(b"IDAT", bytes(packed)) + png_chunk(b"IEND", b"")
    photo = decode(data)
    assert photo.complete == 1
    np.testing.assert_array_equal(photo.pixels, SCENE)


@pytest.mark.parametrize("lost", range(1, 200, 33))
def test_a_gif_counts_the_rows_of_its_last_block_that_was_cut(lost: int) -> None:
    """A block of a GIF has at most 255 bytes; what is there of the last one is decoded."""
    picture = Image.fromarray(noisy(40, 200)).quantize(128)
    data = saved(picture, "GIF", interlace=0)
    whole = decode(data).pixels
    photo = decode(data[: -2 - lost], ANY)
    assert (photo.complete - 1) * len(data) == pytest.approx(-lost, abs=100)
    np.testing.assert_array_equal(photo.content.pixels, whole[: photo.content.height_px])


def test_a_good_photo_is_whole() -> None:
    stream = io.BytesIO()
    Image.fromarray(SCENE).save(stream, "JPEG")
    assert decode(stream.getvalue()).complete == 1
