"""Formats for pages and CMSs: IIIF image requests, CSS, WordPress. docs/EXPORT.md has the rules."""

import re
from typing import Any

from pipeline.export.crops import ExportedCrop
from pipeline.export.focal import PixelBox
from pipeline.shapes import parse_shape


def iiif(crop: ExportedCrop) -> dict[str, str]:
    """Return the end of an IIIF Image API 3.0 request: region, size, rotation, quality, format.

    `crop` has the specification's canonical form (`full`, `max`, else pixels); `percent` is the
    same with `pct:`, for servers that store the photo in another size. IIIF has no ground, so a
    padded crop keeps the box's own ratio, in the size that it has on the run's ground. It has no
    focal point either. No side is enlarged, which would be an error without `^`.
    """
    (x0, y0, _, _), (wide, high) = crop.box, crop.box_wh
    width, height = crop.size_wh if crop.fit == "crop" else crop.inner_wh
    width, height = min(width, wide), min(height, high)
    region = "full" if crop.is_whole else f"{x0},{y0},{wide},{high}"
    shares = "full" if crop.is_whole else _percent_region(crop)
    size = "max" if (width, height) == crop.box_wh else f"{width},{height}"
    return {"crop": f"{region}/{size}/0/default.jpg", "percent": f"{shares}/{size}/0/default.jpg"}


def css(crop: ExportedCrop) -> dict[str, str]:
    """Return declarations for an `img`: `focal` for any browser, `crop` needs `object-view-box`.

    A circle with a ground needs it too: without it the photo fills the frame and loses its corners.
    """
    ratio = f"aspect-ratio: {_css_ratio(crop)}"
    if crop.fit != "crop":
        shown = f"{ratio}; object-fit: contain"
        if crop.is_circle:  # the box and the ground around it, beyond the edges of the photo
            shown += f"; {_view_box(crop.ground_box, crop)}; border-radius: 50%"
        elif not crop.is_whole:
            shown += f"; {_view_box(crop.box, crop)}"
        return {"crop": f"{shown}; background-color: #{crop.background}"}
    x, y = map(_percent, crop.position)
    circle = "; border-radius: 50%" if crop.is_circle else ""
    cover = f"{ratio}; object-fit: cover"
    return {
        "crop": f"{cover}; {_view_box(crop.box, crop)}{circle}",
        "focal": f"{cover}; object-position: {x}% {y}%{circle}",
    }


def wordpress(crop: ExportedCrop) -> dict[str, Any]:
    """Return `edit`, the body of POST /wp/v2/media/<id>/edit, and the cover block's `focalPoint`.

    The body also needs `src`, the address of the attachment. WordPress draws no ground: for a
    padded crop, `edit` only cuts to the box, and a whole photo has no edit.
    """
    if crop.fit != "crop" and crop.is_whole:
        return {}
    (x0, y0, _, _), (wide, high), (width, height) = crop.box, crop.box_wh, crop.photo_wh
    left, top = float(_percent(x0 / width)), float(_percent(y0 / height))
    across, down = float(_percent(wide / width)), float(_percent(high / height))
    args = {"left": left, "top": top, "width": across, "height": down}
    edit = {"modifiers": [{"type": "crop", "args": args}]}
    if crop.fit != "crop":
        return {"edit": edit}
    x, y = (round(share, 4) for share in crop.position)
    return {"edit": edit, "focalPoint": {"x": x, "y": y}}


def _css_ratio(crop: ExportedCrop) -> str:
    shape = parse_shape(crop.ratio)
    if shape.is_circle:
        return "1 / 1"
    sides = re.split("[:x×/]", shape.name)
    if len(sides) == 2:
        return " / ".join(side.strip() for side in sides)
    return f"{shape.ratio:g}" if shape.ratio else "{} / {}".format(*crop.box_wh)


def _view_box(box: PixelBox, crop: ExportedCrop) -> str:
    """Return the declaration that shows only a box, as the share left out on each side."""
    (x0, y0, x1, y1), (width, height) = box, crop.photo_wh
    sides = y0 / height, 1 - x1 / width, 1 - y1 / height, x0 / width
    return "object-view-box: inset({})".format(" ".join(f"{_percent(side)}%" for side in sides))


def _percent_region(crop: ExportedCrop) -> str:
    (x0, y0, _, _), (wide, high), (width, height) = crop.box, crop.box_wh, crop.photo_wh
    shares = (x0 / width, y0 / height, wide / width, high / height)
    return "pct:" + ",".join(map(_percent, shares))


def _percent(share: float) -> str:
    """Format a share as a percentage with four decimals: .01 pixel on the longest photo."""
    return f"{100 * share:.4f}".rstrip("0").rstrip(".")
