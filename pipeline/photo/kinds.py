"""Classify a photo as a kind of picture, by cheap rules on its sides, frames and pixels.

The rules compare neighbouring pixels of some rows. A photo has grain: neighbours differ by little,
but are seldom equal. A screenshot is flat, and where it is not, its edges are hard. The kind
`text-heavy` also depends on what the detector finds, see `pipeline.cropping.kind_policy`;
docs/KINDS.md lists all rules.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PictureKind = Literal["photo", "text-heavy", "screenshot", "animated", "long"]

LONG_RATIO = 2.5  # a picture is long if its long side is more than this many short sides

ROWS = 64  # rows of the view that are measured, evenly spread
FEW_ROWS = 8  # enough to recognise most photos ...
PLAINLY_A_PHOTO = 0.3  # ... by a smaller share of flat neighbours than this
GRAIN = 12  # levels: neighbours that differ by 1 to this many are grain
EDGE = 48  # levels: neighbours that differ by this much or more are an edge
# Shares that separate drawn pictures from photos. On 2,681 photos of public collections only
# drawings, charts and pages pass them.
DRAWN_FLAT, DRAWN_GRAIN = 0.6, 0.25
SHOWN_FLAT = 0.3  # for a lossless picture of a screen's size, which may show a photo
SCREEN_HARDNESS, PAGE_HARDNESS = 0.16, 0.18
PAGE_GROUND, PAGE_FLAT, PAGE_EDGES = 0.6, 0.5, 0.04
NEAR_GROUND = 6  # levels from the most common one that count as ground

# Sides of the screens of phones, tablets and desktops in use, upright, pixels.
SCREENS = frozenset(
    {
        (640, 1136), (720, 1280), (720, 1520), (720, 1560), (720, 1600), (750, 1334),
        (768, 1024), (768, 1366), (800, 1280), (828, 1792), (900, 1440), (900, 1600),
        (1024, 1280), (1050, 1680), (1080, 1920), (1080, 2160), (1080, 2220), (1080, 2280),
        (1080, 2312), (1080, 2316), (1080, 2340), (1080, 2376), (1080, 2400), (1080, 2408),
        (1080, 2412), (1080, 2460), (1125, 2436), (1170, 2532), (1179, 2556), (1200, 1920),
        (1206, 2622), (1220, 2712), (1242, 2208), (1242, 2688), (1284, 2778), (1290, 2796),
        (1320, 2868), (1440, 2560), (1440, 2960), (1440, 3040), (1440, 3088), (1440, 3120),
        (1440, 3200), (1440, 3440), (1536, 2048), (1600, 2560), (1620, 2160), (1640, 2360),
        (1668, 2224), (1668, 2388), (1800, 2880), (1964, 3024), (2048, 2732), (2160, 3840),
        (2234, 3456), (2880, 5120),
    }
)  # fmt: skip


@dataclass(frozen=True)
class Surface:
    """Statistics of a picture's neighbouring pixels: shares, 0 to 1.

    flat:   of neighbours that are equal
    grain:  of neighbours that differ by little
    edges:  of neighbours that differ by much
    ground: of pixels that have the most common level, or one near it
    ground_level: that level, 0 to 255
    """

    flat: float
    grain: float
    edges: float
    ground: float
    ground_level: int

    @property
    def hardness(self) -> float:
        """Share of edges among the neighbours that differ at all; 0 if none do."""
        return self.edges / (1 - self.flat) if self.flat < 1 else 0.0


def surface_of(pixels: NDArray[np.uint8]) -> Surface:
    """Measure a view, uint8 [h, w, 3]. Only its green channel is used."""
    if pixels.shape[1] < 2:
        return Surface(0.0, 0.0, 0.0, 1.0, 0)
    few = _steps(_green(pixels, FEW_ROWS))
    flat = 1 - np.count_nonzero(few) / few.size
    if flat < PLAINLY_A_PHOTO:  # every rule requires more
        return Surface(float(flat), float(1 - flat), 0.0, 0.0, 0)
    rows = _green(pixels, ROWS)
    steps = _steps(rows)
    count = steps.size
    flat = 1 - np.count_nonzero(steps) / count
    edges = np.count_nonzero(steps >= EDGE) / count
    grain = np.count_nonzero(steps <= GRAIN) / count - flat
    levels = np.bincount(rows.ravel(), minlength=256)
    level = int(levels.argmax())
    ground = levels[max(0, level - NEAR_GROUND) : level + NEAR_GROUND + 1].sum() / rows.size
    return Surface(float(flat), float(grain), float(edges), float(ground), level)


def _green(pixels: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Return the green channel of at least `count` evenly spread rows, or of all: [R, w]."""
    step = max(1, len(pixels) // count)
    return np.ascontiguousarray(pixels[step // 2 :: step, :, 1])


def _steps(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return by how much each pixel of rows [R, w] differs from the previous one: [R, w - 1]."""
    before, after = rows[:, :-1], rows[:, 1:]
    return np.maximum(before, after) - np.minimum(before, after)


def is_long(width: int, height: int) -> bool:
    """Return whether a picture is longer than LONG_RATIO, in either direction."""
    return max(width, height) > LONG_RATIO * min(width, height)


def is_screen(surface: Surface, screen_sized: bool, lossless: bool) -> bool:
    """Return whether a picture was drawn by a screen or a program rather than taken by a lens.

    A drawn picture is flat, and the rest has hard edges. An object on a white background is flat
    too, but its own surface has grain. For a picture of a screen's size the rule is weaker, since a
    screen may show a photo.
    """
    drawn = surface.flat >= DRAWN_FLAT and surface.grain <= DRAWN_GRAIN
    if screen_sized:
        return drawn or (lossless and surface.flat >= SHOWN_FLAT)
    return drawn and surface.hardness >= SCREEN_HARDNESS


def is_page(surface: Surface) -> bool:
    """Return whether a drawn picture is a page of text: strokes on an even light or dark ground."""
    even = surface.ground >= PAGE_GROUND and not 64 < surface.ground_level < 192
    strokes = surface.edges >= PAGE_EDGES and surface.hardness >= PAGE_HARDNESS
    flat = surface.flat >= PAGE_FLAT and surface.grain <= DRAWN_GRAIN
    return even and strokes and flat


def picture_kind(
    surface: Surface, width: int, height: int, format: str, frames: int
) -> tuple[PictureKind, bool]:
    """Return a picture's kind as far as its pixels show, and whether it was drawn (`is_screen`).

    width, height: sides of the upright picture, source pixels. frames: how many the file has.
    The kind is the first of animated, long, text-heavy, screenshot that applies; else photo.
    """
    screen_sized = (min(width, height), max(width, height)) in SCREENS
    screen = is_screen(surface, screen_sized, lossless=format in ("png", "webp"))
    if frames > 1:
        return "animated", screen
    if is_long(width, height):
        return "long", screen
    if is_page(surface) and not screen_sized:
        return "text-heavy", screen
    return ("screenshot" if screen else "photo"), screen
