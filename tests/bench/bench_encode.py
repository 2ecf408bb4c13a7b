"""Encoding thumbnails: the cost of six, now and with only Pillow, and encoders at equal quality.

Quality is SSIMULACRA2 if the package `ssimulacra2` is installed, else structural similarity. Each
encoder is run at several qualities; its time and size are those at which it reaches, for each
picture, the quality of WebP, method 2, quality 80. CPU ms, all threads, the median of several.
Packages that are not installed are left out: `pip install ssimulacra2 imagecodecs simplejpeg
pyjpegli pillow-jxl-plugin pyvips`.

    python -m tests.bench.bench_encode [--photos FOLDER] [--json FILE]
"""

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from unittest.mock import patch

import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity

from pipeline.photo.encoding import libwebp, thumbnail
from pipeline.photo.encoding.thumbnail import encode, resample
from pipeline.shapes import parse_shapes
from tests.bench.bench_decode import Row, saved, show
from tests.bench.bench_resample import photographs

SIDE, QUALITY = 512, 80
SHAPES = parse_shapes("1:1,4:3,16:9,9:16,3:4,circle")
Encoder = Callable[[np.ndarray, int], bytes]
QUALITIES = {"webp": (64, 74, 82, 90), "jpeg": (70, 80, 88, 94), "avif": (50, 62, 74, 86)}


def by_pillow(format: str, **options: int | bool | str) -> Encoder:
    return lambda pixels, quality: saved(pixels, format, quality=quality, **options)


def encoders() -> dict[str, tuple[str, Encoder]]:
    """Return by name the scale of the encoder's quality, and the encoder."""
    direct = libwebp.encoder()
    found: dict[str, tuple[str, Encoder]] = {"WebP method 2 (used)": ("webp", by_webp)}
    if direct is not None:
        for method in (0, 1, 3, 4, 5, 6):
            found[f"WebP method {method}"] = (
                "webp",
                lambda pixels, quality, method=method: direct.encode(pixels, quality, method),
            )
    found["WebP method 2, Pillow"] = ("webp", by_pillow("webp", method=2))
    if find_spec("pyvips"):
        found["WebP effort 2, libvips"] = ("webp", by_vips)
    if find_spec("imagecodecs"):
        import imagecodecs

        found["WebP method 2, imagecodecs"] = (
            "webp",
            lambda pixels, quality: bytes(
                imagecodecs.webp_encode(pixels, quality, lossless=False, method=2)
            ),
        )
    found["JPEG, Pillow (used)"] = ("jpeg", by_pillow("jpeg", optimize=True))
    found["JPEG, Pillow, progressive"] = ("jpeg", by_pillow("jpeg", progressive=True))
    if find_spec("simplejpeg"):
        import simplejpeg

        found["JPEG, simplejpeg"] = (
            "jpeg",
            lambda pixels, quality: simplejpeg.encode_jpeg(pixels, quality, colorsubsampling="420"),
        )
    if find_spec("pyjpegli"):
        import pyjpegli

        found["JPEG, jpegli, the package's codes"] = (
            "jpeg",
            lambda pixels, quality: pyjpegli.encode(
                pixels.tobytes(), pixels.shape[1], pixels.shape[0], quality
            ),
        )
        found["JPEG, jpegli, optimal codes (used)"] = (
            "jpeg",
            lambda pixels, quality: encode(pixels, "jpeg", quality, jpegli=True),
        )
    for speed in (10, 9, 8, 6):
        found[f"AVIF speed {speed}" + " (used)" * (speed == 9)] = (
            "avif",
            by_pillow("avif", speed=speed, max_threads=1),
        )
    if find_spec("pillow_jxl"):
        import pillow_jxl  # noqa: F401  gives Pillow the format

        for effort in (1, 3, 5):
            found[f"JPEG XL effort {effort}"] = (
                "jpeg",
                by_pillow("jxl", effort=effort, num_threads=1),
            )
    return found


def by_webp(pixels: np.ndarray, quality: int) -> bytes:
    return encode(pixels, "webp", quality)


def by_vips(pixels: np.ndarray, quality: int) -> bytes:
    import pyvips

    image = pyvips.Image.new_from_array(pixels)
    return bytes(image.webpsave_buffer(Q=quality, effort=2, keep="none"))


def likeness(pixels: np.ndarray, file: bytes) -> float:
    """Compute an encoded picture's SSIMULACRA2, or its structural similarity times 100."""
    seen = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
    if not find_spec("ssimulacra2"):
        return 100 * float(structural_similarity(pixels, seen, channel_axis=2, data_range=255))
    from ssimulacra2 import compute_ssimulacra2

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("before.bmp", "after.bmp")]
        for path, picture in zip(paths, (pixels, seen), strict=True):
            Image.fromarray(picture).save(path)
        return float(compute_ssimulacra2(*map(str, paths)))


def cpu_ms(work: Callable[[], object], repeats: int = 7) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()  # libvips and others encode in their own threads
        work()
        times.append(time.process_time() - start)
    return median(times) * 1000


def at_equal_quality(pictures: list[np.ndarray]) -> list[Row]:
    """Measure time and size of every encoder at the default's quality, as ratios to the default."""
    wanted = [likeness(pixels, encode(pixels)) for pixels in pictures]
    rows: list[Row] = []
    for name, (scale, encoder) in encoders().items():
        times, sizes, found = [], [], []
        for pixels, target in zip(pictures, wanted, strict=True):
            files = [encoder(pixels, quality) for quality in QUALITIES[scale]]
            reached = [likeness(pixels, file) for file in files]
            quality = float(np.interp(target, reached, QUALITIES[scale]))
            found.append(quality)
            sizes.append(np.interp(target, reached, [np.log(len(file)) for file in files]))
            times.append(cpu_ms(partial(encoder, pixels, round(quality))))
        rows.append(
            {
                "encoder": name,
                "CPU ms": float(np.mean(times)),
                "times the CPU": float(np.mean(times)) / (rows[0]["CPU ms"] if rows else 1),
                "log size": float(np.mean(sizes)),
                "quality": float(np.mean(found)),
            }
        )
    rows[0]["times the CPU"] = 1.0
    default = rows[0]["log size"]
    for row in rows:
        row["times the size"] = float(np.exp(row.pop("log size") - default))
    return rows


def views(pictures: list[np.ndarray]) -> list[list[tuple[np.ndarray, tuple[int, int], bool]]]:
    """Return for each picture and shape the largest centred crop, its size and if it is round."""
    found = []
    for pixels in pictures:
        height, width = pixels.shape[:2]
        crops = []
        for shape in SHAPES:
            ratio = shape.ratio or 1.0
            wide, high = min(width, height * ratio), min(height, width / ratio)
            left, top = int((width - wide) / 2), int((height - high) / 2)
            part = pixels[top : top + int(high), left : left + int(wide)]
            long_side = min(SIDE, max(part.shape[:2]))
            size = (long_side, round(long_side / ratio))
            size = size if ratio >= 1 else (round(long_side * ratio), long_side)
            crops.append((part, size, shape.is_circle))
        found.append(crops)
    return found


def six(crops: list[tuple[np.ndarray, tuple[int, int], bool]], now: bool) -> list[bytes]:
    """Make six thumbnails. now: as the product does; else with Pillow, each by itself."""
    cuts: dict[tuple[int, ...], np.ndarray] = {}
    files = []
    for part, size, circle in crops:
        key = (part.ctypes.data, *part.shape, *size)
        if not now or key not in cuts:
            cuts[key] = resample(part, size)
        if not now:
            thumbnail.circle_mask.cache_clear()
        files.append(encode(cuts[key], "webp", QUALITY, circle))
    return files


def six_thumbnails(pictures: list[np.ndarray]) -> list[Row]:
    """Measure making six thumbnails, before and now, alternately, and compare their bytes."""
    times: dict[bool, list[float]] = {True: [], False: []}
    same, sizes = 0, 0
    for crops in views(pictures):
        with patch.object(libwebp, "encoder", lambda: None):
            before = six(crops, now=False)
        same += before == six(crops, now=True)
        sizes += sum(map(len, before))
        for _ in range(5):
            with patch.object(libwebp, "encoder", lambda: None):
                times[False].append(cpu_ms(partial(six, crops, now=False), 1))
            times[True].append(cpu_ms(partial(six, crops, now=True), 1))
    ratios = np.array(times[True]) / np.array(times[False])
    low, middle, high = np.percentile(ratios, (5, 50, 95))
    return [
        {
            "six thumbnails": "by Pillow, each by itself, ms",
            "figure": median(times[False]),
        },
        {"six thumbnails": "now, ms", "figure": median(times[True])},
        {"six thumbnails": "ratio, median of pairs", "figure": float(middle)},
        {"six thumbnails": "ratio, 5 % of pairs below", "figure": float(low)},
        {"six thumbnails": "ratio, 5 % of pairs above", "figure": float(high)},
        {"six thumbnails": f"photos of {len(pictures)} with the same bytes", "figure": same},
        {"six thumbnails": "kB of six", "figure": sizes / len(pictures) / 1000},
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="folder of photos, else samples")
    parser.add_argument("--json", type=Path, help="file for the same figures")
    arguments = parser.parse_args()
    pictures = photographs(arguments.photos)
    small = [resample(pixels, _size_of(pixels)) for pixels in pictures]
    tables = {"Six thumbnails of a photo": six_thumbnails(pictures)}
    show(*next(iter(tables.items())))
    title = f"Encoders at the quality of the default, {len(small)} pictures"
    tables[title] = at_equal_quality(small)
    show(title, tables[title])
    if arguments.json:
        arguments.json.write_text(json.dumps(tables, indent=1))


def _size_of(pixels: np.ndarray) -> tuple[int, int]:
    height, width = pixels.shape[:2]
    reduction = max(1.0, max(width, height) / SIDE)
    return int(width / reduction) // 2 * 2, int(height / reduction) // 2 * 2


if __name__ == "__main__":
    main()
