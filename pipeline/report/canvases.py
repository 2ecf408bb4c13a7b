"""Compute what covers a run's crops, and where it placed photos that are shown whole."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ledger.reader import WHITE, Run, background_of
from pipeline.photo.encoding.whole import Ground, Placed, place_whole
from pipeline.settings.safe_areas import WHOLE, SafeArea, safe_area_of, stored_safe_areas
from pipeline.shapes import parse_shape

GROUNDS = get_args(Ground)  # values of `fit` for crops that show all of their box on a ground


@dataclass(frozen=True)
class Canvases:
    """The settings of a run that affect the canvases of whole photos.

    areas: its safe areas, by shape name; whole photos are placed outside covered parts.
    background: the colour behind padded photos, six hex digits.
    """

    areas: Mapping[str, SafeArea]
    background: str = WHITE

    @classmethod
    def of(cls, run: Run) -> "Canvases":
        """Read the canvases of a run, or of the first of several."""
        return cls.of_manifest(run.manifest)

    @classmethod
    def of_manifest(cls, manifest: Mapping[str, Any]) -> "Canvases":
        """Read the canvases of one run from its manifest, as stored."""
        asked = manifest["settings"].get("safe_areas")
        return cls(stored_safe_areas(str(asked or "")), background_of(manifest))

    def placed(self, ratio: str, fit: str | None, box_px: Sequence[float]) -> Placed | None:
        """Return a photo's place on its crop's canvas; None for a crop that fills its shape.

        ratio, fit: from the table `crops`; box_px: the crop's edges, source pixels.
        """
        if fit not in GROUNDS:
            return None
        shape = parse_shape(ratio)
        area = safe_area_of(shape, self.areas)
        return place_whole(box_px, shape, area.is_circle, area.covered)

    def page_data(self, ratio: str, fit: str | None, box_px: Sequence[float]) -> dict[str, Any]:
        """Return the pages' data on a crop's canvas; {} for a crop that fills its shape.

        frame: the canvas around the photo, x0, y0, x1, y1 in source pixels.
        ground: its colour, only for `pad`. Arguments as for `placed`.
        """
        placed = self.placed(ratio, fit, box_px)
        if placed is None:
            return {}
        canvas = {"frame": [round(edge, 1) for edge in placed.canvas_px]}
        return {**canvas, "ground": f"#{self.background}"} if fit == "pad" else canvas

    def covered(self, ratios: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the pages' data on what covers crops, by ratio; {} if no area of the run does.

        covered: rectangles as shares of the crop's sides; circle: whether all around it is covered.
        """
        shapes = [parse_shape(ratio) for ratio in ratios]
        areas = {shape.name: safe_area_of(shape, self.areas) for shape in shapes}
        if all(areas[shape.name] == safe_area_of(shape, {}) for shape in shapes):
            return {}
        return {
            name: {"circle": area.is_circle, "covered": [list(part) for part in area.covered]}
            for name, area in areas.items()
            if area != WHOLE
        }


@dataclass(frozen=True)
class PhotoCanvases:
    """The canvases of photos that come from one or more runs.

    different: the runs' canvases without repetitions, the run in front first.
    places: where a photo's are among them, by image_id; photos without a place have the first.
    """

    different: list[Canvases]
    places: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run, ids: Collection[str]) -> "PhotoCanvases":
        """Read the canvases of the photos `ids`."""
        different: list[Canvases] = []
        by_run: dict[str, int] = {}
        for manifest in run.manifests:
            canvases = Canvases.of_manifest(manifest)
            if canvases not in different:
                different.append(canvases)
            by_run[manifest["run_id"]] = different.index(canvases)
        if len(different) == 1:
            return cls(different)
        rows = run.images(["image_id", "run_id"])
        rows = rows.filter(pc.is_in(rows["image_id"], pa.array(ids, pa.string())))
        names, runs = (rows[name].to_pylist() for name in ("image_id", "run_id"))
        return cls(
            different, {name: by_run.get(one, 0) for name, one in zip(names, runs, strict=True)}
        )

    def place_of(self, image_id: str) -> int:
        """Return where a photo's canvases are in `different`."""
        return self.places.get(image_id, 0)

    def of_photo(self, image_id: str) -> Canvases:
        """Return a photo's canvases."""
        return self.different[self.place_of(image_id)]
