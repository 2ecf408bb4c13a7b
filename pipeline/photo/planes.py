"""Convert a loaded picture to upright planes of one colour space: colours and opacity."""

from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageChops

from pipeline.photo.colour import SRGB, WIDE, WideName, opacity, plain_mode, to_space, wide_space
from pipeline.photo.opening import Opened
from pipeline.photo.view import reduced

Colour = Literal["srgb", "keep"]

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Planes:
    """The upright pixels of a view as Pillow images of one size.

    image: RGB, sRGB.
    alpha: L; None if all pixels are opaque.
    wide:  the same picture as `image` in the space `wide_space`, RGB; None if that would be sRGB,
           or it was not requested.
    """

    image: Image.Image
    alpha: Image.Image | None = None
    wide: Image.Image | None = None
    wide_space: WideName | None = None


def upright_size(opened: Opened, size_wh: tuple[int, int]) -> tuple[int, int]:
    """Return width and height of an upright photo. size_wh: as it is stored."""
    width, height = size_wh
    return (height, width) if opened.orientation >= 5 and not opened.is_upright else (width, height)


def upright(
    opened: Opened,
    view_wh: tuple[int, int],
    colour: Colour = "srgb",
    filled: tuple[int, int, int, int] | None = None,
    shown: Image.Image | None = None,
) -> Planes:
    """Return the loaded frame of a picture, reduced to its view, in sRGB and upright.

    view_wh: the view's size for the picture as it is stored. filled: the part of the canvas that
    the frame fills, xyxy; the rest is transparent. None: all of it. shown: a frame that was
    composed; None: the loaded one.
    """
    image = plain_mode(shown or opened.image)
    if filled is not None:
        image = _cut_out(image, filled)
    image = reduced(image, view_wh)
    alpha = opacity(image)
    wide = wide_space(image.mode, opened.meaning) if colour == "keep" else None
    kept = None if wide is None else to_space(image, opened.meaning, WIDE[wide])
    image = to_space(image, opened.meaning, SRGB)
    turn = UPRIGHT.get(opened.orientation)
    if turn is not None and not opened.is_upright:
        image = image.transpose(turn)
        alpha, kept = alpha and alpha.transpose(turn), kept and kept.transpose(turn)
    return Planes(image, alpha, kept, wide)


def _cut_out(image: Image.Image, filled: tuple[int, int, int, int]) -> Image.Image:
    """Make an image transparent outside of a part of it."""
    image = image.convert("RGBA")
    mask = Image.new("L", image.size, 0)
    mask.paste(255, filled)
    image.putalpha(ImageChops.multiply(image.getchannel("A"), mask))
    return image
