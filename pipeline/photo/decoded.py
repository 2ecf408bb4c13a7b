"""Hold a decoded photo: its view, the facts of its file, and properties found in its pixels."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.photo.borders import Edges, content_view
from pipeline.photo.colour import WIDE, WideName, to_space
from pipeline.photo.kinds import PictureKind, picture_kind, surface_of
from pipeline.photo.spaces import profile_of


@dataclass(frozen=True, eq=False)
class Photo:
    """A decoded photo.

    pixels:      the view, uint8 [h_view, w_view, 3], sRGB, upright; it may be a reduction of the
                 photo, see `decode.decode`.
    width_px, height_px: sides of the photo itself, upright, pixels; boxes `_px` are in this frame.
    format:      "jpeg", "png", "webp", "gif", "avif" or "heic".
    orientation: the EXIF orientation of the file, 1 to 8. It has been applied to `pixels`.
    frames:      pictures in the file, of which this is the first; 1 for a still one.
    kind:        the kind of picture, as far as its pixels show (`photo.kinds`).
    by_screen:   whether it was drawn by a screen or a program rather than taken by a lens.
    content_px:  the decoded part inside uniform borders, xyxy; None: the whole photo.
    alpha:       opacity of the view's pixels, uint8 [h_view, w_view]; None: all are opaque.
                 `pixels` are blended with white.
    complete:    share of the picture's rows that could be decoded, 0 to 1.
    there_px:    the part that these rows cover, xyxy; None: the whole photo. `pixels` repeat its
                 last row in place of missing rows.
    wide, wide_space: the view with its colours outside sRGB, uint8 [h_view, w_view, 3], and the
                 space that it is in; None: there are none, or they were not requested.
    origin_px:   the position of the top left corner in a larger photo that this is a part of.
    """

    pixels: NDArray[np.uint8]
    width_px: int
    height_px: int
    format: str
    orientation: int
    frames: int = 1
    kind: PictureKind = "photo"
    by_screen: bool = False
    content_px: tuple[int, int, int, int] | None = None
    alpha: NDArray[np.uint8] | None = None
    complete: float = 1.0
    there_px: tuple[int, int, int, int] | None = None
    wide: NDArray[np.uint8] | None = None
    wide_space: WideName | None = None
    origin_px: tuple[int, int] = (0, 0)

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Source pixels per view pixel, (x, y)."""
        height_view, width_view = self.pixels.shape[:2]
        return self.width_px / width_view, self.height_px / height_view

    @property
    def in_own_colours(self) -> "Photo":
        """The photo with `wide` as its `pixels`, if it has them; `profile` then describes them.

        Do not pass it to code that assumes sRGB.
        """
        return self if self.wide is None else replace(self, pixels=self.wide, wide=None)

    @property
    def profile(self) -> bytes | None:
        """The ICC profile of `pixels` that are not sRGB; None if they are sRGB."""
        is_wide = self.wide is None and self.wide_space is not None
        return profile_of(WIDE[self.wide_space]) if is_wide and self.wide_space else None

    def colour_of(self, srgb: tuple[int, int, int]) -> tuple[int, int, int]:
        """Convert an sRGB colour to the space of `pixels`."""
        if self.profile is None or self.wide_space is None:
            return srgb
        one = to_space(Image.new("RGB", (1, 1), srgb), None, WIDE[self.wide_space])
        red, green, blue = np.asarray(one)[0, 0].tolist()
        return red, green, blue

    @property
    def content(self) -> "Photo":
        """The part inside the borders as its own photo, or the photo itself without borders."""
        if self.content_px is None:
            return self
        x0, y0, x1, y1 = self.content_px
        scale_x, scale_y = self.scale_xy
        rows = slice(round(y0 / scale_y), round(y1 / scale_y))
        columns = slice(round(x0 / scale_x), round(x1 / scale_x))
        return replace(
            self,
            pixels=self.pixels[rows, columns],
            width_px=x1 - x0,
            height_px=y1 - y0,
            alpha=None if self.alpha is None else self.alpha[rows, columns],
            wide=None if self.wide is None else self.wide[rows, columns],
            content_px=None,
            there_px=None,
            origin_px=(x0, y0),
        )

    def with_borders(self) -> "Photo":
        """Return the photo with its borders as part of the content; missing rows stay excluded."""
        return replace(self, content_px=self.there_px)


def described(photo: Photo) -> Photo:
    """Return a photo with the borders and kind found in its pixels; with alpha, no borders."""
    part = photo.with_borders().content.pixels  # bars end where the decoded rows end
    edges = content_view(part) if photo.alpha is None else None
    x0, y0, x1, y1 = edges or (0, 0, part.shape[1], part.shape[0])
    surface = surface_of(part[y0:y1, x0:x1])
    sides = (photo.width_px, photo.height_px)
    kind, by_screen = picture_kind(surface, *sides, photo.format, photo.frames)
    # The margins of a page do not count as borders.
    inner = edges is not None and kind != "text-heavy"
    content_px = _to_source((x0, y0, x1, y1), part, photo) if inner else photo.there_px
    return replace(photo, kind=kind, by_screen=by_screen, content_px=content_px)


def _to_source(edges: Edges, part: NDArray[np.uint8], photo: Photo) -> Edges:
    """Convert edges in the decoded part of a view to source pixels.

    In a reduced view the edge pixels are blended, so one view pixel is taken off at each edge.
    """
    height, width = part.shape[:2]
    scale_x, scale_y = photo.scale_xy
    less_x, less_y = int(scale_x > 1), int(scale_y > 1)
    x0, y0, x1, y1 = edges
    left, top, right, bottom = photo.there_px or (0, 0, photo.width_px, photo.height_px)
    return (
        left + round((x0 + less_x) * scale_x) if x0 else left,
        top + round((y0 + less_y) * scale_y) if y0 else top,
        left + round((x1 - less_x) * scale_x) if x1 < width else right,
        top + round((y1 - less_y) * scale_y) if y1 < height else bottom,
    )
