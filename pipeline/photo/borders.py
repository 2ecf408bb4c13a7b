"""Find uniform bars around a picture, as in letterboxed films and framed scans.

A night sky or a white studio is uniform as well. So bars count only if they are near black or near
white, are on two opposite sides with the same colour and nearly the same thickness, and end in a
straight edge, where a large part of a line changes at once.
"""

import numpy as np
from numpy.typing import NDArray

Edges = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels of the view, half-open

DARKEST, LIGHTEST = 24, 232  # levels up to and from which a bar's colour is near black or white
SAME = 10  # levels that the outermost line, and the bar opposite, may differ from a bar's colour
RINGING = 24  # levels that a bar's other lines may differ: JPEG rings near the edge behind them
STRAY = 0.01  # share of a bar's line that may differ by more
# Share of a line that has to differ right behind a bar. A film's picture may be dark itself;
# objects are photographed on white, and some have a straight side.
STRAIGHT_DARK, STRAIGHT_LIGHT = 0.4, 0.75
EDGE_LINES = 4  # lines within which that has to happen
STEP = 12  # levels between the lines on both sides of an edge; a fade to black has no edge
PROBES = 15  # pixels of a line whose median quickly rules out most photos
LEAST_SHARE = 0.01  # thickness of a bar, of the picture's side
UNEQUAL_SHARE, UNEQUAL_LINES = 0.15, 3  # by how much two bars may differ in thickness
LEAST_CONTENT = 0.2  # of the side between two bars


def content_view(pixels: NDArray[np.uint8]) -> Edges | None:
    """Return the part of a view, uint8 [h, w, 3], between its bars; None if it has no bars."""
    height, width = pixels.shape[:2]
    y0, y1 = _between_bars(pixels) or (0, height)
    x0, x1 = _between_bars(pixels[y0:y1].swapaxes(0, 1)) or (0, width)
    return None if (x0, y0, x1, y1) == (0, 0, width, height) else (x0, y0, x1, y1)


def _between_bars(lines: NDArray[np.uint8]) -> tuple[int, int] | None:
    """Return first and last line (half-open) between two bars of [n, length, 3], or None."""
    first, last = _bar_colour(lines[0]), _bar_colour(lines[-1])
    if first is None or last is None or np.abs(first - last).max() > SAME:
        return None
    off = np.abs(lines - first)  # [n, length, 3], levels
    strays, levels = (off > RINGING).any(axis=2).mean(axis=1), off.mean(axis=(1, 2))  # [n]
    straight = STRAIGHT_DARK if first.max() <= DARKEST else STRAIGHT_LIGHT
    top = _thickness(strays, levels, straight)
    bottom = _thickness(strays[::-1], levels[::-1], straight)
    if top is None or bottom is None:
        return None
    count = len(lines)
    even = abs(top - bottom) <= max(UNEQUAL_LINES, UNEQUAL_SHARE * max(top, bottom))
    thick = min(top, bottom) >= max(2, LEAST_SHARE * count)
    if not even or not thick or count - top - bottom < LEAST_CONTENT * count:
        return None
    return top, count - bottom


def _bar_colour(line: NDArray[np.uint8]) -> NDArray[np.int16] | None:
    """Return the colour [3] of a line [length, 3] that could be a bar's; None if it could not."""
    greens = sorted(line[:: max(1, len(line) // PROBES), 1].tolist())
    if DARKEST < greens[len(greens) // 2] < LIGHTEST:  # as in nearly all photos
        return None
    colour = np.median(line, axis=0).astype(np.int16)
    if colour.max() > DARKEST and colour.min() < LIGHTEST:
        return None
    strays = (np.abs(line - colour) > SAME).any(axis=1).mean()
    return colour if strays <= STRAY else None


def _thickness(
    strays: NDArray[np.float64], levels: NDArray[np.float64], straight: float
) -> int | None:
    """Return the thickness of a bar at the start, in lines; None if it has no straight edge.

    Lines in which an edge only rings belong to the bar.

    strays: share of each line that differs from the bar's colour, [n]. levels: the average
    difference, [n]. straight: the least share right behind the bar.
    """
    changed = np.flatnonzero(strays > STRAY)
    if not len(changed):
        return None
    end = int(changed[0])
    behind = np.flatnonzero(strays[end : end + EDGE_LINES + 1] >= straight)
    if not len(behind):
        return None
    first = end + int(behind[0])
    inside, before = min(first + 1, len(levels) - 1), max(0, first - 2)
    return first if levels[inside] - levels[before] >= STEP else None
