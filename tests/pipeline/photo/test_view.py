"""The size of a view, and the cost limits of decoding: expected sizes are calculated by hand."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DecodeError
from pipeline.photo.decode import decode
from pipeline.photo.encoding.thumbnail import cut, thumbnail_size
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.sandbox.decoder import Decoder
from pipeline.photo.view import jpeg_scale, least_scale, reduced, view_side_for, view_size
from pipeline.shapes import parse_shape
from tests.support.odd_photos import exif, saved, scene, turned

THUMBNAIL = 512  # px, of the default view of 1,024


@pytest.mark.parametrize(
    ("size_wh", "view_wh"),
    [
        ((4000, 3000), (1000, 750)),  # 1/4: 1,000 is at least .95 of 1,024
        ((640, 480), (640, 480)),
        ((1900, 1000), (1900, 1000)),  # 1:1.9 counts as any other
        ((4000, 2106), (1000, 527)),
        ((4000, 2000), (1627, 814)),  # as it is longer
        # Longer: the short side .794 of 1,024, 813.06.
        ((4000, 1000), (3253, 814)),
        ((1000, 4000), (814, 3253)),
        ((12_000, 2000), (4879, 814)),
        ((12_000, 1000), (9757, 814)),
        ((1080, 20_000), (814, 15_057)),  # 20,000 x 813.06 / 1,080 is 15,056.6
        ((1250, 37_500), (814, 24_392)),  # 1:30
        ((65_500, 100), (65_500, 100)),  # nothing is enlarged
        # Beyond 1:34 at most 22 x 1,024 x 1,024 pixels: sqrt(22 / 40) and sqrt(22 / 100) of 1,024.
        ((48_000, 1200), (30_377, 760)),
        ((65_000, 650), (48_030, 481)),
    ],
)
def test_views_have_the_size_that_is_needed(
    size_wh: tuple[int, int], view_wh: tuple[int, int]
) -> None:
    assert view_size(size_wh, 1024) == view_wh


@pytest.mark.parametrize(
    ("width", "height", "format"),
    [(8866, 1629, "JPEG"), (8866, 886, "JPEG"), (4000, 1000, "JPEG"), (2048, 512, "JPEG"),
     (4000, 2000, "JPEG"), (4032, 2124, "PNG"),
     (790, 12_000, "JPEG"), (1080, 3240, "PNG"), (4000, 3000, "JPEG"), (6000, 450, "WEBP")],
)  # fmt: skip
def test_no_thumbnail_of_the_short_side_is_enlarged(width: int, height: int, format: str) -> None:
    photo = decode(saved(Image.new("L", (width, height), 90), format))
    assert (photo.width_px, photo.height_px) == (width, height)
    assert min(photo.pixels.shape[:2]) >= min(THUMBNAIL, width, height)


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    ("size_wh", "view_wh"),
    [
        ((1000, 8000), (814, 6505)),  # the short side: .794 of 1,024, 813.056
        ((15_000, 1000), (12_196, 814)),
        ((1000, 30_000), (814, 24_392)),
        ((1800, 14_400), (900, 7200)),  # whole blocks, of which there are little more than needed
    ],
)
def test_no_thumbnail_of_a_long_photo_is_enlarged(
    size_wh: tuple[int, int], view_wh: tuple[int, int], format: str
) -> None:
    """The smallest square crops that are proposed have .63 of the short side."""
    photo = decode(saved(Image.new("L", size_wh, 90), format))
    assert (photo.width_px, photo.height_px) == size_wh
    assert (photo.pixels.shape[1], photo.pixels.shape[0]) == view_wh
    side = 0.63 * min(size_wh)
    for x, y in ((0.0, 0.0), (size_wh[0] - side, size_wh[1] - side)):
        box = (x, y, x + side, y + side)
        width, height = thumbnail_size(parse_shape("1:1"), box, THUMBNAIL)
        assert (width, height) == (512, 512)
        rows, columns = cut(photo, box).shape[:2]
        assert (rows >= height, columns >= width) == (True, True), (rows, columns)


def test_long_photos_are_reduced_to_the_mean_of_what_they_show() -> None:
    upright = scene(3000, 1000)  # the view: 814 rows
    for orientation in (1, 6):
        data = saved(turned(upright, orientation), "PNG", exif=exif(orientation))
        photo = decode(data)
        assert photo.pixels.shape == (814, 2440, 3)
        wanted = np.asarray(Image.fromarray(upright).resize((2440, 814), Image.Resampling.BOX))
        assert np.abs(photo.pixels.astype(int) - wanted).max() <= 2


def test_what_is_long_is_told_by_the_photo_not_by_its_rounded_view() -> None:
    """57 × 109 is 1:1.912, its view of 32 × 60 is 1:1.875: no whole factor would reduce it."""
    assert reduced(Image.new("RGB", (57, 109)), (32, 60)).size == (32, 60)
    assert reduced(Image.new("RGB", (57, 108)), (32, 60)).size == (57, 108)  # 1:1.895


@pytest.mark.parametrize(
    ("size_wh", "most", "scale"),
    [
        ((4000, 3000), 50_000_000, 4),
        ((16_320, 12_240), 50_000_000, 8),
        ((8866, 1600), 50_000_000, 1),  # 800 rows at 1/2: fewer than 814
        ((8866, 1629), 50_000_000, 2),
        ((1333, 20_000), 50_000_000, 1),  # 667 columns at 1/2
        ((60_000, 1000), 50_000_000, 2),  # 60 million pixels at once are too many
        ((1600, 48_000), 50_000_000, 2),  # so are 76.8 million: 800 columns, fewer than 814
        ((1000, 700), 50_000_000, 1),
    ],
)
def test_jpegs_are_decoded_at_the_smallest_scale_that_serves(
    size_wh: tuple[int, int], most: int, scale: int
) -> None:
    assert jpeg_scale(size_wh, 1024, most) == scale


def test_photos_of_200_megapixels_and_long_screenshots_are_served_by_default() -> None:
    phone = decode(saved(Image.new("L", (16_320, 12_240), 90), "JPEG"))
    assert (phone.width_px, phone.pixels.shape[1]) == (16_320, 1020)
    screenshot = decode(saved(Image.new("L", (1080, 20_000), 90), "PNG"))
    assert (screenshot.width_px, screenshot.height_px) == (1080, 20_000)
    assert screenshot.pixels.shape == (15_057, 814, 3)  # .794 of 1,024 columns


def with_scans(width: int, height: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    stream = io.BytesIO()
    Image.new("L", (width, height), 90).save(stream, "JPEG", progressive=True)
    data = stream.getvalue()
    at = data.rindex(b"\xff\xda")
    return data[:at] + data[at:-2] * (scans - data.count(b"\xff\xda") + 1) + b"\xff\xd9"


def test_a_progressive_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = with_scans(4000, 4000, 126)  # 2,016 million pixels in all scans
    with pytest.raises(DecodeError, match="126 scans") as caught:
        decode(bomb)
    assert (caught.value.status, caught.value.kind) == ("too_many_scans", "circumstances")
    with Decoder() as decoder, pytest.raises(DecodeError) as told:
        decoder.decode(bomb)
    assert told.value.status == "too_many_scans"
    small = with_scans(320, 240, 20)
    assert decode(small, DecodeLimits(max_scan_pixels=20 * 320 * 240)).width_px == 320
    with pytest.raises(DecodeError, match="20 scans"):
        decode(small, DecodeLimits(max_scan_pixels=20 * 320 * 240 - 1))


def test_scans_are_counted_where_all_of_a_jpeg_is_kept_in_memory() -> None:
    """A baseline JPEG of one scan has no such limit, one with a scan for each component has."""
    one = saved(scene(), "JPEG")
    tight = DecodeLimits(max_scan_pixels=1, max_progressive_pixels=1)
    assert decode(one, tight).width_px == 320
    assert decode(saved(Image.fromarray(scene()).convert("L"), "JPEG"), tight).width_px == 320
    for data in (in_three_scans(), saved(scene(), "JPEG", progressive=True)):
        assert decode(data).width_px == 320
        with pytest.raises(DecodeError, match="progressive") as caught:
            decode(data, tight)
        assert caught.value.status == "too_many_pixels"
        with pytest.raises(DecodeError) as caught:
            decode(data, DecodeLimits(max_scan_pixels=2 * 320 * 240))
        assert caught.value.status == "too_many_scans"


def in_three_scans() -> bytes:
    """A baseline JPEG of three components, each in a scan of its own (ITU-T T.81, B.2.3)."""
    grey = saved(Image.new("L", (320, 240), 90), "JPEG")
    frame, scan = grey.index(b"\xff\xc0"), grey.index(b"\xff\xda")
    head = grey[frame + 4 : frame + 9]
    components = b"".join(bytes([n, 0x11, 0]) for n in (1, 2, 3))
    sof = b"\xff\xc0" + (17).to_bytes(2, "big") + head + b"\3" + components
    scans = b"".join(
        b"\xff\xda\0\x08\1" + bytes([n]) + grey[scan + 6 : scan + 10] + grey[scan + 10 : -2]
        for n in (1, 2, 3)
    )
    return grey[:frame] + sof + grey[frame + 13 : scan] + scans + b"\xff\xd9"


def test_a_child_stays_small_with_a_large_photo(tmp_path: Path) -> None:
    """108 megapixels at 1/8 need some megabytes beside the file and the libraries."""
    data = saved(Image.new("RGB", (12_000, 9_000), "teal"), "JPEG")
    with Decoder() as decoder:
        decoder.start()
        before = peak_kib(decoder)
        assert decoder.decode(data).width_px == 12_000
        assert peak_kib(decoder) - before < 40_000


def test_a_child_holds_a_long_photo_once_and_its_view_twice() -> None:
    """Pillow takes 4 bytes a pixel: 107 MB for all of it and 40 for the view, sent as 30."""
    data = saved(Image.new("RGB", (1333, 20_000), "teal"), "JPEG")
    with Decoder() as decoder:
        decoder.start()
        before = peak_kib(decoder)
        assert decoder.decode(data).pixels.shape == (12_199, 814, 3)
        assert peak_kib(decoder) - before < 190_000


def peak_kib(decoder: Decoder) -> int:
    """The most memory that a child has held."""
    assert decoder._child is not None
    status = Path(f"/proc/{decoder._child.pid}/status")
    if not status.is_file():
        pytest.skip("no /proc on this machine")
    line = next(one for one in status.read_text().splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1])


@pytest.mark.parametrize(
    ("size_wh", "scale", "side"),
    [
        ((4000, 3000), 0.25, 1053),  # 1,000 / .95: then a third of the sides is decoded
        ((3000, 4000), 1.0, 4211),
        ((1900, 1000), 0.5, 1000),  # 1:1.9 is not long yet
        ((2000, 500), 0.5, 315),  # of a long photo the short side counts: 250 / .794
        ((10, 10), 0.001, 1),
    ],
)
def test_a_view_can_be_asked_for_by_its_scale(
    size_wh: tuple[int, int], scale: float, side: int
) -> None:
    assert view_side_for(size_wh, scale) == side
    assert least_scale(size_wh, side) == pytest.approx(scale, rel=0.01) or side == 1
    for whole, view in zip(size_wh, view_size(size_wh, side), strict=True):
        assert view >= scale * whole
