"""Make the gallery's data on one photo, as JSON values.

Column names of the run's own tables are keys; names from strangers are values, see `data_script`.
"""

import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline import schema
from pipeline.report.canvases import Canvases
from pipeline.report.inline import data_uri
from pipeline.report.pictures import Picture
from pipeline.schema import EDGES

MOST_OBJECTS = 80  # the highest-scoring ones of a photo
LONGEST = 400  # characters of a pass-through value
IMAGE_COLUMNS = (
    "uri", "status", "kind", "format", "bytes", "width_px", "height_px", "orientation", "frames",
    "content", "complete", "focus_x", "focus_y", "focus_source", "override", "skipped",
    "error_stage", "error_kind", "error_message",
)  # fmt: skip
CROP_COLUMNS = (
    "ratio", "rank", "score", "choice", "margin", "confidence", "verdict", "reason", "fit",
    "faces_cut", "heads_cut", "text_cut", "objects_cut", "subject_share", "override", "width",
    "height", "format", "sha256", "file",
)  # fmt: skip
DIGITS = 4  # decimals of a number that is not in pixels
OMITTED_COLUMNS = ("image_id", "etag", "content_sha256", "objects")  # columns of images left out


def photo_record(
    row: Mapping[str, Any],
    crops: Sequence[Mapping[str, Any]],
    picture: Picture | None,
    canvases: Canvases,
) -> dict[str, Any]:
    """Return the data of one photo's page. row, crops: from the run's tables."""
    record = {
        "id": row["image_id"],
        **_known(row, IMAGE_COLUMNS),
        "seconds": [[n[:-2], round(row[n], DIGITS)] for n in _stages(row)],
        "objects": [_object(one) for one in (row.get("objects") or ())[:MOST_OBJECTS]],
        "extra": _pass_through(row),
        "crops": [_crop(crop, canvases) for crop in crops],
    }
    if picture is not None:
        record["preview"] = data_uri(picture.image, picture.format)
        record["pieced"] = picture.composed
        if picture.gaze is not None:
            record["gaze"] = b64encode(picture.gaze).decode("ascii")
    return record


def candidate_record(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the boxes and scores of one shape's candidates, the highest score first."""
    ordered = sorted(rows, key=lambda row: -row["score"])
    return {
        "boxes": [[round(row[edge]) for edge in EDGES] for row in ordered],
        "scores": [round(row["score"], 3) for row in ordered],
    }


def _crop(crop: Mapping[str, Any], canvases: Canvases) -> dict[str, Any]:
    box_px = [crop[edge] for edge in EDGES]
    canvas = canvases.page_data(crop["ratio"], crop["fit"], box_px)
    return {**_known(crop, CROP_COLUMNS), "box": [round(edge, 1) for edge in box_px], **canvas}


def _known(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the values of these columns that are present."""
    return {n: _short(row[n]) for n in names if row.get(n) is not None and row[n] == row[n]}


def _short(value: Any) -> Any:
    return round(value, DIGITS) if isinstance(value, float) else value


def _stages(row: Mapping[str, Any]) -> list[str]:
    names = [name for name in schema.IMAGES.names if name.endswith("_s")]
    return [n for n in names if row.get(n) is not None and not math.isnan(row[n])]


def _object(one: Mapping[str, Any]) -> list[Any]:
    """Return an object as [x0, y0, x1, y1, score, label]."""
    box = [round(one[edge], 1) for edge in EDGES]
    return [*box, round(one["score"], 3), one["label"] or ""]


def _pass_through(row: Mapping[str, Any]) -> list[list[str]]:
    """Return the passed-through columns of the input list, as pairs of name and text."""
    own = {*schema.IMAGES.names, *IMAGE_COLUMNS, *OMITTED_COLUMNS}
    return [[n, str(v)[:LONGEST]] for n, v in row.items() if n not in own and v is not None]
