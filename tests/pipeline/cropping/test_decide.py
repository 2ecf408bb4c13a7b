"""What is written if guards pass, if confidence is low, and if a person decided."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.cropping.candidates import for_shape
from pipeline.cropping.choose import OverlapChooser, ScoreChooser
from pipeline.cropping.chooser import Chooser, GuardOf, ShapeSearch
from pipeline.cropping.chosen import Chosen
from pipeline.cropping.decide import Decider, GuardPolicy, PhotoGuards
from pipeline.cropping.decision import CropDecision
from pipeline.cropping.override_boxes import focal_box, locked_box
from pipeline.cropping.overrides import Override
from pipeline.cropping.protected import protected_of
from pipeline.cropping.results import ScoredCrop, scored_crops
from pipeline.cropping.rule import packaged_rule
from pipeline.cropping.search import SearchResult, exhaustive
from pipeline.detectors import Detections
from pipeline.shapes import parse_shape
from tests.support.decisions import HIGH_HEAD, SIZE, decided, photo


def heads_as_in_crowds(
    objects: Detections, size_wh: tuple[int, int], guard_of: GuardOf | None
) -> Chooser:
    """Choose as if heads counted no more than those of crowds at 9:16, so that guards keep them."""
    rule = packaged_rule()
    small = replace(rule.penalties, whole_heads=0.0, wide_heads=0.0)
    return OverlapChooser(objects, size_wh, guard_of, replace(rule, penalties=small, framing=small))


def test_a_head_that_would_be_cut_is_not() -> None:
    _, (free,) = decided(photo(HIGH_HEAD), "16:9", "off", chooser=heads_as_in_crowds)
    assert free.heads_cut == 1
    assert (free.verdict, free.reason, free.fit) == ("ok", None, "crop")
    guarded = "off,heads=0.1"
    decision, (kept,) = decided(photo(HIGH_HEAD), "16:9", guarded, chooser=heads_as_in_crowds)
    assert decision.fallback is None
    assert (kept.heads_cut, kept.verdict, kept.reason) == (0, "ok", None)
    assert kept.choice is not None
    assert free.choice is not None
    assert kept.choice < free.choice


def test_a_crop_is_moved_as_far_as_its_guards_let_it() -> None:
    """People look to the right of a head; 11 of its 115 columns may be outside, 12 may not."""
    objects = photo([(211, 156, 326, 271)], gaze=(390, 195))
    (free,) = decided(objects, "9:16", "off", chooser=heads_as_in_crowds)[1]
    assert free.box_px[0] > 223
    decision, (kept,) = decided(objects, "9:16", "off,heads=0.1", chooser=heads_as_in_crowds)
    assert decision.chosen.passes(0)
    assert 220 <= kept.box_px[0] <= 222  # candidates begin at 214 and 228


def test_the_head_of_the_person_that_all_look_at_is_kept() -> None:
    """They look at the feet, so without guards the crop begins below the head."""
    person = [(200, 0, 400, 400)]
    objects = photo([(250, 0, 350, 60)], gaze=(300, 390), persons=person)
    _, (free,) = decided(objects, "16:9", "off", chooser=heads_as_in_crowds)
    assert free.box_px[1] > 60
    decision, (kept,) = decided(objects, "16:9", "off,heads=0.1", chooser=heads_as_in_crowds)
    assert decision.fallback is None
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
                guard = PhotoGuards(GuardPolicy.read(asked), protected_of(objects, SIZE))
                candidates = for_shape(*SIZE, parse_shape(shape))
                levels = guard(parse_shape(shape)).levels(candidates)
                assert (levels == 0).any()
                assert decision.chosen.passes(0), (chooser, shape, limit)
                assert crop.verdict == "ok"


@pytest.mark.parametrize("fallback", ["none", "next", "pad", "skip"])
def test_a_passing_candidate_wins_though_the_search_has_not_scored_it(fallback: str) -> None:
    """The search has scored nothing but candidates that cut the head, and likes those at the top.

    The network would like the passing candidates the more the further right they lie.
    """
    shape = parse_shape("9:16")
    guards = PhotoGuards(
        GuardPolicy.read("off,heads=0.1", fallback),
        protected_of(photo([(200, 100, 300, 200)]), SIZE),
    )
    candidates = for_shape(*SIZE, shape)
    levels = guards(shape).levels(candidates)
    bad, passing = np.flatnonzero(levels), np.flatnonzero(levels == 0)
    assert len(bad)
    assert len(passing)
    asked: list[np.ndarray] = []

    def score(boxes: np.ndarray) -> np.ndarray:
        asked.append(boxes)
        return np.asarray(boxes[:, 0], np.float32)

    scores = np.asarray(9999 - candidates[bad, 1], np.float32)
    found = SearchResult(candidates[bad], scores, bad, np.zeros(len(candidates)))
    chooser = ScoreChooser(photo(), SIZE, guards)
    decider = Decider(chooser, guards, SIZE, score)
    (decision,) = decider.decide([ShapeSearch(shape, candidates, found)], 2)
    assert (decision.fallback, decision.skipped, decision.fit) == (None, None, "crop")
    assert decision.chosen.passes(0)
    assert decision.chosen.boxes[0, 0] == max(boxes[:, 0].max() for boxes in asked)
    assert sum(map(len, asked)) == min(64, len(passing))


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


def test_a_safe_area_moves_the_crop() -> None:
    """A caption over the lower fifth of 16:9, and a head in the middle of the lower edge."""
    head = [(250, 290, 350, 390)]
    plain, covered = (
        decided(photo(head, gaze=(300, 250)), "16:9", "off,heads=0.1", areas=areas)
        for areas in ("", "16:9=caption:0,0.8,1,1")
    )
    assert plain[1][0].verdict == "ok"
    check = PhotoGuards(
        GuardPolicy.read("off,heads=0.1", "none", "16:9=caption:0,0.8,1,1"),
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
    # Two pixels less than the other side are within the slack, four are not.
    square = parse_shape("1:1")
    assert locked_box((-2, 0, 98, 100), square, SIZE).tolist() == [0, 0, 98, 100]
    assert locked_box((-4, 0, 96, 100), square, SIZE).tolist() == [0, 2, 96, 98]


@pytest.mark.parametrize(
    "box",
    [
        (600, 0, 920, 180), (700, 100, 1020, 280), (0, 400, 320, 580), (-320, 0, 0, 180),
        (0, -300, 320, -120), (599.6, 0, 919.6, 180), (-319.6, 0, 0.4, 180),
    ],
)  # fmt: skip
def test_a_box_outside_the_photo_is_told_and_not_cropped(box: tuple[float, ...]) -> None:
    """The photo has 600 x 400 pixels; the last two boxes have less than half a pixel inside."""
    objects = photo(HIGH_HEAD)
    for guards in ("off", "strict"):
        _, (plain,) = decided(objects, "16:9", guards)
        said = Override("a.jpg", boxes_px={"16:9": box})  # type: ignore[dict-item]
        _, (crop,) = decided(objects, "16:9", guards, override=said)
        assert (crop.verdict, crop.reason) == ("review", "override_outside")
        assert crop == replace(plain, verdict="review", reason="override_outside")
    said = replace(said, focus_rel=(0.5, 0.5))
    _, (by_focus,) = decided(objects, "16:9", "off", override=said)
    assert by_focus.box_px == (0, 31, 600, 369)  # 338 rows about row 200
    assert (by_focus.reason, by_focus.override) == ("override_outside", "a.jpg")
    _, (other,) = decided(objects, "1:1", "off", override=said)
    assert other.reason != "override_outside"


def test_a_box_with_a_pixel_inside_is_cropped() -> None:
    for box in ((599, 0, 919, 180), (-319, 0, 1, 180), (0, 399, 320, 579)):
        said = Override("a.jpg", boxes_px={"16:9": box})
        _, (crop,) = decided(photo(), "16:9", "off", override=said)
        assert (crop.verdict, crop.override) == ("ok", "a.jpg")


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
    said = Override("", never_crop=True, reason="text_heavy")
    _, (crop,) = decided(photo(), "9:16", "off", override=said)
    assert (crop.verdict, crop.reason, crop.override) == ("fallback", "text_heavy", None)


def told(
    objects: Detections,
    box: tuple[float, float, float, float],
    guards: str = "off",
    review_below: float = 0.3,
) -> ScoredCrop:
    """What is told of a square that is written whatever it is worth."""
    shape, candidates = parse_shape("1:1"), for_shape(*SIZE, parse_shape("1:1"))
    policy = GuardPolicy.read(guards, "none", "", review_below)
    photo_guards = PhotoGuards(policy, protected_of(objects, SIZE))
    (found,) = exhaustive([candidates], lambda some: np.zeros(len(some), np.float32))
    chooser = OverlapChooser(objects, SIZE, photo_guards)
    decider = Decider(chooser, photo_guards, SIZE, lambda some: np.zeros(len(some), np.float32))
    decision = CropDecision(Chosen(np.array([box], np.float32), np.zeros(1)))
    crops = scored_crops("1:1", decision.chosen, np.zeros(1, np.float32), objects)
    confidence = decider.confidence(ShapeSearch(shape, candidates, found), decision)
    (crop,) = decider.judged([shape], [decision], [crops], [confidence])
    return crop


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
    photo_guards = PhotoGuards(GuardPolicy.read(), protected_of(objects, SIZE))
    chooser = OverlapChooser(objects, SIZE, photo_guards)
    decider = Decider(chooser, photo_guards, SIZE, lambda some: np.zeros(len(some), np.float32))
    chosen = decider.decide([ShapeSearch(shape, candidates, found)], 1)[0].chosen
    for decision in (
        CropDecision(chosen, override=Override("a")),
        CropDecision(chosen, fit="pad"),
        CropDecision(chosen, fit="blur", fallback="blur"),
    ):
        assert decider.confidence(ShapeSearch(shape, candidates, found), decision) == [None]
    (known,) = decider.confidence(
        ShapeSearch(shape, candidates, found), CropDecision(chosen, fallback="next")
    )
    assert known is not None
