"""What anyone gets without a network: centre crops, a prior of positions, libvips' smartcrop.

Each baseline answers both questions: which crop of a ratio (`crop`), and how good each of given
crops is (`score`). Boxes are float32 xyxy in source pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import iou
from pipeline.cropping.candidates import largest
from pipeline.errors import UsageError
from pipeline.photo.decode import Photo

Boxes = NDArray[np.float32]  # [N, 4]
Box = NDArray[np.float32]  # [4]
Scores = NDArray[np.float64]  # [N]

NAMES = ("centre", "centre_90", "largest", "anchor_prior", "attention", "entropy")
VIPS_SIDE = 256
"""Longest side of the copy that libvips looks at; its attention map is 32 pixels wide or less."""
GRID_BINS = 12  # of GAIC's grid anchors: their corners lie at (k + .5) / 12 of a side


class Baseline(Protocol):
    """One method without a network."""

    def crop(self, photo: Photo, ratio: float) -> Box | None:
        """Its crop of width / height `ratio`; None where it has no opinion on positions."""
        ...

    def score(self, photo: Photo, boxes_px: Boxes) -> Scores:
        """One number for each of boxes_px [N, 4], higher is better."""
        ...


@dataclass(frozen=True)
class Centre:
    """The largest centred crop of a ratio, its sides times `share`.

    Given crops are scored by their overlap with the centred box of that share of the photo; at a
    share of 1, which all crops lie in, by their overlap with the centred box of their own size.
    """

    share: float = 1.0

    def crop(self, photo: Photo, ratio: float) -> Box | None:
        width, height = largest(photo.width_px, photo.height_px, ratio)
        return _centred(photo, width * self.share, height * self.share)

    def score(self, photo: Photo, boxes_px: Boxes) -> Scores:
        if self.share < 1:
            return iou(
                boxes_px, _centred(photo, photo.width_px * self.share, photo.height_px * self.share)
            )
        sides = boxes_px[:, 2:] - boxes_px[:, :2]
        same_size = [_centred(photo, width, height) for width, height in sides]
        return iou(boxes_px, np.array(same_size))


class Largest:
    """The larger, the better. Of one ratio every largest crop is the same size: no opinion."""

    def crop(self, photo: Photo, ratio: float) -> Box | None:
        return None

    def score(self, photo: Photo, boxes_px: Boxes) -> Scores:
        sides = boxes_px[:, 2:].astype(np.float64) - boxes_px[:, :2]
        return np.asarray(sides.prod(1) / (photo.width_px * photo.height_px))


@dataclass(frozen=True)
class AnchorPrior:
    """What the training split says about positions alone, no pixel looked at.

    mos: mean opinion score of each grid anchor (x0, y0, x1, y1 in bins); overall: of all crops.
    placement: mean (centre x, centre y, share of the largest crop's sides) of people's own crops.
    """

    mos: dict[tuple[int, ...], float]
    overall: float
    placement: tuple[float, float, float] | None

    def crop(self, photo: Photo, ratio: float) -> Box | None:
        if self.placement is None:
            return None
        x, y, share = self.placement
        width, height = largest(photo.width_px, photo.height_px, ratio)
        centre = np.array([x * photo.width_px, y * photo.height_px])
        return _shift_inside(photo, centre, np.array([width, height]) * share)

    def score(self, photo: Photo, boxes_px: Boxes) -> Scores:
        keys = anchor_bins(boxes_px, photo.width_px, photo.height_px)
        return np.array([self.mos.get(tuple(key), self.overall) for key in keys.tolist()])


class Smartcrop:
    """libvips' smartcrop: `attention` or `entropy`. Looks at a copy of at most 256 pixels.

    Given crops are scored by their overlap with the crop of their size that libvips would take.
    """

    def __init__(self, interesting: str) -> None:
        try:
            import pyvips
        except (ImportError, OSError) as error:
            raise UsageError(
                f"the baseline {interesting} needs libvips ({error}): "
                "pip install 'pyvips[binary]', or leave it out of --baselines"
            ) from None
        self._vips: Any = pyvips
        self.interesting = interesting

    def crop(self, photo: Photo, ratio: float) -> Box | None:
        copy, scale = self._copy(photo)
        return self._place(copy, scale, *largest(photo.width_px, photo.height_px, ratio))

    def score(self, photo: Photo, boxes_px: Boxes) -> Scores:
        copy, scale = self._copy(photo)
        sizes = boxes_px[:, 2:] - boxes_px[:, :2]
        unique, where = np.unique(np.rint(sizes), axis=0, return_inverse=True)
        placed = np.array([self._place(copy, scale, *size) for size in unique])
        return iou(boxes_px, placed[where.ravel()])

    def _copy(self, photo: Photo) -> tuple[Any, NDArray[np.float64]]:
        """The small picture and (x, y) source pixels per pixel of it."""
        image = self._vips.Image.new_from_array(photo.pixels)
        image = image.copy(interpretation="srgb")
        if max(image.width, image.height) > VIPS_SIDE:
            image = image.thumbnail_image(VIPS_SIDE, height=VIPS_SIDE)
        image = image.copy_memory()
        return image, np.array([photo.width_px / image.width, photo.height_px / image.height])

    def _place(self, copy: Any, scale: NDArray[np.float64], width: float, height: float) -> Box:
        inner_w = min(copy.width, max(1, round(width / scale[0])))
        inner_h = min(copy.height, max(1, round(height / scale[1])))
        found = copy.smartcrop(inner_w, inner_h, interesting=self.interesting)
        size, photo_size = np.array([width, height]), np.array([copy.width, copy.height]) * scale
        low = np.array([-found.xoffset, -found.yoffset]) * scale
        low = np.clip(low, 0, np.maximum(photo_size - size, 0))
        return np.concatenate([low, low + size]).astype(np.float32)


def make_baselines(names: Sequence[str], prior: AnchorPrior | None) -> dict[str, Baseline]:
    """The named baselines; anchor_prior only where there is one. Raises UsageError."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise UsageError(f"no baseline {', '.join(unknown)}: choose from {', '.join(NAMES)}")
    made: dict[str, Baseline] = {}
    for name in names:
        if name in ("attention", "entropy"):
            made[name] = Smartcrop(name)
        elif name == "anchor_prior":
            made |= {name: prior} if prior else {}
        elif name == "largest":
            made[name] = Largest()
        else:
            made[name] = Centre(0.9 if name == "centre_90" else 1.0)
    return made


def anchor_bins(boxes: Boxes, width: float, height: float) -> NDArray[np.int64]:
    """Corners [N, 4] as bins of GAIC's 12 × 12 grid."""
    sides = np.array([width, height, width, height], np.float64)
    return np.rint(boxes / sides * GRID_BINS - 0.5).astype(np.int64)


def _centred(photo: Photo, width: float, height: float) -> Box:
    centre = np.array([photo.width_px, photo.height_px]) / 2
    return _shift_inside(photo, centre, np.array([width, height]))


def _shift_inside(photo: Photo, centre: NDArray[np.float64], size: NDArray[np.float64]) -> Box:
    limit = np.array([photo.width_px, photo.height_px])
    low = np.clip(centre - size / 2, 0, np.maximum(limit - size, 0))
    return np.concatenate([low, low + size]).astype(np.float32)
