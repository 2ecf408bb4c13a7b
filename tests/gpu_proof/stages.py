"""Step `stages`: decoding and encoding on one core and on all, and by the GPU's JPEG engine."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from pipeline.cropping.results import ScoredCrop
from pipeline.photo.decode import decode
from pipeline.settings import ThumbnailSettings
from pipeline.shapes import parse_shapes
from pipeline.stages.encode import CutCache, drawn_crop, encoded_still
from tests.gpu_proof.timing import Row, milliseconds, report_row, write

SHAPES = parse_shapes("1:1,4:3,16:9,9:16,3:4,circle")
FORMATS = ("auto", "webp", "jpeg")  # the first is the default; without jpegli it fails here
BATCH = 32


def run(device: str, photos: Path, document: Path) -> None:
    """Write CPU milliseconds a photo, photos a second on all cores, and the GPU's figures."""
    files = [str(path) for path in sorted(photos.iterdir())]
    rows: list[Row] = []
    work: dict[str, Callable[[str], float]] = {"decode": decoded}
    work |= {f"encode six {name}": partial(encoded, format=name) for name in FORMATS}
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        for name, call in work.items():
            alone = [call(file) for file in files[:40]]
            row: Row = {"what": name, "cpu_ms_a_photo": round(1000 * sum(alone) / len(alone), 2)}
            report_row({**row, **on_all_cores(pool, cores, call, files)}, rows)
    if device == "cuda":
        rows += on_gpu(files)
    write(document, "stages", rows)


def decoded(file: str) -> float:
    """Return CPU seconds of decoding a photo, without the child process."""
    start = time.thread_time()
    decode(Path(file).read_bytes())
    return time.thread_time() - start


def encoded(file: str, format: Any) -> float:
    """Return CPU seconds of cutting and encoding a photo's six thumbnails, as in the last stage."""
    photo, settings = decode(Path(file).read_bytes()), ThumbnailSettings(format=format)
    cuts: CutCache = {}
    start = time.thread_time()
    for shape in SHAPES:
        ratio = shape.ratio or 1.0
        width = min(photo.width_px, photo.height_px * ratio)
        box_px = (0.0, 0.0, width, width / ratio)
        chosen = ScoredCrop(shape.name, 1, box_px, 0.0, None, None, [], 0)
        pixels = drawn_crop(photo, chosen, shape, settings, {}, cuts)
        encoded_still(pixels, shape.is_circle, settings, settings.background_rgb, None)
    return time.thread_time() - start


def on_all_cores(
    pool: Executor, cores: int, call: Callable[[str], float], files: Sequence[str]
) -> Row:
    """Measure a photo's cost while all cores are busy, and their photos a second."""
    many = [files[i % len(files)] for i in range(max(len(files), 24 * cores))]
    list(pool.map(call, many[:cores]))  # imports
    spent = list(pool.map(call, many, chunksize=4))
    each_s = sum(spent) / len(spent)
    return {
        "cpu_ms_beside_others": round(1000 * each_s, 2),
        "photos_a_second": round(cores / each_s, 1),
    }


def on_gpu(files: Sequence[str]) -> list[Row]:
    """Measure nvJPEG through torchvision: decoding whole photos, encoding 512-pixel thumbnails."""
    from torchvision.io import decode_jpeg, encode_jpeg

    rows: list[Row] = []
    data = [torch.frombuffer(bytearray(Path(f).read_bytes()), dtype=torch.uint8) for f in files]
    some = data[:BATCH]
    ms = milliseconds(lambda: decode_jpeg(some, device="cuda"), 5) / len(some)
    report_row({"what": "decode whole photos by nvJPEG", "ms_a_photo": round(ms, 3)}, rows)
    thumbnails = [
        torch.randint(0, 256, (3, 384, 512), dtype=torch.uint8, device="cuda") for _ in range(BATCH)
    ]
    ms = 6 * milliseconds(lambda: encode_jpeg(thumbnails, quality=85), 5) / BATCH
    report_row({"what": "encode six JPEG thumbnails by nvJPEG", "ms_a_photo": round(ms, 3)}, rows)
    return rows
