"""Convert any Pillow image to 8-bit RGB of a known space: palettes, grey, 16 bits, CMYK, profiles.

A file's values are defined by its ICC profile, or by chunks and code points (`spaces`), which are
converted to a profile. Profiles are compared by their effect on colours, never by name: one that is
equivalent to the target's is not applied. PQ and HLG are tone-mapped (`bright`).
"""

from functools import lru_cache
from io import BytesIO
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pipeline.photo.spaces import (
    ADOBE_GAMMA,
    ADOBE_XY,
    BT2020_XY,
    P3_XY,
    SRGB_XY,
    Space,
    profile_of,
    to_xyz,
)
from pipeline.photo.tone_mapping import tone_mapped

Meaning: TypeAlias = bytes | Space | None  # an ICC profile, a space, or None for sRGB
WideName = Literal["p3", "adobe", "bt2020"]

# Transparent parts are blended with white, since most thumbnails are shown on white pages.
ALPHA_BACKGROUND = (255, 255, 255)

# The largest profiles in use, for CMYK printing, have about 2.5 MB.
MAX_PROFILE_BYTES = 4 << 20

SRGB = Space(SRGB_XY, "srgb")
# Spaces with more colours than sRGB in which pictures can be kept, from small to large.
WIDE: dict[WideName, Space] = {
    "p3": Space(P3_XY, "srgb"),
    "adobe": Space(ADOBE_XY, ADOBE_GAMMA),
    "bt2020": Space(BT2020_XY, "srgb"),
}
_OUTSIDE = 0.02  # a primary that lies outside a space by no more than this counts as inside
_SAME = 1  # levels by which a profile may change colours without being applied

_SPACE_OF_MODE = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}


def plain_mode(image: Image.Image) -> Image.Image:
    """Convert an image to 8-bit L, LA, RGB, RGBA or CMYK, whose values can be averaged.

    16-bit grey is divided by 257 and rounded. A transparent palette entry or colour key becomes
    alpha. Every CMYK JPEG is taken to be stored inverted, with or without an Adobe marker: Pillow
    does this, as browsers do.
    """
    keyed = "transparency" in image.info
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bit_grey(image)
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if keyed and image.mode in ("1", "L", "RGB"):
        return image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return image
    return image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, "RGB"))


def opacity(image: Image.Image) -> Image.Image | None:
    """Return the alpha of an image from `plain_mode`, in L; None if every pixel is opaque."""
    if image.mode not in ("LA", "RGBA"):
        return None
    alpha = image.getchannel("A")
    return None if alpha.getextrema() == (255, 255) else alpha


def to_space(image: Image.Image, meaning: Meaning, target: Space = SRGB) -> Image.Image:
    """Convert an L, LA, RGB, RGBA or CMYK image to RGB of a space, blended with ALPHA_BACKGROUND.

    meaning: what its values mean. A profile that is broken, larger than 4 MiB or for another colour
    space than the image's is ignored, as in browsers; one for RGB is applied to grey.
    """
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    if alpha is not None:
        image = image.convert(image.mode[:-1])
    if meaning is not None or target is not SRGB:
        image = _converted(image, meaning, target)
    image = image if image.mode == "RGB" else image.convert("RGB")
    if alpha is None:
        return image
    page = Image.new("RGB", image.size, ALPHA_BACKGROUND)
    page.paste(image, mask=alpha)
    return page


def wide_space(mode: str, meaning: Meaning) -> WideName | None:
    """Return the smallest space of WIDE that covers an image's colours; None if sRGB does.

    mode: the image's mode; grey has no such colours. CMYK profiles and profiles without a matrix
    count as sRGB.
    """
    if meaning is None or mode not in ("RGB", "RGBA"):
        return None
    if isinstance(meaning, Space) and meaning.is_hdr:
        return "p3"
    colorants = _colorants(meaning)
    if colorants is None or _holds(SRGB, colorants):
        return None
    return next((name for name, space in WIDE.items() if _holds(space, colorants)), "bt2020")


def _holds(space: Space, colorants: NDArray[np.float64]) -> bool:
    """Return whether a space contains some primaries, XYZ in columns."""
    return bool(np.linalg.solve(to_xyz(space.xy), colorants).min() > -_OUTSIDE)


@lru_cache(maxsize=16)
def _colorants(meaning: bytes | Space) -> NDArray[np.float64] | None:
    """Return XYZ of red, green and blue in columns, [3, 3]; None if any is missing."""
    try:
        if isinstance(meaning, Space):
            return to_xyz(meaning.xy)
        core = ImageCms.ImageCmsProfile(BytesIO(meaning)).profile
    except (OSError, ValueError):
        return None
    colours = (core.red_colorant, core.green_colorant, core.blue_colorant)
    found = [one[0] for one in colours if one is not None]
    return np.array(found).T if len(found) == len(colours) else None


def _eight_bit_grey(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float32)
    grey = Image.fromarray(np.clip(np.rint(values / 257), 0, 255).astype(np.uint8), "L")
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8), "L"))
    return grey


def _converted(image: Image.Image, meaning: Meaning, target: Space) -> Image.Image:
    if isinstance(meaning, Space) and meaning.is_hdr:
        return tone_mapped(image.convert("RGB"), meaning, target.xy)
    profile = profile_of(meaning or SRGB) if not isinstance(meaning, bytes) else meaning
    if profile is None or len(profile) > MAX_PROFILE_BYTES:
        return image
    try:
        is_rgb, transform = _transform(profile, image.mode, target)
        image = image.convert("RGB") if is_rgb else image
        return image if transform is None else ImageCms.applyTransform(image, transform) or image
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image


@lru_cache(maxsize=16)
def _transform(
    profile: bytes, mode: str, target: Space
) -> tuple[bool, ImageCms.ImageCmsTransform | None]:
    """Return whether the transform from a profile to a space takes RGB, and the transform.

    The transform is None if it would change no colour by more than _SAME, or does not fit the mode;
    one for RGB fits grey. Cached, since a bucket's photos share a few profiles, and building a
    transform costs more than applying it.
    """
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    if source.profile.xcolor_space == "RGB " and mode == "L":
        mode = "RGB"
    if source.profile.xcolor_space != _SPACE_OF_MODE[mode]:
        return False, None
    made = ImageCms.ImageCmsProfile(BytesIO(profile_of(target) or b""))
    transform = ImageCms.buildTransform(
        source, made, mode, "RGB", renderingIntent=ImageCms.Intent.PERCEPTUAL
    )
    if mode != "CMYK" and _changes_nothing(transform, mode):
        return mode == "RGB", None
    return mode == "RGB", transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Return whether a transform leaves greys, and colours that most spaces contain, unchanged."""
    greys = np.repeat(np.arange(256)[:, None], 3, axis=1)
    steps = np.array([32, 80, 128, 176, 224])
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    probe = np.concatenate([greys, colours] if mode == "RGB" else [greys]).astype(np.uint8)
    image = Image.fromarray(probe[None]).convert(mode)
    found = np.asarray(ImageCms.applyTransform(image, transform)).astype(int)
    return bool(np.abs(found[0] - probe).max() <= _SAME)
