"""Parse URL fragments as the services document them, to find which part of a photo each shows.

Written from the services' own documentation, independently of `pipeline.export`: these parsers
share no code with the formats that they check. All return x0, y0, x1, y1 in pixels of the upright
photo.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

Box = tuple[float, float, float, float]
Size = tuple[int, int]


def covering(photo: Size, frame: Size, centre_px: tuple[float, float]) -> Box:
    """Scale the photo to cover the frame, and centre the point as far as the photo allows."""
    scale = max(frame[0] / photo[0], frame[1] / photo[1])
    sides = frame[0] / scale, frame[1] / scale
    low = [
        max(0.0, min(centre_px[axis] - sides[axis] / 2, photo[axis] - sides[axis]))
        for axis in (0, 1)
    ]
    return low[0], low[1], low[0] + sides[0], low[1] + sides[1]


def of_imgproxy(text: str, photo: Size) -> Box:
    """Apply processing options, in any order: `crop` first, then `rs:fill` by `g`, `pd` last."""
    options = {name: values for name, *values in (part.split(":") for part in text.split("/"))}
    left, top, size = 0.0, 0.0, photo
    if "crop" in options:
        width, height, gravity, x, y = options["crop"]
        assert gravity == "nowe"  # offsets from the upper left corner; values from 1 on are pixels
        assert min(int(width), int(height)) >= 1
        left, top, size = int(x), int(y), (int(width), int(height))
    kind, width, height = options["rs"]
    centre = (size[0] / 2, size[1] / 2)
    if "g" in options:
        name, across, down = options["g"]
        assert name == "fp"
        centre = (float(across) * size[0], float(down) * size[1])
    if kind in ("fit", "force"):
        return left, top, left + size[0], top + size[1]
    assert kind == "fill"
    shown = covering(size, (int(width), int(height)), centre)
    return shown[0] + left, shown[1] + top, shown[2] + left, shown[3] + top


def of_thumbor(text: str, photo: Size) -> Box:
    """Parse `AxB:CxD/[fit-in/]WxH/filters:…`; the focal filter's centre is the point."""
    found = re.fullmatch(
        r"(?:(\d+)x(\d+):(\d+)x(\d+)/)?(fit-in/)?(\d+)x(\d+)"
        r"(?:/filters:(?:proportion\([\d.]+\):)?(\w+)\((.*)\))?",
        text,
    )
    assert found is not None, text
    cut = [int(edge) for edge in found.groups()[:4]] if found[1] else [0, 0, *photo]
    left, top, right, bottom = cut
    size, frame = (right - left, bottom - top), (int(found[6]), int(found[7]))
    if found[5]:
        return left, top, right, bottom
    centre = (size[0] / 2, size[1] / 2)
    if found[8] == "focal":
        low_x, low_y, high_x, high_y = map(int, re.split("[x:]", found[9]))
        centre = ((low_x + high_x) / 2, (low_y + high_y) / 2)
    shown = covering(size, frame, centre)
    return shown[0] + left, shown[1] + top, shown[2] + left, shown[3] + top


def of_cloudinary(text: str, photo: Size) -> Box:
    """Apply the slash-separated components, each to the result of the previous one."""
    left, top, size = 0.0, 0.0, photo
    shown: Box = (0, 0, *photo)
    for component in text.split("/"):
        if component == "r_max":
            continue
        said = dict(word.split("_", 1) for word in component.split(","))
        frame = (int(said["w"]), int(said["h"]))
        if said["c"] == "crop":
            assert said["g"] == "north_west"
            left, top, size = int(said["x"]), int(said["y"]), frame
            shown = (left, top, left + size[0], top + size[1])
        elif said["c"] == "fill":
            centre = (size[0] / 2, size[1] / 2)
            if said.get("g") == "xy_center":
                centre = (int(said["x"]), int(said["y"]))
            x0, y0, x1, y1 = covering(size, frame, centre)
            shown = (x0 + left, y0 + top, x1 + left, y1 + top)
        else:
            assert said["c"] in ("pad", "scale")
    return shown


def of_imgix(text: str, photo: Size) -> Box:
    """Apply query parameters; `rect` comes before the fit."""
    said = {name: values[0] for name, values in parse_qs(text, strict_parsing=True).items()}
    left, top, size = 0, 0, photo
    if "rect" in said:
        left, top, *sides = map(int, said["rect"].split(","))
        size = (sides[0], sides[1])
    if said["fit"] in ("fill", "scale"):
        return left, top, left + size[0], top + size[1]
    centre = (size[0] / 2, size[1] / 2)
    if "fp-x" in said:
        assert said["crop"] == "focalpoint"  # without it a focal point is ignored
        centre = (float(said["fp-x"]) * size[0], float(said["fp-y"]) * size[1])
    shown = covering(size, (int(said["w"]), int(said["h"])), centre)
    return shown[0] + left, shown[1] + top, shown[2] + left, shown[3] + top


def of_iiif(text: str, photo: Size) -> Box:
    """Parse `{region}/{size}/{rotation}/{quality}.{format}`."""
    region, size, rotation, name = text.split("/")
    assert (rotation, name) == ("0", "default.jpg")
    if size != "max":
        assert re.fullmatch(r"[1-9]\d*,[1-9]\d*", size), size
    if region == "full":
        return 0, 0, *photo
    unit = [100 / photo[0], 100 / photo[1]] if region.startswith("pct:") else [1, 1]
    x, y, width, height = map(float, region.removeprefix("pct:").split(","))
    assert width > 0  # else it is an error by the specification
    assert height > 0
    return x / unit[0], y / unit[1], (x + width) / unit[0], (y + height) / unit[1]


def of_css(text: str, photo: Size, frame: Size) -> Box:
    """Apply the declarations of an `img` of the frame's size, by CSS Images 3 and 4."""
    said = dict(one.split(": ") for one in text.split("; "))
    wide, high = map(float, said["aspect-ratio"].split(" / "))
    assert abs(wide / high / (frame[0] / frame[1]) - 1) < 0.02
    left, top, size = 0.0, 0.0, (float(photo[0]), float(photo[1]))
    if box := re.fullmatch(r"inset\((.*)\)", said.get("object-view-box", "")):
        above, right, below, before = (float(one[:-1]) / 100 for one in box[1].split())
        left, top = before * photo[0], above * photo[1]
        size = (photo[0] * (1 - before - right), photo[1] * (1 - above - below))
        return left, top, left + size[0], top + size[1]
    if said["object-fit"] == "contain":
        return 0, 0, *photo
    assert said["object-fit"] == "cover"
    across, down = (float(one[:-1]) / 100 for one in said["object-position"].split())
    scale = max(wide / size[0], high / size[1])
    shown = wide / scale, high / scale
    left, top = (size[0] - shown[0]) * across, (size[1] - shown[1]) * down
    return left, top, left + shown[0], top + shown[1]


def of_wordpress(edit: Mapping[str, Any], photo: Size) -> Box:
    """Apply the REST API's crop: percentages to whole pixels, rounded as in PHP."""
    ((kind, args),) = [(one["type"], one["args"]) for one in edit["modifiers"]]
    assert kind == "crop"
    assert args.keys() == {"left", "top", "width", "height"}
    assert all(0 <= value <= 100 for value in args.values())
    x, y = int(photo[0] * args["left"] / 100 + 0.5), int(photo[1] * args["top"] / 100 + 0.5)
    width = int(photo[0] * args["width"] / 100 + 0.5)
    height = int(photo[1] * args["height"] / 100 + 0.5)
    return x, y, x + width, y + height
