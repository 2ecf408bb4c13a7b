"""The decisions of a run, one by one in whole pixels, ready for any format."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import hypot
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import schema
from pipeline.export.focal import SharesXY, focal_overlap, focal_point, object_position
from pipeline.ledger.reader import WHITE, Run
from pipeline.ledger.run_parts import RunPart
from pipeline.shapes import parse_shape

SIZE_COLUMNS = ("image_id", "width_px", "height_px", "orientation")
PHOTO_COLUMNS = (*SIZE_COLUMNS, "uri", "status", "skipped")
CROP_COLUMNS = (
    "image_id", "uri", "ratio", "rank", *schema.EDGES, "width", "height", "fit",
    "verdict", "reason", "confidence",
)  # fmt: skip


@dataclass(frozen=True)
class ExportedCrop:
    """A run's decision about one shape of one photo.

    photo_wh: sides of the upright photo, pixels. box: x0, y0, x1, y1 in it, half-open, integers.
    orientation: EXIF orientation, 1 to 8, of the stored file; the box refers to the upright photo.
    size_wh: sides of the run's thumbnail, pixels.
    fit: `crop`; or `pad`, `blur`: all of the box is shown, on a ground.
    background: the ground of `pad`, six hex digits.
    """

    uri: str
    image_id: str
    ratio: str
    rank: int
    photo_wh: tuple[int, int]
    box: tuple[int, int, int, int]
    size_wh: tuple[int, int]
    orientation: int = 1
    fit: str = "crop"
    verdict: str | None = None
    reason: str | None = None
    confidence: float | None = None
    background: str = WHITE

    @property
    def box_wh(self) -> tuple[int, int]:
        return self.box[2] - self.box[0], self.box[3] - self.box[1]

    @property
    def is_whole(self) -> bool:
        """Whether the box is the whole photo."""
        return self.box == (0, 0, *self.photo_wh)

    @property
    def is_circle(self) -> bool:
        return parse_shape(self.ratio).is_circle

    @property
    def ground_box(self) -> tuple[float, float, float, float]:
        """The smallest square whose inscribed circle contains the whole box; x0, y0, x1, y1.

        A circle on a ground shows this square. It is in the frame of `box` and extends beyond it.
        """
        (x0, y0, x1, y1), radius = self.box, hypot(*self.box_wh) / 2
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        return x - radius, y - radius, x + radius, y + radius

    @property
    def fitted_scale(self) -> float:
        """Thumbnail pixels per source pixel of a box that fills the frame in one direction, ≤ 1."""
        (wide, high), (width, height) = self.box_wh, self.size_wh
        return min(width / wide, height / high, 1.0)

    @property
    def inner_scale(self) -> float:
        """Thumbnail pixels per source pixel of what lies on a ground.

        In a circle the corners of the box are on the circle.
        """
        return self.size_wh[0] / hypot(*self.box_wh) if self.is_circle else self.fitted_scale

    @property
    def inner_wh(self) -> tuple[int, int]:
        """Sides of the photo's part on the ground of a thumbnail, pixels."""
        wide, high = self.box_wh
        scale = self.inner_scale
        return max(1, round(wide * scale)), max(1, round(high * scale))

    @property
    def aspect(self) -> float:
        """Aspect ratio (width / height) of the shape; for `free`, of the box."""
        return parse_shape(self.ratio).ratio or self.box_wh[0] / self.box_wh[1]

    @property
    def focus(self) -> SharesXY:
        """The focal point that shows the crop best, as shares of the photo's sides."""
        return focal_point(self.box, self.photo_wh)

    @property
    def position(self) -> SharesXY:
        """The same as shares for CSS's `object-position`."""
        return object_position(self.box, self.photo_wh, self.aspect)

    @property
    def overlap(self) -> float:
        """IoU of the crop and what its focal point shows."""
        return focal_overlap(self.box, self.photo_wh, self.aspect)


@dataclass(frozen=True)
class NotCropped:
    """A photo without crops, or a shape that was left out, and why.

    status: `ok` if only the shape `ratio` is missing. reason: see docs/GUARDS.md.
    """

    uri: str
    image_id: str
    status: str
    ratio: str | None = None
    reason: str | None = None


def export_decisions(run: Run, background: str = WHITE) -> Iterator[ExportedCrop | NotCropped]:
    """Yield the crops of a run, then the photos and shapes that have none.

    Of several channels these are the photos and shapes that any of them lacks, unless the crop is
    from another channel. Memory holds one file of crops, and a line for each photo of a run.
    """
    missing: dict[NotCropped, None] = {}  # a photo that fails in two channels is one line
    for photos, files, part in run.runs_with_photos(list(CROP_COLUMNS), list(PHOTO_COLUMNS)):
        sizes = photos.select(list(SIZE_COLUMNS))
        for batch in files:
            about = sizes.take(pc.index_in(batch["image_id"], sizes["image_id"]))
            for crop, photo in zip(batch.to_pylist(), about.to_pylist(), strict=True):
                yield exported_crop(crop, photo, background)
        missing |= dict.fromkeys(_missing(photos, part))
    yield from missing


def exported_crop(
    crop: Mapping[str, Any], photo: Mapping[str, Any], background: str = WHITE
) -> ExportedCrop:
    """Make a decision from a row of `crops` and its photo's row of `images`."""
    width, height = photo["width_px"], photo["height_px"]
    x0, y0, x1, y1 = (round(crop[edge]) for edge in schema.EDGES)
    x0, y0 = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
    return ExportedCrop(
        uri=crop["uri"],
        image_id=crop["image_id"],
        ratio=crop["ratio"],
        rank=crop["rank"],
        photo_wh=(width, height),
        box=(x0, y0, min(max(x1, x0 + 1), width), min(max(y1, y0 + 1), height)),
        size_wh=(crop["width"], crop["height"]),
        orientation=photo["orientation"] or 1,
        fit=crop.get("fit") or "crop",
        verdict=crop.get("verdict"),
        reason=crop.get("reason"),
        confidence=crop.get("confidence"),
        background=background,
    )


def _missing(photos: pa.Table, part: RunPart) -> Iterator[NotCropped]:
    """Yield the photos and shapes of one run that have no crop in it, nor in an earlier channel."""
    unlike = pc.or_(pc.not_equal(photos["status"], schema.OK), pc.is_valid(photos["skipped"]))
    rows = photos.filter(unlike)
    asked = _as_in_rows(part.shapes)
    for photo, taken in zip(rows.to_pylist(), part.taken_of(rows["image_id"]), strict=True):
        about = photo["uri"], photo["image_id"], photo["status"]
        if photo["status"] == schema.OK:
            for shape in photo["skipped"] or ():
                if shape["ratio"] not in taken:
                    yield NotCropped(*about, shape["ratio"], shape["reason"])
        elif not asked <= _as_in_rows(taken):
            yield NotCropped(*about)


def _as_in_rows(shapes: frozenset[str]) -> frozenset[str]:
    """Write shapes as rows do: in lower case without spaces."""
    return frozenset(shape.replace(" ", "").lower() for shape in shapes)
