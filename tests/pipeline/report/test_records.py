"""The data for the page of one photo, by hand."""

import math
from typing import Any

from pipeline.report.canvases import Canvases
from pipeline.report.gallery.records import photo_record


def record(**row: Any) -> dict[str, Any]:
    return photo_record({"image_id": "i", "uri": "u", **row}, [], None, Canvases({}))


def test_what_is_not_there_is_left_out() -> None:
    """Arrow gives null as None, pandas as NaN."""
    result = record(
        read_s=0.123456, decode_s=None, score_s=math.nan, complete=math.nan, focus_x=0.5
    )
    assert result == {
        "id": "i", "uri": "u", "focus_x": 0.5, "seconds": [["read", 0.1235]], "objects": [],
        "extra": [], "crops": [],
    }  # fmt: skip


def test_the_best_objects_alone_and_the_beginning_of_long_values() -> None:
    box = {"x0": 1.26, "y0": 2.0, "x1": 3.0, "y1": 4.0, "label": None}
    objects = [{**box, "score": 1 - n / 1000} for n in range(81)]
    result = record(objects=objects, user="x" * 401, none=None, etag="e")
    assert len(result["objects"]) == 80
    assert result["objects"][1] == [1.3, 2.0, 3.0, 4.0, 0.999, ""]
    assert result["extra"] == [["user", "x" * 400]]
