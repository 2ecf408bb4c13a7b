"""The formats that decisions are exported in, by name, and the lines that are written."""

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
Say = Callable[[ExportedCrop], Mapping[str, Any]]
COLUMNS = (
    "uri", "image_id", "status", "ratio", "rank", "fit", "verdict", "reason", "confidence",
    "photo_width", "photo_height", "orientation", *EDGES, "width", "height",
    "focal_x", "focal_y", "position_x", "position_y", "focal_iou",
)  # fmt: skip
DIGITS = 5


def flat_fields(crop: ExportedCrop) -> dict[str, Any]:
    """Everything that is told of a crop, a number or text each: COLUMNS without the first ones."""
    return {
        "photo_width": crop.photo_wh[0],
        "photo_height": crop.photo_wh[1],
        "orientation": crop.orientation,
        **dict(zip(EDGES, crop.box, strict=True)),
        "width": crop.size_wh[0],
        "height": crop.size_wh[1],
        **dict(zip(("focal_x", "focal_y"), (round(v, DIGITS) for v in crop.focus), strict=True)),
        "position_x": round(crop.position[0], DIGITS),
        "position_y": round(crop.position[1], DIGITS),
        "focal_iou": round(crop.overlap, DIGITS),
    }


FORMATS: dict[FormatName, Say] = {
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
    """What was written. overlap: mean IoU of the crops and what their focal points show."""

    crops: int
    without: int
    overlap: float | None


def record_of(one: ExportedCrop | NotCropped, say: Say) -> dict[str, Any]:
    """What a line says: the photo, the shape, the verdict, and the fields of the format."""
    record: dict[str, Any] = {"uri": one.uri, "image_id": one.image_id}
    if isinstance(one, NotCropped):
        return {**record, "status": one.status, "ratio": one.ratio, "reason": one.reason}
    about = ("ratio", "rank", "fit", "verdict", "reason", "confidence")
    record |= {"status": "ok"} | {name: getattr(one, name) for name in about}
    if one.confidence is not None:
        record["confidence"] = round(one.confidence, DIGITS)
    if one.orientation != 1:
        record["orientation"] = one.orientation
    return {**record, **say(one)}


def write_lines(
    found: Iterable[ExportedCrop | NotCropped], name: FormatName, out: TextIO
) -> ExportSummary:
    """Write decisions in a format, a line each: CSV with a header, else JSON without nulls."""
    say, crops, without, overlaps = FORMATS[name], 0, 0, 0.0
    table = csv.DictWriter(out, COLUMNS, lineterminator="\n") if name == "csv" else None
    if table is not None:
        table.writeheader()
    for one in found:
        record = record_of(one, say)
        if table is not None:
            table.writerow(record)
        else:
            told = {key: value for key, value in record.items() if value is not None}
            out.write(json.dumps(told, ensure_ascii=False) + "\n")
        if isinstance(one, ExportedCrop):
            crops, overlaps = crops + 1, overlaps + one.overlap
        else:
            without += 1
    return ExportSummary(crops, without, overlaps / crops if crops else None)
