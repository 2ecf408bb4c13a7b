"""The dashboard and the alerts use metrics and labels that telemetry exports."""

import json
import re
from collections.abc import Iterator

import pytest

from pipeline.cropping.decide import LOW_CONFIDENCE
from pipeline.report.telemetry import CONFIDENCE, METRICS
from tests.infra.manifests import INFRA, ROOT, documents

NAME = re.compile(r"\bs2cnet_\w+")
HISTOGRAM = {f"{CONFIDENCE}_{part}": CONFIDENCE for part in ("bucket", "sum", "count")}


def expressions() -> Iterator[tuple[str, str]]:
    """(title, PromQL) of every panel and alert."""
    for panel in json.loads((INFRA / "grafana.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    (rules,) = documents("alerts.yaml")
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


EXPRESSIONS = list(expressions())


def figures_of(expression: str) -> set[str]:
    """The figures of telemetry that an expression uses; of a histogram its parts are named."""
    return {HISTOGRAM.get(name, name) for name in NAME.findall(expression)}


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_every_name_is_a_figure_of_telemetry(title: str, expression: str) -> None:
    assert CONFIDENCE not in NAME.findall(expression), "a histogram has no sample of its own name"
    names = figures_of(expression)
    assert names, title
    assert names <= set(METRICS), title


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_labels_are_those_of_the_figure(title: str, expression: str) -> None:
    labels = {label for name in figures_of(expression) for label in METRICS[name][1]}
    if f"{CONFIDENCE}_bucket" in expression:
        labels.add("le")
    by = {one for group in re.findall(r"by \(([\w, ]+)\)", expression) for one in group.split(", ")}
    asked = by | set(re.findall(r"[{,]\s*(\w+)\s*[!=]", expression))
    assert asked <= labels, title


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_rates_are_taken_of_counters_alone(title: str, expression: str) -> None:
    for name in re.findall(r"rate\((\w+)", expression):
        assert name.endswith("_total") or name in HISTOGRAM, title
    assert expression.count("(") == expression.count(")"), title


def test_a_single_number_is_0_where_no_series_has_the_label() -> None:
    """A run without a failure has no series of a failure: the sum of none is no number."""
    panels = json.loads((INFRA / "grafana.json").read_text())["panels"]
    single = [panel for panel in panels if panel["type"] in ("stat", "gauge")]
    expressions = [panel["targets"][0]["expr"] for panel in single]
    picked = [expression for expression in expressions if "{" in expression]
    assert len(picked) == 1
    assert all(re.match(r"\(sum\(\w+\{[^}]*\}\) or vector\(0\)\)", one) for one in picked)


def test_every_figure_is_drawn_somewhere() -> None:
    drawn = {name for _, expression in EXPRESSIONS for name in figures_of(expression)}
    assert drawn == set(METRICS)


def test_a_normal_share_of_low_confidence_wakes_nobody_for_guards() -> None:
    """Crops with low confidence are to be reviewed too, and there are some in every night."""
    (expression,) = (e for title, e in EXPRESSIONS if title == "CropRunGuardTrips")
    assert 'reason!="low_confidence"' in expression
    assert LOW_CONFIDENCE == "low_confidence"


def test_every_alert_leads_to_a_section_of_the_runbook() -> None:
    (rules,) = documents("alerts.yaml")
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in headings}
        assert anchor in anchors, rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
