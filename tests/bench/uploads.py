"""A folder of photographs as people upload them, made from those that ship with two packages."""

from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

PHOTOGRAPHS = {
    "skimage.data": ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"),
    "sklearn.datasets.images": ("china.jpg", "flower.jpg"),
}
# Sizes of photos from cameras, and after messengers have reduced them; the first is 12 megapixels.
SIZES = ((4000, 3000), (1600, 1200), (1080, 1350), (1920, 1080), (720, 1280))


def write_uploads(folder: Path, count: int, sizes: Sequence[tuple[int, int]] = SIZES) -> None:
    """Write `count` JPEG files: parts of the photographs, enlarged, with grain; reproducible."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        write_upload(folder, number, sizes)


def write_upload(folder: Path, number: int, sizes: Sequence[tuple[int, int]] = SIZES) -> None:
    """Write one of the files of `write_uploads`."""
    sources = _sources()
    rng = np.random.default_rng(number)
    source, (width, height) = sources[number % len(sources)], sizes[number % len(sizes)]
    share = rng.uniform(0.7, 1.0)
    part_w, part_h = source.width * share, source.height * share
    left, top = rng.uniform(0, source.width - part_w), rng.uniform(0, source.height - part_h)
    part = source.resize((width // 2, height // 2), box=(left, top, left + part_w, top + part_h))
    grain = rng.normal(0, 6, (height // 2, width // 2, 1))
    pixels = np.clip(np.asarray(part) + grain, 0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    picture.save(folder / f"{number:05}.jpg", quality=85)


@lru_cache(maxsize=1)
def _sources() -> list[Image.Image]:
    return [
        Image.open(str(files(package) / name)).convert("RGB")
        for package, names in PHOTOGRAPHS.items()
        for name in names
    ]
