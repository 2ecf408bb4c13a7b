"""Choose the size at which a photo is decoded: enough for scoring and thumbnails, and no more."""

import math
from collections.abc import Iterable

from PIL import Image

# A view's long side may be this share of view_side. So 12-megapixel photos (4,000 pixels) can be
# decoded at 1/4 for the default of 1,024: 1,000 pixels cost half of what 2,000 would.
VIEW_SLACK = 0.95

# If only the long side counted, the views of photos longer than LONG would be too thin. Their short
# side keeps FINE of view_side, so that no proposed crop has to be enlarged (the smallest have .63
# of the short side), as long as the view has at most MOST_VIEW squares of view_side: up to 1:34.
LONG, FINE, MOST_VIEW = 1.9, 0.794, 22
# A view may be up to _NEAR times larger than needed, since a slight reduction would only blur it.
# Beyond 1:25 it may not, so that it never exceeds MOST_VIEW squares by more than 4 %.
_NEAR, _NEAR_UP_TO = 1.2, 25
_BAND_ROWS = 256

_ROUNDING = 1e-6
_JPEG_SCALES = (8, 4, 2, 1)  # libjpeg decodes its 8 × 8 blocks to 1, 2, 4 or 8 pixels a side


def view_size(
    size_wh: tuple[int, int], view_side: int, most_pixels: float = math.inf
) -> tuple[int, int]:
    """Return width and height of a photo's view.

    A photo up to 1:1.9 is reduced by a whole factor, so that its long side has at least
    VIEW_SLACK × view_side; a longer one by any factor, see LONG. Nothing is enlarged.
    most_pixels: limit on the view of a longer photo.
    """
    width, height = size_wh
    long, short = max(size_wh), min(size_wh)
    if long <= LONG * short:
        factor = max(1, int(long / max(1.0, VIEW_SLACK * view_side)))
        return -(-width // factor), -(-height // factor)
    most_pixels = min(most_pixels, MOST_VIEW * view_side**2)
    wanted = min(FINE * view_side, math.sqrt(most_pixels * short / long))
    scale = min(1.0, wanted / short)
    return math.ceil(width * scale - _ROUNDING), math.ceil(height * scale - _ROUNDING)


def least_scale(size_wh: tuple[int, int], view_side: int) -> float:
    """Return the view pixels per source pixel that a photo's view has at least, at most 1.

    The views of photos beyond 1:34 may have less.
    """
    long, short = max(size_wh), min(size_wh)
    wanted = VIEW_SLACK * view_side / long if long <= LONG * short else FINE * view_side / short
    return min(1.0, wanted)


def view_side_for(size_wh: tuple[int, int], scale: float) -> int:
    """Return a view_side for which the view has at least `scale` of the photo's sides.

    scale: view pixels per source pixel, 0 to 1. The views of photos beyond 1:34 may be smaller.
    """
    long, short = max(size_wh), min(size_wh)
    side = scale * (long / VIEW_SLACK if long <= LONG * short else short / FINE)
    return max(1, math.ceil(side))


def size_within(size_wh: tuple[int, int], side: int) -> tuple[int, int]:
    """Return width and height of a copy whose long side is at most `side`; nothing is enlarged."""
    scale = min(1.0, side / max(size_wh))
    return max(1, round(size_wh[0] * scale)), max(1, round(size_wh[1] * scale))


def jpeg_scale(size_wh: tuple[int, int], view_side: int, most_pixels: float) -> int:
    """Return by what libjpeg may divide the sides of a photo while it decodes: 1, 2, 4 or 8.

    It is the largest divisor that leaves at least the view's size, or a larger one if the decoded
    picture would otherwise have more than `most_pixels`.
    """
    width, height = size_wh
    view_w, view_h = view_size(size_wh, view_side)
    wanted = next(s for s in _JPEG_SCALES if -(-width // s) >= view_w and -(-height // s) >= view_h)
    return next(
        (s for s in _fitting(wanted) if width * height / s**2 <= most_pixels), _JPEG_SCALES[0]
    )


def _fitting(least: int) -> Iterable[int]:
    return (scale for scale in reversed(_JPEG_SCALES) if scale >= least)


def reduced(image: Image.Image, view_wh: tuple[int, int]) -> Image.Image:
    """Reduce an image to its view's size or slightly more, by averaging whole blocks of pixels.

    For a long photo the result is averaged once more, to exactly the view's size, if whole blocks
    leave much more than that; for a very long one whenever they leave more.
    """
    width, height = image.size
    view_w, view_h = view_wh
    ratio = max(width, height) / min(width, height)  # the view's ratio is rounded
    factor = max(1, min(width // view_w, height // view_h))
    while -(-width // (factor + 1)) >= view_w and -(-height // (factor + 1)) >= view_h > 1:
        factor += 1
    image = image.reduce(factor) if factor > 1 else image
    near = _NEAR if ratio <= _NEAR_UP_TO else 1.0
    return _means(image, view_wh) if ratio > LONG and image.width > near * view_w else image


def _means(image: Image.Image, view_wh: tuple[int, int]) -> Image.Image:
    """Average the image's pixels under each pixel of the view.

    This is done in bands of rows, since the intermediate image between Pillow's two passes may be
    larger than the view.
    """
    (view_w, view_h), rows_each = view_wh, image.height / view_wh[1]
    view = Image.new(image.mode, view_wh)
    for top in range(0, view_h, _BAND_ROWS):
        end = min(view_h, top + _BAND_ROWS)
        under = (0, top * rows_each, image.width, min(image.height, end * rows_each))
        size = (view_w, end - top)
        view.paste(image.resize(size, Image.Resampling.BOX, under), (0, top))
    return view
