"""The report: every figure in it, self-contained, and no stranger's text as markup."""

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.lab.evaluation.cards import best_and_worst
from pipeline.lab.evaluation.catalogue import CONSENSUS, NETWORK, OURS
from pipeline.lab.evaluation.job import log_measures
from pipeline.lab.evaluation.report import plots, render_report, slice_bars, write_report
from pipeline.lab.evaluation.summary import summarise
from pipeline.report.progress import Log
from tests.support.accessible import heading_levels, low_contrasts, names, skips_no_level
from tests.support.browser import Tab, browse
from tests.support.plots import markers, values


def human_row(name: str, file: str, ours: float) -> dict[str, Any]:
    box = [1.0, 2.0, 31.0, 22.0]
    return {
        "id": name, "file": file, "status": "ok", "message": "", "width": 40, "height": 24,
        "tags": ["landscape"], "objects": [], "scored": None, "kept": None,
        "human": {
            "boxes": [box], "crops": {OURS: [box], "centre": [box]},
            "measures": {OURS: {"iou": [ours], "bde": [0.1]}, "centre": {"iou": [0.5]}},
            "free": {"box": box, "measures": {"free_iou": 0.625, "free_bde": 0.05}},
        },
    }  # fmt: skip


@pytest.fixture
def report(tmp_path: Path) -> dict[str, Any]:
    photo = tmp_path / "p.png"
    Image.new("RGB", (40, 24), (10, 90, 200)).save(photo)
    rows = [human_row(f"photo{i}", str(photo), 0.3 + 0.05 * i) for i in range(5)]
    rows.append(human_row("<script>alert(1)</script>", "gone.png", 0.9))
    rows.append({"id": "bad", "file": "x", "status": "corrupt", "message": "…"})
    return {
        "dataset": "flms", "split": "test", "notes": ["3 photos were left out"],
        "run": {"weights": "starter 0123", "detector": "embedded", "ratios": "1:1"},
        **summarise(rows, 50, 0), "rows": rows,
    }  # fmt: skip


def test_files(report: dict[str, Any], tmp_path: Path) -> None:
    figures, page = write_report(report, tmp_path / "new" / "folder")
    content = json.loads(figures.read_text())
    assert content["measures"][OURS]["iou"]["mean"] == pytest.approx((0.3 * 5 + 0.5 + 0.9) / 6)
    assert content["published"][0]["method"] == "CACNet"
    assert (figures, page) == tuple(
        tmp_path / "new/folder" / name for name in ("evaluation.json", "report.html")
    )
    assert len(content["rows"]) == 7
    assert "0.483" in page.read_text()


def test_photos_without_figures_are_told_in_words(report: dict[str, Any]) -> None:
    outside = {"status": "boxes_outside", "message": "nothing of <i>head 0</i> is inside"}
    rows = [{"id": name, "file": name, **outside} for name in "xy"]
    report |= {"rows": report["rows"] + rows}
    told = re.findall(r'<p class="warning">(.*?)</p>', render_report(report))
    end = "No figure here counts them; evaluation.json has the reason of each photo."
    assert told == [
        "Not judged: 2 photos, boxes outside; x: nothing of &lt;i&gt;head 0&lt;/i&gt; is inside. "
        + end,
        f"Not judged: 1 photo, corrupt; bad: …. {end}",
    ]


def test_a_figure_that_is_not_defined_is_null(report: dict[str, Any], tmp_path: Path) -> None:
    """People accept all crops, so none has to have more confidence than another."""
    for row in report["rows"][:5]:
        entry = {"shape": "1:1", "accepted": 1.0, "confidence": 0.5, "margin": 0.1}
        row["acceptance"] = [entry]
    report |= summarise(report["rows"], 50, 0)

    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} is no JSON")

    figures, page = write_report(report, tmp_path)
    content = json.loads(figures.read_text(), parse_constant=refuse)
    told = content["confidence"]["parts"]["all crops"]
    assert told["auc"] == {"mean": None, "low": None, "high": None, "photos": 5}
    assert told["accepted"] == 1
    assert "nan" not in re.sub(r"base64,[^\"]*", "", page.read_text()).lower().split()
    assert "nan to nan" not in page.read_text()


def test_page_holds_all_and_loads_nothing(report: dict[str, Any]) -> None:
    page = render_report(report)
    for text in ("6 of 7 photos judged", "3 photos were left out", "1 photo, corrupt",
                 "published: Hong et al., CVPR 2021", "0.854", "0.625", "centre crop"):  # fmt: skip
        assert text in page, text
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page)
    assert page.count("data:image/jpeg;base64,") == 5  # the sixth photo is gone
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "Untrained network" not in page
    report["run"]["weights"] = "untrained gaicv1, seed 0"
    assert "Untrained network" in render_report(report)


def test_every_measure_is_in_the_headline(report: dict[str, Any]) -> None:
    """Where this run is worse it says so, beside where it is better."""
    for row, out in zip(report["rows"], (0.2, 0.3, 0.1, 0.2, 0.3, 0.4), strict=False):
        row["evidence"] = {"heads": "people", "subject": "gaze"}
        row["shapes"] = {
            method: {"1:1": {"box": [0, 0, 24, 24], "measures": {
                "gaze_kept": kept, "heads_out": lost, "head cut": cut, "any violation": 100.0}}}
            for method, kept, lost, cut in ((OURS, 0.9, out, 100.0), ("centre", 0.8, 0.1, 0.0))
        }  # fmt: skip
    page = render_report({**report, **summarise(report["rows"], 50, 0)})
    glance = page.split('"All measures at a glance">')[1].split("</table>")[0]
    lines = re.findall(r'<tr[^>]*><th scope="row">(.*?)</tr>', glance, re.DOTALL)
    told = {
        line.split("<")[0]: re.findall(r"<td>([^<]*(?:<span[^>]*>[^<]*)?)", line) for line in lines
    }
    better, worse = (
        f'<span class="{word}" role="img" aria-label="this run is {word}">'
        for word in ("better", "worse")
    )
    assert told["gaze kept"] == ["0.900", f"0.800{better} ▲"]
    assert told["heads cut or lost"] == ["0.250", f"0.100{worse} ▼"]
    assert told["head cut"] == ["100.0", f"0.0{worse} ▼"]
    assert told["any violation"] == ["100.0", "100.0"]
    assert told["1:1"] == ["100.0", "100.0"]  # the last of the shapes' lines
    assert set(told) >= {"IoU", "BDE", "IoU, free", "BDE, free"}
    assert "Heads by: people. The right subject by: gaze." in page


def test_a_line_of_the_terminal_names_measure_and_shape(report: dict[str, Any]) -> None:
    """Each stands alone there, and in the JSON of a log."""
    for row in report["rows"][:6]:
        row["shapes"] = {
            OURS: {
                "1:1": {"box": [0, 0, 24, 24], "measures": {"gaze_kept": 0.5, "heads_out": 0.25}}
            }
        }
    told, said = StringIO(), StringIO()
    made = {**report, **summarise(report["rows"], 50, 0)}
    log_measures(made, Log("json", told))
    values = {
        line["measure"]: line["values"] for line in map(json.loads, told.getvalue().splitlines())
    }
    assert values["gaze kept 1:1"] == {"this run's choice": "0.500"}
    assert values["heads cut or lost 1:1"] == {"this run's choice": "0.250"}
    assert values["IoU"] == {"this run's choice": "0.483", "centre crop": "0.500"}
    assert not any(name.startswith("1:1") for name in values)
    log_measures(made, Log(stream=said))
    assert "\ngaze kept 1:1 " in said.getvalue()
    assert re.search(r"\nheads cut or lost  .* \(lower is better\)\n", said.getvalue())
    (method,) = made["verdicts"]
    made["verdicts"] = {method: {"iou": "better"}}
    log_measures(made, Log(stream=said))
    assert "centre crop 0.500 (this run is better)\n" in said.getvalue()


def titles(drawn: list[str]) -> list[str]:
    """The names of plots."""
    return [re.findall("<title>(.*?)</title>", plot)[0] for plot in drawn]


def test_plots_show_what_was_measured(report: dict[str, Any]) -> None:
    both = "IoU of this run's crop against IoU of the centre crop, per photo"
    assert titles(plots(report, "iou")) == [both, "IoU by kind of photo"]
    assert titles(plots({**report, "slices": {}}, "iou")) == [both]
    assert titles(plots(report, None)) == []
    alone = {name: of for name, of in report["measures"].items() if name == OURS}
    assert titles(plots({**report, "measures": alone}, "iou")) == ["IoU by kind of photo"]
    bins = [{"confidence": 0.5, "accepted": 0.5, "low": 0.5, "high": 0.5, "share": 1.0}]
    asked = plots({**report, "slices": {}, "confidence": {"bins": bins}}, "iou")
    assert titles(asked)[1:] == ["Reliability: share of crops accepted against their confidence"]
    assert "#d55e00" in asked[1]
    scored = {
        "mos": [1, 2], "predicted": {OURS: [0, -1], NETWORK: [0.25, 0.75]},
        "measures": {OURS: {"srcc": 0.5}, "centre": {"srcc": 0.25}},
    }  # fmt: skip
    rows = [{**report["rows"][0], "scored": scored, "human": None}]
    made = {**report, **summarise(rows, 10, 0), "rows": [*rows, report["rows"][-1]]}
    by_people = "S2CNet's score against people's mean score"
    assert titles(plots(made, "srcc")) == [by_people, "SRCC by kind of photo"]


def test_points_of_a_plot_are_photos_that_both_methods_have(report: dict[str, Any]) -> None:
    """Six of the seven photos could be judged, and of one of them the centred crop was not."""
    del report["rows"][5]["human"]["measures"]["centre"]
    points = markers(plots({**report, "slices": {}}, "iou")[0], "#d55e00")
    svg = plots({**report, "slices": {}}, "iou")[0]
    found = sorted(map(tuple, np.round(values(svg, points), 3).tolist()))
    assert found == [(0.5, 0.3), (0.5, 0.35), (0.5, 0.4), (0.5, 0.45), (0.5, 0.5)]
    assert "stroke: #808080" in svg  # with the diagonal


def test_slices_are_bars_of_this_run_and_of_its_references(report: dict[str, Any]) -> None:
    figure = {"mean": 0.5, "low": 0.25, "high": 0.75, "photos": 2}
    methods = (OURS, "centre", "attention", "largest", CONSENSUS)
    slices = {
        "square": {"photos": 2, "measures": {name: {"iou": figure} for name in methods}},
        "portrait": {"photos": 1, "measures": {OURS: {"iou": figure}, "centre": {"bde": figure}}},
    }
    svg = slice_bars(slices, "iou")
    told = re.findall(r">([^<>\n]+)</text>", svg)
    assert {"square (2 photos)", "portrait (1 photo)"} <= {*told}
    assert told.count("this run's choice") == 2
    for name in ("centre crop", "libvips attention", "the others' mean crop"):
        assert told.count(name) == 1
    assert "largest crop" not in told
    # Vermilion, blue, green and grey, as Okabe and Ito name them.
    drawn = {colour: svg.count(f'style="fill: {colour}"') for colour in
             ("#d55e00", "#0072b2", "#009e73", "#999999")}  # fmt: skip
    assert drawn == {"#d55e00": 2, "#0072b2": 1, "#009e73": 1, "#999999": 1}


def test_best_and_worst_are_different_photos(report: dict[str, Any]) -> None:
    best, worst = best_and_worst(report["rows"], "iou")
    assert [row["id"] for row in best] == ["<script>alert(1)</script>", "photo4", "photo3"]
    assert [row["id"] for row in worst] == ["photo0", "photo1", "photo2"]
    assert best_and_worst(report["rows"], None) == ([], [])


def test_a_report_without_any_judged_photo(report: dict[str, Any]) -> None:
    rows = report["rows"][-1:]
    page = render_report({**report, **summarise(rows, 10, 0), "rows": rows})
    assert "0 of 1 photo judged" in page
    assert "Best photos" not in page


def test_the_page_fits_a_telephone_and_paper(report: dict[str, Any], tmp_path: Path) -> None:
    _, page = write_report(report, tmp_path)
    cut = (
        "[...document.querySelectorAll('.scroll')]"
        ".filter((part) => part.scrollWidth > part.clientWidth).length"
    )

    async def look(tab: Tab) -> None:
        await tab.window(390, 844)
        await tab.open(page.as_uri(), "document.querySelector('.plots svg')")
        assert await tab.run("document.documentElement.scrollWidth") == 390
        await tab.window(720, 1000)  # a sheet of A4 between its margins
        assert await tab.run(cut) > 0
        await tab.send("Emulation.setEmulatedMedia", media="print")
        assert await tab.run(cut) == 0
        assert tab.problems == []

    browse(look)


def test_the_page_can_be_read_by_everybody(report: dict[str, Any], tmp_path: Path) -> None:
    """Contrasts in both schemes, names, headings, and tables that the keyboard can scroll."""
    for row in report["rows"][:6]:
        row["shapes"] = {
            method: {"1:1": {"box": [0, 0, 24, 24], "measures": {"gaze_kept": kept}}}
            for method, kept in ((OURS, 0.9), ("centre", 0.8))
        }
    _, page = write_report({**report, **summarise(report["rows"], 50, 0)}, tmp_path)
    heads = "[...document.querySelectorAll('tbody tr')].map((row) => row.cells[0].scope)"
    keys = "[...document.querySelectorAll('.key')].map((key) => getComputedStyle(key, '::before')"
    keys += ".borderTopColor)"

    async def look(tab: Tab) -> None:
        for dark in (False, True):
            await tab.window(390, 844, dark)
            await tab.open(page.as_uri(), "document.querySelector('.plots svg')")
            found = await low_contrasts(tab)
            assert found["low"] == []
            assert found["texts"] > 50
        assert [role for role, name in await names(tab) if not name] == []
        assert len(await names(tab, "main")) == 1
        assert skips_no_level(await heading_levels(tab))
        assert {*await tab.run(heads)} == {"row"}
        pictures = [name for _, name in await names(tab, "image")]
        assert "this run is better" in pictures
        assert "IoU by kind of photo" in pictures  # a plot
        await tab.run("document.querySelector('.scroll').focus()")
        assert await tab.run("document.activeElement.className") == "scroll"
        # As on the photos: vermilion for this run, sky blue for the centre, white for people.
        assert await tab.run(keys) == ["rgb(213, 94, 0)", "rgb(86, 180, 233)", "rgb(255, 255, 255)"]

    browse(look)
