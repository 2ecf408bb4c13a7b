"""URL fragments for services that cut images: imgproxy, thumbor, Cloudinary, imgix.

Each function returns `crop`, which shows exactly the box at the run's size, and `focal`, which has
only the focal point and the size. For another size, change the pair of numbers in either. If all
of the box is shown on a ground, `crop` expresses that and there is no `focal`; in a circle, the
services that can do it scale the box down until its corners are visible.

Every service turns a photo upright before it counts pixels, as the boxes here assume; thumbor does
so with RESPECT_ORIENTATION. docs/EXPORT.md has the rules that these functions follow.
"""

from pipeline.export.crops import ExportedCrop

BLUR = "blur"


def imgproxy(crop: ExportedCrop) -> dict[str, str]:
    """Return imgproxy 3 processing options: `crop:W:H:nowe:X:Y/rs:fill:W:H`, or `g:fp:X:Y`.

    It draws no blurred ground: `blur` becomes `pad`.
    """
    (x0, y0, _, _), (wide, high), (width, height) = crop.box, crop.box_wh, crop.size_wh
    cut = f"crop:{wide}:{high}:nowe:{x0}:{y0}"
    if crop.fit != "crop":
        parts = [] if crop.is_whole else [cut]
        shown = f"rs:fit:{width}:{height}/ex:1"
        if crop.is_circle:
            inner_w, inner_h = crop.inner_wh
            left, above = (width - inner_w) // 2, (height - inner_h) // 2
            sides = f"{above}:{width - inner_w - left}:{height - inner_h - above}:{left}"
            shown = f"rs:force:{inner_w}:{inner_h}/pd:{sides}"
        return {"crop": "/".join([*parts, f"{shown}/bg:{crop.background}"])}
    x, y = map(_share, crop.focus)
    size = f"rs:fill:{width}:{height}"
    return {"crop": f"{cut}/{size}", "focal": f"{size}/g:fp:{x}:{y}"}


def thumbor(crop: ExportedCrop) -> dict[str, str]:
    """Return parts of a thumbor URL: the manual crop `LxT:RxB/WxH`, or the filter `focal`.

    It draws no circle. For one with a ground, the filter `proportion` scales the fitted box down
    until its corners are on the circle, before `fill` draws the ground.
    """
    (x0, y0, x1, y1), (width, height) = crop.box, crop.size_wh
    cut = f"{x0}x{y0}:{x1}x{y1}"
    if crop.fit != "crop":
        parts = [] if crop.is_whole else [cut]
        ground = BLUR if crop.fit == BLUR else crop.background
        share = _share(crop.inner_scale / crop.fitted_scale)
        smaller = "" if share == "1" else f"proportion({share}):"
        shown = f"fit-in/{width}x{height}/filters:{smaller}fill({ground})"
        return {"crop": "/".join([*parts, shown])}
    size = f"{width}x{height}"
    return {"crop": f"{cut}/{size}", "focal": f"{size}/filters:focal({cut})"}


def cloudinary(crop: ExportedCrop) -> dict[str, str]:
    """Return Cloudinary transformations: `c_crop` in pixels, or `c_fill` with `g_xy_center`."""
    (x0, y0, _, _), (wide, high), (width, height) = crop.box, crop.box_wh, crop.size_wh
    cut = f"c_crop,g_north_west,h_{high},w_{wide},x_{x0},y_{y0}"
    if crop.fit != "crop":
        parts = [] if crop.is_whole else [cut]
        ground = "b_blurred" if crop.fit == BLUR else f"b_rgb:{crop.background}"
        placed = f"{ground},c_pad,h_{height},w_{width}"
        if crop.is_circle:
            inner_w, inner_h = crop.inner_wh
            placed = f"c_scale,h_{inner_h},w_{inner_w}/{placed}/r_max"
        return {"crop": "/".join([*parts, placed])}
    x, y = (round(share * side) for share, side in zip(crop.focus, crop.photo_wh, strict=True))
    round_off = ",r_max" if crop.is_circle else ""
    return {
        "crop": f"{cut}/c_fill,h_{height}{round_off},w_{width}",
        "focal": f"c_fill,g_xy_center,h_{height}{round_off},w_{width},x_{x},y_{y}",
    }


def imgix(crop: ExportedCrop) -> dict[str, str]:
    """Return imgix query parameters: `rect`, or `crop=focalpoint` with `fp-x` and `fp-y`.

    A circle with a ground is its box without the ground, in the size that it has on the ground: the
    documentation does not say how the mask and `pad` combine with a fit.
    """
    (x0, y0, _, _), (wide, high), (width, height) = crop.box, crop.box_wh, crop.size_wh
    cut, size = f"rect={x0},{y0},{wide},{high}", f"w={width}&h={height}"
    if crop.fit != "crop":
        parts = [] if crop.is_whole else [cut]
        if crop.is_circle:
            inner_w, inner_h = crop.inner_wh
            return {"crop": "&".join([*parts, f"fit=scale&w={inner_w}&h={inner_h}"])}
        solid = f"fill=solid&fill-color={crop.background}"
        ground = "fill=blur" if crop.fit == BLUR else solid
        return {"crop": "&".join([*parts, f"fit=fill&{ground}&{size}"])}
    x, y = map(_share, crop.focus)
    mask = "&mask=ellipse" if crop.is_circle else ""
    return {
        "crop": f"{cut}&fit=crop&{size}{mask}",
        "focal": f"fit=crop&crop=focalpoint&fp-x={x}&fp-y={y}&{size}{mask}",
    }


def _share(value: float) -> str:
    """Format a share with five decimals: within a sixth of a pixel at the longest side, 16,384."""
    return f"{value:.5f}".rstrip("0").rstrip(".")
