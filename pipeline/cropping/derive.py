"""Derive the crop of a shape from the stored crop of a shape with nearly the same ratio.

Nothing is scored. The box is made wider or higher within the photo, so that all of the stored crop
stays inside; only what the photo has no room for is cut off.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipeline.boxes import Box, Boxes, to_whole_pixels
from pipeline.cropping.results import ScoredCrop, objects_in
from pipeline.detectors import Detections
from pipeline.settings.safe_areas import SafeArea, safe_area_of
from pipeline.shapes import Shape, parse_shape

NEAR = 0.9  # the smaller of two ratios is at least this share of the larger


def nearest_shape(shape: Shape, stored: Iterable[str]) -> str | None:
    """Return the stored shape to derive `shape` from: itself, else the nearest one within NEAR.

    None if none is near. `free` has no ratio, so it is derived only from itself.
    """
    names = list(stored)
    if shape.name in names:
        return shape.name
    if shape.ratio is None:
        return None
    ratios = {name: parse_shape(name).ratio for name in names}
    near = {
        name: min(shape.ratio / ratio, ratio / shape.ratio)
        for name, ratio in ratios.items()
        if ratio is not None
    }
    best = max(near, key=lambda name: near[name], default=None)
    return best if best is not None and near[best] >= NEAR else None


def derived_box(box_px: Sequence[float], ratio: float, size_wh: tuple[int, int]) -> Box:
    """Return a box of another ratio around a stored one, in whole pixels inside the photo.

    It grows along one side and is shifted into the photo; if the photo is too small for it, the
    other side is trimmed around its middle. box_px: xyxy, source pixels.
    """
    x0, y0, x1, y1 = map(float, box_px)
    width, height = float(size_wh[0]), float(size_wh[1])
    wide, high = max(x1 - x0, (y1 - y0) * ratio), max(y1 - y0, (x1 - x0) / ratio)
    if wide > width:
        wide, high = width, width / ratio
    if high > height:
        wide, high = height * ratio, height
    left = min(max((x0 + x1 - wide) / 2, 0.0), width - wide)
    top = min(max((y0 + y1 - high) / 2, 0.0), height - high)
    box: Boxes = np.array([[left, top, left + wide, top + high]], np.float32)
    return np.asarray(to_whole_pixels(box, *size_wh)[0])


def derived_crop(
    crop: ScoredCrop,
    shape: Shape,
    size_wh: tuple[int, int],
    objects: Detections | None,
    areas: Mapping[str, SafeArea],
) -> ScoredCrop:
    """Derive the crop of a shape from the stored crop of another; return it as is for the same one.

    areas: the safe areas by which the stored crop was judged.

    Values that are not measured again are None: the margin, cut faces, heads and text, the share of
    the main subject and the confidence. The verdict is None too if the stored crop was trimmed, or
    if people see another part of this shape's crops, as in a circle. Scores stay those of the
    stored crop.
    """
    if shape.name == crop.ratio:
        return crop
    if crop.fit != "crop" or shape.ratio is None:
        return replace(crop, ratio=shape.name)
    box = derived_box(crop.box_px, shape.ratio, size_wh)
    x0, y0, x1, y1 = map(float, box)
    slack = 1.0  # whole pixels
    is_seen_alike = safe_area_of(shape, areas) == safe_area_of(parse_shape(crop.ratio), areas)
    holds = (
        is_seen_alike
        and x0 <= crop.box_px[0] + slack
        and y0 <= crop.box_px[1] + slack
        and x1 >= crop.box_px[2] - slack
        and y1 >= crop.box_px[3] - slack
    )
    shares, cut = ([], 0) if objects is None else objects_in(box, objects)
    return replace(
        crop,
        ratio=shape.name,
        box_px=(x0, y0, x1, y1),
        margin=None,
        object_shares=shares,
        objects_cut=cut,
        faces_cut=None,
        heads_cut=None,
        text_cut=None,
        subject_share=None,
        confidence=None,
        verdict=crop.verdict if holds else None,
        reason=crop.reason if holds else None,
    )
