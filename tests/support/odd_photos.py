"""A folder of files such as people, phones, programs and attackers upload.

`write_odd_photos(folder)` writes them and returns {file name: the status its row must have}.
Everything is drawn or packed here; nothing is downloaded. Tests of the decoder and of whole runs
use the same folder.
"""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

ORIENTATION, GPS_BLOCK, MAKER = 0x0112, 0x8825, 0x010F


def scene(width: int = 320, height: int = 240) -> np.ndarray:
    """Draw a red, green, blue and grey quarter with a soft gradient: uint8 [height, width, 3]."""
    y, x = np.mgrid[0:height, 0:width]
    picture = np.empty((height, width, 3), dtype=np.uint8)
    left, top = x < width // 2, y < height // 2
    picture[left & top] = (200, 40, 40)
    picture[~left & top] = (40, 180, 40)
    picture[left & ~top] = (40, 40, 200)
    picture[~left & ~top] = (150, 150, 150)
    shade = (x * 40 // max(1, width - 1)).astype(np.uint8)
    return picture + shade[..., None]


def turned(upright: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an upright photo as a camera stores it for an EXIF orientation (TIFF 6.0, page 36)."""
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]


def exif(orientation: int = 1, gps: bool = False) -> bytes:
    """Make an EXIF block."""
    block = Image.Exif()
    block[ORIENTATION] = orientation
    block[MAKER] = "SecretCamera"
    if gps:
        block[GPS_BLOCK] = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}
    return block.tobytes()


def saved(pixels: np.ndarray | Image.Image, format: str, **options: object) -> bytes:
    """Encode the pixels as a file."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def png_chunk(name: bytes, body: bytes) -> bytes:
    """Make a PNG chunk with its checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def raw_png(width: int, height: int, depth: int, colour: int, rows: bytes, *more: bytes) -> bytes:
    """Make a PNG that Pillow cannot write, from its parts; `more` chunks precede the data."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = png_chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [png_chunk(b"IHDR", header), *more, data, png_chunk(b"IEND", b"")]
    )


def png_16_bit(values: np.ndarray) -> bytes:
    """Make a 16-bit PNG of uint16 [h, w] (grey) or [h, w, 3] values."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return raw_png(width, height, 16, 0 if values.ndim == 2 else 2, rows)


def linear_profile(space: bytes) -> bytes:
    """Make a small ICC profile with linear values ("RGB " with sRGB's primaries, or "GRAY").

    ICC.1:2001-04; primaries are sRGB's, adapted to D50.
    """
    fixed = [round(65536 * v) for v in (0.9642, 1.0, 0.8249)]
    d50 = struct.pack(">3i", *fixed)
    line = b"curv" + bytes(8)  # no entries: the identity
    tags = {b"wtpt": b"XYZ \0\0\0\0" + d50}
    text = b"linear light\0"
    tags[b"desc"] = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78)
    tags[b"cprt"] = b"text\0\0\0\0none\0"
    if space == b"GRAY":
        tags[b"kTRC"] = line
    else:
        for name, xyz in (
            (b"r", (0.4361, 0.2225, 0.0139)),
            (b"g", (0.3851, 0.7169, 0.0971)),
            (b"b", (0.1431, 0.0606, 0.7141)),
        ):
            fixed = [round(65536 * v) for v in xyz]
            tags[name + b"XYZ"] = b"XYZ \0\0\0\0" + struct.pack(">3i", *fixed)
            tags[name + b"TRC"] = line
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        value += bytes(-len(value) % 4)
        table += name + struct.pack(">II", at + len(body), len(value))
        body += value
    content = struct.pack(">I", len(tags)) + table + body
    head = struct.pack(
        ">I4sI4s4s4s", 128 + len(content), b"\0\0\0\0", 0x02100000, b"mntr", space, b"XYZ "
    )
    head += bytes(12) + b"acsp" + bytes(28) + d50
    return head + bytes(128 - len(head)) + content


def without_adobe_marker(jpeg: bytes) -> bytes:
    """Remove a JPEG's APP14 segment, so that CMYK is not marked as inverted."""
    at = jpeg.index(b"\xff\xee")
    return jpeg[:at] + jpeg[at + 2 + struct.unpack(">H", jpeg[at + 2 : at + 4])[0] :]


def good_photos() -> dict[str, bytes]:
    """Return the files that must decode."""
    upright = scene()
    image = Image.fromarray(upright)
    small = Image.fromarray(scene(64, 48))
    alpha = image.copy()
    alpha.putalpha(Image.linear_gradient("L").resize(image.size))
    palette = image.quantize(64)
    files = {
        "good.jpg": saved(upright, "JPEG", quality=90),
        "good.png": saved(upright, "PNG"),
        "good.webp": saved(upright, "WEBP", lossless=True),
        "good.gif": saved(palette, "GIF"),
        "good.avif": saved(upright, "AVIF", quality=90),
        "progressive.jpg": saved(upright, "JPEG", quality=80, progressive=True),
        "grey.jpg": saved(image.convert("L"), "JPEG", quality=90),
        "grey.png": saved(image.convert("L"), "PNG"),
        "grey alpha.png": saved(alpha.convert("LA"), "PNG"),
        "alpha.png": saved(alpha, "PNG"),
        "alpha.webp": saved(alpha, "WEBP", quality=80),
        "alpha.avif": saved(alpha, "AVIF", quality=80),
        "one bit.png": saved(image.convert("1"), "PNG"),
        "palette.png": saved(palette, "PNG"),
        "palette transparent.png": saved(palette, "PNG", transparency=bytes(range(0, 256, 4))),
        "palette transparent.gif": saved(palette, "GIF", transparency=3),
        "colour key.png": saved(upright, "PNG", transparency=(200, 40, 40)),
        "16 bit grey.png": png_16_bit(upright[..., 0].astype(np.uint16) * 257),
        "16 bit.png": png_16_bit(upright.astype(np.uint16) * 257),
        "cmyk adobe.jpg": saved(image.convert("CMYK"), "JPEG", quality=95),
        "cmyk plain.jpg": without_adobe_marker(saved(image.convert("CMYK"), "JPEG", quality=95)),
        "profile.png": saved(upright, "PNG", icc_profile=linear_profile(b"RGB ")),
        "profile.jpg": saved(upright, "JPEG", icc_profile=linear_profile(b"RGB ")),
        "profile grey.png": saved(image.convert("L"), "PNG", icc_profile=linear_profile(b"GRAY")),
        "profile broken.jpg": saved(upright, "JPEG", icc_profile=b"not a profile" * 20),
        "profile of another kind.jpg": saved(
            image.convert("CMYK"), "JPEG", icc_profile=linear_profile(b"RGB ")
        ),
        "animated.gif": saved(
            palette, "GIF", save_all=True, append_images=[small.resize(image.size).quantize(8)]
        ),
        "animated.webp": saved(small, "WEBP", save_all=True, append_images=[small.rotate(180)]),
        "animated.png": saved(small, "PNG", save_all=True, append_images=[small.rotate(180)]),
        "two pictures.jpg": saved(small, "MPO", save_all=True, append_images=[small.rotate(180)]),
        "broken exif.jpg": saved(upright, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f"),
        "where it was taken.jpg": saved(upright, "JPEG", exif=exif(6, gps=True), comment=b"me"),
        "one pixel.png": saved(np.full((1, 1, 3), 7, np.uint8), "PNG"),
        "one pixel.gif": saved(Image.new("P", (1, 1)), "GIF"),
        "panorama 20 to 1.jpg": saved(scene(2400, 120), "JPEG"),
        "tower 1 to 20.png": saved(scene(60, 1200), "PNG"),
        "a jpeg.png": saved(upright, "JPEG"),
        "no ending": saved(upright, "WEBP"),
        "naïve 名前 %2e%2e.jpg": saved(small, "JPEG"),
    }
    for orientation in range(1, 9):
        files[f"rotated {orientation}.jpg"] = saved(
            turned(upright, orientation), "JPEG", quality=95, exif=exif(orientation)
        )
    for format in ("PNG", "WEBP", "AVIF"):
        files[f"rotated 6.{format.lower()}"] = saved(turned(upright, 6), format, exif=exif(6))
    files["rotated by nonsense.jpg"] = saved(upright, "JPEG", exif=exif(77))
    return files


def bad_photos() -> dict[str, tuple[bytes, str]]:
    """Return the files that must be refused, with their statuses."""
    good = good_photos()
    picture = scene()
    tall = struct.pack(">HH", 65_500, 65_500)
    jpeg, png = good["good.jpg"], good["good.png"]
    size_at = jpeg.index(b"\xff\xc0") + 5
    middle = png.index(b"IDAT") + 200
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("good.jpg", jpeg)
    black_row = bytes(1 + 12_000 // 8)
    huge_canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\xff\x00\xff\xff\x00"
    big_text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80 << 20), 9))
    files = {
        f"truncated.{end}": (good[f"good.{end}"][: len(good[f"good.{end}"]) // 2], "truncated")
        for end in ("jpg", "png", "webp", "gif", "avif")
    }
    return files | {
        "header only.jpg": (jpeg[: size_at + 4], "truncated"),
        "three bytes.jpg": (jpeg[:3], "truncated"),
        "corrupt.png": (png[:middle] + b"\x55" * 40 + png[middle + 40 :], "corrupt"),
        "no picture in it.jpg": (b"\xff\xd8\xff\xe0\0\x04ab\xff\xd9", "corrupt"),
        "empty.jpg": (b"", "empty"),
        "text.jpg": (b"Dear all,\nthe picture is attached.\n", "unsupported_format"),
        "noise.jpg": (np.random.default_rng(5).bytes(5_000), "unsupported_format"),
        "bomb.png": (raw_png(12_000, 12_000, 1, 0, black_row * 12_000), "too_many_pixels"),
        # The text is not part of the picture.
        "text bomb.png": (raw_png(1, 1, 8, 0, b"\0\0", big_text), "ok"),
        "huge header.png": (raw_png(2**31 - 1, 2**31 - 1, 8, 2, b"\0"), "too_many_pixels"),
        "huge header.jpg": (jpeg[:size_at] + tall + jpeg[size_at + 4 :], "too_many_pixels"),
        "huge header.gif": (b"GIF89a" + b"\xff" * 4 + good["good.gif"][10:], "too_many_pixels"),
        "huge header.webp": (
            b"RIFF" + struct.pack("<I", 4 + len(huge_canvas)) + b"WEBP" + huge_canvas,
            "too_many_pixels",
        ),
        "a line.png": (raw_png(70_000, 1, 1, 0, bytes(8_751)), "too_many_pixels"),
        "postscript.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n(x) run\nshowpage\n", "unsupported_format"),
        "postscript.jpg": (b"%!PS\n{} loop\n", "unsupported_format"),
        "tiff.jpg": (saved(picture, "TIFF"), "unsupported_format"),
        "bitmap.bmp": (saved(picture, "BMP"), "unsupported_format"),
        "icon.ico": (saved(picture, "ICO"), "unsupported_format"),
        "jpeg 2000.jp2": (saved(picture, "JPEG2000"), "unsupported_format"),
        "drawing.svg": (b'<?xml version="1.0"?><svg xmlns="x"/>', "unsupported_format"),
        "page.jpg": (b"<!DOCTYPE html><html>404</html>", "unsupported_format"),
        "document.pdf": (b"%PDF-1.7\n", "unsupported_format"),
        "archive.png": (archive.getvalue(), "unsupported_format"),
        "video.avif": (b"\0\0\0\x18ftypisom\0\0\2\0isommp42" + bytes(99), "unsupported_format"),
    }


def heic_photo() -> bytes:
    """Return the scene as HEIC, which Pillow itself cannot write."""
    file = pillow_heif.from_pillow(Image.fromarray(scene()))
    stream = io.BytesIO()
    file.save(stream, quality=90)
    return stream.getvalue()


def odd_photos() -> dict[str, tuple[bytes, str]]:
    """Return {file name: (bytes, expected status)}."""
    good = good_photos() | {"phone.heic": heic_photo()}
    return {name: (data, "ok") for name, data in good.items()} | bad_photos()


def write_odd_photos(folder: Path) -> dict[str, str]:
    """Write the folder; returns {file name: expected status}."""
    folder.mkdir(parents=True, exist_ok=True)
    photos = odd_photos()
    for name, (data, _) in photos.items():
        (folder / name).write_bytes(data)
    return {name: status for name, (_, status) in photos.items()}
