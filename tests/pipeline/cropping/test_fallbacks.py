"""What is tried if no candidate passes the guards, and what is written then."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.cropping.candidates import dense_for_shape, for_shape, largest_for_shape
from pipeline.cropping.choose import OverlapChooser, ScoreChooser
from pipeline.cropping.chooser import ChooserFor
from pipeline.cropping.decide import GuardPolicy, PhotoGuards
from pipeline.cropping.protected import protected_of
from pipeline.settings.safe_areas import SafeArea
from pipeline.shapes import parse_shape
from tests.support.decisions import ACROSS, HIGH_HEAD, SIZE, decided, photo


def test_where_nothing_passes_the_row_says_so() -> None:
    decision, (crop,) = decided(photo(text=ACROSS), "16:9", "off,text=cut", "next,largest")
    assert decision.fallback is None
    assert (crop.verdict, crop.reason, crop.fit) == ("review", "text_cut", "crop")
    assert crop.text_cut is not None
    assert crop.text_cut >= 1


def test_what_breaks_guards_least_is_taken_where_all_do() -> None:
    """A head of half the photo's width cannot be whole in 9:16, 225 wide."""
    head = [(150, 50, 450, 350)]
    objects = photo(head, gaze=(580, 380))
    decision, (crop,) = decided(objects, "9:16", "off,heads=0.1")
    levels = decision.chosen.levels
    assert levels is not None
    guard = PhotoGuards(GuardPolicy.read("off,heads=0.1"), protected_of(objects, SIZE))
    all_levels = guard(parse_shape("9:16")).levels(for_shape(*SIZE, parse_shape("9:16")))
    # Left out wholly it would pass: here its body, below, shows as well.
    assert levels[0] <= all_levels.min()
    assert crop.verdict == ("ok" if levels[0] == 0 else "review")


@pytest.mark.parametrize("chooser", [OverlapChooser, ScoreChooser])
def test_next_looks_at_smaller_crops_and_closer_places(chooser: ChooserFor) -> None:
    """Lines of text leave a gap of 204 rows, where candidates of 16:9 have at least 213."""
    gap = [(0, 0, 600, 98), (0, 302, 600, 400)]
    objects = photo(text=gap, gaze=(300, 200))
    decision, (crop,) = decided(objects, "16:9", "off,text=cut", chooser=chooser)
    assert (crop.verdict, crop.reason) == ("review", "text_cut")
    decision, (crop,) = decided(objects, "16:9", "off,text=cut", "next", chooser=chooser)
    assert decision.fallback == "next"
    assert (crop.verdict, crop.reason, crop.fit) == ("fallback", "fallback_next", "crop")
    assert crop.text_cut == 0
    x0, y0, x1, y1 = crop.box_px
    assert (x1 - x0) / (y1 - y0) == pytest.approx(16 / 9, rel=0.01)
    # Up to 8 % of a line may show: the box of text is loose.
    assert y1 - y0 <= 204 + 2 * 0.08 * 98


def test_largest_is_the_largest_crop_where_one_passes() -> None:
    """Candidates of 9:16 lie up to 14 pixels apart, and only places from 183 to 192 pass."""
    edges = [(0, 0, 190, 60), (411, 340, 600, 400)]  # a gap of 221; 225 wide is the largest crop
    objects = photo(text=edges)
    strict = "off,text=cut"
    decision, (crop,) = decided(objects, "9:16", strict, "largest")
    x0, y0, x1, y1 = crop.box_px
    assert crop.text_cut == 0
    if decision.fallback is not None:
        assert (crop.verdict, crop.reason) == ("fallback", "fallback_largest")
        assert (y1 - y0, x1 - x0) == (400, 225)
    boxes = largest_for_shape(*SIZE, parse_shape("9:16"))
    assert {tuple(box[2:] - box[:2]) for box in boxes.tolist() for box in [np.array(box)]} == {
        (225, 400)
    }


def test_a_fallback_that_helps_less_is_not_taken() -> None:
    """Half of each face at most is inside 9:16, 225 wide, but smaller crops may miss them all.

    Of the largest crops none is better than the best candidate, which may be smaller.
    """
    decision, _ = decided(photo(text=ACROSS), "4:3", "off,text=cut", "none")
    largest, _ = decided(photo(text=ACROSS), "4:3", "off,text=cut", "largest")
    both, _ = decided(photo(text=ACROSS), "4:3", "off,text=cut", "next,largest")
    levels = [one.chosen.levels_or_zero[0] for one in (decision, largest, both)]
    assert levels[1] <= levels[0]
    assert levels[2] <= min(levels)


def test_largest_alone_does_not_look_at_smaller_ones() -> None:
    gap = [(0, 0, 600, 98), (0, 302, 600, 400)]
    decision, (crop,) = decided(photo(text=gap), "16:9", "off,text=cut", "largest")
    assert decision.fallback is None
    assert crop.verdict == "review"


@pytest.mark.parametrize("way", ["pad", "blur"])
@pytest.mark.parametrize("shape", ["16:9", "9:16", "1:1", "circle"])
def test_the_whole_photo_always_passes(way: str, shape: str) -> None:
    """Also under a badge and a caption, and with all that was ever guarded."""
    objects = photo(HIGH_HEAD, [*ACROSS, (0, 200, 300, 260)])
    wanted = replace(objects, labels=["text"] * 4 + ["subject"])
    areas = "*=badge:0.8,0.8,1,1;1:1=caption:0,0.8,1,1;1:1=circle"
    guards = "heads=0,faces=0,text=cut,subject=1"
    decision, crops = decided(wanted, shape, guards, f"next,{way}", areas)
    (crop,) = crops
    assert decision.fallback == way
    assert crop.box_px == (0, 0, *SIZE)
    assert (crop.verdict, crop.reason, crop.fit) == ("fallback", f"fallback_{way}", way)
    assert (crop.heads_cut, crop.faces_cut, crop.text_cut) == (0, 0, 0)
    assert crop.subject_share == pytest.approx(1)
    assert (crop.choice, crop.margin) == (None, None)


def test_verdicts_are_of_what_is_written_not_of_what_was_hoped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A canvas that is covered everywhere cannot show the text, so even pad is to be looked at."""
    monkeypatch.setattr(SafeArea, "hides_all", False)  # such areas are refused
    areas = "16:9=left:0,0,0.5,1;16:9=right:0.5,0,1,1"
    _, (crop,) = decided(photo(text=ACROSS), "16:9", "off,text=cut", "pad", areas)
    assert (crop.fit, crop.verdict, crop.reason) == ("pad", "review", "unsafe_area")
    assert crop.text_cut == 4


def test_skip_writes_no_crop_and_says_why() -> None:
    decision, crops = decided(photo(text=ACROSS), "16:9", "off,text=cut", "next,skip")
    assert (decision.skipped, crops) == ("text_cut", [])
    decision, crops = decided(photo(), "16:9", "off,text=cut", "next,skip")
    assert decision.skipped is None
    assert crops


def test_fallbacks_are_tried_in_order() -> None:
    gap = [(0, 0, 600, 98), (0, 302, 600, 400)]
    for ways, way in (("next,pad", "next"), ("largest,pad", "pad"), ("largest,next,pad", "next")):
        decision, _ = decided(photo(text=gap), "16:9", "off,text=cut", ways)
        assert decision.fallback == way, ways


@pytest.mark.parametrize("size", [(600, 400), (37, 900), (1, 1), (5000, 3000)])
@pytest.mark.parametrize("name", ["1:1", "16:9", "1:50", "free", "circle"])
def test_dense_boxes_are_inside_and_of_the_ratio(size: tuple[int, int], name: str) -> None:
    shape = parse_shape(name)
    boxes = dense_for_shape(*size, shape)
    assert 1 <= len(boxes) <= 41_600
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= size).all()
    sides = boxes[:, 2:] - boxes[:, :2]
    assert (sides >= 1).all()
    if shape.ratio is not None:
        assert len(boxes) <= 5_200
        off = np.minimum(
            np.abs(sides[:, 0] - sides[:, 1] * shape.ratio),
            np.abs(sides[:, 1] - sides[:, 0] / shape.ratio),
        )
        assert (off <= 1).all()


def test_more_boxes_than_candidates_are_known() -> None:
    shape = parse_shape("16:9")
    assert len(dense_for_shape(*SIZE, shape)) > 3 * len(for_shape(*SIZE, shape))
