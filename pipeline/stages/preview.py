"""Make the preview of a photo: the whole of it, small, and its gaze map in few cells.

A run's readers see with it where a crop lies without fetching the photo. Nothing is decided by it.
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

QUALITY = 70  # of WebP and of jpegli, which look alike so at 256 pixels, and take about 8 kB
ROWS_A_PIXEL = 2  # a view's rows that are read for each of a preview's


def preview_of(row: PhotoRow, side_px: int, jpegli: bool = False) -> Preview:
    """The preview of a decoded photo, opaque.

    side_px: its long side, unless the photo is smaller. jpegli: it is a JPEG by jpegli, else WebP.
    Raises EncodeError.
    """
    photo = row.decoded
    size_wh = size_within((photo.width_px, photo.height_px), side_px)
    pixels = shrunk(photo.pixels, size_wh, ROWS_A_PIXEL)
    format = OPAQUE if jpegli else OTHER
    image = encode_jpegli(pixels, QUALITY, True) if jpegli else encode(pixels, format, QUALITY)
    attention = None if row.objects is None else row.objects.attention
    gaze = None if attention is None else small_gaze(attention.gaze)
    return Preview(row.image_id, *size_wh, format, image, gaze)


def small_gaze(gaze: NDArray[np.float64]) -> bytes | None:
    """A gaze map [h, w] as `schema.PREVIEWS` stores it; None where it is empty.

    Each cell gets the gaze of the part of the photo that it covers.
    """
    height, width = gaze.shape
    cells = _overlaps(height) @ gaze @ _overlaps(width).T  # [GAZE_SIDE, GAZE_SIDE]
    peak = cells.max()
    return np.rint(cells * (255 / peak)).astype(np.uint8).tobytes() if peak > 0 else None


@lru_cache(maxsize=64)  # a source's maps have few sizes
def _overlaps(count: int) -> NDArray[np.float64]:
    """What each of `count` equal cells of a side of 1 shares with each of GAZE_SIDE.

    [GAZE_SIDE, count]
    """
    edges, cells = np.linspace(0, 1, count + 1), np.linspace(0, 1, GAZE_SIDE + 1)
    low = np.maximum(edges[None, :-1], cells[:-1, None])
    high = np.minimum(edges[None, 1:], cells[1:, None])
    overlaps: NDArray[np.float64] = np.clip(high - low, 0, None)
    return overlaps
