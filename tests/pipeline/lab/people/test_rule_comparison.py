"""How much of people's labels two rules' crops keep: measures by hand, and differing rules."""

import json
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.boxes import Boxes
from pipeline.cropping.candidates import for_shape
from pipeline.cropping.rule import packaged_rule
from pipeline.cropping.search import spread_only
from pipeline.detectors import Attention, Detections
from pipeline.errors import UsageError
from pipeline.lab.cli.learn_from_people import main
from pipeline.lab.datasets import Example
from pipeline.lab.people.held_out import (
    HeldOutPhoto,
    PeoplePhoto,
    shapes_of,
)
from pipeline.lab.people.held_out_choice import choose_held_out
from pipeline.lab.people.rule_comparison import (
    comparison_line,
    comparison_report,
    measures_of,
    read_rule,
)
from pipeline.shapes import parse_shape

SIZE_WH = (400, 300)
LEFT = (0.0, 0.0, 168.75, 300.0)  # 9:16


def photo(
    set_name: str = "osie",
    column: int = 0,
    likelihood: tuple[float, ...] = (0.5, 0.49),
    **labels: Any,
) -> HeldOutPhoto:
    """A photo of 400 × 300 whose gaze map has most in one of four columns, with two or three heads.

    They are at x 0 to 80, 320 to 360 and 200 to 240; the first alone is likely enough to count.
    """
    gaze = np.full((3, 4), 0.02)
    gaze[:, column] = (1 - 9 * 0.02) / 3
    heads = np.array([[0.0, 0.2, 0.2, 0.5], [0.8, 0.2, 0.9, 0.4], [0.5, 0.2, 0.6, 0.4]])
    heads = heads[: len(likelihood)]
    attention = Attention(gaze, np.full((3, 4), 0.5), heads, np.array(likelihood))
    example = Example("0", Path("0.jpg"), **labels)
    shapes = shapes_of(example)
    lists = [for_shape(*SIZE_WH, shape) for shape in shapes]

    def score(boxes: Boxes) -> np.ndarray:
        return np.linspace(0, 1, len(boxes), dtype=np.float32)

    people = PeoplePhoto(set_name, example)
    found = spread_only(lists, score)
    return HeldOutPhoto(people, SIZE_WH, Detections(attention=attention), shapes, found)


def looked_at(x: float) -> dict[str, Any]:
    """Fixations: three around x, one at the right, one outside the photo."""
    points = [[x - 10, 150], [x, 150], [x + 10, 150], [350, 150], [450, 100]]
    return {"fixations_px": np.array(points, np.float32), "first_fixations": np.zeros(5, bool)}


def test_gaze_kept_and_one_head_outside() -> None:
    seen = photo(**looked_at(50))
    crops = [np.array(LEFT, np.float32)] * len(seen.shapes)
    found = measures_of(seen, crops)
    assert found["osie, gaze kept, 9:16"] == pytest.approx(3 / 4)  # the one outside is not counted
    assert found["osie, one head outside, 9:16"] == 0  # the others do not count
    by_hand = {1: 0.0, 7: 0.0, 9: 1.0}  # left edge in pixels: a tenth of 80 is 8
    for left, outside in by_hand.items():
        moved = [np.array([left, 0, left + 168.75, 300], np.float32)] * len(seen.shapes)
        assert measures_of(seen, moved)["osie, one head outside, 9:16"] == outside


def test_two_heads_of_which_one_is_outside_and_three_that_are_not_asked_for() -> None:
    two = photo(likelihood=(0.5, 0.5, 0.49), **looked_at(50))
    crops = [np.array(LEFT, np.float32)] * len(two.shapes)
    crops[two.shapes.index(parse_shape("4:3"))] = np.array([0, 0, 400, 300], np.float32)
    found = measures_of(two, crops)
    assert found["osie, two heads outside, 9:16"] == 0.5
    assert found["osie, two heads outside, 4:3"] == 0
    assert found["osie, two heads outside, mean"] == pytest.approx(4 * 0.5 / 5)
    # of four shapes 3 of 4 fixations are kept, of the whole photo all
    assert found["osie, gaze kept, mean"] == pytest.approx((4 * 3 / 4 + 1) / 5)
    assert not any("one head" in name for name in found)
    three = photo(likelihood=(0.5, 0.5, 0.5), **looked_at(50))
    assert not any("outside" in name for name in measures_of(three, crops))


def test_heads_that_people_drew_count_instead_of_detected_ones() -> None:
    drawn = np.array([[0, 0, 40, 40], [200, 0, 240, 40], [150, 0, 190, 40]], np.float32)
    seen = photo("eyecrowd", heads_px=drawn, **looked_at(50))
    found = measures_of(seen, [np.array(LEFT, np.float32)] * len(seen.shapes))
    # the first is whole, the second lost, of the third 18.75 of 40 pixels show
    assert found["eyecrowd, heads cut or lost, 9:16"] == pytest.approx(2 / 3)
    assert not any("head outside" in name or "two" in name for name in found)


@pytest.mark.parametrize(("count", "outside"), [(2, None), (3, 2 / 3), (6, 5 / 6), (7, None)])
def test_drawn_heads_of_a_group_more_than_a_tenth_outside(
    count: int, outside: float | None
) -> None:
    """The first is whole, of the third 17.75 of 20 columns show, the others are outside."""
    lefts = [0.0, 200.0, 151.0, 210.0, 220.0, 230.0, 240.0][:count]
    drawn = np.array([[left, 0, left + 20, 40] for left in lefts], np.float32)
    seen = photo("eyecrowd", heads_px=drawn, **looked_at(50))
    found = measures_of(seen, [np.array(LEFT, np.float32)] * len(seen.shapes))
    assert found.get("eyecrowd, group heads outside, 9:16") == pytest.approx(outside)


def test_overlap_is_a_mean_over_people() -> None:
    human = np.array([[0, 0, 200, 300], [0, 0, 400, 300]], np.float32)
    seen = photo("flms", human_px=human)
    assert [shape.name for shape in seen.shapes] == ["own", "own", "free"]
    crops = [np.array(one, np.float32) for one in ((0, 0, 200, 300), (0, 0, 200, 300), human[1])]
    found = measures_of(seen, crops)
    # 1 and 200/400; half of the photo and all of it
    assert found == {"flms, overlap, own": 0.75, "flms, overlap, free": 0.75}


def test_a_rule_beside_itself_and_beside_one_that_shuns_gaze() -> None:
    rule = packaged_rule()
    headless = replace(rule.penalties, heads=0.0)
    changed = {"penalties": headless, "framing": headless}
    away = replace(rule, gaze=-rule.gaze, overlap=-rule.overlap, gaze_pull=-5.0, **changed)
    photos = [photo(column=column, **looked_at(50 + 100 * column)) for column in (0, 3)]
    same = comparison_report(photos, rule, rule, resamples=50)
    assert {part["difference"]["mean"] for part in same.values()} == {0.0}
    other = comparison_report(photos, rule, away, resamples=50)
    kept = other["osie, gaze kept, 9:16"]
    assert kept["difference"]["photos"] == 2
    assert kept["packaged"] == same["osie, gaze kept, 9:16"]["packaged"]
    change = kept["other"]["mean"] - kept["packaged"]["mean"]
    assert change < -0.3
    assert kept["difference"]["mean"] == pytest.approx(change)
    changed = other["crops changed"]
    assert changed["difference"]["mean"] == 1
    first, second = (f"{kept[name]['mean']:.4f}" for name in ("packaged", "other"))
    assert f"2 photos, {first} to {second}: -" in comparison_line("osie, gaze kept, 9:16", kept)
    assert "2 photos, 1.0000 (1.0000 to 1.0000)" in comparison_line("crops changed", changed)


def test_the_choice_is_that_of_the_rule_that_is_given() -> None:
    seen = photo(column=3, **looked_at(350))
    rule = packaged_rule()
    crops = choose_held_out(seen).crops
    place = seen.shapes.index(parse_shape("9:16"))
    assert crops[place][2] > 350  # the packaged one takes the right, where the gaze is
    named = choose_held_out(seen, rule=rule).crops
    assert all(np.array_equal(a, b) for a, b in zip(crops, named, strict=True))
    headful = replace(rule.penalties, heads=50.0, head_fade=0.0)
    strict_rule = replace(rule, penalties=headful, framing=headful)
    strict = choose_held_out(seen, rule=strict_rule).crops
    assert strict[place][0] < 8  # nearly all that counts is the sure head at the left


def test_a_file_that_is_no_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packaged = json.loads(files("pipeline.cropping").joinpath("choice.json").read_text())
    lacking = {**packaged, "penalties": {"heads": 0.1}}
    texts = {
        "lacking.json": json.dumps(lacking),
        "empty.json": "",
        "list.json": "[]",
        "pull.json": json.dumps({**packaged, "gaze_pull": "much"}),
        "weight.json": json.dumps({**packaged, "gaze_weight": ["a", "b"]}),
        "free.json": json.dumps({**packaged, "free": dict.fromkeys(packaged["free"], "a")}),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(UsageError, match=rf"{name} is no rule of choice \(.+\); start from"):
            read_rule(tmp_path / name)
    near = {**packaged["overlap"]["near"], "sizes": 1.0}
    misspelt = {
        "the rule has no gaze_weigth; did you mean gaze_weight?": {"gaze_weigth": [0, 1]},
        "overlap.near has no sizes; did you mean size?": {
            "overlap": {**packaged["overlap"], "near": near}
        },
        "gaze has no nearer; did you mean near?": {"gaze": {**packaged["gaze"], "nearer": 1}},
        "free has no width": {"free": {**packaged["free"], "width": 1}},
        "penalties has no hedas; did you mean heads?": {
            "penalties": {**packaged["penalties"], "hedas": 0.1}
        },
        "text is below 0: weights": {"penalties": {**packaged["penalties"], "text": -0.1}},
        "gaze_weight is below 0: weights": {"gaze_weight": [0.1, -1.0]},
        "gaze_pull is below 0: weights": {"gaze_pull": -1e-9},
    }
    for told, wrong in misspelt.items():
        (tmp_path / "wrong.json").write_text(json.dumps({**packaged, **wrong}))
        with pytest.raises(UsageError, match=f"wrong.json: {re.escape(told)}"):
            read_rule(tmp_path / "wrong.json")
    (tmp_path / "nan.json").write_text(json.dumps({**packaged, "gaze_pull": float("nan")}))
    with pytest.raises(UsageError, match=r"nan.json: all coefficients .* finite numbers"):
        read_rule(tmp_path / "nan.json")
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(UsageError, match=f"{path.name} cannot be read: "):
            read_rule(path)
    (tmp_path / "good.json").write_text(json.dumps(packaged))
    assert read_rule(tmp_path / "good.json").gaze_pull == packaged_rule().gaze_pull
    asked = ["--detectors", str(tmp_path), "--output", str(tmp_path / "figures.json")]
    assert main(["compare", "--rule", str(tmp_path / "empty.json"), *asked]) == 2
    assert "empty.json is no rule of choice" in capsys.readouterr().err
    assert main(["compare", "--rule", str(tmp_path / "good.json"), *asked]) == 2
    assert "give at least one of --osie, --eyecrowd and --flms" in capsys.readouterr().err


def test_photos_with_heads_alone_ask_for_no_shape(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "osie").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "osie" / "0.png")
    (tmp_path / "osie.json").write_text(
        json.dumps({"0.png": {"size_wh": [40, 30], "heads": [{"box": [1, 1, 9, 9]}]}})
    )
    rule = files("pipeline.cropping").joinpath("choice.json")
    asked = ["--detectors", str(tmp_path), "--output", str(tmp_path / "figures.json")]
    for name in range(5):
        (tmp_path / f"fold{name}.safetensors").touch()
    assert main(["compare", "--rule", str(rule), "--osie", str(tmp_path / "osie"), *asked]) == 2
    assert "no photo has people's crops or fixations to measure by" in capsys.readouterr().err
