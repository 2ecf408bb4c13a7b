"""The tables of a report: all measures at a glance, and figures with intervals by question."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any

from pipeline.lab.evaluation.acceptance import MIN_GAZE_SHARE, MIN_IOU
from pipeline.lab.evaluation.catalogue import (
    MEASURES,
    METHODS,
    OURS,
    measure_of,
    shape_key,
    shape_of,
)
from pipeline.lab.evaluation.copies import APART_IOU, COPIES, SAME_IOU
from pipeline.lab.evaluation.intervals import INTERVAL_PERCENT
from pipeline.lab.evaluation.published import published_for
from pipeline.lab.evaluation.reliability import ALL_CROPS
from pipeline.lab.evaluation.summary import keys_of
from pipeline.lab.evaluation.violations import KINDS
from pipeline.words import counted

AGREEMENT = [
    name
    for name, measure in MEASURES.items()
    if measure.on_page and not measure.per_shape and name not in KINDS
]
GLANCE_SHAPES = ("gaze_kept", "heads_out", "any violation")  # shown by shape in the glance table
COPIES_NOTE = f"copies ({', '.join(COPIES)})"
DISC = "Of a circle, its disc counts."
QUESTIONS = {  # measure: title and note of its table, one column for each shape
    "gaze_kept": ("Gaze kept", f"Share of people's fixations inside the crop. {DISC}"),
    "heads_cut": (
        "Heads cut",
        f"Share of all heads that are cut: 2 to 98 % of the box inside. {DISC}",
    ),
    "heads_lost": ("Heads lost", f"Share of all heads of which less than 2 % is inside. {DISC}"),
    "copies_same": (
        "Copies cropped alike",
        f"Share of {COPIES_NOTE} whose crop overlaps the photo's by an IoU of {SAME_IOU} or more.",
    ),
    "copies_apart": (
        "Copies cropped apart",
        f"Share of {COPIES_NOTE} whose crop overlaps the photo's by an IoU below {APART_IOU}.",
    ),
    "copies_iou": (
        "Overlap of copies",
        f"Mean IoU of the crops of {COPIES_NOTE} with the photo's.",
    ),
}

CALIBRATION = {  # figure: column header
    "ece": "calibration error",
    "auc": "AUC",
    "auc of margin": "AUC of margin",
    "brier": "Brier score",
    "brier of a constant": "Brier, constant",
}
CONFIDENCE_NOTE = (
    "Whether crops told to be accepted with a probability are accepted that often. Accepted: by "
    f"a person's crop, an IoU of at least {MIN_IOU} with it at that person's own ratio (for the "
    f"free shape, the share of people); by gaze, at least {MIN_GAZE_SHARE} of the fixations that "
    "the best crop of the shape keeps and, where heads were drawn, no head that counts cut by more "
    "than a tenth. Calibration error: mean distance of the plot's points from the line. AUC: the "
    "chance that an accepted crop has the higher confidence. Brier score: lower is better. Every "
    "photo counts the same; intervals are over photos. Photos that the networks learnt from look "
    "better than others: docs/QUALITY.md has figures out of fold."
)

FEWER_NOTE = "A figure with a number of photos below it covers only that many of them."

Report = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One figure: its text, the text below it, and the verdict better, worse or nothing."""

    text: str
    below: str = ""
    verdict: str = ""


@dataclass(frozen=True)
class TableLine:
    """One line of a table.

    kind: ours, published, shape or nothing. full_name: the name that stands alone, where `name`
    needs the lines above it.
    """

    name: str
    cells: list[Cell]
    kind: str = ""
    below: str = ""
    full_name: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the report. header: the column headers above the cells."""

    title: str
    note: str
    header: list[str]
    lines: list[TableLine]


def glance(report: Report) -> Table:
    """Tabulate every measure of every method, marked where ours is clearly better or worse."""
    methods = [method for method in METHODS if method in report["measures"]]
    lines = []
    for key in keys_of(report):
        measure, shape = measure_of(key), shape_of(key)
        if shape and key.removesuffix(f" {shape}") not in GLANCE_SHAPES:
            continue
        notes = [measure.unit, "lower is better" if measure.lower else ""]
        below = "" if shape else "; ".join(note for note in notes if note)
        ours, verdicts = _measured(report, OURS, key), report["verdicts"]
        cells = [
            _cell(
                _measured(report, method, key), measure.digits,
                verdict=verdicts.get(method, {}).get(key, ""), ours=ours,
            )
            for method in methods
        ]  # fmt: skip
        name, kind = (shape, "shape") if shape else (measure.name, "")
        lines.append(TableLine(name, cells, kind, below, shape_key(measure.name, shape).strip()))
    note = (
        "Means over photos. ▲: this run is better than that method; ▼: it is worse; the "
        f"{INTERVAL_PERCENT} % bootstrap interval of the difference, photo by photo, does not hold "
        f"0. {FEWER_NOTE}"
    )
    return Table("All measures at a glance", note, [METHODS[method] for method in methods], lines)


def tables(report: Report) -> list[Table]:
    """Build one table of figures with intervals for each question that was measured."""
    keys, made = keys_of(report), []
    if columns := {key: MEASURES[key].name for key in AGREEMENT if key in keys}:
        note = " ".join(f"{MEASURES[key].name}: {MEASURES[key].meaning}." for key in columns)
        table = _table("Agreement with people's crops", note, columns, report)
        table.lines.extend(_published(report["dataset"], list(columns)))
        made.append(table)
    shapes = list(dict.fromkeys(shape_of(key) for key in keys if shape_of(key)))
    for name, (title, note) in QUESTIONS.items():
        if name in keys:
            columns = {name: "mean"} | {shape_key(name, shape): shape for shape in shapes}
            made.append(_table(title, note, columns, report))
    if "any violation" in keys:
        columns = {key: key for key in (*KINDS, "any violation")}
        note = violations_note(report)
        made.append(_table("Violations per 100 crops", note, columns, report))
    if (calibrated := confidence_table(report)).lines:
        made.append(calibrated)
    return made


def confidence_table(report: Report) -> Table:
    """Tabulate the confidence's calibration, of all crops and by shape; empty without figures."""
    header = ["crops", "accepted", "mean confidence", *CALIBRATION.values()]
    lines = []
    for name, part in report.get("confidence", {}).get("parts", {}).items():
        counts = [Cell(str(part["crops"])), Cell(f"{part['accepted']:.3f}")]
        counts.append(Cell(f"{part['confidence']:.3f}"))
        cells = [*counts, *(_cell(part[key], 3, True) for key in CALIBRATION)]
        lines.append(TableLine(name, cells, "ours" if name == ALL_CROPS else "shape"))
    return Table("Confidence", CONFIDENCE_NOTE, header, lines)


def violations_note(report: Report) -> str:
    """Write the note on the evidence that violations were judged by."""
    found = [row["evidence"] for row in report["rows"] if "evidence" in row]
    heads, subjects = (
        " and ".join(sorted({evidence[part] for evidence in found}))
        for part in ("heads", "subject")
    )
    return (
        "Mean over the shapes. Of a circle its disc counts for heads and gaze, its square for "
        f"objects and text. Heads by: {heads}. The right subject by: {subjects}. Objects and "
        f"text by: the detector {report['run'].get('judge', 'of this run')}. A detector that the "
        "crops were also made with flatters them."
    )


def _table(title: str, note: str, columns: Mapping[str, str], report: Report) -> Table:
    lines = []
    for method, name in METHODS.items():
        cells = [
            _cell(
                _measured(report, method, key), measure_of(key).digits, spread=True,
                ours=_measured(report, OURS, key),
            )
            for key in columns
        ]  # fmt: skip
        if any(cell.below for cell in cells):
            lines.append(TableLine(name, cells, "ours" if method == OURS else ""))
    return Table(title, note, list(columns.values()), lines)


def _measured(report: Report, method: str, key: str) -> Mapping[str, float] | None:
    """Return the interval of a method's measure; None where it was not measured."""
    found: Mapping[str, float] | None = report["measures"].get(method, {}).get(key)
    return found


def _cell(
    interval: Mapping[str, float] | None,
    digits: int,
    spread: bool = False,
    verdict: str = "",
    ours: Mapping[str, float] | None = None,
) -> Cell:
    """Show one figure. ours: that of this run, which may be of more photos."""
    if interval is None or isnan(interval["mean"]):
        return Cell("–")
    below = [f"{interval['low']:.{digits}f} to {interval['high']:.{digits}f}"] if spread else []
    if ours is not None and ours["photos"] != interval["photos"]:
        below.append(counted(int(interval["photos"]), "photo"))
    return Cell(f"{interval['mean']:.{digits}f}", ", ".join(below), verdict)


def _published(dataset: str, columns: list[str]) -> list[TableLine]:
    return [
        TableLine(
            row.method,
            [_cell({"mean": row.values[key]} if key in row.values else None, 3) for key in columns],
            "published",
            f"published: {row.source}",
        )
        for row in published_for(dataset)
    ]
