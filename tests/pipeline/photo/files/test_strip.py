"""Bad metadata never costs the picture: texts, previews, odd profiles, damaged EXIF."""

import struct
import zlib

import numpy as np
import pytest

from pipeline.photo.animations.animation import decode_frames
from pipeline.photo.decode import decode
from pipeline.photo.files.segments import jpeg_segments
from pipeline.photo.files.strip import orientation_of, png_chunks, stripped
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.sandbox.decoder import Decoder
from tests.support.odd_photos import (
    exif,
    good_photos,
    linear_profile,
    png_chunk,
    saved,
    scene,
    turned,
)

SCENE = scene()
PNG, JPEG = saved(SCENE, "PNG"), saved(SCENE, "JPEG", quality=95, subsampling=0)
XMP = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta tiff:Orientation='6'/>"


def segment(marker: int, body: bytes, length: int | None = None) -> bytes:
    """A segment of a JPEG; `length` is what it states of itself."""
    return struct.pack(">HH", 0xFF00 | marker, len(body) + 2 if length is None else length) + body


def in_png(*chunks: bytes) -> bytes:
    """The scene as a PNG with chunks before its pixels."""
    at = PNG.index(b"IDAT") - 4
    return PNG[:at] + b"".join(chunks) + PNG[at:]


def in_jpeg(*segments: bytes) -> bytes:
    """The scene as a JPEG with segments at its start."""
    return JPEG[:2] + b"".join(segments) + JPEG[2:]


def wrong_sum(chunk: bytes) -> bytes:
    return chunk[:-1] + bytes([chunk[-1] ^ 1])


def text(keyword: bytes, body: bytes) -> bytes:
    return png_chunk(b"zTXt", keyword + b"\0\0" + zlib.compress(body, 9))


IN_PNG = {
    "text with a wrong sum": wrong_sum(png_chunk(b"tEXt", b"a\0b")),
    "compressed text of 3 MB": text(b"a", bytes(3 << 20)),
    "compressed text, no zlib": png_chunk(b"zTXt", b"a\0\0nothing"),
    "compressed text, unknown method": png_chunk(b"zTXt", b"a\0\7xx"),
    "forty texts of 3 MB": b"".join(text(b"%d" % n, bytes(3 << 20)) for n in range(40)),
    "international text, broken": png_chunk(b"iTXt", b"a\0\1\0\0\0xx"),
    "no keyword": png_chunk(b"tEXt", b""),
    "short pHYs": png_chunk(b"pHYs", b"\0\0\0"),
    "empty gAMA": png_chunk(b"gAMA", b""),
    "short cHRM": png_chunk(b"cHRM", bytes(7)),
    "empty sRGB": png_chunk(b"sRGB", b""),
    "sRGB with a wrong sum": wrong_sum(png_chunk(b"sRGB", b"\0")),
    "short tRNS": png_chunk(b"tRNS", b"\0"),
    "tRNS with a wrong sum": wrong_sum(png_chunk(b"tRNS", b"\0\xc8\0\x28\0\x28")),
    "profile of 3 MB": png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(3 << 20))),
    "profile of an unknown method": png_chunk(b"iCCP", b"x\0\1abc"),
    "profile without a name": png_chunk(b"iCCP", b""),
    "profile with a wrong sum": wrong_sum(
        png_chunk(b"iCCP", b"x\0\0" + zlib.compress(linear_profile(b"RGB ")))
    ),
    "broken EXIF": png_chunk(b"eXIf", b"II*\0\xff\xff\xff\x7f"),
    "EXIF with a wrong sum": wrong_sum(png_chunk(b"eXIf", exif(6)[6:])),
    "XMP that turns": png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP[29:]),
    "EXIF in a text": png_chunk(b"tEXt", b"Raw profile type exif\0\nexif\n  6\n49492a00"),
    "animation of no frames": png_chunk(b"acTL", bytes(8)),
    "short acTL": png_chunk(b"acTL", bytes(3)),
    "fcTL with a wrong sum": png_chunk(b"acTL", struct.pack(">II", 2, 0))
    + wrong_sum(png_chunk(b"fcTL", bytes(26))),
    "unknown, empty": png_chunk(b"abCd", b""),
}

IN_JPEG = {
    "XMP that turns": segment(0xE1, XMP),
    "short ICC": segment(0xE2, b"ICC_PROFILE\0\1"),
    "MPF": segment(0xE2, b"MPF\0II*\0\xff\xff\xff\xff"),
    "FlashPix": segment(0xE2, b"FPXR\0\0"),
    "short JFIF": segment(0xE0, b"JFIF\0\1"),
    "empty APP0": segment(0xE0, b""),
    "length 0": segment(0xED, b"Photoshop 3.0\0", 0),
    "length 1": segment(0xFE, b"words", 1),
    "length beyond the end": segment(0xEC, b"Ducky", 0xFFFF),
    "broken Photoshop block": segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\xff"),
    "short Adobe": segment(0xEE, b"Adobe\0"),
    "broken EXIF": segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\x7f"),
    "empty EXIF": segment(0xE1, b"Exif\0\0"),
    "comment of 64 kB": segment(0xFE, b"\xff\xda" * 32_000),
    "two hundred comments": segment(0xFE, b"\xff\xd8\xff\xe1" * 500) * 200,
}


@pytest.mark.parametrize("name", IN_PNG)
def test_no_chunk_costs_a_png_its_picture(name: str) -> None:
    data = in_png(IN_PNG[name])
    photo = decode(data)
    assert (photo.orientation, photo.alpha) == (1, None)
    np.testing.assert_array_equal(photo.pixels, SCENE)


@pytest.mark.parametrize("name", IN_JPEG)
def test_no_segment_costs_a_jpeg_its_picture(name: str) -> None:
    photo = decode(in_jpeg(IN_JPEG[name]))
    assert photo.orientation == 1
    np.testing.assert_array_equal(photo.pixels, decode(JPEG).pixels)


def test_the_child_leaves_out_the_same() -> None:
    small = DecodeLimits(memory_bytes=1 << 30)
    with Decoder(small) as decoder:
        for chunk in IN_PNG.values():
            np.testing.assert_array_equal(decoder.decode(in_png(chunk)).pixels, SCENE)
        for one in IN_JPEG.values():
            assert decoder.decode(in_jpeg(one)).pixels.shape == SCENE.shape


def test_what_is_needed_stays() -> None:
    profile = linear_profile(b"RGB ")
    for format in ("PNG", "JPEG"):
        data = saved(turned(SCENE, 6), format, exif=exif(6, gps=True), icc_profile=profile)
        assert decode(data).orientation == 6
        plain = decode(saved(SCENE, format, icc_profile=profile)).pixels.astype(int)
        assert np.abs(decode(data).pixels - plain).mean() < 3
        assert plain.mean() > SCENE.mean() + 20  # the linear profile makes it brighter
    for name in ("cmyk adobe.jpg", "palette transparent.png", "colour key.png", "animated.png"):
        assert decode(good_photos()[name]).width_px in (320, 64)
    moving = decode_frames(good_photos()["animated.png"], DecodeLimits(), 1024)
    assert len(moving.views) == 2


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_orientation_is_read_from_the_first_directory(order: str) -> None:
    start = {"<": b"II*\0", ">": b"MM\0*"}[order]
    entries = [(0x010F, 2, 1, 0), (0x0112, 3, 1, 5)]
    table = b"".join(struct.pack(order + "HHIHH", *entry, 0) for entry in entries)
    block = start + struct.pack(order + "IH", 8, len(entries)) + table
    assert orientation_of(block) == 5
    assert orientation_of(block[:-4]) == 1  # cut
    assert orientation_of(block.replace(struct.pack(order + "HHI", 0x112, 3, 1), bytes(8))) == 1
    assert orientation_of(b"") == orientation_of(b"II*\0") == orientation_of(bytes(40)) == 1


def test_a_file_that_is_all_picture_is_not_copied() -> None:
    for data, format in ((PNG, "png"), (JPEG, "jpeg"), (b"RIFFxxxxWEBP", "webp")):
        assert stripped(data, format).data is data


def test_nothing_of_the_owner_reaches_the_decoder() -> None:
    data = saved(SCENE, "JPEG", exif=exif(6, gps=True), comment=b"me")
    assert b"SecretCamera" in data
    kept = stripped(data, "jpeg").data
    assert b"SecretCamera" not in kept
    assert b"me" not in kept[:200]
    markers = [marker for _, _, marker in jpeg_segments(kept)]
    assert not {0xE1, 0xFE} & set(markers)
    assert stripped(data, "jpeg").orientation == 6
    png = saved(SCENE, "PNG", exif=exif(6, gps=True))
    assert b"SecretCamera" not in stripped(png, "png").data
    names = [name for name, _, _ in png_chunks(stripped(png, "png").data)]
    assert names[0] == b"IHDR"
    assert names[-1] == b"IEND"
    assert b"eXIf" not in names
    assert stripped(png, "png").orientation == 6
