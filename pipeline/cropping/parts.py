"""Convert results for the part of a photo inside its borders to the whole photo's frame.

Everything before that treats the part, `Photo.content`, as a photo of its own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.boxes import FloatArray, shared_lengths
from pipeline.cropping.results import PhotoCrops, ScoredCandidates, ScoredCrop
from pipeline.detectors import Attention, Detections
from pipeline.photo.decode import Photo

Origin = tuple[int, int]  # x, y of a part's upper left corner in the whole photo, source pixels


def shifted(objects: Detections, origin: Origin) -> Detections:
    """Move objects by an origin, in pixels. Everything else from their source stays as it is."""
    return replace(objects, boxes=objects.boxes + np.array([*origin, *origin], np.float32))


def objects_of_whole(objects: Detections, part: Photo, whole: Photo) -> Detections:
    """Convert a part's objects and attention to those of the whole photo, in its pixels."""
    if part.origin_px == (0, 0) and (part.width_px, part.height_px) == _sides(whole):
        return objects
    moved = shifted(objects, part.origin_px)
    if moved.attention is None:
        return moved
    return replace(moved, attention=attention_of_whole(moved.attention, part, whole))


def attention_of_whole(attention: Attention, part: Photo, whole: Photo) -> Attention:
    """Convert a part's gaze map, kept map and people's heads to those of the whole photo.

    The borders get no gaze. The maps keep their number of cells. The subject and placement maps,
    the votes for heads and the heads of animals are left out: no crop is chosen by the result.
    """
    sides, origin = np.array(_sides(whole), np.float64), np.array(part.origin_px, np.float64)
    own = np.array([part.width_px, part.height_px], np.float64)
    low, high = origin / sides, (origin + own) / sides
    rows = _spread(attention.gaze.shape[0], low[1], high[1])
    columns = _spread(attention.gaze.shape[1], low[0], high[0])
    kept_rows = _spread(attention.kept.shape[0], low[1], high[1])
    kept_columns = _spread(attention.kept.shape[1], low[0], high[0])
    # A cell of `kept` is a mean over its area, one of `gaze` a sum.
    area = float(np.prod(high - low))
    return Attention(
        rows @ attention.gaze @ columns.T,
        kept_rows @ attention.kept @ kept_columns.T * area,
        attention.heads_rel * np.tile(high - low, 2) + np.tile(low, 2),
        attention.likelihood,
    )


def crops_of_whole(chosen: PhotoCrops, origin: Origin) -> PhotoCrops:
    """Convert the crops of a part with this upper left corner to pixels of the whole photo."""
    if origin == (0, 0):
        return chosen
    edges = np.array([*origin, *origin], np.float32)

    def moved(crop: ScoredCrop) -> ScoredCrop:
        x0, y0, x1, y1 = (np.array(crop.box_px, np.float32) + edges).tolist()
        return replace(crop, box_px=(x0, y0, x1, y1))

    kept = [
        ScoredCandidates(one.ratio, one.boxes_px + edges, one.scores) for one in chosen.candidates
    ]
    return PhotoCrops([moved(crop) for crop in chosen.crops], kept, chosen.skipped)


def _sides(photo: Photo) -> tuple[int, int]:
    return photo.width_px, photo.height_px


def _spread(count: int, low: float, high: float) -> FloatArray:
    """Return the share of each of a part's `count` cells in each cell of the whole: [C, C].

    Both have as many cells. The part reaches from low to high, shares of the whole. A column adds
    up to 1.
    """
    cells, own = np.linspace(0, 1, count + 1), np.linspace(low, high, count + 1)
    shared = shared_lengths(cells[:-1], cells[1:], own[:-1], own[1:])
    return np.asarray(shared * count / (high - low))
