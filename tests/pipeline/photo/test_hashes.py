"""Placeholders and perceptual hashes: golden values from other programs, and re-encoded photos."""

import base64
import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.data import astronaut, chelsea, coffee

from pipeline.photo.decode import decode
from pipeline.photo.decoded import Photo
from pipeline.photo.hashes import hashes_of, perceptual_hash, thumbhash
from tests.support.odd_photos import saved

# Made once of `drawing`'s pixels with two other implementations, which agree.
THUMBHASHES = [
    (60, 100, False, "dd080a3c9a7077877787877787777077078888"),
    (100, 40, False, "dd080a3b18707778877777777077078888"),
    (50, 50, False, "dd080a3f1870878777788777877877788777077777808808"),
    (100, 7, False, "9c180a391c707778777677678087078888"),
    (60, 100, True, "dd088a33963970757787777077078888f87778877a8687"),
    (100, 100, True, "dd088a2d1429707577876877777077078888f89778877f7698"),
    (1, 1, False, "000802070000000000000000000000000000000000000000"),
]
SAME, ALIKE = 4, 10  # bits; unrelated photos differ in about 32


def drawing(height: int, width: int) -> NDArray[np.uint8]:
    """A ramp, a curve and a pattern without symmetry, uint8 [h, w, 3]."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 255 // max(1, width - 1), (y * y + 3 * x) % 256, (x * 37 + y * 91 + x * y) % 200]
    return np.stack(planes, -1).astype(np.uint8)


def hole(height: int, width: int) -> NDArray[np.uint8]:
    """Opacity that grows from the middle outwards, uint8 [h, w]."""
    y, x = np.mgrid[0:height, 0:width]
    far = ((x - width / 2) ** 2 + (y - height / 2) ** 2) / (width * height / 4)
    return np.clip(far * 255, 0, 255).astype(np.uint8)


def on_white(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.float64]:
    share = alpha[..., None] / 255
    return pixels * share + 255 * (1 - share)


@pytest.mark.parametrize(("height", "width", "with_alpha", "expected"), THUMBHASHES)
def test_thumbhash_is_that_of_the_format(
    height: int, width: int, with_alpha: bool, expected: str
) -> None:
    pixels = drawing(height, width)
    if not with_alpha:
        assert thumbhash(pixels).hex() == expected
        return
    alpha = hole(height, width)
    exact = on_white(pixels, alpha)  # whole numbers would lose what a nibble may show
    assert thumbhash(exact, alpha).hex() == expected  # type: ignore[arg-type]


def test_phash_is_that_of_the_definition() -> None:
    """Made once with the package ImageHash, of pictures that need no resampling."""
    pixels = drawing(32, 32)
    noise = np.random.default_rng(5).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    turned = np.ascontiguousarray(np.roll(pixels[::-1], 5, 1))
    expected = ["833c2f324df59a26", "bec5389a523497c3", "de39db20194732e3"]
    for one, text in zip((pixels, turned, noise), expected, strict=True):
        found = perceptual_hash(one)
        assert -(2**63) <= found < 2**63
        assert f"{found & (2**64 - 1):016x}" == text


def apart(one: int, other: int) -> int:
    return ((one ^ other) & (2**64 - 1)).bit_count()


def test_phash_is_stable_under_encoding_and_tells_photos_apart() -> None:
    photos = [Image.fromarray(one()) for one in (astronaut, chelsea, coffee)]
    hashes = []
    for picture in photos:
        files = [saved(np.array(picture), "PNG")]
        for format, options in (("JPEG", {"quality": 60}), ("WEBP", {"quality": 50})):
            sink = io.BytesIO()
            picture.save(sink, format, **options)
            files.append(sink.getvalue())
        half = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BICUBIC)
        files.append(saved(np.array(half), "PNG"))
        first, *others = (hashes_of(decode(file))[1] for file in files)
        assert max(apart(first, other) for other in others) <= SAME
        hashes.append(first)
    assert min(apart(a, b) for n, a in enumerate(hashes) for b in hashes[:n]) > ALIKE


def test_a_large_view_is_made_small_first() -> None:
    wide = np.repeat(np.repeat(drawing(75, 100), 8, 0), 8, 1)
    placeholder, _ = hashes_of(Photo(wide, 3200, 2400, "jpeg", 1))
    data = base64.b64decode(placeholder)
    assert data[:5] == thumbhash(drawing(75, 100))[:5]
    alpha = np.full(wide.shape[:2], 128, np.uint8)
    half = Photo(on_white(wide, alpha).astype(np.uint8), 3200, 2400, "png", 1, alpha=alpha)
    with_alpha = base64.b64decode(hashes_of(half)[0])
    assert with_alpha[2] & 0x80
    assert with_alpha[5] & 15 == 8  # 128 of 255, in fifteenths: 7.53, rounded


@pytest.mark.parametrize("first", [0, 1, 2])
def test_thin_lines_on_a_transparent_ground_have_their_own_colour(first: int) -> None:
    """Only every third of 900 rows is read: colours and opacities have to be those of the same."""
    alpha = np.zeros((900, 600), np.uint8)
    alpha[first::3] = 255
    black = np.repeat(255 - alpha[..., None], 3, axis=2)
    placeholder, _ = hashes_of(Photo(black, 600, 900, "png", 1, alpha=alpha))
    assert base64.b64decode(placeholder)[0] & 63 == 0  # brightness of the average colour


def test_colours_that_rounding_has_put_below_black_count_as_black() -> None:
    """Black of opacity 2 on white is 253; a level of 250 belongs to no colour."""
    found = thumbhash(np.full((9, 9, 3), 250, np.uint8), np.full((9, 9), 2, np.uint8))
    assert found[0] & 63 == 0
