"""From an upload to its thumbnails: cost and quality loss of decoding, cutting and encoding.

The picture is 1/f noise with grain, 12 megapixels, whose JPEG is as large as a phone's. Times are
CPU seconds of this process, the minimum of several, so that other load matters little. PSNR is
relative to the full decode. Readers that are not installed are left out.
"""

import argparse
import importlib.util
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.cropping.candidates import largest
from pipeline.photo.decode import decode
from pipeline.photo.encoding.thumbnail import ENCODED, cut, encode, thumbnail_size
from pipeline.photo.sandbox.decoder import Decoder
from pipeline.shapes import parse_shapes

WIDTH, HEIGHT, THUMBNAIL = 4000, 3000, 512
SHAPES = parse_shapes("1:1,4:3,16:9,9:16,3:4,circle")
Row = dict[str, Any]
Reader = Callable[[bytes, int], np.ndarray]


def photograph(width: int, height: int) -> np.ndarray:
    """Draw 1/f^1.15 noise, the spectrum of natural pictures, with some grain: uint8 [h, w, 3]."""
    rng = np.random.default_rng(1)
    spectrum = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    spectrum[0, 0] = 1

    def plane() -> np.ndarray:
        real, imaginary = rng.standard_normal((2, *spectrum.shape))
        values = np.fft.irfft2((real + 1j * imaginary) / spectrum**1.15, s=(height, width))
        return ((values - values.mean()) / values.std()).astype(np.float32)

    light, red, blue = plane(), plane(), plane()
    colours = [light + 0.4 * red, light - 0.2 * red - 0.2 * blue, light + 0.4 * blue]
    grain = rng.standard_normal((height, width, 3), dtype=np.float32) * 2
    return np.clip(np.stack(colours, axis=-1) * 45 + 120 + grain, 0, 255).astype(np.uint8)


def saved(pixels: np.ndarray, format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format, **options)
    return stream.getvalue()


def best_ms(
    work: Callable[[], object],
    repeats: int = 7,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Measure the fastest run in milliseconds, after a warm-up."""
    work()
    times = []
    for _ in range(repeats):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times) * 1000


def psnr(pixels: np.ndarray, expected: np.ndarray) -> float:
    error = np.mean((pixels.astype(np.float32) - expected.astype(np.float32)) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def pillow(data: bytes, scale: int) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    image.draft(None, (image.width // scale, image.height // scale))
    return np.asarray(image)


def simplejpeg(data: bytes, scale: int) -> np.ndarray:
    import simplejpeg

    size = {"min_height": HEIGHT // scale, "min_width": WIDTH // scale} if scale > 1 else {}
    pixels: np.ndarray = simplejpeg.decode_jpeg(data, **size)
    return pixels


def opencv(data: bytes, scale: int) -> np.ndarray:
    import cv2

    cv2.setNumThreads(1)
    flag = {1: 1, 2: 17, 4: 33, 8: 65}[scale]  # IMREAD_COLOR, IMREAD_REDUCED_COLOR_n
    return cv2.imdecode(np.frombuffer(data, np.uint8), flag)[..., ::-1]


def libvips(data: bytes, scale: int) -> np.ndarray:
    import pyvips

    pixels: np.ndarray = pyvips.Image.jpegload_buffer(data, shrink=scale).numpy()
    return pixels


def jpeg_readers() -> dict[str, Reader]:
    others = {"simplejpeg": simplejpeg, "cv2": opencv, "pyvips": libvips}
    return {"Pillow": pillow} | {
        name: reader for name, reader in others.items() if importlib.util.find_spec(name)
    }


def bench_jpeg_readers(picture: np.ndarray) -> list[Row]:
    rows = []
    for kind in ("baseline", "progressive"):
        data = saved(picture, "JPEG", quality=88, progressive=kind == "progressive")
        for scale in (1, 2, 4, 8):
            shape = (HEIGHT // scale, scale, WIDTH // scale, scale, 3)
            blocks = pillow(data, 1).reshape(shape).mean(axis=(1, 3), dtype=np.float32)
            ours = 0.0
            for name, read in jpeg_readers().items():
                took = best_ms(lambda read=read, data=data, scale=scale: read(data, scale), 5)
                ours = ours or took
                quality = psnr(read(data, scale), blocks)
                row = {"JPEG": f"{kind}, {len(data) / 1e6:.1f} MB", "scale": f"1/{scale}"}
                row |= {"reader": name, "ms": took, "of Pillow's": took / ours, "PSNR dB": quality}
                rows.append(row)
    return rows


def bench_child(picture: np.ndarray) -> list[Row]:
    """Measure wall time, since the work is in another process."""
    rows = []
    for scale in (1, 4, 8):
        data = saved(picture[::scale, ::scale], "JPEG", quality=88)
        with Decoder() as decoder:
            here = best_ms(lambda data=data: decode(data), 15, time.perf_counter)
            there = best_ms(
                lambda data=data, decoder=decoder: decoder.decode(data), 15, time.perf_counter
            )
        size = f"{WIDTH // scale} × {HEIGHT // scale}"
        rows.append({"upload": size, "in process ms": here, "in the child ms": there})
        rows[-1]["overhead ms"] = there - here
    return rows


def bench_formats(picture: np.ndarray) -> list[Row]:
    """Measure decoding 12 megapixels to a view, for each format that is read."""
    options: dict[str, Row] = {"jpeg": {"quality": 88}, "png": {"compress_level": 1}}
    options |= {"webp": {"quality": 85, "method": 0}, "avif": {"quality": 70, "speed": 10}}
    full = picture.reshape(HEIGHT // 4, 4, WIDTH // 4, 4, 3).mean(axis=(1, 3), dtype=np.float32)
    rows = []
    for name, option in options.items():
        data = saved(picture, name, **option)
        took = best_ms(lambda data=data: decode(data), 3)
        rows.append({"upload": name, "MB": len(data) / 1e6, "to a 1000 px view ms": took})
        rows[-1]["PSNR dB to the original"] = psnr(decode(data).pixels, full)
    return rows


def bench_encoders(thumbnail: np.ndarray) -> list[Row]:
    """Measure encoding a 512-pixel thumbnail: ours, and with more or less effort."""
    others: dict[str, list[Row]] = {
        "webp": [{"method": 0}, {"method": 4}, {"method": 6}],
        "jpeg": [{}, {"optimize": True, "progressive": True}],
        "png": [{"compress_level": 1}, {"compress_level": 6}],
        "avif": [{"speed": 8, "max_threads": 1}, {"speed": 6, "max_threads": 1}],
    }
    rows = []
    for name in ENCODED:
        works: dict[str, Callable[[], bytes]] = {
            "ours": lambda name=name: encode(thumbnail, name, quality=80)
        }
        for option in others[name]:
            works[" ".join(f"{key}={value}" for key, value in option.items()) or "plain"] = (
                lambda name=name, option=option: saved(thumbnail, name, quality=80, **option)
            )
        for effort, work in works.items():
            data = work()
            decoded = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
            row = {"format": name, "effort": effort, "ms": best_ms(work, 5)}
            rows.append(row | {"kB": len(data) / 1e3, "PSNR dB": psnr(decoded, thumbnail)})
    return rows


def bench_whole(jpeg: bytes) -> list[Row]:
    """Measure a 12 MP JPEG to six thumbnails, against only one scaled decode and six encodes."""
    boxes = [middle(*largest(WIDTH, HEIGHT, shape.ratio or 1)) for shape in SHAPES]
    sizes = [
        thumbnail_size(shape, box, THUMBNAIL) for shape, box in zip(SHAPES, boxes, strict=True)
    ]

    def cuts(view_side: int) -> list[np.ndarray]:
        photo = decode(jpeg, view_side=view_side)
        return [cut(photo, box, size) for box, size in zip(boxes, sizes, strict=True)]

    def encodes(thumbnails: list[np.ndarray], name: str) -> None:
        for pixels, shape in zip(thumbnails, SHAPES, strict=True):
            encode(pixels, name, circle=shape.is_circle)

    rows = []
    full = cuts(view_side=WIDTH)
    floor = best_ms(lambda: pillow(jpeg, 4), 9)
    for name in ENCODED:
        made = cuts(1024)
        limit = floor + best_ms(lambda made=made, name=name: encodes(made, name))
        row: Row = {"thumbnails": f"6 × {name}", "one scaled decode + six encodes ms": limit}
        for view_side in (1024, 2048, WIDTH):
            took = best_ms(lambda side=view_side, name=name: encodes(cuts(side), name), 5)
            row |= {f"view {view_side} ms": took, f"view {view_side} of limit": took / limit}
            loss = [psnr(a, b) for a, b in zip(cuts(view_side), full, strict=True)]
            row[f"view {view_side} PSNR dB"] = float(np.mean(loss))
        rows.append(row)
    return rows


def middle(crop_w: float, crop_h: float) -> tuple[float, float, float, float]:
    x0, y0 = (WIDTH - crop_w) / 2, (HEIGHT - crop_h) / 2
    return x0, y0, x0 + crop_w, y0 + crop_h


def show(title: str, rows: list[Row]) -> None:
    print(f"\n{title}")
    cells = [list(rows[0])] + [
        [f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()]
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="file for the same figures")
    arguments = parser.parse_args()
    picture = photograph(WIDTH, HEIGHT)
    jpeg = saved(picture, "JPEG", quality=88)
    thumbnail = cut(decode(jpeg), middle(*largest(WIDTH, HEIGHT, 4 / 3)), (512, 384))
    tables = {
        "12 MP JPEG, readers": bench_jpeg_readers(picture),
        "12 MP upload, formats": bench_formats(picture),
        "The decoder process": bench_child(picture),
        "A 512 × 384 thumbnail, encoders": bench_encoders(thumbnail),
        "12 MP JPEG to six 512 px thumbnails": bench_whole(jpeg),
    }
    for title, rows in tables.items():
        show(title, rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(tables, indent=1))


if __name__ == "__main__":
    main()
