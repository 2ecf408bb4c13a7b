"""Human scores of crops without photos: what is read, and what is refused, with its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UsageError
from pipeline.lab.starter.scored_crops import read_scored_crops

ROW: dict[str, Any] = {
    "split": "train",
    "crops": [[10, 5, 90, 70], [20, 10, 110, 95]],
    "scores": [3, 4],
    "detections": [[12, 10, 60, 50]],
}


def test_layouts_are_shares_of_the_photo(tmp_path: Path) -> None:
    """The lowest corner is (10, 5), the highest (110, 95): the photo has 120 × 100 pixels."""
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({"a.jpg": ROW}), "utf-8-sig")
    splits = read_scored_crops(path)
    (layout,) = splits["train"]
    assert layout.aspect == pytest.approx(1.2)
    assert layout.objects.tolist()[0] == pytest.approx([0.1, 0.1, 0.5, 0.5])
    assert splits["test"] == []


@pytest.mark.parametrize("part", ["crops", "scores", "detections"])
def test_what_is_no_number_is_told_with_its_photo(tmp_path: Path, part: str) -> None:
    path = tmp_path / "scores.json"
    wrong = [*ROW[part][:-1], None if part == "scores" else [1, 2, float("nan"), 4]]
    path.write_text(json.dumps({"a.jpg": {**ROW, part: wrong}}))
    with pytest.raises(UsageError, match=rf"a\.jpg: {part}: row .* finite numbers"):
        read_scored_crops(path)
    path.write_text(json.dumps([ROW]))
    with pytest.raises(UsageError, match="holds no scored crops"):
        read_scored_crops(path)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"scores": [3]}, r"a\.jpg has 2 crops, 1 score and 1 detection: expected a score"),
        ({"detections": []}, "2 crops, 2 scores and 0 detections: expected .* and a detection"),
        ({"crops": [], "scores": []}, "0 crops, 0 scores and 1 detection: expected"),
        ({"crops": [[10, 5, 90, 70], [5, 5, 5, 9]]}, r"a\.jpg: crops: .* has no area"),
        ({"split": "test"}, r"scores\.json has no photo of the split train"),
        ({"split": "validation"}, "holds no scored crops in the form of GAICv1's"),
    ],
)
def test_layouts_that_teach_nothing_are_refused(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({"a.jpg": {**ROW, **changes}}))
    with pytest.raises(UsageError, match=problem):
        read_scored_crops(path)
