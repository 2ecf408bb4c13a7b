"""Embed photos, boxes and colours in a page that fetches nothing: data URIs and SVG rectangles."""

import base64
from collections.abc import Sequence

from pipeline.errors import CropError
from pipeline.photo.encoding.thumbnail import cut, encode
from pipeline.photo.sandbox.standalone import decode_sandboxed
from pipeline.photo.view import size_within

# The palette of Okabe and Ito, which people with any colour vision can tell apart
# (https://jfly.uni-koeln.de/color/), with grey in place of black.
PALETTE = {
    "orange": "#e69f00",
    "sky": "#56b4e9",
    "green": "#009e73",
    "yellow": "#f0e442",
    "blue": "#0072b2",
    "vermilion": "#d55e00",
    "purple": "#cc79a7",
    "grey": "#999999",
}
PREVIEW_QUALITY = 80  # of JPEG


def data_uri(data: bytes, format: str) -> str:
    """Return an encoded picture as the `src` of an <img>. format: jpeg, png, webp or avif."""
    return f"data:image/{format};base64,{base64.b64encode(data).decode('ascii')}"


def rectangle(box: Sequence[float]) -> dict[str, float]:
    """Return x, y, w and h of an SVG <rect> for a box x0, y0, x1, y1, to a tenth of a pixel."""
    x0, y0, x1, y1 = box
    x, y = round(x0, 1), round(y0, 1)
    return {"x": x, "y": y, "w": round(x1 - x, 1), "h": round(y1 - y, 1)}


def preview(data: bytes, side: int) -> str | None:
    """Convert a photo's file to the data URI of a JPEG with a long side of at most `side` pixels.

    It is decoded in a child process, since it may come from a stranger.

    None if the file cannot be decoded.
    """
    try:
        photo = decode_sandboxed(data, side)
        width, height = photo.width_px, photo.height_px
        whole = (0.0, 0.0, float(width), float(height))
        small = cut(photo, whole, size_within((width, height), side))
        return data_uri(encode(small, "jpeg", PREVIEW_QUALITY), "jpeg")
    except CropError:
        return None
