"""Every guard, by hand: whether a crop breaks it, and by how much."""

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np
import pytest

from pipeline.cropping.guards import LEVELS, LOST, ShapeGuard, call_per_guard, guard_levels
from pipeline.cropping.protected import Protected
from pipeline.settings.guards import Guards, parse_guards
from pipeline.settings.safe_areas import WHOLE, SafeArea

Rows = Sequence[Sequence[float]]
HEAD = (100, 100, 200, 200)
BODY = (100, 200, 200, 400)


def array(rows: Rows) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, 4)


def guard(
    asked: str | Guards,
    heads: Rows = (),
    bodies: Rows = (),
    main: Sequence[bool] = (),
    faces: Rows = (),
    text: Rows = (),
    subject: Rows = (),
    importance: Sequence[float] = (),
    area: SafeArea = WHOLE,
    clear: Sequence[bool] = (),
    main_faces: Sequence[bool] = (),
) -> ShapeGuard:
    given = Protected(
        heads=array(heads),
        bodies=array(bodies or heads),
        clear_heads=np.array(clear or [True] * len(heads), bool),
        main_heads=np.array(main or [False] * len(heads), bool),
        main_faces=np.array(main_faces or [False] * len(faces), bool),
        faces=array(faces),
        text=array(text),
        subject=array(subject),
        importance=np.array(importance or [1 / max(len(subject), 1)] * len(subject)),
    )
    return ShapeGuard(parse_guards(asked) if isinstance(asked, str) else asked, given, area)


@pytest.mark.parametrize(
    ("top", "reason", "level"),
    [
        (100, None, 0),
        (110, None, 0),  # a tenth outside is allowed
        (111, "head_cut", 2),  # .11 of the only head, in tenths, rounded up
        (150, "head_cut", 5),
        (194, "head_cut", 10),  # 6 % of it show
        (196, "head_cut", 10),  # 4 %: nobody sees that, but its body
    ],
)
def test_a_head_may_have_a_tenth_outside(top: float, reason: str | None, level: int) -> None:
    """A crop that begins at `top` and ends above the body's middle."""
    check = guard("off,heads=0.1", [HEAD], [BODY])
    box = [0, top, 400, 250]
    assert check.reason(box) == reason
    assert check.levels([box]).tolist() == [level]


@pytest.mark.parametrize(("left", "reason"), [(0, "head_cut"), (140, "head_cut"), (155, None)])
def test_a_person_larger_than_the_crop_is_cut_without_its_head(
    left: float, reason: str | None
) -> None:
    """The crop is .4 as high as the body, so it can hold .4 of it; from 150 on, it holds half."""
    check = guard("off,heads=0.1", [HEAD], [BODY])
    assert check.reason([left, 250, left + 400, 330]) == reason
    assert check.counts([left, 250, left + 400, 330]).heads == (reason is not None)


def test_a_person_without_its_head_is_cut() -> None:
    check = guard("off,heads=0.1", [HEAD], [BODY])
    assert check.reason([0, 200, 400, 310]) == "head_cut"  # .55 of the body, none of the head
    assert check.levels([[0, 200, 400, 310]]).tolist() == [LEVELS]
    assert check.reason([160, 200, 400, 400]) is None  # .4 of the body
    assert check.reason([250, 0, 400, 400]) is None  # head and person are left out: a choice
    assert check.counts([0, 200, 400, 310]).heads == 1
    assert check.counts([250, 0, 400, 400]).heads == 0


def test_the_main_head_may_not_be_left_out() -> None:
    other = (400, 100, 500, 200)
    check = guard("off,heads=0.1", [HEAD, other], main=[True, False])
    assert check.reason([300, 0, 600, 300]) == "head_lost"
    assert check.reason([0, 0, 300, 300]) is None
    assert check.levels([[300, 0, 600, 300]]).tolist() == [LEVELS * LOST]
    assert check.counts([300, 0, 600, 300]).heads == 0, "it is lost, not cut"
    both = guard("off,heads=0.1", [HEAD, other], main=[True, True])
    assert both.reason([300, 0, 600, 300]) is None  # one of the main heads is enough
    assert both.reason([250, 0, 350, 300]) == "head_lost"


def test_a_head_too_large_for_the_shape_is_shown_all_the_same() -> None:
    """A portrait: crops of 400 × 200 hold half of a head of 400 × 400, and of its face .8."""
    head, face, body = (0, 0, 400, 400), (100, 100, 300, 350), (0, 0, 400, 600)
    check = guard("default", [head], [body], [True], [face], main_faces=[True])
    shown, chest, nothing = [0, 120, 400, 320], [0, 400, 400, 600], [400, 0, 800, 200]
    assert check.reason(shown) == "head_cut"  # half of it, and nothing else: the face keeps .8
    assert check.levels([shown]).tolist() == [5]
    assert check.reason(nothing) == "head_lost"
    assert check.reason(chest) == "head_cut"  # a person without a head
    assert check.levels([chest, nothing]).min() > LEVELS  # neither is better than any cut
    both_cut = [0, 200, 400, 400]  # .5 of the head, .6 of the face: .9 in all
    assert check.levels([both_cut]).tolist() == [9]


def test_a_portrait_s_face_counts_without_a_head() -> None:
    check = guard("off,faces=0.3", faces=[HEAD], main_faces=[True])
    assert check.reason([150, 0, 400, 400]) == "face_cut"
    assert check.reason([250, 0, 400, 400]) == "head_lost"
    assert guard("off,faces=0.3", faces=[HEAD]).reason([250, 0, 400, 400]) is None


def test_a_head_that_is_only_likely_is_counted_and_not_guarded() -> None:
    other = (400, 100, 500, 200)
    check = guard("off,heads=0.1", [HEAD, other], clear=[True, False])
    assert check.reason([0, 0, 450, 400]) is None
    assert check.counts([0, 0, 450, 400]).heads == 1
    assert check.reason([150, 0, 600, 400]) == "head_cut"
    assert not guard("off,heads=0.1", [other], clear=[False]).active


def test_a_larger_head_counts_more() -> None:
    """Halves of a head of 100 pixels and of one of 50 outside: .5 and .25."""
    small = (300, 100, 350, 150)
    check = guard("off,heads=0.1", [HEAD, small])
    boxes = [[150, 0, 400, 400], [0, 0, 325, 400], [150, 0, 325, 400]]
    assert check.levels(boxes).tolist() == [5, 3, 8]


def test_a_face_is_cut_by_its_own_limit() -> None:
    check = guard("off,faces=0.2", faces=[HEAD])
    assert check.reason([120, 0, 400, 400]) is None
    assert check.reason([121, 0, 400, 400]) == "face_cut"
    assert check.reason([197, 0, 400, 400]) is None  # 3 % of it show
    assert check.counts([115, 0, 400, 400]).faces == 1  # the column counts from a tenth on
    assert check.counts([110, 0, 400, 400]).faces == 0


@pytest.mark.parametrize(
    ("right", "cut"), [(107, False), (109, True), (150, True), (191, True), (193, False)]
)
def test_text_is_whole_or_left_out(right: float, cut: bool) -> None:
    """A line from 100 to 200; up to 8 % more or less are a loose box."""
    check = guard("off,text=cut", text=[(100, 50, 200, 70)])
    assert check.reason([0, 0, right, 400]) == ("text_cut" if cut else None)
    assert check.counts([0, 0, right, 400]).text == int(cut)


def test_text_cut_in_the_middle_is_the_worst() -> None:
    check = guard("off,text=cut", text=[(100, 50, 200, 70)])
    assert check.levels([[0, 0, 150, 400], [0, 0, 175, 400]]).tolist() == [5, 3]


def test_half_of_the_subject_is_inside() -> None:
    """Parts of .75 and .25 of the importance."""
    parts, importance = [(0, 0, 100, 100), (300, 0, 400, 100)], [0.75, 0.25]
    check = guard("off,subject=0.5", subject=parts, importance=importance)
    assert check.reason([0, 0, 67, 200]) is None  # .67 · .75 = .5025
    assert check.reason([0, 0, 66, 200]) == "subject_cut"
    assert check.reason([300, 0, 400, 200]) == "subject_cut"  # the less important part alone
    assert check.levels([[300, 0, 400, 200], [200, 0, 250, 200]]).tolist() == [3, 5]
    assert check.counts([300, 0, 400, 200]).subject_share == pytest.approx(0.25)
    assert guard("off,subject=0.5").counts([0, 0, 9, 9]).subject_share is None
    assert guard("off,subject=0.5").reason([0, 0, 9, 9]) is None


def test_a_covered_head_is_in_an_unsafe_area() -> None:
    """A caption over the lower fifth: from 320 of a crop of 400 on."""
    caption = SafeArea(covered=((0, 0.8, 1, 1),))
    low = (100, 260, 200, 360)  # 40 of 100 rows are covered
    check = guard("off,heads=0.1", [low], area=caption)
    assert check.reason([0, 0, 400, 400]) == "unsafe_area"
    assert check.levels([[0, 0, 400, 400]]).tolist() == [4]
    assert check.counts([0, 0, 400, 400]).heads == 1
    assert check.reason([0, 0, 400, 500]) is None  # the caption begins at 400
    assert guard("off,heads=0.1", [low]).reason([0, 0, 400, 400]) is None
    for kind, asked in (("faces", "faces=0.1"), ("text", "text=cut"), ("subject", "subject=0.7")):
        check = guard(f"off,{asked}", area=caption, **{kind: [low]})  # type: ignore[arg-type]
        assert check.reason([0, 0, 400, 400]) == "unsafe_area", kind
        assert check.reason([0, 0, 400, 500]) is None, kind


def test_corners_of_a_circle_do_not_count_as_inside() -> None:
    """A head in the corner of the square 0 … 400 is hidden; in the middle it is whole."""
    circle = SafeArea(is_circle=True)
    corner, middle = (0, 0, 100, 100), (150, 150, 250, 250)
    square = [0, 0, 400, 400]
    for kind, asked, word in (
        ("heads", "heads=0.1", "head_cut"),
        ("faces", "faces=0.1", "face_cut"),
        ("text", "text=cut", "text_cut"),
        ("subject", "subject=0.9", "subject_cut"),
    ):
        for box, reason in ((corner, word), (middle, None)):
            given = {kind: [box]}
            check = guard(f"off,{asked}", area=circle, **given)  # type: ignore[arg-type]
            assert check.reason(square) == reason, (kind, box)
            plain = guard(f"off,{asked}", **given)  # type: ignore[arg-type]
            assert plain.reason(square) is None


def test_a_head_in_a_circle_counts_as_round() -> None:
    """The corner of its box is 212 from the centre of a circle of radius 200.

    That cuts off a right angle of height 12, 1.5 % of the box. Of a square of the head's area the
    corner is at 204, which cuts off .2 %.
    """
    circle, box = SafeArea(is_circle=True), (50, 50, 150, 150)
    assert guard("off,heads=0.01", [box], area=circle).reason([0, 0, 400, 400]) is None
    assert guard("off,faces=0.01", faces=[box], area=circle).reason([0, 0, 400, 400]) is None
    check = guard("off,heads=0.001", [box], area=circle)
    assert check.reason([0, 0, 400, 400]) == "head_cut"
    check = guard("off,subject=0.99", subject=[box], area=circle)
    assert check.reason([0, 0, 400, 400]) == "subject_cut"


def test_the_worst_reason_is_told() -> None:
    check = guard(
        "off,heads=0.1,text=cut,subject=0.9", [HEAD], text=[(300, 0, 400, 20)], subject=[HEAD]
    )
    assert check.reason([150, 0, 350, 400]) == "head_cut"
    assert check.reason([100, 0, 350, 400]) == "text_cut"


def test_what_is_not_asked_is_not_guarded() -> None:
    everything = {"heads": [HEAD], "faces": [HEAD], "text": [HEAD], "subject": [HEAD]}
    half = [150, 0, 400, 400]
    check = guard("off", **everything)  # type: ignore[arg-type]
    assert not check.active
    assert check.reason(half) is None
    assert check.levels([half]).tolist() == [0]
    counts = check.counts(half)
    assert (counts.heads, counts.faces, counts.text, counts.subject_share) == (1, 1, 1, 0.5)
    assert not guard("strict").active, "there is nothing that a crop could break"


@pytest.mark.parametrize(
    ("asked", "reason"),
    [("heads=0.1", "head_cut"), ("faces=0.1", "face_cut"), ("text=cut", "text_cut"),
     ("subject=0.9", "subject_cut")],
)  # fmt: skip
def test_only_what_is_asked_counts_beside_all_the_rest(asked: str, reason: str) -> None:
    """Half of the one box that is head, face, text and subject is outside: .5, or .4 of .9."""
    everything = {"heads": [HEAD], "faces": [HEAD], "text": [HEAD], "subject": [HEAD]}
    check = guard(f"off,{asked}", **everything)  # type: ignore[arg-type]
    half = [150, 0, 400, 400]
    assert check.reason(half) == reason
    assert check.levels([half, [0, 0, 400, 400]]).tolist() == [4 if "subject" in asked else 5, 0]
    severities = check.severities(check.shown(np.array([half], float)))
    assert {name for name, badly in severities.items() if badly[0] > 0} == {reason}
    assert list(severities) == [
        "head_cut", "head_lost", "face_cut", "text_cut", "subject_cut", "unsafe_area",
    ]  # fmt: skip


def test_all_that_is_broken_adds_up() -> None:
    everything = {"heads": [HEAD], "faces": [HEAD], "text": [HEAD], "subject": [HEAD]}
    check = guard("off,heads=0.1,faces=0.1,text=cut,subject=0.9", **everything)  # type: ignore[arg-type]
    assert check.levels([[150, 0, 400, 400]]).tolist() == [19]  # .5 + .5 + .5 + .4
    assert check.reason([150, 0, 400, 400]) == "head_cut"


def test_crops_of_one_guard_are_told_together_as_alone() -> None:
    """Guards of three shapes, two of which are the same one; a shape may have no crop."""
    whole = guard("off,heads=0.1,text=cut", [(150, 100, 250, 200)], text=[(0, 300, 500, 380)])
    circle = ShapeGuard(whole.guards, whole.protected, SafeArea(is_circle=True))
    guards = [whole, circle, whole, None]
    corners = np.random.default_rng(1).integers(0, 200, (9, 2))
    boxes = np.concatenate([corners, corners + 190], axis=1).astype(np.float32)
    lists = [boxes[:4], boxes[4:6], boxes[6:], boxes[:2]]
    for found, one, some in zip(
        call_per_guard(guards, lists, guard_levels), guards, lists, strict=True
    ):
        alone = [0 if one is None else int(one.levels(box[None])[0]) for box in some]
        assert found.tolist() == alone
    told = call_per_guard(guards[:3], [lists[0], lists[1], boxes[:0]], ShapeGuard.findings)
    assert [len(of_shape) for of_shape in told] == [4, 2, 0]
    for of_shape, one, some in zip(told, guards, lists, strict=False):
        for (counts, reason), box in zip(of_shape, some, strict=False):
            assert (astuple(counts), reason) == (astuple(one.counts(box)), one.reason(box))
    assert len({reason for of_shape in told for _, reason in of_shape}) > 1
