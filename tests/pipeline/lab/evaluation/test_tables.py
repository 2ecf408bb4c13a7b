"""The tables of a report, from figures whose texts are known."""

from typing import Any

import pytest

from pipeline.lab.evaluation.catalogue import BEST, NETWORK, OURS
from pipeline.lab.evaluation.summary import summarise
from pipeline.lab.evaluation.tables import Cell, Table, confidence_table, glance, tables

NAN = float("nan")


def figure(mean: float, low: float = 0.1, high: float = 0.9, photos: int = 3) -> dict[str, float]:
    return {"mean": mean, "low": low, "high": high, "photos": photos}


def report(measures: dict[str, dict[str, Any]], **parts: Any) -> dict[str, Any]:
    return {
        "dataset": "photos",
        "measures": measures,
        "verdicts": {},
        "rows": [],
        "run": {},
        **parts,
    }


def named(made: list[Table], title: str) -> Table:
    (table,) = (one for one in made if one.title == title)
    return table


def test_a_figure_of_fewer_photos_says_of_how_many() -> None:
    """As of one person compared with others, where most photos have the crop of one."""
    measures = {
        OURS: {"iou": figure(0.5, photos=8)},
        "other_person": {"iou": figure(0.75, photos=2)},
    }
    (line,) = glance(report(measures)).lines
    assert line.cells == [Cell("0.500"), Cell("0.750", "2 photos")]
    (table,) = tables(report(measures))
    assert [one.cells[0].below.partition(", ")[2] for one in table.lines] == ["", "2 photos"]


def test_the_glance_has_a_line_for_each_measure_and_a_column_for_each_method() -> None:
    """Kept gaze, faults and heads out also by shape; the heads cut only as a mean."""
    measures = {
        "centre": {"iou": figure(0.7), "gaze_kept": figure(0.5), "gaze_kept 1:1": figure(0.25)},
        OURS: {
            "any violation": figure(12.25), "any violation 16:9": figure(7.0),
            "heads_cut": figure(0.0625), "heads_cut 1:1": figure(0.5),
            "heads_out": figure(0.125), "heads_out 1:1": figure(0.375),
            "gaze_kept": figure(0.75), "gaze_kept 1:1": figure(0.875),
            "iou": figure(0.8006), "acc1_5": figure(1.0), "bde": figure(0.01),
        },
    }  # fmt: skip
    verdicts = {"centre": {"iou": "better", "gaze_kept": "worse", "gaze_kept 1:1": "level"}}
    table = glance(report(measures, verdicts=verdicts))
    assert table.header == ["this run's choice", "centre crop"]  # in the catalogue's order
    none = Cell("–")
    found = [(one.name, one.full_name, one.kind, one.below, one.cells) for one in table.lines]
    assert found == [
        ("IoU", "IoU", "", "", [Cell("0.801"), Cell("0.700", "", "better")]),
        ("BDE", "BDE", "", "lower is better", [Cell("0.010"), none]),
        ("gaze kept", "gaze kept", "", "", [Cell("0.750"), Cell("0.500", "", "worse")]),
        ("1:1", "gaze kept 1:1", "shape", "", [Cell("0.875"), Cell("0.250", "", "level")]),
        ("heads cut or lost", "heads cut or lost", "", "lower is better", [Cell("0.125"), none]),
        ("1:1", "heads cut or lost 1:1", "shape", "", [Cell("0.375"), none]),
        ("heads cut", "heads cut", "", "lower is better", [Cell("0.062"), none]),
        ("any violation", "any violation", "", "per 100 crops; lower is better",
         [Cell("12.2"), none]),
        ("16:9", "any violation 16:9", "shape", "", [Cell("7.0"), none]),
    ]  # fmt: skip


def test_agreement_is_told_with_intervals_and_beside_what_others_published() -> None:
    measures = {
        OURS: {"srcc": figure(0.7512, 0.7, 0.8), "acc5": figure(NAN), "gaze_kept": figure(0.5)},
        NETWORK: {"srcc": figure(0.625, 0.5, 0.75)},
        BEST: {"gaze_kept": figure(0.9)},
    }
    made = tables(report(measures, dataset="gaicv1"))
    table = named(made, "Agreement with people's crops")
    assert table.header == ["SRCC", "Acc5"]
    assert table.note.startswith("SRCC: rank correlation of scores, per photo. Acc5: share of the")
    ours, network, *published = table.lines  # nothing of the best possible is asked here
    assert (ours.name, ours.kind) == ("this run's choice", "ours")
    assert ours.cells == [Cell("0.751", "0.700 to 0.800"), Cell("–")]
    assert (network.name, network.kind, network.below) == ("S2CNet's score alone", "", "")
    assert network.cells == [Cell("0.625", "0.500 to 0.750"), Cell("–")]
    assert [(line.name, line.kind) for line in published] == [
        ("S2CNet", "published"), ("GAIC, MobileNetV2", "published"),
    ]  # fmt: skip
    assert published[0].below == "published: Su et al., AAAI 2024"
    # Of an SRCC of .793 and an Acc5 of 61.0 %: in the units of the other lines.
    assert published[0].cells == [Cell("0.793"), Cell("0.610")]
    assert tables(report({OURS: {"srcc": figure(0.5)}}))[0].lines[1:] == []


def test_gaze_and_heads_have_a_column_for_each_shape() -> None:
    measures = {
        OURS: {
            "gaze_kept": figure(0.5), "gaze_kept 1:1": figure(0.25), "gaze_kept 16:9": figure(0.75),
            "heads_lost": figure(0.125), "heads_lost 1:1": figure(0.125),
        },
        BEST: {"gaze_kept": figure(1.0), "gaze_kept 16:9": figure(0.875)},
    }  # fmt: skip
    made = tables(report(measures))
    assert [one.title for one in made] == ["Gaze kept", "Heads lost"]
    gaze, heads = made
    assert gaze.header == heads.header == ["mean", "1:1", "16:9"]
    assert "Of a circle, its disc counts." in gaze.note
    told = {line.name: [cell.text for cell in line.cells] for line in gaze.lines}
    assert told == {
        "this run's choice": ["0.500", "0.250", "0.750"], "best possible": ["1.000", "–", "0.875"],
    }  # fmt: skip
    assert [[cell.text for cell in line.cells] for line in heads.lines] == [["0.125", "0.125", "–"]]


def test_violations_are_told_with_the_evidence_for_them() -> None:
    measures = {OURS: {"head cut": figure(12.5, 5, 20), "any violation": figure(25.0, 10, 40)}}
    rows = [
        {"evidence": {"heads": "people", "subject": "gaze"}},
        {"evidence": {"heads": "detector", "subject": "gaze"}},
        {"status": "corrupt"},
    ]
    (table,) = tables(report(measures, rows=rows, run={"judge": "boxes"}))
    assert table.title == "Violations per 100 crops"
    kinds = ["head cut", "face lost", "subject halved", "text cut", "wrong subject"]
    assert table.header == [*kinds, "any violation"]
    (line,) = table.lines
    none = [Cell("–")] * 4
    assert line.cells == [Cell("12.5", "5.0 to 20.0"), *none, Cell("25.0", "10.0 to 40.0")]
    assert "Heads by: detector and people. The right subject by: gaze." in table.note
    assert "the detector boxes." in table.note
    (table,) = tables(report(measures, rows=rows))
    assert "the detector of this run." in table.note


def test_confidence_is_a_table_where_somebody_was_asked() -> None:
    entry = {"shape": "1:1", "accepted": 1.0, "confidence": 0.75, "margin": None}
    refused = {**entry, "shape": "9:16", "accepted": 0.0, "confidence": 0.25}
    rows = [{"id": name, "status": "ok", "acceptance": [entry, refused]} for name in "ab"]
    made = report({}, **{"confidence": summarise(rows, 10, 0)["confidence"]})
    (table,) = tables(made)
    assert table == confidence_table(made)
    assert table.title == "Confidence"
    columns = ["crops", "accepted", "mean confidence", "calibration error", "AUC", "AUC of margin",
               "Brier score", "Brier, constant"]  # fmt: skip
    assert table.header == columns
    everything, square, tall = table.lines
    assert [(line.name, line.kind) for line in table.lines] == [
        ("all crops", "ours"), ("1:1", "shape"), ("9:16", "shape"),
    ]  # fmt: skip
    # Each crop's confidence is off by .25; the constant is .5.
    texts = ["4", "0.500", "0.500", "0.250", "1.000", "0.500", "0.062", "0.250"]
    assert [cell.text for cell in everything.cells] == texts
    assert everything.cells[3].below == "0.250 to 0.250"
    assert [cell.text for cell in square.cells[:5]] == ["2", "1.000", "0.750", "0.250", "–"]
    assert tall.cells[1].text == "0.000"


@pytest.mark.parametrize("value", [figure(NAN, NAN, NAN), None])
def test_what_is_not_defined_is_a_dash(value: dict[str, float] | None) -> None:
    measures = {OURS: {"iou": figure(0.5)} | ({"bde": value} if value else {})}
    measures["centre"] = {"bde": figure(0.5)}
    cells = {line.name: line.cells for line in glance(report(measures)).lines}
    assert cells["BDE"] == [Cell("–"), Cell("0.500")]
