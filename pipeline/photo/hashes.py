"""Compute a photo's placeholder to show before it loads, and a perceptual hash of its appearance.

Both are computed from the same small picture, so that a photo costs a fraction of a millisecond.
"""

import base64
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.photo.decoded import Photo
from pipeline.photo.encoding.thumbnail import resample, shrunk
from pipeline.photo.view import size_within

SMALL_SIDE = 100  # pixels; the most that ThumbHash accepts
ROWS_PER_PIXEL = 3  # rows of a view that are read for each row of the small picture
HASH_SIDE = 32  # pixels per side that the perceptual hash transforms
HASH_BITS_SIDE = 8  # frequencies per side, so 64 bits

# ThumbHash: numbers of terms of brightness along the long side, of the two colours, and of opacity.
L_TERMS, L_TERMS_WITH_ALPHA, LEAST_L_TERMS = 7, 5, 3
COLOUR_TERMS = 3
ALPHA_TERMS = 5


def hashes_of(photo: Photo) -> tuple[str, int]:
    """Return a photo's ThumbHash as base64 text, and its perceptual hash as a signed 64-bit number.

    Both cover the whole photo, borders included.
    """
    small, alpha = small_picture(photo)
    placeholder = base64.b64encode(thumbhash(small, alpha)).decode()
    return placeholder, perceptual_hash(small)


def small_picture(photo: Photo) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Return the photo within SMALL_SIDE pixels: uint8 [h, w, 3] on white, and opacity [h, w]."""
    height, width = photo.pixels.shape[:2]
    size_wh = size_within((width, height), SMALL_SIDE)
    if size_wh == (width, height):
        return photo.pixels, photo.alpha
    small = shrunk(photo.pixels, size_wh, ROWS_PER_PIXEL)
    if photo.alpha is None:
        return small, None
    # From the same rows as the colours, which are blended by it.
    planes = np.broadcast_to(photo.alpha[..., None], photo.pixels.shape)
    return small, shrunk(planes, size_wh, ROWS_PER_PIXEL)[..., 0]


def perceptual_hash(pixels: NDArray[np.uint8]) -> int:
    """Return the pHash of a picture, uint8 [h, w, 3]: a signed 64-bit number.

    Brightness (ITU-R BT.601) in 32 × 32 pixels is transformed by a DCT-II. For each of the 8 × 8
    lowest frequencies, row by row, one bit states whether it exceeds their median; the first is the
    number's highest bit. Pictures that look alike differ in few bits, whatever their size, format
    or quality. The definition is that of `phash` in the package ImageHash; resampling differs, so
    a few bits may differ too.
    """
    height, width = pixels.shape[:2]
    if (width, height) != (HASH_SIDE, HASH_SIDE):
        pixels = resample(pixels, (HASH_SIDE, HASH_SIDE))
    luma = np.rint(pixels @ np.array([0.299, 0.587, 0.114]))  # [32, 32]
    waves = _waves(HASH_SIDE, HASH_BITS_SIDE)
    low = waves @ luma @ waves.T  # [8, 8]
    bits = low.ravel() > np.median(low)
    return int(np.packbits(bits).view(">i8")[0])


def thumbhash(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8] | None = None) -> bytes:
    """Return the ThumbHash of a picture of at most 100 × 100 pixels.

    The format is ThumbHash by Evan Wallace (2023), 5 bytes and half a byte per term. It has the
    average colour and a few cosine terms of brightness, of yellow against blue, of red against
    green, and of opacity if the picture is not opaque.
    pixels: uint8 [h, w, 3], blended with white where not opaque. alpha: opacity [h, w].
    """
    height, width = pixels.shape[:2]
    opacity = None if alpha is None or alpha.min() == 255 else alpha / 255  # [h, w]
    has_alpha = opacity is not None
    red, green, blue = _planes(pixels, opacity)
    most = L_TERMS_WITH_ALPHA if has_alpha else L_TERMS
    terms_x, terms_y = (max(1, _round(most * s / max(height, width))) for s in (width, height))
    channels = [
        _channel(
            (red + green + blue) / 3, max(LEAST_L_TERMS, terms_x), max(LEAST_L_TERMS, terms_y)
        ),
        _channel((red + green) / 2 - blue, COLOUR_TERMS, COLOUR_TERMS),
        _channel(red - green, COLOUR_TERMS, COLOUR_TERMS),
    ]
    (light, _, light_scale), (yellow, _, yellow_scale), (reddish, _, red_scale) = channels
    is_wide = width > height
    head = _round(63 * light) | _round(31.5 + 31.5 * yellow) << 6
    head |= _round(31.5 + 31.5 * reddish) << 12 | _round(31 * light_scale) << 18 | has_alpha << 23
    sizes = (terms_y if is_wide else terms_x) | _round(63 * yellow_scale) << 3
    sizes |= _round(63 * red_scale) << 9 | is_wide << 15
    data: bytes = head.to_bytes(3, "little") + sizes.to_bytes(2, "little")
    if opacity is not None:
        channels.append(_channel(opacity, ALPHA_TERMS, ALPHA_TERMS))
        data += bytes([_round(15 * channels[3][0]) | _round(15 * channels[3][2]) << 4])
    nibbles = [_round(15 * term) for _, terms, _ in channels for term in terms]
    nibbles += [0] * (len(nibbles) % 2)
    return data + bytes(a | b << 4 for a, b in zip(nibbles[::2], nibbles[1::2], strict=True))


def _planes(pixels: NDArray[np.uint8], opacity: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return red, green and blue from 0 to 1, [3, h, w]; if not opaque, on their average colour."""
    planes: NDArray[np.float64] = np.moveaxis(pixels, 2, 0) / 255
    if opacity is None:
        return planes
    planes = planes - (1 - opacity)  # on white p = a c + (1 - a); the average is over a c
    covered = float(opacity.sum())
    average = planes.sum((1, 2)) / covered if covered > 0 else np.zeros(3)
    on_average: NDArray[np.float64] = planes + average[:, None, None] * (1 - opacity)
    return np.clip(on_average, 0, 1)  # resampled colours and opacities are rounded singly


def _channel(
    plane: NDArray[np.float64], terms_x: int, terms_y: int
) -> tuple[float, list[float], float]:
    """Return a plane's mean, its other cosine terms scaled to 0 to 1, and their largest magnitude.

    plane: [h, w]. Of terms_x × terms_y terms the triangle of low frequencies is kept, row by row.
    """
    height, width = plane.shape
    found = _waves(height, terms_y) @ plane @ _waves(width, terms_x).T / plane.size
    mean, *others = found[_triangle(terms_x, terms_y)].tolist()
    scale = max(map(abs, others), default=0.0)
    return mean, [0.5 + 0.5 / scale * term if scale else 0.0 for term in others], scale


@lru_cache(maxsize=128)
def _triangle(terms_x: int, terms_y: int) -> NDArray[np.bool_]:
    """Return which of terms_y × terms_x terms are kept: the low frequencies in both directions."""
    y, x = np.mgrid[0:terms_y, 0:terms_x]
    kept: NDArray[np.bool_] = x * terms_y < terms_x * (terms_y - y)
    return kept


@lru_cache(maxsize=512)
def _waves(count: int, terms: int) -> NDArray[np.float64]:
    """Return the first cosines of the DCT-II at `count` points: float64 [terms, count]."""
    places = (np.arange(count) + 0.5) * np.pi / count
    waves: NDArray[np.float64] = np.cos(np.arange(terms)[:, None] * places)
    return waves


def _round(value: float) -> int:
    """Round halves up, as the format's original implementation does."""
    return int(np.floor(value + 0.5))
