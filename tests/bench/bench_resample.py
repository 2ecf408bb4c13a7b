"""Resampling crops to thumbnails: speed and quality of several ways.

Times are CPU ms of one thread, the minimum of several, for crops of a view of 1,024 × 768 pixels.
Quality is relative to the same cubic kernel in float64: PSNR, structural similarity, the largest
difference, and the sharpness of edges (mean absolute difference of neighbours, as a share of the
reference's). The PSNR relative to a Lanczos kernel in float64 is reported too. Ways whose package
is not installed are left out.

    python -m tests.bench.bench_resample [--photos FOLDER] [--json FILE]
"""

import argparse
import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from skimage.metrics import structural_similarity
from torch.nn.functional import interpolate

from pipeline.photo.decode import decode
from pipeline.photo.encoding.thumbnail import resample
from tests.bench.bench_decode import Row, best_ms, photograph, psnr, show
from tests.bench.uploads import PHOTOGRAPHS

Way = Callable[[np.ndarray, tuple[int, int]], np.ndarray]

# Width and height of the crop in the view, and those of the thumbnail.
SIZES = {
    "750² → 512²": ((750, 750), (512, 512)),
    "1024×576 → 512×288": ((1024, 576), (512, 288)),
    "432×768 → 288×512": ((432, 768), (288, 512)),
    "520² → 512²": ((520, 520), (512, 512)),
    "750² → 128²": ((750, 750), (128, 128)),
    "1024×576 → 128×72": ((1024, 576), (128, 72)),
    "384² → 128²": ((384, 384), (128, 128)),
}
REDUCTIONS = {"1.46": 1.46, "5.9": 5.9}  # those of the first and the fifth size


def cubic(x: np.ndarray) -> np.ndarray:
    """Evaluate Keys' cubic with a = -0.5 at distances x ≥ 0."""
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def lanczos(x: np.ndarray) -> np.ndarray:
    return np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0)


@cache
def weights(before: int, after: int, kernel: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return weights, float64 [after, before], with the kernel widened by the reduction."""
    centres = (np.arange(after) + 0.5) * before / after
    distances = np.abs((np.arange(before) + 0.5)[None] - centres[:, None])
    values = kernel(distances / max(1.0, before / after))
    return np.asarray(values / values.sum(axis=1, keepdims=True))


def reference(pixels: np.ndarray, size_wh: tuple[int, int], kernel: Callable = cubic) -> np.ndarray:
    """Resample without rounding: float64 [h, w, 3], 0 to 255."""
    rows = weights(pixels.shape[0], size_wh[1], kernel)
    columns = weights(pixels.shape[1], size_wh[0], kernel)
    values = np.tensordot(rows, pixels, (1, 0))  # [h, before, 3]
    return np.clip(np.tensordot(columns, values, (1, 1)).swapaxes(0, 1), 0, 255)


def by_torch(pixels: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    planes = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None]
    made = interpolate(planes, size_wh[::-1], mode="bicubic", antialias=True)
    return np.ascontiguousarray(made[0].permute(1, 2, 0).numpy())


def by_pillow(gap: float | None, kernel: Image.Resampling = Image.Resampling.BICUBIC) -> Way:
    return lambda pixels, size_wh: np.asarray(
        Image.fromarray(pixels).resize(size_wh, kernel, reducing_gap=gap)
    )


def by_area(pixels: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    return cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA)


def by_area_then_cubic(pixels: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Average whole blocks, then resize by OpenCV's cubic, which does not antialias."""
    width, height = pixels.shape[1], pixels.shape[0]
    block = min(width // size_wh[0], height // size_wh[1])
    blocks = by_area(pixels, (width // block, height // block)) if block > 1 else pixels
    return cv2.resize(blocks, size_wh, interpolation=cv2.INTER_CUBIC)


def by_cubic_then_area(pixels: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Enlarge to the next multiple of the thumbnail, then average whole blocks."""
    times = -(-pixels.shape[1] // size_wh[0])
    larger = (size_wh[0] * times, size_wh[1] * times)
    return by_area(cv2.resize(pixels, larger, interpolation=cv2.INTER_CUBIC), size_wh)


def by_matrices(pixels: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Multiply matrices in float32 over the band of nonzero weights, with one rounding."""
    values = _product(pixels.reshape(len(pixels), -1).astype(np.float32), size_wh[1])
    turned = cv2.transpose(values.reshape(size_wh[1], -1, 3))  # [before, h, 3]
    values = _product(turned.reshape(len(turned), -1), size_wh[0])
    made = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return cv2.transpose(made.reshape(size_wh[0], -1, 3))


@cache
def _band(before: int, after: int) -> list[tuple[slice, slice, np.ndarray]]:
    whole, parts = weights(before, after, cubic).astype(np.float32), []
    for first in range(0, after, 32):
        rows = slice(first, first + 32)
        used = np.flatnonzero(whole[rows].any(axis=0))
        columns = slice(used[0], used[-1] + 1)
        parts.append((rows, columns, np.ascontiguousarray(whole[rows, columns])))
    return parts


def _product(values: np.ndarray, after: int) -> np.ndarray:
    made = np.empty((after, values.shape[1]), np.float32)
    for rows, columns, part in _band(len(values), after):
        np.matmul(part, values[columns], out=made[rows])
    return made


def by_libvips(pixels: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    import pyvips

    image = pyvips.Image.new_from_array(np.ascontiguousarray(pixels))
    scale_x, scale_y = size_wh[0] / image.width, size_wh[1] / image.height
    return np.asarray(image.resize(scale_x, vscale=scale_y, kernel="cubic").numpy())


def by_kornia(pixels: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    from kornia_rs.imgproc import resize

    return np.asarray(resize(np.ascontiguousarray(pixels), size_wh[::-1], "bicubic", True))


def ways() -> dict[str, Way]:
    found: dict[str, Way] = {
        "torch, antialiased bicubic": by_torch,
        "cykooz_resizer (used)": resample,
        "Pillow BICUBIC": by_pillow(None),
        "Pillow BICUBIC, reducing_gap 2": by_pillow(2.0),
        "Pillow LANCZOS": by_pillow(None, Image.Resampling.LANCZOS),
        "OpenCV INTER_AREA": by_area,
        "OpenCV INTER_AREA, then INTER_CUBIC": by_area_then_cubic,
        "OpenCV INTER_CUBIC, then INTER_AREA": by_cubic_then_area,
        "numpy, matrix products": by_matrices,
    }
    optional = {"pyvips": ("libvips cubic", by_libvips), "kornia_rs": ("kornia-rs", by_kornia)}
    return found | {name: way for module, (name, way) in optional.items() if find_spec(module)}


def times() -> list[Row]:
    view = photograph(1024, 768)
    rows: list[Row] = [{"way": name} for name in ways()]
    for title, ((width, height), size_wh) in SIZES.items():
        crop = view[(768 - height) // 2 :, (1024 - width) // 2 :][:height, :width]
        for row, way in zip(rows, ways().values(), strict=True):
            row[title] = best_ms(lambda way=way, crop=crop, size=size_wh: way(crop, size), 25)
    return rows


def quality(photos: list[np.ndarray]) -> list[Row]:
    rows: list[Row] = [{"way": name} for name in ways()]
    for title, reduction in REDUCTIONS.items():
        for row, way in zip(rows, ways().values(), strict=True):
            figures = np.array([_figures(way, photo, reduction) for photo in photos])
            names = ("PSNR dB", "to Lanczos dB", "SSIM lost, ‰", "sharpness")
            row |= {f"{title}: {n}": float(v) for n, v in zip(names, figures.mean(0), strict=False)}
            row[f"{title}: largest"] = float(figures[:, 4].max())
    return rows


def _figures(way: Way, photo: np.ndarray, reduction: float) -> tuple[float, ...]:
    size_wh = round(photo.shape[1] / reduction), round(photo.shape[0] / reduction)
    of_colours = {"channel_axis": 2, "data_range": 255}
    expected, made = reference(photo, size_wh), way(photo, size_wh).astype(np.float64)
    edges = np.abs(np.diff(made, axis=1)).mean() / np.abs(np.diff(expected, axis=1)).mean()
    return (
        psnr(made, expected),
        psnr(made, reference(photo, size_wh, lanczos)),
        1000 - 1000 * float(structural_similarity(made, expected, **of_colours)),
        float(edges),
        float(np.abs(made - expected).max()),
    )


def photographs(folder: Path | None) -> list[np.ndarray]:
    if folder is not None:
        return [decode(path.read_bytes()).pixels for path in sorted(folder.iterdir())]
    packaged = [files(package) / name for package, names in PHOTOGRAPHS.items() for name in names]
    return [decode(path.read_bytes()).pixels for path in packaged]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--photos", type=Path, help="folder of photos for the quality, else samples"
    )
    parser.add_argument("--json", type=Path, help="file for the same figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    photos = photographs(arguments.photos)
    tables = {
        "CPU ms of one thread": times(),
        f"Quality on {len(photos)} photos, by the reduction": quality(photos),
    }
    for title, rows in tables.items():
        show(title, rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(tables, indent=1))


if __name__ == "__main__":
    main()
