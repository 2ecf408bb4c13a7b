"""Peers in one process: other ways to make six thumbnails of a photo. CPU time a photo.

Each is left out if its requirements are missing: pyvips, OpenCV; for smartcrop.js, Node with the
packages `smartcrop` and `sharp` in the folder named by NODE_MODULES (`npm install` there); for
FocalNet, its crop ranker as the ONNX file named by FOCALNET.
"""

import io
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.lab.evaluation.baselines.focalnet import FocalNet
from pipeline.photo.decode import Photo
from pipeline.shapes import parse_shapes

THUMBNAIL = 512
SHAPES = parse_shapes("1:1,4:3,16:9,9:16,3:4,circle")
Peer = Callable[[Sequence[Path]], float | None]


def cpu_s() -> float:
    """Return CPU seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def sizes() -> list[tuple[int, int]]:
    """Return width and height of the six thumbnails."""
    ratios = [shape.ratio or 1.0 for shape in SHAPES]
    widths = [round(min(THUMBNAIL, THUMBNAIL * ratio)) for ratio in ratios]
    return [(wide, round(wide / ratio)) for wide, ratio in zip(widths, ratios, strict=True)]


def libvips(photos: Sequence[Path]) -> float | None:
    """Measure CPU seconds a photo of libvips `smartcrop` (attention), without a network."""
    try:
        import pyvips
    except ImportError:
        return None
    pyvips.cache_set_max(0)

    def crop(path: Path) -> None:
        for width, height in sizes():
            picture = pyvips.Image.thumbnail(str(path), width, height=height, crop="attention")
            picture.webpsave_buffer(Q=80, effort=2)

    return _each(crop, photos)


def corners(photos: Sequence[Path]) -> float | None:
    """Measure CPU seconds a photo of a crop around the mean of the strongest corners.

    Like thumbor's feature detection: the mean of 20 corners in the grey picture is the centre of
    every crop.
    """
    try:
        import cv2
    except ImportError:
        return None
    cv2.setNumThreads(1)

    def crop(path: Path) -> None:
        image = _view(path)
        found = cv2.goodFeaturesToTrack(np.asarray(image.convert("L")), 20, 0.04, 1.0)
        middle = (image.width / 2, image.height / 2) if found is None else found.mean(axis=(0, 1))
        for width, height in sizes():
            scale = min(image.width / width, image.height / height)
            wide, high = width * scale, height * scale
            left = min(max(0.0, float(middle[0]) - wide / 2), image.width - wide)
            top = min(max(0.0, float(middle[1]) - high / 2), image.height - high)
            _save(image, (width, height), (left, top, left + wide, top + high))

    return _each(crop, photos)


def smartcrop_js(photos: Sequence[Path]) -> float | None:
    """Measure CPU seconds a photo of smartcrop.js; Node's startup is spread over the photos."""
    modules = Path(os.environ.get("NODE_MODULES", "."))
    there = all((modules / "node_modules" / name).is_dir() for name in ("smartcrop", "sharp"))
    node = shutil.which("node")
    if node is None or not there:
        return None
    script = Path(__file__).with_name("smartcrop_peer.mjs")
    environment = {**os.environ, "NODE_MODULES": str(modules.resolve())}
    start = cpu_s()
    subprocess.run([node, str(script), *map(str, photos)], check=True, env=environment)
    return (cpu_s() - start) / len(photos)


def focalnet(photos: Sequence[Path]) -> float | None:
    """Measure CPU seconds a photo of FocalNet's ONNX file, one thread, thumbnails by Pillow."""
    if "FOCALNET" not in os.environ:
        return None
    ranker = FocalNet(os.environ["FOCALNET"])
    ratios = [width / height for width, height in sizes()]

    def crop(path: Path) -> None:
        image = _view(path)
        photo = Photo(np.asarray(image), image.width, image.height, "jpeg", 1)
        for size, box in zip(sizes(), ranker.crops(photo, ratios), strict=True):
            _save(image, size, box.tolist())

    return _each(crop, photos)


def _view(path: Path) -> Image.Image:
    """Decode the photo, reduced as far as its decoder can for twice a thumbnail's size."""
    image = Image.open(path)
    image.draft("RGB", (2 * THUMBNAIL, 2 * THUMBNAIL))
    return image.convert("RGB")


def _save(image: Image.Image, size: tuple[int, int], box: Sequence[float]) -> None:
    left, top, right, bottom = box
    part = (max(0.0, left), max(0.0, top), min(image.width, right), min(image.height, bottom))
    picture = image.resize(size, Image.Resampling.BICUBIC, part)
    picture.save(io.BytesIO(), "webp", quality=80, method=2)


def _each(crop: Callable[[Path], Any], photos: Sequence[Path]) -> float:
    crop(photos[0])
    start = cpu_s()
    for path in photos:
        crop(path)
    return (cpu_s() - start) / len(photos)


PEERS: dict[str, Peer] = {
    "libvips smartcrop, no network": libvips,
    "corners by OpenCV, as thumbor, no network": corners,
    "smartcrop.js with sharp, no network": smartcrop_js,
    "FocalNet by ONNX Runtime": focalnet,
}
