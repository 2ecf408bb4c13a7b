"""Converts any Pillow image to 8-bit sRGB: palettes, grey, 16 bits, CMYK, alpha, ICC profiles.

Only embedded ICC profiles are applied. PNG's gAMA and cHRM chunks and the colour tags of AVIF and
HEIC (nclx) are ignored, and such files are taken as sRGB, as most web software does.
"""

from functools import lru_cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms

# Transparent parts are blended with white: most thumbnails are shown on white pages.
ALPHA_BACKGROUND = (255, 255, 255)

# The largest profiles in use, those of CMYK printing, have about 2.5 MB.
MAX_PROFILE_BYTES = 4 << 20

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_PROFILE_SPACE = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}


def plain_mode(image: Image.Image) -> Image.Image:
    """Convert an image to 8-bit L, LA, RGB, RGBA or CMYK, whose values can be averaged.

    16-bit grey is divided by 257 and rounded; a transparent palette entry or colour key becomes
    alpha. Pillow inverts every CMYK JPEG, because Adobe's are stored inverted; one without an
    Adobe marker is inverted back.
    """
    keyed = "transparency" in image.info
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bit_grey(image)
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if keyed or image.mode == "PA" else "RGB")
    if keyed and image.mode in ("1", "L", "RGB"):
        return image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        return ImageChops.invert(image)
    if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return image
    return image.convert("RGBA" if image.mode in ("La", "RGBa") else "RGB")


def opacity(image: Image.Image) -> Image.Image | None:
    """The alpha of an image that `plain_mode` made, in L; None where every pixel is opaque."""
    if image.mode not in ("LA", "RGBA"):
        return None
    alpha = image.getchannel("A")
    return None if alpha.getextrema() == (255, 255) else alpha


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an L, LA, RGB, RGBA or CMYK image to sRGB; alpha is blended with ALPHA_BACKGROUND.

    profile: the embedded ICC profile. One that is broken, larger than 4 MiB or for another colour
    space than the image's is ignored, as browsers do.
    """
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    if alpha is not None:
        image = image.convert(image.mode[:-1])
    image = _apply_profile(image, profile) if profile else image
    image = image if image.mode == "RGB" else image.convert("RGB")
    if alpha is None:
        return image
    page = Image.new("RGB", image.size, ALPHA_BACKGROUND)
    page.paste(image, mask=alpha)
    return page


def _eight_bit_grey(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float32)
    grey = Image.fromarray(np.clip(np.rint(values / 257), 0, 255).astype(np.uint8), "L")
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8), "L"))
    return grey


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    if len(profile) > MAX_PROFILE_BYTES:
        return image
    try:
        transform = _transform(profile, image.mode)
        return image if transform is None else ImageCms.applyTransform(image, transform) or image
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Build the transform from a profile to sRGB; None if it is sRGB or does not fit the mode.

    Cached: a bucket's photos share a few profiles, and building a transform costs more than
    applying it.
    """
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    if source.profile.xcolor_space != _PROFILE_SPACE[mode]:
        return None
    if mode == "RGB" and _is_srgb(source):
        return None
    return ImageCms.buildTransform(
        source, _SRGB, mode, "RGB", renderingIntent=ImageCms.Intent.PERCEPTUAL
    )


def _is_srgb(source: ImageCms.ImageCmsProfile) -> bool:
    """Whether a profile is sRGB: its name says so and its primaries are those of sRGB."""
    if not ImageCms.getProfileDescription(source).startswith("sRGB"):
        return False
    found, ours = _primaries(source), _primaries(_SRGB)
    return found.shape == ours.shape and np.allclose(found, ours, atol=0.005)


def _primaries(profile: ImageCms.ImageCmsProfile) -> NDArray[np.float64]:
    """XYZ of a profile's red, green and blue, [3, 3]; fewer rows if the profile lacks some."""
    core = profile.profile
    colours = (core.red_primary, core.green_primary, core.blue_primary)
    return np.array([colour[0] for colour in colours if colour])
