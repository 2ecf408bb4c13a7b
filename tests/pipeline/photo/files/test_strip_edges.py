"""Edge cases of stripping files: which parts stay and which go; lengths by the specifications."""

import struct
import zlib

import pytest

from pipeline.photo.files.png_colour import png_meaning
from pipeline.photo.files.segments import jpeg_segments
from pipeline.photo.files.strip import (
    MOST_PNG_PROFILE,
    orientation_of,
    png_checksum_is_right,
    png_chunks,
    stripped,
)
from pipeline.photo.spaces import SRGB_XY, Space
from tests.support.odd_photos import exif, linear_profile, png_chunk, saved, scene

PNG, JPEG = saved(scene(16, 16), "PNG"), saved(scene(16, 16), "JPEG")
START = b"\x89PNG\r\n\x1a\n"


def png(colour: int, *chunks: bytes, behind: bytes = b"") -> bytes:
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, colour, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(5)))
    return START + b"".join([head, *chunks, pixels]) + behind + png_chunk(b"IEND", b"")


def kept(data: bytes) -> list[bytes]:
    """The names of the chunks that are left, but for those that every PNG has."""
    found = [name for name, _, _ in png_chunks(stripped(data, "png").data)]
    return [name for name in found if name not in (b"IHDR", b"IDAT", b"IEND")]


# Chunks beside the picture and how long each is: PNG third edition, 11.3.
LENGTHS = {b"sRGB": 1, b"gAMA": 4, b"cICP": 4, b"cHRM": 32}


@pytest.mark.parametrize("name", LENGTHS)
def test_chunks_of_colour_stay_where_they_have_their_length(name: bytes) -> None:
    length = LENGTHS[name]
    assert kept(png(2, png_chunk(name, b"\1" * length))) == [name]
    for other in (length - 1, length + 1):
        assert kept(png(2, png_chunk(name, b"\1" * other))) == []


@pytest.mark.parametrize(
    ("colour", "length", "stays"),
    [(0, 2, True), (0, 1, False), (0, 3, False), (2, 6, True), (2, 5, False), (2, 7, False),
     (3, 1, True), (3, 256, True), (3, 0, False), (3, 257, False), (4, 2, False), (6, 6, False)],
)  # fmt: skip
def test_what_is_transparent_fits_the_kind_of_pixels(colour: int, length: int, stays: bool) -> None:
    assert kept(png(colour, png_chunk(b"tRNS", bytes(length)))) == [b"tRNS"] * stays


@pytest.mark.parametrize(
    ("title", "rest", "stays"),
    [
        (b"x", b"\0" + zlib.compress(b"profile"), True),
        (b"x" * 79, b"\0" + zlib.compress(b"profile"), True),
        (b"x" * 80, b"\0" + zlib.compress(b"profile"), False),
        (b"", b"\0" + zlib.compress(b"profile"), False),
        (b"x", b"\1" + zlib.compress(b"profile"), False),
        (b"x", b"\0" + zlib.compress(b""), False),
        (b"x", b"\0" + zlib.compress(b"profile")[:-1], False),
        (b"x", b"\0nothing packed", False),
        (b"x", b"\0" + zlib.compress(bytes(MOST_PNG_PROFILE)), True),
        (b"x", b"\0" + zlib.compress(bytes(MOST_PNG_PROFILE + 1)), False),
    ],
)
def test_a_profile_stays_where_it_can_be_unpacked(title: bytes, rest: bytes, stays: bool) -> None:
    assert kept(png(2, png_chunk(b"iCCP", title + b"\0" + rest))) == [b"iCCP"] * stays


def test_the_largest_profile_is_a_megabyte() -> None:
    assert MOST_PNG_PROFILE == 1024**2


def test_parts_of_a_moving_picture_stay_together_or_go_together() -> None:
    control = png_chunk(b"acTL", struct.pack(">II", 1, 0))
    frame = png_chunk(b"fcTL", bytes(26))
    more = png_chunk(b"fdAT", bytes(9))
    assert kept(png(2, control, frame, behind=more)) == [b"acTL", b"fcTL", b"fdAT"]
    for broken in (png_chunk(b"acTL", bytes(7)), control[:-1] + b"\0"):
        assert kept(png(2, broken, frame, behind=more)) == []
    assert kept(png(2, control, png_chunk(b"fcTL", bytes(25)), behind=more)) == []


def test_texts_go_and_pixels_stay_as_they_were() -> None:
    text = png_chunk(b"tEXt", b"a\0b")
    assert stripped(png(2, text, behind=text), "png").data == png(2)
    gamma = png_chunk(b"gAMA", struct.pack(">I", 100_000))
    assert stripped(png(2, text, gamma, text), "png").data == png(2, gamma)
    whole = png(2)
    assert stripped(whole + b"behind the end", "png").data is not whole
    assert [name for name, _, _ in png_chunks(whole + b"behind")] == [b"IHDR", b"IDAT", b"IEND"]


def test_a_wrong_sum_tells_nothing() -> None:
    gamma = png_chunk(b"gAMA", struct.pack(">I", 100_000))
    wrong = gamma[:-1] + bytes([gamma[-1] ^ 1])
    assert stripped(png(2, wrong), "png").space is None
    assert stripped(png(2, gamma), "png").space == Space(SRGB_XY, 1.0)
    assert stripped(png(2, behind=gamma), "png").space is None  # behind the pixels
    half = png_chunk(b"gAMA", struct.pack(">I", 50_000))
    assert stripped(png(2, gamma, half), "png").space == Space(SRGB_XY, 1.0)  # the first counts
    turned = png_chunk(b"eXIf", exif(6)[6:])
    assert stripped(png(2, turned), "png").orientation == 6
    both = (png_chunk(b"eXIf", exif(3)[6:]), turned)
    assert stripped(png(2, *both), "png").orientation == 3  # the first counts
    assert stripped(png(2, turned[:-1] + bytes([turned[-1] ^ 1])), "png").orientation == 1
    assert stripped(png(2, png_chunk(b"eXIg", exif(6)[6:])), "png").orientation == 1
    (name, start, end), *_ = png_chunks(PNG)
    assert png_checksum_is_right(PNG, name, start, end)
    assert not png_checksum_is_right(PNG, b"IHDS", start, end)


def test_the_shortest_png_that_has_a_kind_of_pixels() -> None:
    """Byte 25 is the kind: 3 has a palette."""
    data = png(3, png_chunk(b"tRNS", b"\1"))
    assert kept(data) == [b"tRNS"]
    assert stripped(data[:25], "png").data == data[:25]
    assert stripped(START, "png").data == START


@pytest.mark.parametrize(
    ("chunks", "space"),
    [
        ({}, None),
        ({b"gAMA": 45_455}, None),
        ({b"gAMA": 43_183}, None),  # within a twentieth of 1 / 2.2
        ({b"gAMA": 43_181}, 100_000 / 43_181),
        ({b"gAMA": 47_727}, None),
        ({b"gAMA": 47_729}, 100_000 / 47_729),
        ({b"gAMA": 0}, None),
        ({b"gAMA": 100_000, b"sRGB": 0}, None),
        ({b"gAMA": 100_000, b"iCCP": 0}, None),
    ],
)
def test_the_exponent_of_a_file(chunks: dict[bytes, int], space: float | None) -> None:
    found = png_meaning({name: struct.pack(">I", value) for name, value in chunks.items()})
    assert (found and found.curve) == (space and pytest.approx(space))
    assert found is None or found.xy == SRGB_XY


def test_primaries_of_a_file_count_with_an_exponent() -> None:
    gamma = struct.pack(">I", 45_455)
    numbers = (31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)
    found = png_meaning({b"gAMA": gamma, b"cHRM": struct.pack(">8I", *numbers)})
    assert found is not None
    assert found.xy == pytest.approx((0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06))
    assert found.curve == pytest.approx(2.19998, abs=1e-4)
    for lacking in (1, 3, 5, 7):
        broken = [0 if place == lacking else one for place, one in enumerate(numbers)]
        assert png_meaning({b"gAMA": gamma, b"cHRM": struct.pack(">8I", *broken)}) is None
    without_x = [0 if place == 6 else one for place, one in enumerate(numbers)]
    assert png_meaning({b"gAMA": gamma, b"cHRM": struct.pack(">8I", *without_x)}) is not None
    assert png_meaning({b"cHRM": struct.pack(">8I", *numbers)}) is None


def test_the_brightest_light_of_a_file() -> None:
    coded = {b"cICP": bytes([9, 16, 0, 1])}
    screen = bytes(16) + struct.pack(">II", 6_000_000, 50)
    assert png_meaning(coded).peak_nits == 1000  # type: ignore[union-attr]
    found = png_meaning({**coded, b"mDCV": screen})
    assert found is not None
    assert found.peak_nits == 600
    found = png_meaning({**coded, b"mDCV": screen, b"cLLI": struct.pack(">II", 4_000_000, 9)})
    assert found is not None
    assert found.peak_nits == 400


def webp(*chunks: tuple[bytes, bytes], flags: int = 8) -> bytes:
    first = b"VP8X" + struct.pack("<I", 10) + bytes([flags]) + bytes(9)
    body = first + b"".join(
        name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


@pytest.mark.parametrize(
    ("data", "orientation"),
    [
        (webp((b"EXIF", exif(6)[6:])), 6),
        (webp((b"EXIF", exif(6))), 6),  # some begin as in a JPEG
        (webp((b"EXIF", exif(6)[6:]), flags=0), 1),
        (webp((b"EXIF", exif(6)[6:]), flags=0xFF), 6),
        (webp((b"VP8 ", b"odd"), (b"EXIF", exif(6)[6:])), 6),  # a byte is filled in
        (webp((b"VP8 ", b"even"), (b"EXIF", exif(6)[6:])), 6),
        (webp((b"VP8 ", b"even")), 1),
        (webp(), 1),
        (webp((b"EXIF", exif(6)[6:])).replace(b"VP8X", b"VP8L"), 1),
    ],
)
def test_orientation_of_a_webp(data: bytes, orientation: int) -> None:
    assert stripped(data, "webp").orientation == orientation


def test_orientation_is_one_number_from_one_to_eight() -> None:
    """TIFF 6.0, section 2: tag 0x112, of type 3, one value, in the first directory."""

    def block(
        *entries: tuple[int, int, int, int], order: str = "<", count: int | None = None
    ) -> bytes:
        start = b"II*\0" if order == "<" else b"MM\0*"
        table = b"".join(struct.pack(order + "HHIHH", *one, 0) for one in entries)
        number = len(entries) if count is None else count
        return start + struct.pack(order + "IH", 8, number) + table

    right = (0x0112, 3, 1, 6)
    assert [orientation_of(block((0x0112, 3, 1, n))) for n in range(10)] == [
        1, 1, 2, 3, 4, 5, 6, 7, 8, 1,
    ]  # fmt: skip
    for wrong in ((0x0112, 4, 1, 6), (0x0112, 3, 2, 6), (0x0113, 3, 1, 6)):
        assert orientation_of(block(wrong)) == 1
    assert orientation_of(block((0x0112, 4, 1, 6), right)) == 1  # the first decides
    assert orientation_of(block((1, 3, 1, 6), right)) == 6
    assert orientation_of(block((1, 3, 1, 6), right, count=1)) == 1
    assert orientation_of(block(right, count=900)) == 6
    assert orientation_of(block(right, order=">")) == 6
    assert orientation_of(block(right)[:-1]) == 1
    assert orientation_of(block(right) + b"\0") == 6
    assert orientation_of(b"II*\0\x08\0\0\0") == 1
    assert orientation_of(b"II*\0\x06\0\0\0" + bytes(9)) == 1
    moved = b"II*\0" + struct.pack("<I", 20) + bytes(12) + block(right)[8:]
    assert orientation_of(moved) == 6


def segment(marker: int, body: bytes, length: int | None = None) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", length or len(body) + 2) + body


def in_jpeg(*segments: bytes) -> bytes:
    return JPEG[:2] + b"".join(segments) + JPEG[2:]


PLAIN = {marker for _, _, marker in jpeg_segments(JPEG)}


@pytest.mark.parametrize(
    ("marker", "body", "stays"),
    [
        (0xE2, b"ICC_PROFILE\0\1\1x", True),
        (0xE2, b"ICC_PROFILE\0\1\1", False),
        (0xE2, b"ICC_PROFILX\0\1\1x", False),
        (0xEE, b"Adobe\0\x64\0\0\0\0\1", True),
        (0xEE, b"Adobe\0\x64\0\0\0\0", False),
        (0xEE, b"Adobx\0\x64\0\0\0\0\1", False),
        (0xE1, b"Adobe\0\x64\0\0\0\0\1", False),
        (0xED, b"ICC_PROFILE\0\1\1x", False),
        (0xEF, b"anything at all", False),
        (0xFE, b"a comment", False),
        (0xF0, b"of an extension", True),
        (0xFD, b"of an extension", True),
    ],
)
def test_segments_that_say_something_of_colours_stay(marker: int, body: bytes, stays: bool) -> None:
    left = [
        one for _, _, one in jpeg_segments(stripped(in_jpeg(segment(marker, body)), "jpeg").data)
    ]
    assert (marker in left) is stays
    assert set(left) >= PLAIN


@pytest.mark.parametrize(
    ("body", "stays"), [(b"JFIF\0" + bytes(9), True), (b"JFIF\0" + bytes(8), False)]
)
def test_a_jfif_segment_has_fourteen_bytes(body: bytes, stays: bool) -> None:
    data = JPEG[:2] + segment(0xE0, body) + JPEG[2 + 18 :]
    assert JPEG[2:4] == b"\xff\xe0"
    left = [one for _, _, one in jpeg_segments(stripped(data, "jpeg").data)]
    assert (0xE0 in left) is stays


def test_the_first_exif_counts() -> None:
    """As in Chromium 150: of several blocks the first, if it has more than its name."""

    def turned(number: int) -> bytes:
        return segment(0xE1, exif(number))

    assert stripped(in_jpeg(turned(6)), "jpeg").orientation == 6
    assert stripped(in_jpeg(turned(6), turned(3)), "jpeg").orientation == 6
    assert stripped(in_jpeg(turned(1), turned(3)), "jpeg").orientation == 1
    assert stripped(in_jpeg(segment(0xE1, b"Exif\0\0"), turned(3)), "jpeg").orientation == 3
    assert stripped(in_jpeg(segment(0xE1, b"Exif\0\0?"), turned(3)), "jpeg").orientation == 1
    filled = segment(0xE1, b"Exif\0\xff" + exif(6)[6:])  # the sixth byte means nothing
    assert stripped(in_jpeg(filled), "jpeg").orientation == 6
    assert stripped(in_jpeg(segment(0xE1, b"Exif" + exif(6)[6:])), "jpeg").orientation == 1
    assert stripped(in_jpeg(segment(0xE2, exif(6))), "jpeg").orientation == 1
    for parts in ((turned(6),), (turned(6), turned(3)), (turned(1), turned(3))):
        assert stripped(in_jpeg(*parts), "jpeg").data == JPEG


@pytest.mark.parametrize("odd", [b"\xff\x01", b"\xff\x02\0\4ab", b"words", b"\xff\xff\xff", b"\0"])
def test_what_lies_between_segments_goes(odd: bytes) -> None:
    """In front of the first, between two that stay, and behind one whose end its length tells."""
    at = JPEG.index(b"\xff\xda")
    for data in (in_jpeg(odd), JPEG[:20] + odd + JPEG[20:], JPEG[:at] + odd + JPEG[at:]):
        assert stripped(data, "jpeg").data == JPEG
    assert JPEG[20:22] == b"\xff\xdb"


def test_segments_are_told_by_their_lengths() -> None:
    whole = in_jpeg(segment(0xFE, b"ab"), segment(0xFE, b"", 2))
    found = [(start, end) for start, end, marker in jpeg_segments(whole) if marker == 0xFE]
    assert found == [(2, 8), (8, 12)]
    wrong = in_jpeg(segment(0xFE, b"ab", 1))  # no length: up to the next marker
    assert next(iter(jpeg_segments(wrong))) == (2, 8, 0xFE)
    filled = in_jpeg(segment(0xFE, b"ab") + b"\xff\xff\xff")  # fill bytes before a marker
    assert next(iter(jpeg_segments(filled)))[:2] == (2, 11)
    alone = JPEG[:2] + b"\xff\xd0" + JPEG[2:]
    assert next(iter(jpeg_segments(alone))) == (2, 4, 0xD0)
    assert list(jpeg_segments(b"\xff\xd8\xff\xd9")) == []
    assert list(jpeg_segments(b"\xff\xd8\xff")) == []
    assert list(jpeg_segments(b"\xff\xd8\xff\xfe")) == [(2, 4, 0xFE)]


@pytest.mark.parametrize("start", [0xC0, 0xC1, 0xC3, 0xC5, 0xC7, 0xC9, 0xCB, 0xCD, 0xCF])
def test_a_picture_in_one_scan_is_gone_over_once(start: int) -> None:
    """ITU-T T.81, table B.1: frames that are not progressive."""
    data = (
        b"\xff\xd8" + segment(start, b"\x08\0\1\0\1\1\1\x11\0") + segment(0xDA, b"\1\1\0\0\x3f\0")
    )
    assert stripped(data + b"xx\xff\xda\xff\xd9", "jpeg").scans == 1


@pytest.mark.parametrize("start", [0xC2, 0xC6, 0xCA, 0xCE])
def test_scans_of_a_progressive_picture_are_counted(start: int) -> None:
    scan = segment(0xDA, b"\1\1\0\0\x3f\0")
    data = b"\xff\xd8" + segment(start, b"\x08\0\1\0\1\1\1\x11\0")
    assert stripped(data + scan * 7 + b"\xff\xd9", "jpeg").scans == 7
    assert stripped(data + b"\xff\xd9", "jpeg").scans == 1


@pytest.mark.parametrize("marker", [0xC4, 0xC8, 0xCC])
def test_tables_are_no_frames(marker: int) -> None:
    """Huffman and arithmetic tables have numbers of frames; three components need three scans."""
    frame = segment(0xC0, b"\x08\0\1\0\1\3" + b"\1\x11\0\2\x11\0\3\x11\0")
    table = segment(marker, bytes(5) + b"\1" + bytes(9))
    data = b"\xff\xd8" + frame + table + segment(0xDA, b"\1\1\0\0\x3f\0") * 3 + b"\xff\xd9"
    assert stripped(data, "jpeg").scans == 3


def test_colours_packed_in_a_png_reach_its_decoder() -> None:
    profile = linear_profile(b"RGB ")
    data = saved(scene(16, 16), "PNG", icc_profile=profile)
    assert [n for n, _, _ in png_chunks(stripped(data, "png").data)] == [
        n for n, _, _ in png_chunks(data)
    ]
