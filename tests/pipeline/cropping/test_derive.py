"""Crops of one shape derived from another's, and overrides moved to a part: by hand."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.cropping.derive import derived_box, derived_crop, nearest_shape
from pipeline.cropping.kind_policy import KindPolicy
from pipeline.cropping.overrides import Override
from pipeline.cropping.results import ScoredCrop
from pipeline.detectors import Detections
from pipeline.settings.safe_areas import parse_safe_areas
from pipeline.shapes import parse_shape

CROP = ScoredCrop(
    "16:9", 1, (100.0, 50.0, 260.0, 140.0), 0.7, 0.6, 0.5, [0.25], 1, 1, 2, 3, 0.9, "fallback",
    "largest", "crop", 0.8, "a/*",
)  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "stored", "taken"),
    [
        ("16:9", ["1:1", "16:9"], "16:9"),
        ("1.91:1", ["1:1", "16:9", "2:1"], "2:1"),  # .955; of 16:9 .931
        ("1.7:1", ["2:1", "16:9"], "16:9"),
        ("0.9", ["1:1"], "1:1"),  # .9 is near enough
        ("0.89", ["1:1"], None),
        ("11:10", ["1:1"], "1:1"),
        ("1.12", ["1:1"], None),
        ("free", ["1:1", "free"], "free"),
        ("free", ["1:1"], None),
        ("1:1", ["free"], None),
        ("circle", ["1:1"], "1:1"),
        ("1:1", [], None),
    ],
)
def test_the_shape_that_another_is_taken_from(
    shape: str, stored: list[str], taken: str | None
) -> None:
    assert nearest_shape(parse_shape(shape), stored) == taken


@pytest.mark.parametrize(
    ("box", "ratio", "size", "expected"),
    [
        ((100, 50, 260, 140), 2.0, (400, 300), (90, 50, 270, 140)),  # 20 wider
        ((100, 50, 260, 140), 1.6, (400, 300), (100, 45, 260, 145)),  # 10 higher
        ((0, 50, 160, 140), 2.0, (400, 300), (0, 50, 180, 140)),  # slid in from the left
        ((240, 50, 400, 140), 2.0, (400, 300), (220, 50, 400, 140)),  # and from the right
        ((100, 0, 260, 90), 1.6, (400, 300), (100, 0, 260, 100)),
        ((100, 210, 260, 300), 1.6, (400, 300), (100, 200, 260, 300)),
        ((0, 0, 160, 90), 2.0, (160, 90), (0, 5, 160, 85)),  # no room: trimmed above and below
        ((0, 0, 160, 90), 1.6, (160, 90), (8, 0, 152, 90)),
    ],
)
def test_a_box_grows_as_far_as_the_photo_goes(
    box: tuple[float, ...], ratio: float, size: tuple[int, int], expected: tuple[float, ...]
) -> None:
    assert derived_box(box, ratio, size).tolist() == list(expected)


def test_a_derived_crop_keeps_what_is_still_known() -> None:
    objects = Detections(
        np.array([[90, 50, 100, 140], [0, 0, 400, 300], [80, 50, 100, 140], [300, 200, 310, 210]],
                 np.float32),
        np.ones(4, np.float32), ["face", "subject", "person", "thing"],
    )  # fmt: skip
    found = derived_crop(CROP, parse_shape("2:1"), (400, 300), objects, {})
    assert found == replace(
        CROP, ratio="2:1", box_px=(90.0, 50.0, 270.0, 140.0), margin=None,
        object_shares=found.object_shares, objects_cut=1, faces_cut=None, heads_cut=None,
        text_cut=None, subject_share=None, confidence=None,
    )  # fmt: skip
    assert found.object_shares == pytest.approx([1, 0.135, 0.5, 0])  # 180 · 90 of 400 · 300
    assert (found.verdict, found.reason) == ("fallback", "largest")
    alone = derived_crop(CROP, parse_shape("2:1"), (400, 300), None, {})
    assert (alone.object_shares, alone.objects_cut) == ([], 0)


@pytest.mark.parametrize(
    ("box", "known"), [((0.0, 0.0, 160.0, 90.0), False), ((0.0, 0.0, 160.0, 82.0), True)]
)
def test_what_was_trimmed_has_no_verdict(box: tuple[float, ...], known: bool) -> None:
    """In a photo of 160 x 90 a 2:1 crop has 80 rows: 5 fewer on each side, or 1 within slack."""
    crop = replace(CROP, box_px=box)  # type: ignore[arg-type]
    size = (160, 90) if not known else (160, 82)
    found = derived_crop(crop, parse_shape("2:1"), size, None, {})
    assert found.box_px[3] - found.box_px[1] == 80
    assert (found.verdict, found.reason) == (("fallback", "largest") if known else (None, None))


def test_each_side_that_is_trimmed_counts() -> None:
    for box in ((10.0, 0, 170, 90), (0.0, 0, 150, 90), (0.0, 0, 160, 90)):
        crop = replace(CROP, box_px=box)
        found = derived_crop(crop, parse_shape("1.6"), (int(box[2]), 90), None, {})
        assert (found.verdict is None) == (
            found.box_px[0] > box[0] + 1 or found.box_px[2] < box[2] - 1
        )


@pytest.mark.parametrize(
    ("stored", "asked", "areas", "known"),
    [
        ("1:1", "circle", "", False),  # the rim may cut what is in the corners
        ("circle", "1:1", "", False),  # a corner may show a part of what the circle left out
        ("1:1", "circle", "1:1=circle", True),
        ("1:1", "100:101", "1:1=circle", False),
        ("1:1", "100:101", "1:1=badge:0.8,0.8,1,1", False),
        ("1:1", "100:101", "*=badge:0.8,0.8,1,1", True),
        ("1:1", "100:101", "16:9=badge:0.8,0.8,1,1", True),
    ],
)
def test_a_verdict_is_of_the_part_that_people_see(
    stored: str, asked: str, areas: str, known: bool
) -> None:
    crop = replace(CROP, ratio=stored, box_px=(100.0, 50.0, 200.0, 150.0))
    found = derived_crop(crop, parse_shape(asked), (400, 300), None, parse_safe_areas(areas))
    assert found.ratio == asked
    assert (found.verdict, found.reason) == (("fallback", "largest") if known else (None, None))


def test_what_is_shown_whole_and_what_has_no_ratio_only_changes_its_name() -> None:
    padded = replace(CROP, fit="pad")
    assert derived_crop(padded, parse_shape("2:1"), (400, 300), None, {}) == replace(
        padded, ratio="2:1"
    )
    assert derived_crop(CROP, parse_shape("free"), (400, 300), None, {}) == replace(
        CROP, ratio="free"
    )
    assert derived_crop(CROP, parse_shape("16:9"), (400, 300), None, {}) is CROP


def test_a_crop_is_ok_unless_somebody_says_otherwise() -> None:
    plain = ScoredCrop("1:1", 0, (0, 0, 1, 1), 0.5, None, None, [], 0)
    assert (plain.verdict, plain.reason, plain.fit) == ("ok", None, "crop")
    assert (plain.faces_cut, plain.confidence, plain.override) == (None, None, None)
    assert (KindPolicy().long_photos, KindPolicy().text_heavy) == ("auto", "pad")


def test_an_override_for_a_part_of_a_photo() -> None:
    """The part from (100, 50) to (300, 150) of a photo of 400 x 200."""
    part, sides = (100, 50, 300, 150), (400, 200)
    said = Override("a", (0.5, 0.5), {"1:1": (120.0, 60.0, 180.0, 120.0)}, reason="r")
    moved = said.within(part, sides)
    assert moved == Override("a", (0.5, 0.5), {"1:1": (20.0, 10.0, 80.0, 70.0)}, reason="r")
    for focus, expected in (
        ((0.25, 0.25), (0.0, 0.0)),
        ((0.75, 0.75), (1.0, 1.0)),
        ((0.0, 1.0), (0.0, 1.0)),  # outside: the nearest point
        ((0.375, 0.5), (0.25, 0.5)),
    ):
        assert Override("a", focus).within(part, sides).focus_rel == expected
    assert Override("a", never_crop=True).within(part, sides) == Override("a", never_crop=True)


def test_an_override_is_read_from_its_column() -> None:
    assert Override.of_text(None) is None
    assert Override.of_text('{"name": "x"}') == Override("x")
    text = '{"name": "", "focus": [0.1, 0.2], "boxes": {"1:1": [0, 1, 2, 3]}, "never_crop": true}'
    assert Override.of_text(text) == Override("", (0.1, 0.2), {"1:1": (0, 1, 2, 3)}, True)
    spaced = Override.of_text('{"name": "x", "boxes": {"16 : 9": [0, 1, 2, 3]}}')
    assert spaced == Override("x", boxes_px={"16:9": (0, 1, 2, 3)})
