"""Figures of a data set from hand-made rows: means, intervals, slices, parity, integrity."""

from typing import Any

import numpy as np
import pytest

from pipeline.detectors import Detections
from pipeline.lab.evaluation.catalogue import BEST, MEASURES, OURS
from pipeline.lab.evaluation.intervals import bootstrap
from pipeline.lab.evaluation.slices import ORDER, tags
from pipeline.lab.evaluation.summary import keys_of, sort_measure, summarise, verdicts
from pipeline.photo.decode import Photo


def row(name: str, **parts: Any) -> dict[str, Any]:
    return {
        "id": name, "status": "ok", "tags": ["landscape"],
        "scored": None, "human": None, "kept": None, **parts,
    }  # fmt: skip


def human(ours: list[float], centre: list[float]) -> dict[str, Any]:
    return {
        "measures": {OURS: {"iou": ours}, "centre": {"iou": centre}},
        "free": {"measures": {"free_iou": max(ours)}},
    }


def test_means_are_over_photos_and_differences_are_paired() -> None:
    rows = [
        row("a", human=human([0.9, 0.7], [0.5, 0.5]), tags=["landscape", "people"]),
        row("b", human=human([0.4], [0.3]), tags=["portrait"]),
        {"id": "c", "status": "truncated", "message": "…", "tags": []},
    ]
    figures = summarise(rows, resamples=200, seed=0)
    assert figures["photos"] == 3
    assert figures["statuses"] == {"ok": 2, "truncated": 1}
    assert figures["measures"][OURS]["iou"]["mean"] == pytest.approx(0.6)  # of .8 and .4
    assert figures["measures"][OURS]["iou"]["photos"] == 2
    assert figures["measures"][OURS]["free_iou"]["mean"] == pytest.approx(0.65)
    assert figures["differences"]["centre"]["iou"]["mean"] == pytest.approx(0.2)  # .3 and .1
    assert OURS not in figures["differences"]
    assert list(figures["slices"]) == ["landscape", "portrait", "people"]  # the report's order
    assert figures["slices"]["people"]["photos"] == 1
    assert figures["slices"]["people"]["measures"][OURS]["iou"]["mean"] == pytest.approx(0.8)
    assert sort_measure(figures) == "iou"
    assert list(figures["measures"]) == [OURS, "centre"]  # as the photos name them


def test_nothing_judged_is_said_not_raised() -> None:
    figures = summarise([{"id": "a", "status": "corrupt"}], resamples=10, seed=0)
    assert figures["measures"] == figures["differences"] == figures["slices"] == {}
    assert sort_measure(figures) is None


def test_intervals() -> None:
    interval = bootstrap(resamples=2000, seed=1)
    constant = interval([0.3] * 20)
    assert constant["low"] == constant["high"] == pytest.approx(0.3)
    values = np.random.default_rng(0).normal(0.5, 0.1, 400)
    found = interval(values)
    assert found == interval(values)
    assert found["mean"] == pytest.approx(values.mean())
    # The normal interval of a mean: 1.96 standard errors each way.
    half = 1.96 * values.std() / 20
    assert found["low"] == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert found["high"] == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_measures_of_shapes_and_their_means() -> None:
    """Gaze at two shapes of two photos; what the best crop keeps beside it."""

    def shapes(square: float, tall: float, cut: float) -> dict[str, Any]:
        return {
            "1:1": {"measures": {"gaze_kept": square, "head cut": 0.0}},
            "9:16": {"measures": {"gaze_kept": tall, "head cut": cut}},
        }

    best = {name: {"measures": {"gaze_kept": 1.0}} for name in ("1:1", "9:16")}
    rows = [
        row("a", shapes={OURS: shapes(1, 0.5, 100), "centre": shapes(0.8, 0.1, 0), BEST: best}),
        row("b", shapes={OURS: shapes(0.8, 0.3, 0), "centre": shapes(0.6, 0.1, 0), BEST: best}),
    ]
    figures = summarise(rows, resamples=100, seed=0)
    ours = {name: value["mean"] for name, value in figures["measures"][OURS].items()}
    assert ours == pytest.approx(
        {"gaze_kept": 0.65, "gaze_kept 1:1": 0.9, "gaze_kept 9:16": 0.4, "head cut": 25}
    )
    assert figures["differences"]["centre"]["gaze_kept 9:16"]["mean"] == pytest.approx(0.3)
    assert figures["measures"][BEST]["gaze_kept 9:16"]["mean"] == 1
    assert keys_of(figures) == ["gaze_kept", "gaze_kept 1:1", "gaze_kept 9:16", "head cut"]
    assert sort_measure(figures) == "gaze_kept"
    assert figures["verdicts"]["centre"] == {
        "gaze_kept": "better", "gaze_kept 1:1": "better", "gaze_kept 9:16": "better",
        "head cut": "level",  # one photo of two: the interval of the difference begins at 0
    }  # fmt: skip
    assert figures["verdicts"][BEST]["gaze_kept"] == "worse"


def test_statuses_and_slices_are_counted_by_what_photos_have() -> None:
    rows = [row("a", scored={"measures": {OURS: {"srcc": 0.5, "acc1_5": 1.0}}}, tags=["square"])]
    rows += [{"id": name, "status": status} for name, status in
             (("b", "corrupt"), ("c", "not_found"), ("d", "not_found"))]  # fmt: skip
    figures = summarise(rows, resamples=10, seed=0)
    assert list(figures["statuses"].items()) == [("not_found", 2), ("ok", 1), ("corrupt", 1)]
    assert figures["measures"][OURS]["acc1_5"]["mean"] == 1
    assert list(figures["slices"]["square"]["measures"][OURS]) == ["srcc"]  # one of those shown
    assert keys_of(figures) == ["srcc"]  # Acc_K/N is only in the JSON
    assert sort_measure(figures) == "srcc"


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        (["any violation"], "any violation"),
        (["any violation", "heads_out"], "heads_out"),
        (["any violation", "heads_out", "gaze_kept"], "gaze_kept"),
        (["any violation", "gaze_kept", "srcc"], "srcc"),
        (["any violation", "srcc", "iou"], "iou"),
        (["bde"], None),
    ],
)
def test_the_best_photos_are_those_of_the_labels_that_say_most(
    measured: list[str], expected: str | None
) -> None:
    assert sort_measure({"measures": {OURS: {name: {} for name in measured}}}) == expected


def test_an_interval_that_begins_or_ends_at_0_is_level() -> None:
    told = verdicts({
        "centre": {
            "iou": {"mean": 0.5, "low": 0.0, "high": 1.0, "photos": 9},
            "bde": {"mean": -0.5, "low": -1.0, "high": 0.0, "photos": 9},
            "srcc": {"mean": 0.5, "low": 0.1, "high": 1.0, "photos": 9},
            "gaze_kept 1:1": {"mean": -0.5, "low": -1.0, "high": -0.1, "photos": 9},
        }
    })  # fmt: skip
    assert [*told["centre"].values()] == ["level", "level", "better", "worse"]


def test_one_photo_decides_nothing() -> None:
    """Its interval has no width, whatever the difference is."""
    one = {"mean": 0.5, "low": 0.5, "high": 0.5, "photos": 1}
    assert verdicts({"centre": {"iou": one}}) == {"centre": {"iou": "level"}}


def test_measures_of_loss_are_better_where_they_are_lower() -> None:
    lower = {name for name, measure in MEASURES.items() if measure.lower}
    assert {name for name in MEASURES if name.endswith(("bde", "out", "cut", "lost"))} <= lower
    assert {name for name, one in MEASURES.items() if one.unit == "per 100 crops"} <= lower
    gains = ("iou", "free_iou", "srcc", "pcc", "acc5", "accw10", "mos_of_best", "gaze_kept")
    assert not lower & {*gains}


def test_verdicts_know_what_is_better() -> None:
    above, below, level = (
        {"mean": m, "low": m - 1, "high": m + 1, "photos": 2} for m in (2.0, -2.0, 0.5)
    )
    told = verdicts({"centre": {"iou": above, "bde": above, "face lost": below, "srcc": level}})
    assert told == {
        "centre": {"iou": "better", "bde": "worse", "face lost": "better", "srcc": "level"}
    }


def kept(groups: list[str], shares: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    return {"groups": groups, "shares": shares}


def test_parity_by_hand() -> None:
    rows = [
        row("p", kept=kept(["x", "y"], {OURS: {"1:1": [1.0, 0.2], "9:16": [0.5, 0.52]}})),
        row("q", kept=kept(["y", "x", "y"], {OURS: {"1:1": [0.9, 0.1, 0.0]}})),
        row("r", kept=kept(["x", "x"], {OURS: {"1:1": [0.9, 0.1]}})),  # one group: no decision
    ]
    (entry,) = summarise(rows, resamples=100, seed=0)["fairness"]
    assert (entry["method"], entry["first"], entry["second"]) == (OURS, "x", "y")
    # p: x kept at 1:1, alike at 9:16 (2 points). q: y over x, then x over y by 10 points.
    assert entry["decisions"] == 4
    assert entry["first_kept"] == 0.5
    assert entry["second_kept"] == 0.25
    assert entry["alike"] == 0.25
    assert entry["advantage"]["mean"] == pytest.approx((0.5 + 0.0) / 2)
    assert entry["advantage"]["photos"] == 2
    assert entry["parity"]


def test_a_difference_of_five_points_favours_nobody() -> None:
    """Objects have no group; methods and pairs of groups come as the photos name them."""
    shares = {OURS: {"1:1": [0.05, 0.0, 0.9]}, "centre": {"1:1": [0.0, 0.05, 0.0]}}
    rows = [row("a", kept=kept(["x", "y", ""], shares))]
    rows.append(row("b", kept=kept(["y", "x", "w"], {OURS: {"1:1": [0.06, 0.0, 0.0]}})))
    entries = summarise(rows, resamples=10, seed=0)["fairness"]
    named = [(entry["method"], entry["first"], entry["second"]) for entry in entries]
    assert named == [(OURS, "x", "y"), ("centre", "x", "y"), (OURS, "w", "x"), (OURS, "w", "y")]
    ours, centre, *_ = entries
    assert (ours["alike"], ours["second_kept"], ours["decisions"]) == (0.5, 0.5, 2)
    assert ours["advantage"]["mean"] == -0.5
    assert (centre["alike"], centre["decisions"]) == (1, 1)
    assert ours["parity"] is not None
    assert centre["parity"] is None  # of one photo


def test_a_one_sided_method_has_no_parity() -> None:
    rows = [row(str(i), kept=kept(["x", "y"], {"centre": {"1:1": [0.0, 1.0]}})) for i in range(30)]
    (entry,) = summarise(rows, resamples=100, seed=0)["fairness"]
    assert entry["advantage"]["mean"] == -1
    assert entry["second_kept"] == 1
    assert not entry["parity"]


def test_integrity_by_hand() -> None:
    shares = {OURS: {"1:1": [1.0, 0.96, 0.5, 0.0], "16:9": [1.0, 1.0, 1.0, 0.04]}}
    rows = [row("a", kept=kept([""] * 4, shares)), row("b", kept=kept([], {OURS: {"1:1": []}}))]
    rows.append({"id": "c", "status": "corrupt"})
    figures = summarise(rows, resamples=100, seed=0)
    values = {name: value["mean"] for name, value in figures["integrity"][OURS].items()}
    assert values == pytest.approx({"whole": 5 / 8, "cut": 1 / 8, "lost": 2 / 8})
    assert figures["fairness"] == []
    edges = {OURS: {"1:1": [0.95, 0.05, 0.94, 0.04]}, "centre": {"1:1": [1.0] * 4}}
    found = summarise([row("a", kept=kept([""] * 4, edges))], 10, 0)["integrity"]
    assert list(found) == [OURS, "centre"]
    values = {name: value["mean"] for name, value in found[OURS].items()}
    assert values == pytest.approx({"whole": 1 / 4, "cut": 1 / 2, "lost": 1 / 4})


def photo(width: int, height: int) -> Photo:
    return Photo(np.zeros((4, 4, 3), np.uint8), width, height, "png", 1)


def found(*objects: tuple[str, list[float]]) -> Detections:
    rows = np.array([box for _, box in objects], np.float32).reshape(-1, 4)
    return Detections(rows, np.ones(len(rows), np.float32), [label for label, _ in objects])


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(300, 200, "landscape"), (200, 300, "portrait"), (204, 200, "square"), (400, 200, "panorama"),
     (100, 300, "panorama")],
)  # fmt: skip
def test_shape_tags(width: int, height: int, expected: str) -> None:
    assert tags(photo(width, height), found()) == [expected, "no people found", "no object"]
    assert expected in ORDER


def test_content_tags() -> None:
    picture = photo(1000, 1000)
    person, face = ("person", [100.0, 100, 500, 900]), ("face", [250.0, 120, 350, 240])
    assert tags(picture, found(face, person))[1:] == ["people", "one object"]
    dog, speck = ("dog", [600.0, 500, 900, 900]), ("dog", [10.0, 10, 60, 60])
    assert tags(picture, found(dog, speck))[1:] == ["no people found", "one object"]
    assert tags(picture, found(dog, person))[1:] == ["people", "several objects"]
    both = ("subject", [80.0, 80, 920, 920])  # a region that holds the two
    assert tags(picture, found(both, dog, person))[1:] == ["people", "several objects"]
