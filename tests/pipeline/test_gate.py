"""Gates: parsed term by term, unknown terms refused, figures judged by hand."""

import pytest

from pipeline.errors import SettingError
from pipeline.gate import DEFAULT_GATE, FIGURES, GateFigures, Term, check_channel, parse_gate

FULL = "head_cut_rate<=0.02, error_rate <= 0.01,mean_overlap_with_current>=0.9"


def test_terms_are_read() -> None:
    assert parse_gate(FULL).terms == (
        Term("head_cut_rate", "<=", 0.02),
        Term("error_rate", "<=", 0.01),
        Term("mean_overlap_with_current", ">=", 0.9),
    )
    assert parse_gate("").terms == ()
    assert {term.figure for term in parse_gate(DEFAULT_GATE).terms} <= FIGURES.keys()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("head_rate<=0.1", "known are error_rate, "),
        ("error_rate", "is no term"),
        ("error_rate=0.1", "is no term"),
        ("error_rate<=few", "needs a number from 0 to 1"),
        ("error_rate<=2", "needs a number from 0 to 1"),
        ("error_rate<=nan", "needs a number from 0 to 1"),
        ("error_rate<=0.1 review_rate<=0.1", "is no term"),
        ("0.1>=error_rate", "is no term"),
    ],
)
def test_what_is_no_gate_is_refused(text: str, told: str) -> None:
    with pytest.raises(SettingError, match=told) as error:
        parse_gate(text)
    assert error.value.field == "gate"


@pytest.mark.parametrize(
    ("term", "value", "held"),
    [
        ("error_rate<=0.5", 0.5, True),
        ("error_rate<0.5", 0.5, False),
        ("error_rate>=0.5", 0.5, True),
        ("error_rate>0.5", 0.5, False),
        ("error_rate<=0.5", 0.51, False),
        ("error_rate>=0.5", 0.49, False),
    ],
)
def test_comparisons(term: str, value: float, held: bool) -> None:
    assert parse_gate(term).judge(GateFigures({"error_rate": value}), strict=True).held is held


def test_every_term_has_to_hold_and_the_figures_are_told() -> None:
    measured = GateFigures(
        {"head_cut_rate": 0.01, "error_rate": 0.03}, {}, {"mean_overlap_with_current": "none live"}
    )
    judged = parse_gate(FULL).judge(measured, strict=True)
    assert [one.held for one in judged.terms] == [True, False, True]
    assert not judged.held
    assert str(judged) == (
        "head_cut_rate<=0.02: 0.01; error_rate<=0.01: 0.03, which does not hold; "
        "mean_overlap_with_current>=0.9: none live"
    )


def test_a_figure_that_is_not_known_breaks_only_what_was_asked_for() -> None:
    gate = parse_gate("head_cut_rate<=1")
    measured = GateFigures({}, {"head_cut_rate": "no crop says it"})
    assert not gate.judge(measured, strict=True).held
    assert gate.judge(measured, strict=False).held
    assert "no crop says it" in str(gate.judge(measured, strict=True))


def test_names_of_channels() -> None:
    for name in ("web", "16x9-webp-512-ab12cd", "a.b_c=1", "x" * 64):
        check_channel(name)
    for name in ("", "a/b", "../x", "-a", "a b", "x" * 65):
        with pytest.raises(SettingError):
            check_channel(name)


def test_the_ends_of_a_share_are_bounds_too() -> None:
    assert [term.bound for term in parse_gate("error_rate<=0,error_rate>=1").terms] == [0, 1]
    for text in ("error_rate<=1.01", "error_rate<=-0.01", "error_rate<=inf"):
        with pytest.raises(SettingError, match="needs a number from 0 to 1"):
            parse_gate(text)


def test_a_gate_is_told_as_it_is_read() -> None:
    assert str(parse_gate(" error_rate <= 0.010,, moved_rate>0.5 ,")) == (
        "error_rate<=0.01, moved_rate>0.5"
    )
    assert str(parse_gate("")) == ""
    nothing = parse_gate("").judge(GateFigures(), strict=True)
    assert (nothing.held, str(nothing)) == (True, "no gate had to be met")
    assert str(parse_gate("error_rate<1").judge(GateFigures(), strict=False)) == (
        "error_rate<1: it was not measured"
    )
    assert str(parse_gate("error_rate<1").judge(GateFigures({"error_rate": 1 / 3}), True)) == (
        "error_rate<1: 0.3333"
    )


def test_a_figure_with_nothing_to_measure_breaks_no_term() -> None:
    measured = GateFigures({}, {"moved_rate": "unknown"}, {"moved_rate": "nothing live"})
    (judged,) = parse_gate("moved_rate<=0.1").judge(measured, strict=True).terms
    assert (judged.held, judged.value, judged.remark) == (True, None, "nothing live")


def test_a_name_that_is_none_is_said_for_the_channel() -> None:
    with pytest.raises(SettingError, match="is no name: up to 64 letters") as error:
        check_channel("a/" + "b" * 200)
    assert error.value.field == "channel"
    assert "b" * 78 in str(error.value)
    assert "b" * 79 not in str(error.value)


def test_the_figures_of_a_gate() -> None:
    """Names that people have written into their jobs stay."""
    assert list(FIGURES) == [
        "error_rate", "error_rate_low", "review_rate", "review_rate_low", "fallback_rate",
        "head_cut_rate", "face_cut_rate", "text_cut_rate", "mean_confidence",
        "mean_subject_share", "mean_overlap_with_current", "moved_rate",
    ]  # fmt: skip
