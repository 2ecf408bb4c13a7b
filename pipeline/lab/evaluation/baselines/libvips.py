"""The baselines `attention` and `entropy`: libvips' smartcrop."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Boxes
from pipeline.errors import UsageError
from pipeline.lab.evaluation.baselines.baseline import PlacingBaseline
from pipeline.photo.decode import Photo

VIPS_SIDE = 256
"""Longest side of the copy that libvips looks at; its attention map is 32 pixels wide or less."""


class Smartcrop(PlacingBaseline):
    """libvips' smartcrop: `attention` or `entropy`, on a copy of at most VIPS_SIDE pixels.

    Given crops are scored by their overlap with the crop of their size that libvips would choose.
    """

    def __init__(self, interesting: str) -> None:
        try:
            import pyvips
        except (ImportError, OSError) as error:
            raise UsageError(
                f"the baseline {interesting} needs libvips ({error}): "
                "pip install 's2cnet-thumbnails[eval]', or leave it out of the baselines"
            ) from None
        self._vips: Any = pyvips
        self.interesting = interesting

    def place(self, photo: Photo, sizes: NDArray[np.float64]) -> Boxes:
        """Place crops [N, 4] of sizes [N, 2] (width, height in source pixels)."""
        copy, scale = self._copy(photo)
        low = []
        for width, height in np.maximum(np.rint(sizes / scale), 1).astype(int).tolist():
            found = copy.smartcrop(
                min(copy.width, width), min(copy.height, height), interesting=self.interesting
            )
            low.append([-found.xoffset, -found.yoffset])
        room = np.array([photo.width_px, photo.height_px]) - sizes
        corners = np.clip(np.array(low) * scale, 0, np.maximum(room, 0))
        return np.concatenate([corners, corners + sizes], axis=1).astype(np.float32)

    def _copy(self, photo: Photo) -> tuple[Any, NDArray[np.float64]]:
        """Make the small copy; return it, and the source pixels (x, y) per pixel of it."""
        image = self._vips.Image.new_from_array(photo.pixels)
        image = image.copy(interpretation="srgb")
        if max(image.width, image.height) > VIPS_SIDE:
            image = image.thumbnail_image(VIPS_SIDE, height=VIPS_SIDE)
        image = image.copy_memory()
        return image, np.array([photo.width_px / image.width, photo.height_px / image.height])
