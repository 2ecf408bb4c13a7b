"""Choose the size at which a photo is decoded: enough for scoring and thumbnails, and no more."""

import math
from collections.abc import Iterable

from PIL import Image

# A view's long side may be this share of view_side. It lets 12-megapixel photos (4,000 pixels) be
# decoded at 1/4 for the default of 1,024: 1,000 pixels cost half of what 2,000 would.
VIEW_SLACK = 0.95

# Where the long side alone counts, photos beyond LONG are too thin. Their short side keeps FINE of
# view_side, with which no crop that is proposed has to be enlarged (the smallest have .63 of the
# short side), as long as the view has no more pixels than MOST_VIEW squares of view_side: to 1:34.
LONG, FINE, MOST_VIEW = 1.9, 0.794, 22
# A view may be _NEAR times larger than it has to be, rather than blurred by little. Beyond 1:25 it
# may not, so that it never has more pixels than MOST_VIEW squares and 4 %.
_NEAR, _NEAR_UP_TO = 1.2, 25
_BAND_ROWS = 256

_ROUNDING = 1e-6
_JPEG_SCALES = (8, 4, 2, 1)  # libjpeg decodes its 8 × 8 blocks to 1, 2, 4 or 8 pixels a side


def view_size(
    size_wh: tuple[int, int], view_side: int, most_pixels: float = math.inf
) -> tuple[int, int]:
    """Width and height of the view of a photo.

    A photo up to 1:1.9 is reduced by a whole factor, so that its long side has at least
    VIEW_SLACK × view_side; a longer one by any factor, see LONG. Nothing is enlarged.
    most_pixels: of the view of a longer photo.
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


def size_within(size_wh: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height of a copy whose long side is at most `side`; nothing is enlarged."""
    scale = min(1.0, side / max(size_wh))
    return max(1, round(size_wh[0] * scale)), max(1, round(size_wh[1] * scale))


def jpeg_scale(size_wh: tuple[int, int], view_side: int, most_pixels: float) -> int:
    """By what libjpeg may divide the sides of a photo while it decodes: 1, 2, 4 or 8.

    The largest that leaves the view its size; larger where what is decoded would have more than
    `most_pixels`.
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
    """An image at the size of its view or a little more: the mean of whole blocks of pixels.

    A long photo's are no whole blocks where that leaves much more than the view needs, and a very
    long one's never.
    """
    width, height = image.size
    view_w, view_h = view_wh
    ratio = max(width, height) / min(width, height)  # the view's is rounded
    factor = max(1, min(width // view_w, height // view_h))
    while -(-width // (factor + 1)) >= view_w and -(-height // (factor + 1)) >= view_h > 1:
        factor += 1
    image = image.reduce(factor) if factor > 1 else image
    near = _NEAR if ratio <= _NEAR_UP_TO else 1.0
    return _means(image, view_wh) if ratio > LONG and image.width > near * view_w else image


def _means(image: Image.Image, view_wh: tuple[int, int]) -> Image.Image:
    """The mean of the pixels under each of a view's.

    By bands of rows: what Pillow holds between its two passes may be larger than the view.
    """
    (view_w, view_h), rows_each = view_wh, image.height / view_wh[1]
    view = Image.new(image.mode, view_wh)
    for top in range(0, view_h, _BAND_ROWS):
        end = min(view_h, top + _BAND_ROWS)
        under = (0, top * rows_each, image.width, min(image.height, end * rows_each))
        size = (view_w, end - top)
        view.paste(image.resize(size, Image.Resampling.BOX, under), (0, top))
    return view
