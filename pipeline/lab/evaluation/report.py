"""The report of an evaluation: one JSON with every figure, one self-contained HTML page."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.errors import CropError
from pipeline.inputs.listing import read_image
from pipeline.lab.evaluation.photo import CONSENSUS, OTHER_PERSON, OURS, Row
from pipeline.lab.evaluation.plots import Bar, bars, scatter
from pipeline.lab.evaluation.published import published_for
from pipeline.lab.evaluation.summary import main_measure, photo_values
from pipeline.photo.decode import decode
from pipeline.photo.thumbnail import cut, encode

NAMES = {
    OURS: "S2CNet, this run",
    "gaic": "GAIC network, this run",
    "centre": "centre crop",
    "centre_90": "centre crop, 90 %",
    "largest": "largest crop",
    "anchor_prior": "anchor prior",
    "attention": "libvips attention",
    "entropy": "libvips entropy",
    OTHER_PERSON: "one other person",
    CONSENSUS: "the others' mean crop",
}
# Okabe and Ito's palette: people with any colour vision can tell these apart.
COLOURS = {OURS: "#d55e00", "centre": "#0072b2", "attention": "#009e73", CONSENSUS: "#999999"}
MEASURES = {
    "iou": ("IoU", "overlap with each person's crop, at that person's ratio"),
    "bde": ("BDE", "boundary displacement, a share of the side; lower is better"),
    "free_iou": ("IoU, free", "crop of free shape against the nearest person's"),
    "free_bde": ("BDE, free", "the same; lower is better"),
    "srcc": ("SRCC", "rank correlation of scores, per photo"),
    "pcc": ("PCC", "linear correlation of scores, per photo"),
    "acc5": ("Acc5", "share of the 1 to 4 best crops that are among people's 5 best"),
    "acc10": ("Acc10", "the same for people's 10 best"),
    "accw5": ("Acc5, weighted", "Acc5 that counts the order"),
    "accw10": ("Acc10, weighted", "Acc10 that counts the order"),
    "mos_of_best": ("MOS of best", "people's mean score of the crop put first"),
}
PHOTO_SIDE = 420  # px, long side of a photo on the page
SHOWN = 8  # best and worst photos, each

Report = dict[str, Any]


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write evaluation.json and report.html into `folder`; returns their paths.

    report: `summarise`'s figures with `rows`, `dataset`, `split`, `notes` and `run` (facts).
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures, page = folder / "evaluation.json", folder / "report.html"
    published = [vars(row) for row in published_for(report["dataset"])]
    figures.write_text(json.dumps({**report, "published": published}, indent=1), encoding="utf-8")
    page.write_text(render(report), encoding="utf-8")
    return figures, page


def render(report: Report) -> str:
    """The page as a string."""
    environment = Environment(
        loader=PackageLoader("pipeline.lab.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
    )
    main = main_measure(report)
    best, worst = best_and_worst(report["rows"], main)
    return environment.get_template("report.html.j2").render(
        report=report,
        names=NAMES,
        measures={key: MEASURES[key] for key in MEASURES if key in _measured(report)},
        all_measures=MEASURES,
        ours=OURS,
        main=main,
        published=published_for(report["dataset"]),
        plots=[Markup(plot) for plot in plots(report, main)],
        best=[card(row, main) for row in best],
        worst=[card(row, main) for row in worst],
    )


def plots(report: Report, main: str | None) -> list[str]:
    """Score against human score or photo against photo, and the slices."""
    rows = [row for row in report["rows"] if row["status"] == "ok"]
    drawn = []
    if scored := [row["scored"] for row in rows if row["scored"]]:
        mos = [value for row in scored for value in row["mos"]]
        predicted = [value for row in scored for value in row["predicted"]]
        drawn.append(
            scatter(mos, predicted, "people's mean score", "score of this run", COLOURS[OURS])
        )
    if main == "iou" and "centre" in report["measures"]:
        pairs = [photo_values(row) for row in rows if row["human"]]
        drawn.append(
            scatter(
                [values["centre"]["iou"] for values in pairs],
                [values[OURS]["iou"] for values in pairs],
                "IoU of the centre crop, per photo", "IoU of this run's crop",
                COLOURS[OURS], diagonal=True,
            )
        )  # fmt: skip
    if main and report["slices"]:
        drawn.append(slice_bars(report["slices"], main))
    return drawn


def slice_bars(slices: Mapping[str, Any], measure: str) -> str:
    """One block a slice: this run, the centre crop, libvips attention, the other people."""
    groups = []
    for tag, part in slices.items():
        block = [
            Bar(NAMES[method], colour=colour, **_interval(part["measures"][method][measure]))
            for method, colour in COLOURS.items()
            if measure in part["measures"].get(method, {})
        ]
        count = part["photos"]
        groups.append((f"{tag} ({count} photo{'' if count == 1 else 's'})", block))
    return bars(groups, f"{MEASURES[measure][0]} by kind of photo")


def best_and_worst(rows: Sequence[Row], main: str | None) -> tuple[list[Row], list[Row]]:
    """The photos this run does best and worst on, each photo once."""
    if main is None:
        return [], []
    judged = [row for row in rows if row["status"] == "ok" and main in _ours(row)]
    judged.sort(key=lambda row: (-_ours(row)[main], row["id"]))
    shown = min(SHOWN, (len(judged) + 1) // 2)
    return judged[:shown], judged[shown:][-SHOWN:][::-1]


def card(row: Row, main: str | None) -> dict[str, Any]:
    """A photo with a person's crop, this run's and the centre crop drawn on it."""
    boxes = human_boxes(row) if row["human"] else scored_boxes(row)
    return {
        "id": row["id"],
        "image": picture(row["file"]),
        "width": row["width"],
        "height": row["height"],
        "boxes": [{"kind": kind, **_rectangle(box)} for kind, box in boxes],
        "value": _ours(row).get(main or "", float("nan")),
        "tags": ", ".join(row["tags"]),
    }


def human_boxes(row: Row) -> list[tuple[str, list[float]]]:
    """The person with whom this run agrees least, and the crops at that person's ratio."""
    human = row["human"]
    ious = human["measures"][OURS]["iou"]
    person = ious.index(min(ious))
    found = [("person", human["boxes"][person]), ("ours", human["crops"][OURS][person])]
    if "centre" in human["crops"]:
        found.append(("centre", human["crops"]["centre"][person]))
    return found


def scored_boxes(row: Row) -> list[tuple[str, list[float]]]:
    """The crop people scored highest, and the one this run does."""
    scored = row["scored"]
    by_people = scored["mos"].index(max(scored["mos"]))
    by_us = scored["predicted"].index(max(scored["predicted"]))
    return [("person", scored["boxes"][by_people]), ("ours", scored["boxes"][by_us])]


def picture(file: str) -> str | None:
    """The photo, small, as a data URI; None where it can't be read any more."""
    try:
        photo = decode(read_image(file, None), view_side=PHOTO_SIDE)
        scale = min(1.0, PHOTO_SIDE / max(photo.width_px, photo.height_px))
        size = (max(1, round(photo.width_px * scale)), max(1, round(photo.height_px * scale)))
        whole = (0.0, 0.0, float(photo.width_px), float(photo.height_px))
        data = encode(cut(photo, whole, size), "jpeg", 80)
    except CropError:
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}"


def _ours(row: Row) -> dict[str, float]:
    return photo_values(row).get(OURS, {})


def _measured(report: Report) -> set[str]:
    return {name for measured in report["measures"].values() for name in measured}


def _interval(values: Mapping[str, float]) -> dict[str, float]:
    return {name: values[name] for name in ("mean", "low", "high")}


def _rectangle(box: Sequence[float]) -> dict[str, float]:
    x0, y0, x1, y1 = box
    return {"x": x0, "y": y0, "w": x1 - x0, "h": y1 - y0}
