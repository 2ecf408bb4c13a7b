"""The best and worst photos of a report, and what is drawn on them."""

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.lab.evaluation.cards import best_and_worst, card, photo_preview
from pipeline.lab.evaluation.catalogue import NETWORK, OURS


def row(name: str, **parts: Any) -> dict[str, Any]:
    return {
        "id": name, "file": "gone.png", "status": "ok", "width": 200, "height": 100,
        "tags": ["landscape", "people"], **parts,
    }  # fmt: skip


def overlap(name: str, iou: float, bde: float) -> dict[str, Any]:
    measures = {OURS: {"iou": [iou], "bde": [bde]}}
    return row(name, human={"measures": measures, "free": None})


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [one["id"] for one in rows]


def drawn(told: dict[str, Any]) -> list[tuple[str, list[float]]]:
    """The kind of each rectangle with its left, top, width and height."""
    return [(one["kind"], [one[side] for side in "xywh"]) for one in told["boxes"]]


def test_eight_best_and_eight_worst_are_shown_each_from_its_end() -> None:
    rows = [overlap(f"{number:02}", number / 100, number / 100) for number in range(20)]
    best, worst = best_and_worst(rows, "iou")
    assert ids(best) == [f"{number:02}" for number in range(19, 11, -1)]
    assert ids(worst) == [f"{number:02}" for number in range(8)]
    best, worst = best_and_worst(rows, "bde")  # less is better
    assert ids(best) == [f"{number:02}" for number in range(8)]
    assert ids(worst) == [f"{number:02}" for number in range(19, 11, -1)]


def test_equal_photos_come_by_name_and_failed_or_unjudged_ones_never() -> None:
    rows = [overlap(name, 0.5, 0.5) for name in ("c", "a", "b")]
    rows += [{**overlap("d", 0.9, 0.1), "status": "corrupt"}, row("e")]
    best, worst = best_and_worst(rows, "iou")
    assert (ids(best), ids(worst)) == (["a", "b"], ["c"])


def test_of_four_photos_two_are_the_best() -> None:
    best, worst = best_and_worst([overlap(name, 0.5, 0.5) for name in "abcd"], "iou")
    assert (ids(best), ids(worst)) == (["a", "b"], ["d", "c"])


def test_of_several_people_the_one_who_agrees_least_is_drawn() -> None:
    people = [[0, 0, 100, 100], [20, 10, 80, 60]]
    crops = {
        OURS: [[10, 0, 110, 100], [30, 10, 90, 60]],
        "centre": [[50, 0, 150, 100], [70, 20, 130, 70]],
    }
    human = {
        "boxes": people, "crops": crops, "free": None,
        "measures": {OURS: {"iou": [0.8, 0.5], "bde": [0.1, 0.3]}},
    }  # fmt: skip
    told = card(row("a", human=human), "iou")
    expected = [
        ("person", [20, 10, 60, 50]), ("ours", [30, 10, 60, 50]), ("centre", [70, 20, 60, 50]),
    ]  # fmt: skip
    assert drawn(told) == expected
    assert (told["id"], told["width"], told["height"]) == ("a", 200, 100)
    assert told["value"] == pytest.approx(0.65)
    assert (told["tags"], told["points"], told["image"]) == ("landscape, people", [], None)
    del crops["centre"]
    assert drawn(card(row("a", human=human), "iou")) == expected[:2]


def test_of_scored_crops_people_s_best_and_ours_are_drawn() -> None:
    scored = {
        "boxes": [[0, 0, 10, 10], [0, 0, 20, 20], [0, 0, 30, 30]], "mos": [2, 5, 1],
        "predicted": {OURS: [-1, -2, 0], NETWORK: [9, 1, 2]},
        "measures": {OURS: {"srcc": 0.25}},
    }  # fmt: skip
    told = card(row("a", human=None, scored=scored), "srcc")
    assert drawn(told) == [("person", [0, 0, 20, 20]), ("ours", [0, 0, 30, 30])]
    assert told["value"] == 0.25


def test_of_several_shapes_the_worst_is_drawn_with_gaze_and_heads() -> None:
    shapes = {
        OURS: {
            "1:1": {"box": [0, 0, 100, 100],
                    "measures": {"gaze_kept": 0.5, "heads_out": 0.0, "any violation": 0.0}},
            "9:16": {"box": [0, 0, 56, 100],
                     "measures": {"gaze_kept": 0.75, "heads_out": 0.5, "any violation": 100.0}},
        },
        "centre": {"1:1": {"box": [50, 0, 150, 100], "measures": {}},
                   "9:16": {"box": [72, 0, 128, 100], "measures": {}}},
    }  # fmt: skip
    seen = row("a", shapes=shapes, heads=[[5, 6, 15, 26]], gaze=[[1.5, 2.5]])
    head = ("head", [5, 6, 10, 20])
    square = [head, ("ours", [0, 0, 100, 100]), ("centre", [50, 0, 100, 100])]
    tall = [head, ("ours", [0, 0, 56, 100]), ("centre", [72, 0, 56, 100])]
    by_gaze, by_heads = card(seen, "gaze_kept"), card(seen, "heads_out")
    assert (drawn(by_gaze), by_gaze["value"]) == (square, 0.625)
    assert by_gaze["tags"] == "landscape, people, drawn: 1:1"
    assert by_gaze["points"] == [[1.5, 2.5]]
    assert (drawn(by_heads), by_heads["value"]) == (tall, 0.25)
    assert by_heads["tags"] == "landscape, people, drawn: 9:16"
    by_nothing = card(seen, None)
    assert drawn(by_nothing) == tall  # it has a violation
    assert by_nothing["value"] != by_nothing["value"]  # NaN
    alone = row("a", shapes={OURS: shapes[OURS]})
    assert drawn(card(alone, "gaze_kept")) == [("ours", [0, 0, 100, 100])]


def test_a_preview_is_a_small_copy_of_the_photo(tmp_path: Path) -> None:
    Image.new("RGB", (840, 630), (10, 90, 200)).save(tmp_path / "a.png")
    told = photo_preview(str(tmp_path / "a.png"))
    assert told is not None
    kind, _, data = told.partition(";base64,")
    assert kind == "data:image/jpeg"
    assert Image.open(BytesIO(base64.b64decode(data))).size == (420, 315)
    assert photo_preview(str(tmp_path / "gone.png")) is None
