"""Keep a photo's transparency in its thumbnails, or put it on a colour if the format has none.

`Photo.pixels` are blended with white, p = a c + 255 (1 - a) for colour c and opacity a. Blending is
linear, so c can be computed from resampled pixels and resampled opacities too.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.photo.decode import Photo
from pipeline.photo.encoding.thumbnail import cut


def on_colour(photo: Photo, background: tuple[int, int, int]) -> Photo:
    """Return the photo on another colour than white, or the same photo if it is already opaque."""
    if photo.alpha is None:
        return photo
    clear = (255 - photo.alpha.astype(np.float32))[..., None] / 255
    pixels = photo.pixels + clear * (np.array(background, np.float32) - 255)
    return replace(photo, pixels=_bytes(pixels), alpha=None)


def cut_with_opacity(
    photo: Photo, box_px: Sequence[float], size_wh: tuple[int, int]
) -> NDArray[np.uint8]:
    """Cut and resample a crop as `thumbnail.cut` does: uint8 [h, w, 4], red, green, blue, opacity.

    The result is [h, w, 3] if the crop is opaque. Raises EncodeError.
    """
    pixels = cut(photo, box_px, size_wh)
    if photo.alpha is None:
        return pixels
    plane = replace(photo, pixels=np.repeat(photo.alpha[..., None], 3, axis=2), alpha=None)
    alpha = cut(plane, box_px, size_wh)[..., :1]  # [h, w, 1]
    if alpha.min() == 255:
        return pixels
    share = np.maximum(alpha, 1).astype(np.float32) / 255
    colours = 255 - (255 - pixels.astype(np.float32)) / share
    return np.concatenate([_bytes(colours), alpha], axis=2)


def _bytes(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
