"""The formats for exporting decisions, by name, and the lines that are written."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TextIO

from pipeline.export.crops import ExportedCrop, NotCropped
from pipeline.export.pages import css, iiif, wordpress
from pipeline.export.services import cloudinary, imgix, imgproxy, thumbor
from pipeline.schema import EDGES

FormatName = Literal[
    "imgproxy", "thumbor", "cloudinary", "imgix", "iiif", "css", "wordpress", "csv", "jsonl"
]
Formatter = Callable[[ExportedCrop], Mapping[str, Any]]
COLUMNS = (
    "uri", "image_id", "status", "ratio", "rank", "fit", "verdict", "reason", "confidence",
    "photo_width", "photo_height", "orientation", *EDGES, "width", "height",
    "focal_x", "focal_y", "position_x", "position_y", "focal_iou",
)  # fmt: skip
DIGITS = 5
FOCUS = ("focal", "focalPoint", "focal_x")  # fields that hold a line's focal point


def flat_fields(crop: ExportedCrop) -> dict[str, Any]:
    """Return a crop's geometry as numbers: COLUMNS from `photo_width` on.

    A crop on a ground has no focal point: those fields are None.
    """
    fields: dict[str, Any] = {
        "photo_width": crop.photo_wh[0],
        "photo_height": crop.photo_wh[1],
        "orientation": crop.orientation,
        **dict(zip(EDGES, crop.box, strict=True)),
        "width": crop.size_wh[0],
        "height": crop.size_wh[1],
    }
    shares = (*crop.focus, *crop.position, crop.overlap)
    names = ("focal_x", "focal_y", "position_x", "position_y", "focal_iou")
    has_focus = crop.fit == "crop"
    return fields | {
        name: round(share, DIGITS) if has_focus else None
        for name, share in zip(names, shares, strict=True)
    }


FORMATS: dict[FormatName, Formatter] = {
    "imgproxy": imgproxy,
    "thumbor": thumbor,
    "cloudinary": cloudinary,
    "imgix": imgix,
    "iiif": iiif,
    "css": css,
    "wordpress": wordpress,
    "csv": flat_fields,
    "jsonl": flat_fields,
}


@dataclass(frozen=True)
class ExportSummary:
    """Counts of what was written.

    crops, without: how many crops there are, and how many photos or shapes have none.
    focused: how many crops have a focal point in the format. overlap: mean IoU of these crops and
    the windows that their focal points show; None if there are none.
    """

    crops: int
    without: int
    focused: int
    overlap: float | None


def record_of(one: ExportedCrop | NotCropped, formatter: Formatter) -> dict[str, Any]:
    """Make a line's record: the photo, the shape, the verdict, and the fields of the format."""
    record: dict[str, Any] = {"uri": one.uri, "image_id": one.image_id}
    if isinstance(one, NotCropped):
        return {**record, "status": one.status, "ratio": one.ratio, "reason": one.reason}
    about = ("ratio", "rank", "fit", "verdict", "reason", "confidence")
    record |= {"status": "ok"} | {name: getattr(one, name) for name in about}
    if one.confidence is not None:
        record["confidence"] = round(one.confidence, DIGITS)
    if one.orientation != 1:
        record["orientation"] = one.orientation
    return {**record, **formatter(one)}


def write_lines(
    found: Iterable[ExportedCrop | NotCropped], name: FormatName, out: TextIO
) -> ExportSummary:
    """Write decisions in a format, one a line: CSV with a header, else JSON without nulls."""
    formatter, overlaps = FORMATS[name], 0.0
    crops = without = focused = 0
    table = _CsvLines(out) if name == "csv" else None
    for one in found:
        record = record_of(one, formatter)
        if table is not None:
            table.write(record)
        else:
            known = {key: value for key, value in record.items() if value is not None}
            out.write(json.dumps(known, ensure_ascii=False) + "\n")
        if isinstance(one, NotCropped):
            without += 1
            continue
        crops += 1
        if any(record.get(field) is not None for field in FOCUS):
            focused, overlaps = focused + 1, overlaps + one.overlap
    mean = overlaps / focused if focused else None
    return ExportSummary(crops, without, focused, mean)


class _CsvLines:
    """Writes records as CSV, the header first."""

    def __init__(self, out: TextIO) -> None:
        self._plain = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        self._quoted = csv.DictWriter(out, COLUMNS, lineterminator="\n", quoting=csv.QUOTE_ALL)
        self._plain.writeheader()

    def write(self, record: Mapping[str, Any]) -> None:
        """Write one record."""
        # Python 3.11 does not quote a carriage return alone, and readers end the row there.
        has_return = any("\r" in value for value in record.values() if isinstance(value, str))
        (self._quoted if has_return else self._plain).writerow(record)
