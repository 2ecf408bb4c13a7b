"""The label JSON: which labels there may be, which may be missing, and what is told."""

import json
from pathlib import Path

import pytest
from PIL import Image

from pipeline.errors import UsageError
from pipeline.lab.datasets import Dataset, Example, load_dataset
from pipeline.lab.datasets.labels import KEYS, labels_file

WORDS = "size_wh, crops, viewers, heads, places"


def read(folder: Path, entries: dict[str, object]) -> Dataset:
    """Read labels of photos of 60 × 40, of which all but those called gone are there."""
    (folder / "set").mkdir(exist_ok=True)
    for name in entries:
        if not name.startswith("gone"):
            Image.new("RGB", (60, 40)).save(folder / "set" / name)
    (folder / "set.json").write_text(json.dumps(entries))
    return load_dataset("labels", folder / "set")


def read_one(folder: Path, entry: object) -> Example:
    (example,) = read(folder, {"a.jpg": entry}).examples
    return example


def test_each_label_may_be_missing_or_null(tmp_path: Path) -> None:
    for entry in ({}, {"heads": None}, {"viewers": None, "crops": None, "size_wh": None}):
        example = read_one(tmp_path, entry)
        assert example.human_px.shape == (0, 4)
        assert (example.heads_px, example.fixations_px, example.first_fixations) == (None,) * 3
    seen = read_one(tmp_path, {"viewers": [], "heads": []})
    assert seen.heads_px is not None
    assert seen.heads_px.shape == (0, 4)


@pytest.mark.parametrize("viewers", [[], [[]], [[], []]])
def test_viewers_who_looked_nowhere_are_no_label(tmp_path: Path, viewers: object) -> None:
    """A share of no fixations is no number: placement was trained to NaN on such a photo."""
    seen = read_one(tmp_path, {"viewers": viewers, "heads": []})
    assert (seen.fixations_px, seen.first_fixations) == (None, None)


def test_places_have_the_name_that_a_shape_has_here(tmp_path: Path) -> None:
    seen = read_one(tmp_path, {"places": {" 9 : 16": [[3, 8]], "Circle": [[0, 6]]}})
    assert list(seen.places_px) == ["9:16", "circle"]


def test_all_labels_of_a_photo_are_read(tmp_path: Path) -> None:
    example = read_one(tmp_path, {
        "size_wh": [60, 40],
        "crops": [[0, 0, 30, 40], [10, 5, 60, 35]],
        "viewers": [[[1, 2, 200], [3, 4]], [[5.5, 6, 90]]],
        "heads": [{"box": [5, 6, 15, 20], "kind": "frontal"}, {"box": [30, 6, 35, 12]}],
        "places": {"9:16": [[3, 8], [30, 37.5]], "16:9": [[0, 6]]},
    })  # fmt: skip
    assert (example.id, example.image) == ("a", tmp_path / "set/a.jpg")
    assert example.human_px.tolist() == [[0, 0, 30, 40], [10, 5, 60, 35]]
    assert example.fixations_px is not None
    assert example.fixations_px.tolist() == [[1, 2], [3, 4], [5.5, 6]]
    assert example.first_fixations is not None
    assert example.first_fixations.tolist() == [True, False, True]
    assert example.heads_px is not None
    assert example.heads_px.tolist() == [[5, 6, 15, 20], [30, 6, 35, 12]]
    places = {name: ranges.tolist() for name, ranges in example.places_px.items()}
    assert places == {"9:16": [[3, 8], [30, 37.5]], "16:9": [[0, 6]]}
    assert (example.scored_px.shape, example.mos.shape) == ((0, 4), (0,))
    assert example.asked == ()
    assert example.drawn_by_people


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"crops": [[0, 0, 9, 9]], "crop": []}, f"there is no label crop, only {WORDS}; did you"),
        ({"licence": "CC0"}, f"there is no label licence, only {WORDS}$"),
        ({"size_wh": [60]}, r'expected "size_wh": \[w, h\]$'),
        ({"size_wh": [60, 40, 3]}, r'expected "size_wh": \[w, h\]$'),
        ({"size_wh": [60, 41]}, "size_wh is 60 × 41, and the photo is shown as 60 × 40: "),
        ({"size_wh": [60.5, 40]}, "size_wh is 60.5 × 40, and the photo is shown as 60 × 40: "),
        ({"size_wh": ["60", "x"]}, "size_wh: .* has to be numbers"),
        ({"crops": [[9, 9, 0, 0]]}, r"crops: \[9.0, 9.0, 0.0, 0.0\] as x0 y0 x1 y1 has no area"),
        ({"heads": [{"box": [9, 9, 0, 0]}]}, r"heads: \[9.0, 9.0, 0.0, 0.0\] as x0 y0 x1 y1 has"),
        ({"heads": {"box": [0, 0, 9, 9]}}, r'heads: expected \[{"box": \[x0, y0, x1, y1\]}, …\]$'),
        ({"heads": [{"kind": "frontal"}]}, r'heads: expected \[{"box"'),
        ({"heads": [[0, 0, 9, 9]]}, r'heads: expected \[{"box"'),
        ({"heads": ["box"]}, r'heads: expected \[{"box"'),
        ({"heads": {}}, r'heads: expected \[{"box"'),
        ({"viewers": {}}, r"viewers: expected \[\[\[x, y, ms\]"),
        ({"viewers": {"a": [[1, 2]]}}, r"viewers: expected \[\[\[x, y, ms\], …\], …\]"),
        ({"viewers": [{"x": 1}]}, r"viewers: expected \[\[\[x, y, ms\]"),
        ({"viewers": [[{"x": 1, "y": 2}]]}, r"viewers: expected \[\[\[x, y, ms\]"),
        ({"viewers": [["ab"]]}, r"viewers: expected \[\[\[x, y, ms\]"),
        ({"viewers": [[[1]]]}, r"viewers: expected \[\[\[x, y, ms\]"),
        ({"places": [[0, 9]]}, r'places: expected {"9:16": \[\[low, high\], …\], …}$'),
        ({"places": {"9;16": [[0, 9]]}}, "places: '9;16' is not a shape"),
        ({"places": {"9:16": [[0, 9]], "9 :16": [[1, 2]]}}, "places: 9:16 is given twice$"),
        ({"places": {"free": [[0, 9]]}}, "places: free has no ratio, so no largest crop$"),
        ({"places": {"1:1": [0, 9]}}, r"places: 1:1: expected \[\[low, high\], …\], low at most"),
        ({"places": {"1:1": [[9, 0]]}}, r"places: 1:1: expected \[\[low, high\], …\], low at most"),
        ({"places": {"1:1": []}}, r"places: 1:1: expected \[\[low, high\], …\], low at most"),
        ({"places": {"1:1": [[0, "x"]]}}, "places: 1:1: .* has to be numbers"),
        ("a crop", r'expected {"size_wh"\?: \[w, h\], "crops"'),
    ],
)
def test_a_label_of_another_form_is_told_with_photo_and_label(
    tmp_path: Path, entry: object, told: str
) -> None:
    with pytest.raises(UsageError, match=rf"set\.json: a\.jpg: {told}"):
        read_one(tmp_path, entry)


def test_other_entries_may_stand_beside_labels(tmp_path: Path) -> None:
    """Such as a licence; but not one that looks like a label misspelt, or without any label."""
    assert KEYS == ("size_wh", "crops", "viewers", "heads", "places")
    for key, label in (
        ("crops", [[0, 0, 9, 9]]), ("heads", []), ("viewers", []), ("size_wh", [60, 40]),
        ("places", {}),
    ):  # fmt: skip
        example = read_one(tmp_path, {"licence": "CC0", key: label})
        assert example.id == "a"


def test_a_size_is_not_asked_of_a_photo_that_cannot_be_read(tmp_path: Path) -> None:
    """It is a row of the evaluation, which tells why."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.jpg").write_text("no photo")
    (tmp_path / "set.json").write_text('{"a.jpg": {"size_wh": [1, 2], "heads": []}}')
    (example,) = load_dataset("labels", tmp_path / "set").examples
    assert example.heads_px is not None


def test_photos_without_labels_or_files_are_counted(tmp_path: Path) -> None:
    """Of c it is known that no head is shown; of d nobody looked at anything."""
    entries: dict[str, object] = {
        "a.jpg": {"crops": [[0, 0, 9, 9]]}, "b.jpg": {"viewers": [[[1, 2]]]},
        "c.jpg": {"heads": []}, "d.jpg": {"viewers": [[]]},
        "gone1.jpg": {"crops": [[0, 0, 9, 9]]}, "gone2.jpg": {},
    }  # fmt: skip
    dataset = read(tmp_path, entries)
    assert [example.id for example in dataset.examples] == ["a", "b", "c", "d"]
    missing = "2 photos named in set.json not found in"
    assert dataset.notes == [
        f"{missing} {tmp_path / 'set'}, such as gone1.jpg", "1 photo has no label in set.json",
    ]  # fmt: skip
    several = read(tmp_path, {"d.jpg": {}, "e.jpg": {}, "a.jpg": {"heads": []}})
    assert several.notes == ["2 photos have no label in set.json"]
    assert read(tmp_path, {"a.jpg": {"heads": []}}).notes == []


def test_labels_are_one_split_in_one_object(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with pytest.raises(UsageError, match="split 'train' does not exist: labels is one split, test"):
        load_dataset("labels", tmp_path / "set", "train")
    (tmp_path / "set.json").write_text("[]")
    with pytest.raises(UsageError, match=r'set\.json: expected {"<photo>": {"size_wh"'):
        load_dataset("labels", tmp_path / "set")


def test_labels_have_the_folder_s_full_name(tmp_path: Path) -> None:
    (tmp_path / "set.v1").mkdir()
    expected = tmp_path / "set.v1.json"
    assert (
        labels_file(tmp_path / "set.v1") == labels_file(tmp_path / "set.v1/../set.v1") == expected
    )
