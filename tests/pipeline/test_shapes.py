import pytest

from pipeline.errors import UsageError
from pipeline.shapes import Shape, parse_shape, parse_shapes, refuse_too_many


def test_the_four_kinds() -> None:
    assert parse_shape(" 16:9 ") == Shape("16:9", 16 / 9)
    assert parse_shape("640:480") == Shape("640:480", 4 / 3)
    assert parse_shape("1.91:1") == Shape("1.91:1", 1.91)
    assert parse_shape("1920x1080") == Shape("1920x1080", 16 / 9)
    assert parse_shape("4X5") == parse_shape("4x5") == Shape("4x5", 0.8)
    assert parse_shape("3/2") == Shape("3/2", 1.5)
    for spaced in ("16 : 9", "16 :9", " 16: 9"):
        assert parse_shape(spaced) == Shape("16:9", 16 / 9)
    assert parse_shape("4 X 5") == Shape("4x5", 0.8)
    assert parse_shape("1.7778") == Shape("1.7778", 1.7778)
    assert parse_shape("Circle") == Shape("circle", 1.0, is_circle=True)
    assert parse_shape("free") == Shape("free", None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "16",
        "16x9x1",
        "x9",
        "16:",
        "60.5",
        "0.0",
        ".5",
        "16:9:1",
        "-1:2",
        "0:1",
        "1:0",
        "nan:1",
        "1e3:1",
        "60:1",
        "1:60",
        "１:１ ½",
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_shape(text)


def test_lists_keep_their_order() -> None:
    assert [shape.name for shape in parse_shapes("1:1, circle,4:3,")] == ["1:1", "circle", "4:3"]


def test_lists_refuse_repeats_and_nothing() -> None:
    with pytest.raises(UsageError, match="'1:1' is given twice"):
        parse_shapes("1:1,4:3,1:1")
    with pytest.raises(UsageError, match="'16:9' is given twice"):
        parse_shapes("16:9,16 : 9")
    with pytest.raises(UsageError, match="no shape given"):
        parse_shapes(" , ")


def test_one_job_has_at_most_100_shapes() -> None:
    refuse_too_many(100)
    with pytest.raises(UsageError, match=r"^101 shapes are too many at once, .* at most 100, "):
        refuse_too_many(101)


@pytest.mark.parametrize(
    ("text", "ratio"),
    [("50:1", 50), ("1:50", 0.02), ("50.0", 50), ("0.02", 0.02), ("0.5:0.25", 2), ("3 : 2", 1.5)],
)
def test_the_narrowest_shapes(text: str, ratio: float) -> None:
    assert parse_shape(text).ratio == pytest.approx(ratio)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("50.5:1", "'50.5:1' is too narrow: ratios from 1:50 to 50:1"),
        ("1:50.5", "'1:50.5' is too narrow"),
        ("0:5", "'0:5' is not a shape: both numbers must be above 0"),
        ("5:0", "'5:0' is not a shape: both numbers must be above 0"),
        ("0:0", "'0:0' is not a shape: both numbers must be above 0"),
        ("wide", "'wide' is not a shape: write W:H such as 16:9, or circle, or free$"),
        ("fre", "'fre' is not a shape: .* or free; did you mean free\\?$"),
        (1.5, "a shape is a text such as '16:9', 'circle' or 'free', not 1.5$"),
        ("Cirlce", "'Cirlce' is not a shape: .* or free; did you mean circle\\?$"),
    ],
)
def test_what_is_wrong_with_a_shape_is_said(text: object, told: str) -> None:
    with pytest.raises(UsageError, match=f"^{told}"):
        parse_shape(text)  # type: ignore[arg-type]


def test_only_a_circle_is_round() -> None:
    assert [parse_shape(text).is_circle for text in ("1:1", "free", "circle")] == [
        False,
        False,
        True,
    ]
