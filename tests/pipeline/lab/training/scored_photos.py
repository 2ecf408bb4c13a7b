"""A made-up data set in the GAIC layout: a disc on the dark left, liked whole and central."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from pipeline.boxes import iou
from pipeline.cropping.candidates import grid

SIZE_WH = (160, 120)


def write_data_set(root: Path, train: int, test: int, seed: int = 0) -> None:
    """Photos, their object box, and for every grid crop the overlap with what people would like."""
    random = np.random.default_rng(seed)
    for part in ("bbox", "annotations"):
        (root / part).mkdir(parents=True)
    for split, count in (("train", train), ("test", test)):
        if count:
            (root / "images" / split).mkdir(parents=True)
        for index in range(count):
            _write_photo(root, split, f"{split}{index:03d}", random)


def _write_photo(root: Path, split: str, name: str, random: np.random.Generator) -> None:
    width, height = SIZE_WH
    radius = random.uniform(14, 22)
    x = random.uniform(radius, width / 3)
    y = random.uniform(radius, height - radius)
    photo = Image.new("RGB", SIZE_WH, tuple(random.integers(0, 70, 3).tolist()))
    disc = (x - radius, y - radius, x + radius, y + radius)
    ImageDraw.Draw(photo).ellipse(disc, fill=tuple(random.integers(180, 255, 3).tolist()))
    photo.save(root / "images" / split / f"{name}.jpg", quality=92)
    crops = np.rint(grid(width, height))
    half_w, half_h = 0.4 * width, 0.4 * height
    middle_x = np.clip(x, half_w, width - half_w)
    middle_y = np.clip(y, half_h, height - half_h)
    liked = [[middle_x - half_w, middle_y - half_h, middle_x + half_w, middle_y + half_h]]
    mos = 1 + 4 * iou(crops, liked)
    rows = [
        f"{y0:.0f} {x0:.0f} {y1:.0f} {x1:.0f} {score:.3f}"
        for (x0, y0, x1, y1), score in zip(crops, mos, strict=True)
    ]
    (root / "annotations" / f"{name}.txt").write_text("\n".join(rows) + "\n")
    box = f"{disc[1]:.0f} {disc[0]:.0f} {disc[3]:.0f} {disc[2]:.0f}\n"
    (root / "bbox" / f"{name}.txt").write_text(box)
