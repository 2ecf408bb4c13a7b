"""Parse `--safe-areas`: which part of a shape's crops people see uncovered.

    16:9=caption:0,0.8,1,1      a caption covers the lower fifth of 16:9
    1:1=badge:0.75,0.75,1,1     a badge covers a corner; any name will do
    1:1=circle                  1:1 is shown as its inscribed circle
    *=badge:0.9,0,1,0.1         of every shape

Entries are joined by `;`, and a shape may have several. The shape `circle` always has its circle
as a safe area, without an entry.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from pipeline.errors import SettingError, UsageError
from pipeline.shapes import Shape, parse_shape

ANY_SHAPE = "*"
CIRCLE = "circle"
Rectangle = tuple[float, float, float, float]  # x0, y0, x1, y1, shares of the crop's sides
_CROP: Rectangle = (0.0, 0.0, 1.0, 1.0)
_RECTANGLE = re.compile(r"[\w-]+:(.*)")
_EXAMPLE = "write for instance 16:9=caption:0,0.8,1,1;1:1=circle"


@dataclass(frozen=True)
class SafeArea:
    """The part of a crop that people see.

    is_circle: only the crop's inscribed ellipse is visible.
    covered: rectangles that something covers; they do not overlap.
    """

    is_circle: bool = False
    covered: tuple[Rectangle, ...] = ()

    def __or__(self, other: "SafeArea") -> "SafeArea":
        """Return the area that is visible under both."""
        rectangles = _disjoint([*self.covered, *other.covered])
        return SafeArea(self.is_circle or other.is_circle, rectangles)

    @property
    def hides_all(self) -> bool:
        """Whether no part of a crop is visible."""
        open_parts = (cell for cell in _cells((*self.covered, _CROP)) if not _is_in(cell, self))
        return not any(not self.is_circle or _meets_circle(cell) for cell in open_parts)


WHOLE = SafeArea()


def safe_area_of(shape: Shape, areas: Mapping[str, SafeArea]) -> SafeArea:
    """Return the safe area of one shape's crops. areas: from `parse_safe_areas`."""
    own = areas.get(shape.name, WHOLE) | areas.get(ANY_SHAPE, WHOLE)
    return replace(own, is_circle=True) if shape.is_circle else own


def parse_safe_areas(text: str) -> dict[str, SafeArea]:
    """Parse safe areas from a user, by shape name or ANY_SHAPE.

    Raises SettingError, also if no part of a shape's crops would be visible.
    """
    areas = stored_safe_areas(text)
    for name in (*areas, CIRCLE):
        area = areas[name] if name == ANY_SHAPE else safe_area_of(parse_shape(name), areas)
        if area.hides_all:
            message = (
                f"what lies over {name} covers the whole crop, entries of {ANY_SHAPE} included"
            )
            raise SettingError("safe_areas", f"{message}: leave some of it free")
    return areas


def stored_safe_areas(text: str) -> dict[str, SafeArea]:
    """Parse the safe areas of a stored run. Raises SettingError.

    Areas that hide a whole shape are accepted, since earlier releases allowed them.
    """
    areas: dict[str, SafeArea] = {}
    for entry in filter(None, (part.strip().lower() for part in text.split(";"))):
        if entry == CIRCLE:  # the shape's own safe area always applies
            continue
        name, what = area_name(entry), entry.rpartition("=")[2]
        areas[name] = areas.get(name, WHOLE) | _area(what.strip(), entry)
    return areas


def area_name(entry: str) -> str:
    """Return the name of the shape that an entry of `--safe-areas` is for, or ANY_SHAPE.

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
    if (x0, y0, x1, y1) == _CROP:
        raise SettingError("safe_areas", f"{entry!r} covers the whole crop")
    return SafeArea(covered=((x0, y0, x1, y1),))


def _disjoint(rectangles: list[Rectangle]) -> tuple[Rectangle, ...]:
    """Return the same area as rectangles that do not overlap."""
    if len(rectangles) < 2:
        return tuple(rectangles)
    together = SafeArea(covered=tuple(rectangles))
    return tuple(cell for cell in _cells(rectangles) if _is_in(cell, together))


def _cells(rectangles: Iterable[Rectangle]) -> Iterator[Rectangle]:
    """Yield the cells of the grid formed by the lines through all edges of the rectangles."""
    known = list(rectangles)
    xs = sorted({x for x0, _, x1, _ in known for x in (x0, x1)})
    ys = sorted({y for _, y0, _, y1 in known for y in (y0, y1)})
    for x0, x1 in pairwise(xs):
        for y0, y1 in pairwise(ys):
            yield x0, y0, x1, y1


def _is_in(cell: Rectangle, area: SafeArea) -> bool:
    """Return whether a covered rectangle contains a cell; no rectangle's edge crosses the cell."""
    x0, y0, x1, y1 = cell
    return any(r[0] <= x0 and x1 <= r[2] and r[1] <= y0 and y1 <= r[3] for r in area.covered)


def _meets_circle(cell: Rectangle) -> bool:
    """Return whether a cell of a crop overlaps the crop's inscribed circle."""
    x, y = (min(max(0.5, cell[axis]), cell[axis + 2]) - 0.5 for axis in (0, 1))
    return x * x + y * y < 0.25
