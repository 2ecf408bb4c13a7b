"""The report of an evaluation: one JSON with every figure, one self-contained HTML page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.lab.evaluation.cards import best_and_worst, card
from pipeline.lab.evaluation.catalogue import CONSENSUS, MEASURES, METHODS, NETWORK, OURS
from pipeline.lab.evaluation.plots import Bar, bars, reliability_plot, scatter
from pipeline.lab.evaluation.published import published_for
from pipeline.lab.evaluation.summary import not_judged, photo_values, sort_measure
from pipeline.lab.evaluation.tables import Report, glance, tables
from pipeline.lab.json_text import json_text
from pipeline.output_files import write_text_atomic
from pipeline.report.inline import PALETTE
from pipeline.words import counted

COLOURS = {
    OURS: PALETTE["vermilion"],
    "centre": PALETTE["blue"],
    "attention": PALETTE["green"],
    CONSENSUS: PALETTE["grey"],
}


def report_files(folder: Path) -> tuple[Path, Path]:
    """Return the paths of the figures and of the page in an output folder."""
    return folder / "evaluation.json", folder / "report.html"


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write evaluation.json and report.html into `folder`; return their paths.

    An undefined figure is null in the JSON and a dash on the page.

    report: `summarise`'s figures with `rows`, `dataset`, `split`, `notes` and `run` (facts).
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures, page = report_files(folder)
    published = [vars(row) for row in published_for(report["dataset"])]
    write_text_atomic(figures, json_text({**report, "published": published}, 1))
    write_text_atomic(page, render_report(report))
    return figures, page


def render_report(report: Report) -> str:
    """Render the page as a string."""
    environment = Environment(
        loader=PackageLoader("pipeline.lab.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
    )
    shown_by = sort_measure(report)
    best, worst = best_and_worst(report["rows"], shown_by)
    return environment.get_template("report.html.j2").render(
        report=report,
        glance=glance(report),
        tables=tables(report),
        methods=METHODS,
        counted=counted,
        not_judged=[told for _, _, told in not_judged(report["rows"])],
        ours=OURS,
        shown_by=shown_by,
        measures=MEASURES,
        plots=[Markup(plot) for plot in plots(report, shown_by)],
        best=[card(row, shown_by) for row in best],
        worst=[card(row, shown_by) for row in worst],
    )


def plots(report: Report, shown_by: str | None) -> list[str]:
    """Draw scores against people's, our measure against the centre crop's, confidence, slices."""
    rows = [row for row in report["rows"] if row["status"] == "ok"]
    drawn = []
    if scored := [row["scored"] for row in rows if row.get("scored")]:
        mos = [value for row in scored for value in row["mos"]]
        predicted = [value for row in scored for value in row["predicted"][NETWORK]]
        label = "S2CNet's score"
        drawn.append(scatter(mos, predicted, "people's mean score", label, COLOURS[OURS]))
    if shown_by and shown_by != "srcc" and "centre" in report["measures"]:
        pairs = [photo_values(row) for row in rows]
        pairs = [both for both in pairs if shown_by in both.get("centre", {})]
        name = MEASURES[shown_by].name
        drawn.append(
            scatter(
                [both["centre"][shown_by] for both in pairs],
                [both[OURS][shown_by] for both in pairs],
                f"{name} of the centre crop, per photo", f"{name} of this run's crop",
                COLOURS[OURS], diagonal=True,
            )
        )  # fmt: skip
    if confidence := report.get("confidence"):
        drawn.append(reliability_plot(confidence["bins"], COLOURS[OURS]))
    if shown_by and report["slices"]:
        drawn.append(slice_bars(report["slices"], shown_by))
    return drawn


def slice_bars(slices: Mapping[str, Any], measure: str) -> str:
    """Draw one block per slice: this run, the centre crop, libvips attention, other people."""
    groups = []
    for tag, part in slices.items():
        block = [
            Bar(METHODS[method], colour=colour, **_interval(part["measures"][method][measure]))
            for method, colour in COLOURS.items()
            if measure in part["measures"].get(method, {})
        ]
        groups.append((f"{tag} ({counted(part['photos'], 'photo')})", block))
    return bars(groups, f"{MEASURES[measure].name} by kind of photo")


def _interval(values: Mapping[str, float]) -> dict[str, float]:
    return {name: values[name] for name in ("mean", "low", "high")}
