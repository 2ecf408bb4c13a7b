"""Read `--safe-areas`: which part of a shape's crops people see uncovered.

    16:9=caption:0,0.8,1,1      a caption covers the lower fifth of 16:9
    1:1=badge:0.75,0.75,1,1     a badge covers a corner; any name will do
    1:1=circle                  1:1 is shown as its inscribed circle
    *=badge:0.9,0,1,0.1         of every shape

Entries are joined by `;`, and a shape may have several. Of the shape `circle` the circle is the
safe area without being named.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from pipeline.errors import SettingError, UsageError
from pipeline.shapes import Shape, parse_shape

ANY_SHAPE = "*"
CIRCLE = "circle"
Rectangle = tuple[float, float, float, float]  # x0, y0, x1, y1, shares of the crop's sides
_RECTANGLE = re.compile(r"[\w-]+:(.*)")
_EXAMPLE = "write for instance 16:9=caption:0,0.8,1,1;1:1=circle"


@dataclass(frozen=True)
class SafeArea:
    """The part of a crop that people see.

    is_circle: of the crop, only the inscribed ellipse is seen.
    covered: rectangles that something lies over; they do not overlap.
    """

    is_circle: bool = False
    covered: tuple[Rectangle, ...] = ()

    def __or__(self, other: "SafeArea") -> "SafeArea":
        """What is seen where both hold."""
        rectangles = _apart([*self.covered, *other.covered])
        return SafeArea(self.is_circle or other.is_circle, rectangles)


WHOLE = SafeArea()


def safe_area_of(shape: Shape, areas: Mapping[str, SafeArea]) -> SafeArea:
    """The safe area of one shape's crops. areas: of `parse_safe_areas`."""
    own = areas.get(shape.name, WHOLE) | areas.get(ANY_SHAPE, WHOLE)
    return replace(own, is_circle=True) if shape.is_circle else own


def parse_safe_areas(text: str) -> dict[str, SafeArea]:
    """Read safe areas, by shape name or ANY_SHAPE. Raises SettingError."""
    areas: dict[str, SafeArea] = {}
    for entry in filter(None, (part.strip().lower() for part in text.split(";"))):
        if entry == CIRCLE:  # the shape's own, always there
            continue
        name, what = area_name(entry), entry.rpartition("=")[2]
        areas[name] = areas.get(name, WHOLE) | _area(what.strip(), entry)
    return areas


def area_name(entry: str) -> str:
    """The name of the shape that an entry of `--safe-areas` is for, or ANY_SHAPE.

    Raises SettingError.
    """
    name = entry.rpartition("=")[0].strip()
    if name == ANY_SHAPE:
        return name
    try:
        return parse_shape(name).name
    except UsageError as error:
        raise SettingError("safe_areas", f"{entry!r} names no shape: {_EXAMPLE}") from error


def _area(what: str, entry: str) -> SafeArea:
    if what == CIRCLE:
        return SafeArea(is_circle=True)
    found = _RECTANGLE.fullmatch(what)
    try:
        x0, y0, x1, y1 = map(float, found[1].split(",") if found else ())
    except ValueError:
        raise SettingError("safe_areas", f"{entry!r} is no rectangle: {_EXAMPLE}") from None
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        raise SettingError(
            "safe_areas",
            f"{entry!r}: write x0, y0, x1, y1 as shares of the crop's sides, 0 to 1, x0 below x1 "
            "and y0 below y1",
        )
    if (x1 - x0) * (y1 - y0) == 1:
        raise SettingError("safe_areas", f"{entry!r} covers the whole crop")
    return SafeArea(covered=((x0, y0, x1, y1),))


def _apart(rectangles: list[Rectangle]) -> tuple[Rectangle, ...]:
    """The same area as rectangles that do not overlap."""
    if len(rectangles) < 2:
        return tuple(rectangles)
    xs = sorted({x for x0, _, x1, _ in rectangles for x in (x0, x1)})
    ys = sorted({y for _, y0, _, y1 in rectangles for y in (y0, y1)})
    return tuple(
        (x0, y0, x1, y1)
        for x0, x1 in pairwise(xs)
        for y0, y1 in pairwise(ys)
        if any(r[0] <= x0 and x1 <= r[2] and r[1] <= y0 and y1 <= r[3] for r in rectangles)
    )
