"""Files that define their colours in every known way, for comparison with browsers.

Each file stores the same values for 24 squares of one colour each. How they look depends on the
profile, chunk, box or marker in the file. Chunks are packed here from their specification,
profiles in `icc_profiles`; no product code is used.
"""

import struct

import numpy as np
from PIL import Image, ImageChops

from tests.support.icc_profiles import (
    SRGB_CURVE,
    gamma_curve,
    grey_profile,
    ink_profile,
    rgb_profile,
)
from tests.support.odd_photos import exif, png_16_bit, png_chunk, raw_png, saved

SQUARE = 16  # px; whole JPEG blocks with any subsampling
ACROSS, DOWN = 6, 4

# Stored values of the squares: red, green, blue.
COLOURS = np.array(
    [
        [(0, 0, 0), (16, 16, 16), (48, 48, 48), (96, 96, 96), (128, 128, 128), (176, 176, 176)],
        [(216, 216, 216), (255, 255, 255), (200, 60, 60), (60, 160, 60), (60, 60, 200),
         (190, 190, 70)],
        [(70, 180, 190), (180, 80, 190), (230, 180, 150), (110, 70, 50), (120, 150, 210),
         (90, 120, 60)],
        [(150, 100, 150), (60, 90, 120), (220, 200, 180), (30, 60, 40), (140, 140, 120),
         (100, 128, 128)],
    ],
    np.uint8,
)  # fmt: skip


def squares(colours: np.ndarray = COLOURS) -> np.ndarray:
    """Draw the picture: uint8 [64, 96, 3]."""
    return np.repeat(np.repeat(colours, SQUARE, axis=0), SQUARE, axis=1)


def levels(pixels: np.ndarray) -> np.ndarray:
    """Average the middle of each square in a picture [64, 96, ...]: [4, 6, ...]."""
    blocks = pixels.reshape(DOWN, SQUARE, ACROSS, SQUARE, -1).astype(float)
    return blocks[:, 4:12, :, 4:12].mean(axis=(1, 3))


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """Insert chunks into a PNG after its header."""
    return png[:33] + b"".join(chunks) + png[33:]


def gama(value: int) -> bytes:
    """Make the chunk with the exponent of a file's tone curve, times 100,000."""
    return png_chunk(b"gAMA", struct.pack(">I", value))


def chrm(*xy: float) -> bytes:
    """Make the chunk with the x and y of white, red, green and blue."""
    return png_chunk(b"cHRM", struct.pack(">8I", *(round(100_000 * v) for v in xy)))


def cicp(primaries: int, transfer: int, matrix: int = 0, full: int = 1) -> bytes:
    """Make the chunk with code points of ITU-T H.273."""
    return png_chunk(b"cICP", bytes([primaries, transfer, matrix, full]))


def clli(most: int) -> bytes:
    """Make the chunk with a picture's maximum light level, cd/m²."""
    return png_chunk(b"cLLI", struct.pack(">II", most * 10_000, most * 1_000))


def mdcv(most: int) -> bytes:
    """Make the chunk with the maximum luminance of the mastering display, cd/m²."""
    primaries = (35_400, 14_600, 8_500, 39_850, 6_550, 2_300, 15_635, 16_450)
    return png_chunk(b"mDCV", struct.pack(">8HII", *primaries, most * 10_000, 50))


def lit_avif(most: int) -> bytes:
    """Make a PQ AVIF with the picture's maximum light level in place of its `pixi` box."""
    data = tagged_avif(9, 16)
    at = data.index(b"pixi")
    return data[:at] + b"clli" + struct.pack(">HHI", most, most // 10, 0) + data[at + 12 :]


def tagged_avif(primaries: int, transfer: int, colours: np.ndarray = COLOURS) -> bytes:
    """Make an AVIF whose colour box (nclx) has these code points."""
    data = saved(squares(colours), "AVIF", quality=100, subsampling="4:4:4")
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


D65 = (0.3127, 0.3290)
XY_SRGB = (*D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
XY_P3 = (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)


def png_cases() -> dict[str, bytes]:
    """Return files with each kind of PNG colour chunk."""
    plain = saved(squares(), "PNG")
    deep = png_16_bit(squares().astype(np.uint16) * 257)
    grey = saved(Image.fromarray(squares()).convert("L"), "PNG")
    p3 = rgb_profile("p3", SRGB_CURVE)
    packed = saved(squares(), "PNG", icc_profile=p3)
    return {
        "plain.png": plain,
        "gama 1.png": with_chunks(plain, gama(100_000)),
        "gama 45455.png": with_chunks(plain, gama(45_455)),
        "gama 1.8.png": with_chunks(plain, gama(55_556)),
        "gama 3.png": with_chunks(plain, gama(33_333)),
        "gama 0.png": with_chunks(plain, gama(0)),
        "gama grey.png": with_chunks(grey, gama(100_000)),
        "gama srgb.png": with_chunks(plain, gama(100_000), png_chunk(b"sRGB", b"\0")),
        "gama chrm.png": with_chunks(plain, gama(100_000), chrm(*XY_SRGB)),
        "gama chrm p3.png": with_chunks(plain, gama(45_455), chrm(*XY_P3)),
        "chrm p3.png": with_chunks(plain, chrm(*XY_P3)),
        "chrm broken.png": with_chunks(plain, gama(100_000), chrm(*(0.0,) * 8)),
        "cicp srgb.png": with_chunks(plain, cicp(1, 13)),
        "cicp p3.png": with_chunks(plain, cicp(12, 13)),
        "cicp 2020.png": with_chunks(plain, cicp(9, 14)),
        "cicp 709.png": with_chunks(plain, cicp(1, 1)),
        "cicp linear.png": with_chunks(plain, cicp(1, 8)),
        "cicp 2.2.png": with_chunks(plain, cicp(1, 4)),
        "cicp 2.8.png": with_chunks(plain, cicp(1, 5)),
        "cicp pq.png": with_chunks(plain, cicp(9, 16)),
        "cicp pq 16.png": with_chunks(deep, cicp(9, 16)),
        "cicp pq p3.png": with_chunks(plain, cicp(12, 16)),
        "cicp hlg.png": with_chunks(plain, cicp(9, 18)),
        "cicp pq 400.png": with_chunks(plain, cicp(9, 16), clli(400)),
        "cicp pq 150.png": with_chunks(plain, cicp(9, 16), clli(150)),
        "cicp pq 4000.png": with_chunks(plain, cicp(9, 16), mdcv(4000)),
        "cicp pq both.png": with_chunks(plain, cicp(9, 16), clli(300), mdcv(4000)),
        "cicp pq 0.png": with_chunks(plain, cicp(9, 16), clli(0)),
        "cicp hlg 400.png": with_chunks(plain, cicp(9, 18), clli(400)),
        "cicp unknown.png": with_chunks(plain, cicp(2, 2)),
        "cicp narrow.png": with_chunks(plain, cicp(12, 13, 0, 0)),
        "cicp before icc.png": with_chunks(packed, cicp(1, 8)),
        "icc before gama.png": with_chunks(packed, gama(100_000)),
        "cicp grey.png": with_chunks(grey, cicp(12, 8)),
        "cicp hlg 709.png": with_chunks(plain, cicp(1, 18)),
        "cicp hlg p3.png": with_chunks(plain, cicp(12, 18)),
        "cicp 1361.png": with_chunks(plain, cicp(12, 12)),
        "cicp dci.png": with_chunks(plain, cicp(11, 17)),
        "cicp xyz.png": with_chunks(plain, cicp(10, 8)),
        "cicp 240.png": with_chunks(plain, cicp(7, 7)),
        "cicp 470m.png": with_chunks(plain, cicp(4, 4)),
        "cicp film.png": with_chunks(plain, cicp(8, 13)),
        "cicp ebu.png": with_chunks(plain, cicp(22, 13)),
        "cicp log.png": with_chunks(plain, cicp(1, 9)),
        "cicp no primaries.png": with_chunks(plain, cicp(2, 8)),
        "gama 45455 chrm.png": with_chunks(plain, gama(45_455), chrm(*XY_SRGB)),
        "gama 47500.png": with_chunks(plain, gama(47_500)),
        "gama 43000.png": with_chunks(plain, gama(43_000)),
        "gama 10.png": with_chunks(plain, gama(1_000_000)),
        "gama palette.png": with_chunks(
            saved(Image.fromarray(squares()).quantize(64), "PNG"), gama(100_000)
        ),
        "cicp alpha.png": with_chunks(saved(half_clear(), "PNG"), cicp(12, 13)),
        "gama alpha.png": with_chunks(saved(half_clear(), "PNG"), gama(100_000)),
    }  # fmt: skip


def half_clear() -> np.ndarray:
    """Draw the squares with the left half at an opacity of .4: uint8 [64, 96, 4]."""
    alpha = np.full((DOWN * SQUARE, ACROSS * SQUARE), 255, np.uint8)
    alpha[:, : 3 * SQUARE] = 102
    return np.dstack([squares(), alpha])


def key_cases() -> dict[str, bytes]:
    """Return grey PNGs of every bit depth in which one stored value is transparent."""
    found = {}
    for depth in (1, 2, 4, 8, 16):
        most = 2**depth - 1
        stored = np.round(squares()[..., 1] / 255 * most).astype(np.uint32)
        key = int(stored[8, 4 * SQUARE + 8])
        bits = np.unpackbits(stored.astype(">u4").view(np.uint8).reshape(*stored.shape, 4), axis=2)
        rows = np.packbits(bits[..., 32 - depth :].reshape(len(stored), -1), axis=1)
        data = b"".join(b"\0" + row.tobytes() for row in rows)
        chunk = png_chunk(b"tRNS", struct.pack(">H", key))
        found[f"grey key {depth}.png"] = raw_png(96, 64, depth, 0, data, chunk)
    return found


def profile_cases() -> dict[str, bytes]:
    """Return PNGs and JPEGs with ICC profiles."""
    grey = Image.fromarray(squares()).convert("L")
    quality = {"quality": 100, "subsampling": 0}
    linear = rgb_profile("srgb", gamma_curve(1.0))
    named = rgb_profile("srgb", gamma_curve(1.0), "sRGB IEC61966-2.1")
    return {
        "icc linear srgb.png": saved(squares(), "PNG", icc_profile=named),
        "icc linear srgb.jpg": saved(squares(), "JPEG", icc_profile=named, **quality),
        "icc p3.jpg": saved(
            squares(), "JPEG", icc_profile=rgb_profile("p3", SRGB_CURVE), **quality
        ),
        "icc adobe.jpg": saved(
            squares(), "JPEG", icc_profile=rgb_profile("adobe", gamma_curve(563 / 256)), **quality
        ),
        "icc prophoto.png": saved(
            squares(), "PNG", icc_profile=rgb_profile("prophoto", gamma_curve(1.8))
        ),
        "icc p3.webp": saved(
            squares(), "WEBP", lossless=True, icc_profile=rgb_profile("p3", SRGB_CURVE)
        ),
        "icc p3.avif": saved(
            squares(), "AVIF", quality=100, subsampling="4:4:4",
            icc_profile=rgb_profile("p3", SRGB_CURVE),
        ),
        "icc pq.png": saved(squares(), "PNG", icc_profile=_coded(9, 16)),
        "icc hlg.jpg": saved(squares(), "JPEG", icc_profile=_coded(9, 18), **quality),
        "icc srgb.png": saved(squares(), "PNG", icc_profile=rgb_profile("srgb", SRGB_CURVE)),
        "icc rgb on grey.png": saved(grey, "PNG", icc_profile=linear),
        "icc rgb on grey.jpg": saved(grey, "JPEG", icc_profile=linear, quality=100),
        "icc grey on grey.png": saved(grey, "PNG", icc_profile=grey_profile(gamma_curve(1.0))),
        "icc grey on grey.jpg": saved(
            grey, "JPEG", icc_profile=grey_profile(gamma_curve(1.0)), quality=100
        ),
        "icc grey on rgb.png": saved(squares(), "PNG", icc_profile=grey_profile(gamma_curve(1.0))),
        "icc grey on rgb.jpg": saved(
            squares(), "JPEG", icc_profile=grey_profile(gamma_curve(1.0)), **quality
        ),
    }  # fmt: skip


def _coded(primaries: int, transfer: int) -> bytes:
    """Make a profile whose code points take precedence over its curve."""
    points = bytes([primaries, transfer, 0, 1])
    return rgb_profile("p3", gamma_curve(2.2), points=points)


def ink_cases() -> dict[str, bytes]:
    """Return four-channel JPEGs: CMYK and YCCK, with and without Adobe's marker."""
    inks = Image.fromarray(squares()).convert("CMYK")
    black = np.asarray(inks).copy()
    black[..., 3] = 64
    inks = Image.fromarray(black, "CMYK")
    adobe = saved(inks, "JPEG", quality=100)
    at = adobe.index(b"\xff\xee")
    plain = adobe[:at] + adobe[at + 16 :]
    ycck = adobe[: at + 15] + b"\2" + adobe[at + 16 :]
    return {
        "cmyk adobe.jpg": adobe,
        "cmyk plain.jpg": plain,
        "ycck.jpg": ycck,
        "cmyk inverted.jpg": saved(ImageChops.invert(inks), "JPEG", quality=100),
        "cmyk rgb profile.jpg": saved(
            inks, "JPEG", quality=100, icc_profile=rgb_profile("srgb", gamma_curve(1.0))
        ),
        "cmyk profile.jpg": saved(inks, "JPEG", quality=100, icc_profile=ink_profile()),
    }


def avif_cases() -> dict[str, bytes]:
    """Return AVIFs with code points in their colour box."""
    points = {
        "srgb": (1, 13), "p3": (12, 13), "2020": (9, 14), "709": (1, 1), "601": (6, 6),
        "linear": (1, 8), "2.2": (1, 4), "2.8": (1, 5), "pq": (9, 16), "hlg": (9, 18),
        "unspecified": (2, 2), "dci": (11, 17), "470bg": (5, 5), "p3 alone": (12, 2),
        "linear alone": (2, 8), "240": (7, 7), "470m": (4, 4), "ebu": (22, 13), "pq p3": (12, 16),
        "reserved primaries": (3, 8), "reserved curve": (12, 19), "hlg 709": (1, 18),
        "no primaries": (0, 8), "no curve": (12, 0), "reserved curve 3": (12, 3),
    }  # fmt: skip
    tagged = {f"nclx {name}.avif": tagged_avif(*pair) for name, pair in points.items()}
    return tagged | {"nclx pq 400.avif": lit_avif(400)}


def other_cases() -> dict[str, bytes]:
    """Return files with orientations, a 16-bit colour key, and a GIF with a small first frame."""
    deep = (squares().astype(np.uint16) * 257 + 5).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    key = png_chunk(b"tRNS", deep[8, 80].tobytes())
    odd = deep.copy()
    odd[:, ::2] ^= 64  # only low bytes
    low = b"".join(b"\0" + row.tobytes() for row in odd)
    first = Image.fromarray(squares())
    moving = {"save_all": True, "append_images": [first], "default_image": True}
    stored = exif(3)
    return {
        "turned.jpg": saved(squares(), "JPEG", quality=100, subsampling=0, exif=exif(3)),
        "turned.png": saved(squares(), "PNG", exif=exif(3)),
        "turned.avif": saved(squares(), "AVIF", quality=100, subsampling="4:4:4", exif=exif(3)),
        "mirrored.avif": saved(squares(), "AVIF", quality=100, subsampling="4:4:4", exif=exif(4)),
        "deep key.png": raw_png(96, 64, 16, 2, rows, key),
        "deep key low.png": raw_png(96, 64, 16, 2, low, key),
        "short palette.png": short_palette(),
        "default image.png": saved(ImageChops.invert(first), "PNG", **moving),
        "turned with another byte.jpg": saved(
            squares(), "JPEG", quality=100, subsampling=0, exif=stored
        ).replace(b"Exif\0\0", b"Exif\0\xff"),
        "exif twice.jpg": saved(
            squares(), "JPEG", quality=100, subsampling=0, exif=exif(1)
        ).replace(b"\xff\xdb", _exif_segment(3) + b"\xff\xdb", 1),
        "small frame.gif": small_gif(),
    }


def _exif_segment(orientation: int) -> bytes:
    block = exif(orientation)
    return b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block


def short_palette() -> bytes:
    """Make a PNG of the squares' indices with a palette that lacks the last eight."""
    stored = np.arange(DOWN * ACROSS, dtype=np.uint8).reshape(DOWN, ACROSS)
    rows = b"".join(b"\0" + row.tobytes() for row in squares(stored[..., None])[..., 0])
    colours = COLOURS.reshape(-1, 3)[:-8].tobytes()
    return raw_png(96, 64, 8, 3, rows, png_chunk(b"PLTE", colours))


def small_gif() -> bytes:
    """Make a GIF whose first frame leaves the right and lower parts of its canvas empty."""
    part = Image.fromarray(squares()[: 2 * SQUARE, : 3 * SQUARE]).quantize(64)
    data = saved(part, "GIF")
    return data[:6] + struct.pack("<HH", ACROSS * SQUARE, DOWN * SQUARE) + data[10:]


def colour_cases() -> dict[str, bytes]:
    """Return all files, by name."""
    return png_cases() | key_cases() | profile_cases() | ink_cases() | avif_cases() | other_cases()
