"""Say where a photo that is shown whole lies on its crop's canvas, as the run has drawn it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pipeline.ledger.reader import WHITE, Run
from pipeline.photo.encoding.whole import Ground, Placed, place_whole
from pipeline.settings.safe_areas import SafeArea, safe_area_of, stored_safe_areas
from pipeline.shapes import parse_shape

GROUNDS = get_args(Ground)  # fits of crops that show all of their box, on a ground


@dataclass(frozen=True)
class Canvases:
    """What a run was asked for about the canvases of whole photos.

    areas: its safe areas, by shape name; whole photos keep clear of what is covered.
    background: of padded photos, six hex digits.
    """

    areas: Mapping[str, SafeArea]
    background: str = WHITE

    @classmethod
    def of(cls, run: Run) -> "Canvases":
        """Those of a run, or of the one in front of several."""
        asked = run.manifest["settings"].get("safe_areas")
        return cls(stored_safe_areas(str(asked or "")), run.background)

    def placed(self, ratio: str, fit: str | None, box_px: Sequence[float]) -> Placed | None:
        """The place of a photo on its crop's canvas; None of a crop that fills its shape.

        ratio, fit: of the table `crops`; box_px: its edges, source pixels.
        """
        if fit not in GROUNDS:
            return None
        shape = parse_shape(ratio)
        area = safe_area_of(shape, self.areas)
        return place_whole(box_px, shape, area.is_circle, area.covered)

    def told(self, ratio: str, fit: str | None, box_px: Sequence[float]) -> dict[str, Any]:
        """What the pages are told of a crop's canvas; nothing of a crop that fills its shape.

        frame: the canvas, x0, y0, x1, y1 in source pixels, around the photo.
        ground: its colour, of `pad` alone. Arguments as of `placed`.
        """
        placed = self.placed(ratio, fit, box_px)
        if placed is None:
            return {}
        canvas = {"frame": [round(edge, 1) for edge in placed.canvas_px]}
        return {**canvas, "ground": f"#{self.background}"} if fit == "pad" else canvas
