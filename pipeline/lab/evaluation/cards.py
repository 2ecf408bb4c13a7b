"""The best and worst photos of a run for the report, with crops and labels drawn on them."""

from collections.abc import Sequence
from typing import Any

from pipeline.errors import CropError
from pipeline.inputs.reading import read_image
from pipeline.lab.evaluation.catalogue import MEASURES, OURS
from pipeline.lab.evaluation.photo import Row
from pipeline.lab.evaluation.summary import photo_values
from pipeline.report.inline import preview, rectangle

PHOTO_SIDE = 420  # px, long side of a photo on the page
SHOWN = 8  # best and worst photos, each


def best_and_worst(rows: Sequence[Row], measure: str | None) -> tuple[list[Row], list[Row]]:
    """Return the photos that this run does best and worst on, each photo once."""
    if measure is None:
        return [], []
    judged = [row for row in rows if row["status"] == "ok" and measure in _ours(row)]
    judged.sort(key=lambda row: str(row["id"]))  # of equal photos
    judged.sort(key=lambda row: _ours(row)[measure], reverse=not MEASURES[measure].lower)
    shown = min(SHOWN, (len(judged) + 1) // 2)
    return judged[:shown], judged[shown:][-SHOWN:][::-1]


def card(row: Row, measure: str | None) -> dict[str, Any]:
    """Describe a photo and the boxes to draw on it, of the kinds head, person, ours, centre."""
    if row.get("human"):
        boxes, shape = human_boxes(row), ""
    elif row.get("scored"):
        boxes, shape = scored_boxes(row), ""
    else:
        boxes, shape = shape_boxes(row, measure or "any violation")
    return {
        "id": row["id"],
        "image": photo_preview(row["file"]),
        "width": row["width"],
        "height": row["height"],
        "boxes": [{"kind": kind, **rectangle(box)} for kind, box in boxes],
        "points": row.get("gaze", []),
        "value": _ours(row).get(measure or "", float("nan")),
        "tags": ", ".join(row["tags"]) + (f", drawn: {shape}" if shape else ""),
    }


def human_boxes(row: Row) -> list[tuple[str, list[float]]]:
    """Return the crop of the person whom this run agrees with least, and crops at that ratio."""
    human = row["human"]
    ious = human["measures"][OURS]["iou"]
    person = ious.index(min(ious))
    found = [("person", human["boxes"][person]), ("ours", human["crops"][OURS][person])]
    if "centre" in human["crops"]:
        found.append(("centre", human["crops"]["centre"][person]))
    return found


def scored_boxes(row: Row) -> list[tuple[str, list[float]]]:
    """Return the crop that people scored highest, and the one that this run chooses."""
    scored = row["scored"]
    by_people = scored["mos"].index(max(scored["mos"]))
    predicted = scored["predicted"][OURS]
    by_us = predicted.index(max(predicted))
    return [("person", scored["boxes"][by_people]), ("ours", scored["boxes"][by_us])]


def shape_boxes(row: Row, measure: str) -> tuple[list[tuple[str, list[float]]], str]:
    """Return the run's crop and the centre crop of its worst shape, and the shape's name."""
    ours = row["shapes"][OURS]
    worst = max if MEASURES[measure].lower else min
    shape = worst(ours, key=lambda name: ours[name]["measures"][measure])
    found = [("ours", ours[shape]["box"])]
    if "centre" in row["shapes"]:
        found.append(("centre", row["shapes"]["centre"][shape]["box"]))
    return [("head", head) for head in row.get("heads", [])] + found, shape


def photo_preview(file: str) -> str | None:
    """Return a small copy of the photo as a data URI; None where it can no longer be read."""
    try:
        return preview(read_image(file, None), PHOTO_SIDE)
    except CropError:
        return None


def _ours(row: Row) -> dict[str, float]:
    return photo_values(row).get(OURS, {})
