"""Decoders for the formats of uploads: Pillow, libvips, torchcodec, imagecodecs, one thread.

A 3 megapixel picture in each format, decoded in full; JPEG also reduced to about a thumbnail's
view, which only some readers can do. CPU ms, and the largest difference to Pillow's pixels. Readers
that are not installed are left out. The table also has the private memory, MB, that loading a
reader costs the child process.

    python -m tests.bench.bench_readers [--json FILE]
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.bench.bench_decode import Row, best_ms, photograph, saved, show

WIDTH, HEIGHT, VIEW = 2000, 1500, 4
FILES: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 88},
    "png": {"compress_level": 1},
    "webp": {"quality": 85, "method": 0},
    "avif": {"quality": 70, "speed": 10},
}
Reader = Callable[[bytes, str, int], np.ndarray | None]
LOADING = {
    "Pillow (used)": "from PIL import Image; Image.init()",
    "libvips": "import pyvips; pyvips.Image.black(8, 8).jpegsave_buffer()",
    "torchcodec": "import torchcodec.decoders",
    "imagecodecs": "import imagecodecs; imagecodecs.jpeg8_decode, imagecodecs.webp_decode",
}


def by_pillow(data: bytes, format: str, scale: int) -> np.ndarray | None:
    if scale > 1 and format != "jpeg":
        return None
    image = Image.open(BytesIO(data))
    image.draft(None, (image.width // scale, image.height // scale))
    return np.asarray(image.convert("RGB"))


def by_vips(data: bytes, format: str, scale: int) -> np.ndarray | None:
    import pyvips

    if scale > 1 and format != "jpeg":
        return None
    options = {"shrink": scale} if scale > 1 else {}
    return np.asarray(pyvips.Image.new_from_buffer(data, "", **options).numpy())[..., :3]


def by_torchcodec(data: bytes, format: str, scale: int) -> np.ndarray | None:
    import torch
    from torchcodec.decoders import decode_image

    if scale > 1:
        return None
    planes = decode_image(torch.frombuffer(bytearray(data), dtype=torch.uint8))
    return np.ascontiguousarray(planes.permute(1, 2, 0).numpy())


def by_imagecodecs(data: bytes, format: str, scale: int) -> np.ndarray | None:
    import imagecodecs

    names = {"jpeg": "jpeg8_decode", "png": "png_decode", "webp": "webp_decode"}
    if scale > 1 or format not in names:
        return None
    return np.asarray(getattr(imagecodecs, names[format])(data))[..., :3]


def readers() -> dict[str, Reader]:
    optional = {
        "libvips": ("pyvips", by_vips),
        "torchcodec": ("torchcodec", by_torchcodec),
        "imagecodecs": ("imagecodecs", by_imagecodecs),
    }
    there = {name: read for name, (module, read) in optional.items() if find_spec(module)}
    return {"Pillow (used)": by_pillow, **there}


def own_mb(name: str) -> float:
    """Measure the private memory, MB, of a process that only loads a reader."""
    ask = "import psutil; print(psutil.Process().memory_full_info().uss / 1e6)"
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", f"{LOADING[name]}\n{ask}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout.splitlines()[-1])


def measure() -> list[Row]:
    picture = photograph(WIDTH, HEIGHT)
    files = {name: saved(picture, name, **options) for name, options in FILES.items()}
    expected = {name: by_pillow(data, name, 1) for name, data in files.items()}
    rows = []
    for name, read in readers().items():
        row: Row = {"reader": name}
        for format, data in files.items():
            found = read(data, format, 1)
            if found is None:
                row[format], row[f"{format} off"] = "–", "–"
                continue
            off = np.abs(found.astype(int) - np.asarray(expected[format]).astype(int)).max()
            row[format] = best_ms(lambda r=read, d=data, f=format: r(d, f, 1), 5)
            row[f"{format} off"] = int(off)
        scaled = read(files["jpeg"], "jpeg", VIEW)
        row["jpeg to 1/4"] = (
            "–" if scaled is None else best_ms(lambda r=read: r(files["jpeg"], "jpeg", VIEW), 5)
        )
        row["own MB"] = own_mb(name)
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="file for the same figures")
    arguments = parser.parse_args()
    os.environ["VIPS_CONCURRENCY"] = "1"
    if find_spec("torchcodec"):
        import torch

        torch.set_num_threads(1)
    rows = measure()
    show(f"{WIDTH} × {HEIGHT}, CPU ms", rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
