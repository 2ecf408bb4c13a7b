"""Make the preview of a photo: the whole photo, small, and its gaze map in a few cells.

It shows a run's readers where a crop lies, without fetching the photo. No decision depends on it.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.photo.encoding.automatic import OPAQUE, OTHER
from pipeline.photo.encoding.jpegli import encode_jpegli
from pipeline.photo.encoding.thumbnail import encode, shrunk
from pipeline.photo.view import size_within
from pipeline.schema import GAZE_SIDE
from pipeline.stages.task import PhotoRow, Preview

QUALITY = 70  # for WebP and for jpegli, which then look alike at 256 pixels and take about 8 kB
ROWS_PER_PIXEL = 2  # rows of the view that are read for each row of the preview


def preview_of(row: PhotoRow, side_px: int, jpegli: bool = False) -> Preview:
    """Return the opaque preview of a decoded photo.

    side_px: its long side, unless the photo is smaller. jpegli: encode JPEG by jpegli, else WebP.
    Raises EncodeError.
    """
    photo = row.decoded
    size_wh = size_within((photo.width_px, photo.height_px), side_px)
    pixels = shrunk(photo.pixels, size_wh, ROWS_PER_PIXEL)
    format = OPAQUE if jpegli else OTHER
    image = encode_jpegli(pixels, QUALITY, True) if jpegli else encode(pixels, format, QUALITY)
    attention = None if row.objects is None else row.objects.attention
    gaze = None if attention is None else small_gaze(attention.gaze)
    return Preview(row.image_id, *size_wh, format, image, gaze)


def small_gaze(gaze: NDArray[np.float64]) -> bytes | None:
    """Return a gaze map [h, w] as `schema.PREVIEWS` stores it; None if it is empty.

    Each cell gets the gaze of the part of the photo that it covers.
    """
    height, width = gaze.shape
    cells = _overlaps(height) @ gaze @ _overlaps(width).T  # [GAZE_SIDE, GAZE_SIDE]
    peak = cells.max()
    return np.rint(cells * (255 / peak)).astype(np.uint8).tobytes() if peak > 0 else None


@lru_cache(maxsize=64)  # the gaze maps have few sizes
def _overlaps(count: int) -> NDArray[np.float64]:
    """Return how much each of `count` equal cells of a unit side overlaps each of GAZE_SIDE cells.

    [GAZE_SIDE, count]
    """
    edges, cells = np.linspace(0, 1, count + 1), np.linspace(0, 1, GAZE_SIDE + 1)
    low = np.maximum(edges[None, :-1], cells[:-1, None])
    high = np.minimum(edges[None, 1:], cells[1:, None])
    overlaps: NDArray[np.float64] = np.clip(high - low, 0, None)
    return overlaps
