"""Figures of what changed between two runs, each counted by hand."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.cli.runs import main
from pipeline.report.diff.figures import error_change, slice_figures, slice_sums
from tests.support.browser import Tab, browse
from tests.support.compared import diff_figures, joined
from tests.support.row_runs import commit_rows, crop_row, image_row


def test_a_photo_with_new_content_does_not_count_as_a_change_of_confidence(tmp_path: Path) -> None:
    """Unless whether its content changed is not known, as for overlaps."""
    contents = {"same": ("one", "one"), "other": ("one", "two"), "unknown": ("one", None)}
    sure = {"same": (0.5, 0.6), "other": (0.2, 0.9), "unknown": (0.5, 0.3)}
    runs = [
        commit_rows(
            tmp_path / "out",
            [image_row(f"{name}/a", content_sha256=both[n]) for name, both in contents.items()],
            [
                crop_row(f"{name}/a", "1:1", (0, 0, 200, 200), confidence=both[n])
                for name, both in sure.items()
            ],
            settings={"top_k": n + 1},
        )
        for n in (0, 1)
    ]
    figures = diff_figures(joined(*runs))
    told = figures["confidence"]
    assert (told["delta"], told["both"]) == (pytest.approx((0.1 + 0.7 - 0.2) / 3), 3)
    assert (told["delta_same_content"], told["both_same_content"]) == (pytest.approx(-0.05), 2)
    folders = {one["name"]: one for one in figures["slices"]["folder"]}
    names = ("confidence_delta", "confidence_delta_same_content")
    assert [folders["other"][name] for name in names] == [pytest.approx(0.7), None]
    assert [folders["same"][name] for name in names] == [pytest.approx(0.1)] * 2


def test_a_picture_that_a_setting_leaves_out_has_not_begun_to_fail(tmp_path: Path) -> None:
    """Left out is neither a failure nor the end of one that went well."""
    statuses = {"a": ("corrupt", "skipped_animated"), "b": ("ok", "skipped_animated")}
    statuses |= {"c": ("skipped_animated", "corrupt"), "d": ("skipped_animated", "ok")}
    old, new = (
        commit_rows(
            tmp_path / "out",
            [image_row(name, status=both[at]) for name, both in statuses.items()],
            [],
            settings={"top_k": 1 + at},
        )
        for at in (0, 1)
    )
    compared = joined(old, new)
    assert diff_figures(compared)["errors"] == {
        "new": {"corrupt": 1},
        "gone": {"corrupt": 1},
        "other": {},
    }
    change = dict(zip(compared.photos["uri"], error_change(compared.photos), strict=True))
    assert change == {"a": "gone", "b": "", "c": "new", "d": ""}


def test_a_slice_shows_its_commonest_values_first() -> None:
    ratios = ["a", "c", "b", "c", "c", "b", *(f"d{n:02}" for n in range(60))]
    columns = ("change", "verdict_old", "verdict_new", "iou", "delta", "delta_same_content")
    crops = pd.DataFrame({"ratio": ratios, **dict.fromkeys(columns)})
    parts = slice_figures(slice_sums(crops, "ratio"))
    assert [(part["name"], part["crops"]) for part in parts[:4]] == [
        ("c", 3),
        ("b", 2),
        ("a", 1),
        ("d00", 1),
    ]
    assert len(parts) == 40


def test_the_page_says_how_many_values_of_a_slice_it_leaves_out(tmp_path: Path) -> None:
    """Of 41 folders the one with a single crop is not among the 40 shown; nothing has changed."""
    uris = [f"f{n:02}/{name}" for n in range(41) for name in ("a", "b")][:-1]
    crops = [crop_row(uri, "1:1", (0, 0, 20, 20)) for uri in uris]
    runs = [
        commit_rows(tmp_path / "out", list(map(image_row, uris)), crops, settings={"top_k": n})
        for n in (1, 2)
    ]
    found = diff_figures(joined(*runs))
    assert found["slice_values"] == {"shape": 1, "kind": 1, "format": 1, "size": 1, "folder": 41}
    assert [one["name"] for one in found["slices"]["folder"]] == [f"f{n:02}" for n in range(40)]
    ids = [run.manifest["run_id"] for run in runs]
    page = tmp_path / "page"
    assert main(["diff", str(tmp_path / "out"), *ids, "--html", str(page)]) == 0
    card, text = "document.querySelector('.slicecard').innerText", "document.body.innerText"

    async def look(tab: Tab) -> None:
        await tab.open(
            (page / "index.html").as_uri() + "#/?slice=folder", f"{text}.includes('No ')"
        )
        assert "those 40 of 41 with the most crops" in await tab.run(card)
        assert "No photo changed." in await tab.run(text)
        assert "Show all" not in await tab.run(text)
        await tab.open((page / "index.html").as_uri(), f"{text}.includes('No ')")
        assert "those" not in await tab.run(card)
        assert tab.problems == []

    browse(look)
