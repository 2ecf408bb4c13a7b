"""Parse the shapes that a crop can have: "16:9", "640:480", "circle", "free"."""

import math
import re
from dataclasses import dataclass

from pipeline.errors import UsageError, did_you_mean

# Beyond this, a crop of an ordinary photo is a line of pixels and the request is a typing error.
MAX_RATIO = 50.0

# Of one photo. The scores of all shapes together predict those of the candidates that are not
# scored, which takes memory in proportion to the square of the shapes: .9 GB for 100 of them, 3.3
# for 200 and over 20 for 1,000 (a photo of 1200 x 600, 1 December 2026). A worker keeps what it has
# computed for eight sizes of photos: with 100 shapes it takes 2.1 GB once it has seen so many.
MOST_SHAPES = 100

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_RATIO = re.compile(f"{_NUMBER} ?[:x×/] ?{_NUMBER}")  # as people write ratios and picture sizes
_QUOTIENT = re.compile(r"[0-9]+\.[0-9]+")  # a whole number could also be the length of a side


@dataclass(frozen=True)
class Shape:
    """One requested shape.

    name:      as asked for, lower case, without spaces; goes into the `ratio` column.
    ratio:     width / height of the crop; None for "free", where the scorer chooses it.
    is_circle: the crop is square, within a pixel, and people see its inscribed circle.
    """

    name: str
    ratio: float | None
    is_circle: bool = False


def parse_shape(text: str) -> Shape:
    """Read one shape: a ratio, "circle" or "free". Raises UsageError for anything else.

    A ratio is "W:H", "WxH" or "W/H" with positive numbers, or their quotient as a decimal number
    ("1.7778"). "640:480" and "640x480" are the ratio 4:3 under names of their own; they do not
    set the size of the output.
    """
    if not isinstance(text, str):
        raise UsageError(f"a shape is a text such as '16:9', 'circle' or 'free', not {text!r}")
    name = text.strip().lower()
    if name == "circle":
        return Shape(name, 1.0, is_circle=True)
    if name == "free":
        return Shape(name, None)
    if _QUOTIENT.fullmatch(name):
        width, height = float(name), 1.0
    elif match := _RATIO.fullmatch(name):
        width, height = float(match[1]), float(match[2])
        name = name.replace(" ", "")
    else:
        meant = did_you_mean(name, ("circle", "free"))
        raise UsageError(
            f"{text!r} is not a shape: write W:H such as 16:9, or circle, or free{meant}"
        )
    if width == 0 or height == 0 or not math.isfinite(width / height):
        raise UsageError(f"{text!r} is not a shape: both numbers must be above 0")
    ratio = width / height
    if not 1 / MAX_RATIO <= ratio <= MAX_RATIO:
        raise UsageError(f"{text!r} is too narrow: ratios from 1:{MAX_RATIO:g} to {MAX_RATIO:g}:1")
    return Shape(name, ratio)


def parse_shapes(text: str) -> list[Shape]:
    """Read a comma-separated list such as "1:1,4:3,circle", in order.

    Raises UsageError for an empty list, an unknown shape, or one named twice. There may be more
    than MOST_SHAPES, as runs of earlier versions have.
    """
    names = [name for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError("no shape given: write for instance 1:1,4:3,circle")
    shapes = [parse_shape(name) for name in names]
    seen: set[str] = set()
    for shape in shapes:
        if shape.name in seen:
            raise UsageError(f"{shape.name!r} is given twice: name each shape once")
        seen.add(shape.name)
    return shapes


def refuse_too_many(count: int) -> None:
    """Raise UsageError if a photo cannot have this number of shapes at once."""
    if count > MOST_SHAPES:
        raise UsageError(
            f"{count:,} shapes are too many at once, since memory grows with their square: give at "
            f"most {MOST_SHAPES}, and the others separately"
        )
