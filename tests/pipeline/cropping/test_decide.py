"""What is written where guards pass, where a fallback has to help, and where a person decides."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from pipeline.cropping.candidates import dense_for_shape, for_shape, largest_for_shape
from pipeline.cropping.choose import OverlapChooser, ScoreChooser
from pipeline.cropping.chooser import Chooser, ChooserFor
from pipeline.cropping.chosen import Chosen
from pipeline.cropping.decide import (
    CropDecision,
    Decider,
    GuardRules,
    PhotoGuards,
    focal_box,
    locked_box,
)
from pipeline.cropping.overrides import Override
from pipeline.cropping.protected import protected_of
from pipeline.cropping.results import ScoredCrop, scored_crops
from pipeline.cropping.search import exhaustive
from pipeline.detectors import Attention, Detections
from pipeline.shapes import parse_shape

SIZE = (600, 400)
NOTHING_ELSE = "off,"


def photo(
    heads: Sequence[Sequence[float]] = (),
    text: Sequence[Sequence[float]] = (),
    gaze: tuple[float, float] = (300, 380),
    persons: Sequence[Sequence[float]] = (),
) -> Detections:
    """Sure heads, lines of text and people; all look at one place, pixels of SIZE."""
    y, x = (np.mgrid[:16, :16] + 0.5) / 16
    cells = np.exp(-((x - gaze[0] / SIZE[0]) ** 2 + (y - gaze[1] / SIZE[1]) ** 2) / 0.01) + 1e-3
    heads_rel = np.array(heads, np.float64).reshape(-1, 4) / (SIZE * 2)
    attention = Attention(cells / cells.sum(), cells, heads_rel, np.ones(len(heads_rel)))
    boxes = np.array([*text, *persons], np.float32).reshape(-1, 4)
    labels = ["text"] * len(text) + ["person"] * len(persons)
    return Detections(boxes, np.ones(len(boxes), np.float32), labels, attention)


def decided(
    objects: Detections,
    shape: str,
    guards: str,
    fallback: str = "none",
    areas: str = "",
    chooser: ChooserFor = OverlapChooser,
    count: int = 2,
    override: Override | None = None,
) -> tuple[CropDecision, list[ScoredCrop]]:
    """The decision where the network likes all candidates alike, and its crops."""
    asked = parse_shape(shape)
    rules = GuardRules.read(guards, fallback, areas)
    photo_guards = PhotoGuards(rules, protected_of(objects, SIZE))
    made: Chooser = chooser(objects, SIZE, photo_guards)

    def score(boxes: np.ndarray) -> np.ndarray:
        return np.asarray(-boxes[:, 1], np.float32)  # the network likes what is high up

    decider = Decider(made, photo_guards, SIZE, score, override)
    candidates = for_shape(*SIZE, asked)
    (found,) = exhaustive([candidates], lambda some: np.zeros(len(some), np.float32))
    decision = decider.decide(asked, candidates, found, count)
    crops = scored_crops(shape, decision.chosen, np.zeros(count, np.float32), count - 1, objects)
    return decision, [decider.judged(asked, decision, crop) for crop in crops]


# At 16:9 a crop is 337.5 pixels high and people look at the lower end: 62 pixels of a head at the
# top are outside, of 80.
HIGH_HEAD = [(250, 0, 350, 80)]


def test_a_head_that_would_be_cut_is_not() -> None:
    _, (free,) = decided(photo(HIGH_HEAD), "16:9", "off")
    assert free.heads_cut == 1
    assert (free.verdict, free.reason, free.fit) == ("ok", None, "crop")
    decision, (kept,) = decided(photo(HIGH_HEAD), "16:9", "off,heads=0.1")
    assert decision.way is None
    assert (kept.heads_cut, kept.verdict, kept.reason) == (0, "ok", None)
    assert kept.choice is not None
    assert free.choice is not None
    assert kept.choice < free.choice


def test_the_head_of_the_person_that_all_look_at_is_kept() -> None:
    """They look at the feet, so without guards the crop begins below the head."""
    person = [(200, 0, 400, 400)]
    objects = photo([(250, 0, 350, 60)], gaze=(300, 390), persons=person)
    _, (free,) = decided(objects, "16:9", "off")
    assert free.box_px[1] > 60
    decision, (kept,) = decided(objects, "16:9", "off,heads=0.1")
    assert decision.way is None
    assert kept.box_px[1] <= 6  # a tenth of the head
    assert (kept.heads_cut, kept.verdict) == (0, "ok")


def test_a_passing_crop_wins_over_any_value_for_both_choosers() -> None:
    """Whatever the chooser, and for every limit, if one candidate passes the choice passes."""
    heads = [(20, 0, 120, 100), (430, 30, 550, 150)]
    for chooser in (OverlapChooser, ScoreChooser):
        for shape in ("16:9", "1:1", "9:16", "circle", "free"):
            for limit in (0.02, 0.1, 0.3):
                objects = photo(heads, gaze=(300, 250))
                asked = f"off,heads={limit}"
                decision, (crop,) = decided(objects, shape, asked, chooser=chooser)
                guard = PhotoGuards(GuardRules.read(asked), protected_of(objects, SIZE))
                candidates = for_shape(*SIZE, parse_shape(shape))
                levels = guard(parse_shape(shape)).levels(candidates)
                assert (levels == 0).any()
                assert decision.chosen.passes(0), (chooser, shape, limit)
                assert crop.verdict == "ok"


def test_the_margin_is_over_a_crop_that_passes_too() -> None:
    """Both squares with the head whole overlap by more than .7: there is no other choice."""
    head = [(0, 100, 150, 250)]
    _, (crop,) = decided(photo(head, gaze=(75, 175)), "1:1", "off,heads=0.0")
    assert crop.margin is None or crop.margin >= 0
    decision, _ = decided(photo(head, gaze=(75, 175)), "1:1", "off,heads=0.0", count=4)
    levels = decision.chosen.levels
    assert levels is not None
    assert levels.tolist() == sorted(levels.tolist())
    for rank in range(len(levels) - 1):
        lead = decision.chosen.lead(rank)
        assert (lead is None) == (levels[rank] != levels[rank + 1])
        assert lead is None or lead >= -1e-9


# Four lines over the whole photo, 98 rows each. A crop of 16:9 narrower than 552 pixels cuts every
# line that it shows (92 % inside count as whole), and one of 552 to 600 has 310 to 338 rows, which
# are three lines and at least 10 of the 98 rows of another.
ACROSS = [(0, 100 * row, 600, 100 * row + 98) for row in range(4)]


def test_where_nothing_passes_the_row_says_so() -> None:
    decision, (crop,) = decided(photo(text=ACROSS), "16:9", "off,text=cut", "next,largest")
    assert decision.way is None
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
    guard = PhotoGuards(GuardRules.read("off,heads=0.1"), protected_of(objects, SIZE))
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
    assert decision.way == "next"
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
    if decision.way is not None:
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
    levels = [one.chosen.told_levels[0] for one in (decision, largest, both)]
    assert levels[1] <= levels[0]
    assert levels[2] <= min(levels)


def test_largest_alone_does_not_look_at_smaller_ones() -> None:
    gap = [(0, 0, 600, 98), (0, 302, 600, 400)]
    decision, (crop,) = decided(photo(text=gap), "16:9", "off,text=cut", "largest")
    assert decision.way is None
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
    assert decision.way == way
    assert crop.box_px == (0, 0, *SIZE)
    assert (crop.verdict, crop.reason, crop.fit) == ("fallback", f"fallback_{way}", way)
    assert (crop.heads_cut, crop.faces_cut, crop.text_cut) == (0, 0, 0)
    assert crop.subject_share == pytest.approx(1)
    assert (crop.choice, crop.margin) == (None, None)


def test_verdicts_are_of_what_is_written_not_of_what_was_hoped() -> None:
    """A canvas that is covered everywhere cannot show the text, so even pad is to be looked at."""
    areas = "16:9=left:0,0,0.5,1;16:9=right:0.5,0,1,1"
    _, (crop,) = decided(photo(text=ACROSS), "16:9", "off,text=cut", "pad", areas)
    assert (crop.fit, crop.verdict, crop.reason) == ("pad", "review", "unsafe_area")
    assert crop.text_cut == 4


def test_skip_writes_no_crop_and_says_why() -> None:
    decision, _ = decided(photo(text=ACROSS), "16:9", "off,text=cut", "next,skip")
    assert decision.skipped == "text_cut"
    decision, _ = decided(photo(), "16:9", "off,text=cut", "next,skip")
    assert decision.skipped is None


def test_fallbacks_are_tried_in_order() -> None:
    gap = [(0, 0, 600, 98), (0, 302, 600, 400)]
    for ways, way in (("next,pad", "next"), ("largest,pad", "pad"), ("largest,next,pad", "next")):
        decision, _ = decided(photo(text=gap), "16:9", "off,text=cut", ways)
        assert decision.way == way, ways


def test_a_safe_area_moves_the_crop() -> None:
    """A caption over the lower fifth of 16:9, and a head in the middle of the lower edge."""
    head = [(250, 290, 350, 390)]
    plain, covered = (
        decided(photo(head, gaze=(300, 250)), "16:9", "off,heads=0.1", areas=areas)
        for areas in ("", "16:9=caption:0,0.8,1,1")
    )
    assert plain[1][0].verdict == "ok"
    check = PhotoGuards(
        GuardRules.read("off,heads=0.1", "none", "16:9=caption:0,0.8,1,1"),
        protected_of(photo(head, gaze=(300, 250)), SIZE),
    )(parse_shape("16:9"))
    assert check.reason(plain[1][0].box_px) == "unsafe_area"
    assert covered[1][0].verdict == "ok"
    assert check.reason(covered[1][0].box_px) is None


def test_a_locked_box_is_taken_as_it_is() -> None:
    said = Override("a.jpg", boxes_px={"16:9": (100, 50, 420, 230)})
    _, (crop,) = decided(photo(HIGH_HEAD), "16:9", "strict", override=said)
    assert crop.box_px == (100, 50, 420, 230)
    assert (crop.verdict, crop.reason, crop.override) == ("ok", "override", "a.jpg")
    assert crop.heads_cut == 1
    assert (crop.choice, crop.margin, crop.fit) == (None, None, "crop")
    _, (other,) = decided(photo(HIGH_HEAD), "1:1", "strict", override=said)
    assert other.override is None, "of other shapes it says nothing"


def test_a_locked_box_is_clipped_to_the_photo() -> None:
    sixteen_nine = parse_shape("16:9")
    assert locked_box((-1, 0, 319, 180), sixteen_nine, SIZE).tolist() == [0, 0, 319, 180]
    # 160 of 320 columns are left: 16:9 in their middle has 90 of 180 rows.
    assert locked_box((440, 0, 760, 180), sixteen_nine, SIZE).tolist() == [440, 45, 600, 135]
    assert locked_box((440, 0, 760, 180), parse_shape("free"), SIZE).tolist() == [440, 0, 600, 180]


@pytest.mark.parametrize(
    ("focus", "shape", "box"),
    [
        ((0.5, 0.5), "1:1", [100, 0, 500, 400]),
        ((0.4, 0.9), "1:1", [40, 0, 440, 400]),
        ((0.0, 0.0), "1:1", [0, 0, 400, 400]),
        ((1.0, 0.2), "16:9", [0, 0, 600, 338]),  # .2 · 400 − 169 < 0
        ((0.1, 0.5), "free", [0, 0, 600, 400]),
    ],
)
def test_a_focus_is_as_central_as_the_photo_allows(
    focus: tuple[float, float], shape: str, box: list[float]
) -> None:
    assert focal_box(focus, parse_shape(shape), SIZE).tolist() == box
    said = Override("", focus_rel=focus)
    _, (crop,) = decided(photo(), shape, "default", override=said)
    assert list(crop.box_px) == box
    assert (crop.verdict, crop.reason, crop.override) == ("ok", None, None)


def test_never_crop_shows_the_whole_photo() -> None:
    said = Override("b", focus_rel=(0.1, 0.1), never_crop=True)
    _, (crop,) = decided(photo(HIGH_HEAD), "9:16", "strict", override=said)
    assert (crop.box_px, crop.fit) == ((0, 0, *SIZE), "pad")
    assert (crop.verdict, crop.reason, crop.override) == ("ok", None, "b")


def test_a_rule_for_a_kind_is_a_fallback() -> None:
    said = Override("", never_crop=True, rule="text_heavy")
    _, (crop,) = decided(photo(), "9:16", "off", override=said)
    assert (crop.verdict, crop.reason, crop.override) == ("fallback", "text_heavy", None)


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


def told(
    objects: Detections,
    box: tuple[float, float, float, float],
    guards: str = "off",
    review_below: float = 0.3,
) -> ScoredCrop:
    """What is told of a square that is written whatever it is worth."""
    shape, candidates = parse_shape("1:1"), for_shape(*SIZE, parse_shape("1:1"))
    rules = GuardRules.read(guards, "none", "", review_below)
    photo_guards = PhotoGuards(rules, protected_of(objects, SIZE))
    (found,) = exhaustive([candidates], lambda some: np.zeros(len(some), np.float32))
    chooser = OverlapChooser(objects, SIZE, photo_guards)
    decider = Decider(chooser, photo_guards, SIZE, lambda some: np.zeros(len(some), np.float32))
    decision = CropDecision(Chosen(np.array([box], np.float32), np.zeros(1)))
    (crop,) = scored_crops("1:1", decision.chosen, np.zeros(1, np.float32), 1, objects)
    (confidence,) = decider.confidence(shape, decision, candidates, found)
    return decider.judged(shape, decision, crop, confidence)


LEFT, RIGHT = (0, 0, 400, 400), (200, 0, 600, 400)


def test_a_crop_that_a_person_is_unlikely_to_accept_is_to_be_reviewed() -> None:
    low, high = (told(photo(gaze=(100, 200)), box) for box in (RIGHT, LEFT))
    assert (low.verdict, low.reason) == ("review", "low_confidence")
    assert (high.verdict, high.reason) == ("ok", None)
    assert low.confidence is not None
    assert high.confidence is not None
    assert low.confidence < 0.3 < high.confidence
    again = told(photo(gaze=(100, 200)), RIGHT, review_below=low.confidence)  # not below itself
    assert (again.verdict, again.confidence) == ("ok", low.confidence)
    assert told(photo(gaze=(100, 200)), RIGHT, review_below=0).verdict == "ok"


def test_a_broken_guard_is_named_before_low_confidence() -> None:
    # the head shows by half, and all look elsewhere
    objects = photo(heads=[(150, 100, 250, 200)], gaze=(100, 200))
    assert told(objects, RIGHT, "heads=0.1").reason == "head_cut"
    assert told(objects, RIGHT, "off").reason == "low_confidence"


def test_there_is_no_confidence_where_a_person_decides_or_all_is_shown() -> None:
    objects = photo(HIGH_HEAD)
    shape, candidates = parse_shape("1:1"), for_shape(*SIZE, parse_shape("1:1"))
    (found,) = exhaustive([candidates], lambda some: np.zeros(len(some), np.float32))
    photo_guards = PhotoGuards(GuardRules.read(), protected_of(objects, SIZE))
    chooser = OverlapChooser(objects, SIZE, photo_guards)
    decider = Decider(chooser, photo_guards, SIZE, lambda some: np.zeros(len(some), np.float32))
    chosen = decider.decide(shape, candidates, found, 1).chosen
    for decision in (
        CropDecision(chosen, override=Override("a")),
        CropDecision(chosen, fit="pad"),
        CropDecision(chosen, fit="blur", way="blur"),
    ):
        assert decider.confidence(shape, decision, candidates, found) == [None]
    (known,) = decider.confidence(shape, CropDecision(chosen, way="next"), candidates, found)
    assert known is not None
