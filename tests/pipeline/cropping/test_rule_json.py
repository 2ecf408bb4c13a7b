"""A rule of choice read from JSON: each number in its place, and what is refused."""

import json
from dataclasses import fields, replace
from importlib.resources import files
from typing import Any

import pytest

from pipeline.cropping.features import FEATURES, FREE_FEATURES
from pipeline.cropping.rule import PenaltyWeights, Rule, packaged_rule
from pipeline.errors import UsageError


def packaged_values() -> dict[str, Any]:
    values: dict[str, Any] = json.loads(
        files("pipeline.cropping").joinpath("choice.json").read_text()
    )
    return values


def test_the_packaged_rule_is_complete_and_says_where_it_is_from() -> None:
    values = packaged_values()
    numbers = [name for name in values if name not in ("source", "penalties")]
    assert values["source"].keys() == {*numbers, *values["penalties"]}
    assert len(set(values["source"].values())) == len(values["source"])  # each has its own reason
    assert all("FLMS" in values["source"][name] for name in ("overlap", "free"))
    with pytest.raises(KeyError):
        Rule.from_json({name: values[name] for name in values if name != "free"})
    assert packaged_rule().overlap.shape == (2, 9)
    assert packaged_rule().penalties.heads > 0


def test_each_number_of_a_rule_is_read_into_its_place() -> None:
    """All numbers are different, so none can be taken for another."""
    numbers = iter(range(1, 1000))
    values = packaged_values()
    for part, names in (("overlap", FEATURES), ("gaze", FEATURES)):
        values[part] = {end: {name: next(numbers) for name in names} for end in ("near", "far")}
    values["free"] = {name: next(numbers) for name in FREE_FEATURES}
    values["gaze_weight"] = [next(numbers), next(numbers)]
    values["gaze_pull"], values["placement"] = next(numbers), next(numbers)
    values["penalties"] = {field.name: next(numbers) for field in fields(PenaltyWeights)}
    values["framing"] = {"sides": next(numbers)}
    rule = Rule.from_json(values)
    assert rule.overlap.tolist() == [[*range(1, 10)], [*range(10, 19)]]
    assert rule.gaze.tolist() == [[*range(19, 28)], [*range(28, 37)]]
    assert rule.free.tolist() == [*range(37, 48)]
    assert (rule.gaze_weight, rule.gaze_pull, rule.placement) == ((48, 49), 50, 51)
    of_place = [getattr(rule.penalties, field.name) for field in fields(PenaltyWeights)]
    assert of_place == [*range(52, 66)]
    assert rule.framing == replace(rule.penalties, sides=66)


@pytest.mark.parametrize(
    "where",
    ["the rule", "overlap", "gaze", "overlap.far", "gaze.near", "free", "penalties", "framing"],
)
def test_a_name_that_a_rule_does_not_have_is_refused(where: str) -> None:
    values = packaged_values()
    part = values
    for name in () if where == "the rule" else where.split("."):
        part = part[name]
    part["sizes"] = 1.0
    with pytest.raises(UsageError, match=f"^{where} has no sizes"):
        Rule.from_json(values)


def test_without_placement_all_else_is_the_same() -> None:
    rule = packaged_rule()
    assert rule.placement > 0
    without = rule.without_placement()
    assert without.placement_weight(0.2) == 0
    changed = [
        f.name for f in fields(Rule) if getattr(without, f.name) is not getattr(rule, f.name)
    ]
    assert changed == ["placement"]


@pytest.mark.parametrize(
    ("part", "name", "told"),
    [
        (None, "gaze_pull", "gaze_pull"),
        (None, "placement", "placement"),
        ("penalties", "heads", "heads"),
        ("framing", "things", "framing.things"),
    ],
)
def test_a_weight_below_0_is_refused(part: str | None, name: str, told: str) -> None:
    values = packaged_values()
    (values if part is None else values[part])[name] = -0.1
    with pytest.raises(UsageError, match=f"^{told} is below 0: weights have to be at least 0"):
        Rule.from_json(values)


@pytest.mark.parametrize("weights", [[-1, 60], [1, -60]])
def test_neither_weight_of_gaze_is_below_0(weights: list[float]) -> None:
    with pytest.raises(UsageError, match="gaze_weight is below 0"):
        Rule.from_json({**packaged_values(), "gaze_weight": weights})
