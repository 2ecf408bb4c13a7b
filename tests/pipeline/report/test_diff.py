"""Two runs compared: every kind of change, figures by hand, and the pages in a browser."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from pipeline import open_run
from pipeline.cli.runs import main
from pipeline.ledger.reader import Run
from pipeline.report.diff.compare import ComparedRuns, compared_parts
from pipeline.report.diff.most_changed import MostChanged
from tests.support.browser import Tab, browse
from tests.support.compared import diff_figures, joined
from tests.support.row_runs import commit_rows, crop_row, image_row, preview_row

GOLDEN = Path(__file__).parents[2] / "golden" / "runs" / "release_0_1_0"
GREEN, RED, BLUE = (40, 160, 60), (200, 30, 40), (30, 60, 200)
HOSTILE = "u/<img src=x onerror=document.title='owned'>.jpg"
NAMES = ["u/same.jpg", HOSTILE, "u/moved.jpg", "v/encoded.jpg", "v/changed.jpg", "v/breaks.jpg"]
Row = dict[str, Any]


def photo(uri: str, content: str, **more: Any) -> Row:
    return image_row(uri, (400, 300), content_sha256=content, kind="photo", **more)


def crop(uri: str, left: float, colour: tuple[int, int, int] = RED, **more: Any) -> Row:
    """A crop of 200 x 200 whose left edge is given."""
    return crop_row(uri, "1:1", (left, 0, left + 200, 200), colour, **more)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run, Run]:
    """Two runs over seven photos. One is only in the old, one only in the new run."""
    folder = tmp_path_factory.mktemp("diff") / "out"
    ok = {"verdict": "ok", "confidence": 0.8}
    bad = {"verdict": "review", "reason": "head_cut", "confidence": 0.5}
    before = [photo(name, "one") for name in [*NAMES, "w/gone.jpg"]]
    crops = [crop(name, 0, **ok) for name in [*NAMES, "w/gone.jpg"]]
    previews = [preview_row(name, GREEN) for name in [*NAMES, "w/gone.jpg"]]
    old = commit_rows(folder, before, crops, previews, settings={"top_k": 1})

    after = [photo(name, "one") for name in NAMES[:4]]
    after += [photo("v/changed.jpg", "two"), photo("w/late.jpg", "one")]
    after.append(image_row("v/breaks.jpg", None, status="truncated", error_message="ends early"))
    crops = [
        crop("u/same.jpg", 0, **ok),
        crop(HOSTILE, 100, **bad),
        crop("u/moved.jpg", 20, BLUE, **ok),
        crop("v/encoded.jpg", 0, BLUE, **ok),
        crop("v/changed.jpg", 100, BLUE, **ok),
        crop("w/late.jpg", 0, **ok),
    ]
    shown = [preview_row(row["uri"], GREEN) for row in after[:4]]
    shown.append(preview_row("v/changed.jpg", BLUE))
    new = commit_rows(folder, after, crops, shown, settings={"top_k": 2})
    return folder, old, new


@pytest.fixture(scope="module")
def compared(both: tuple[Path, Run, Run]) -> ComparedRuns:
    return joined(*both[1:])


def test_every_sort_of_change_is_told_apart(compared: ComparedRuns) -> None:
    by_uri = {row.uri: (row.change, row.iou) for row in compared.crops.itertuples()}
    changes = {uri: change for uri, (change, _) in by_uri.items()}
    assert changes == {
        "u/same.jpg": "same",
        HOSTILE: "moved",
        "u/moved.jpg": "moved",
        "v/encoded.jpg": "re-encoded",
        "v/changed.jpg": "changed photo",
        "v/breaks.jpg": "only old",
        "w/gone.jpg": "only old",
        "w/late.jpg": "only new",
    }
    # Moved by 100 of 200: they share 100, the union is 300. By 20: 180 of 220.
    assert by_uri[HOSTILE][1] == pytest.approx(1 / 3)
    assert by_uri["u/moved.jpg"][1] == pytest.approx(180 / 220)
    assert by_uri["v/encoded.jpg"][1] == 1
    assert by_uri["v/changed.jpg"][1] != by_uri["v/changed.jpg"][1]  # not a number


@pytest.mark.parametrize("in_parts", [False, True])
def test_the_figures_are_those_counted_by_hand(
    both: tuple[Path, Run, Run], monkeypatch: pytest.MonkeyPatch, in_parts: bool
) -> None:
    if in_parts:
        monkeypatch.setattr("pipeline.ledger.coverage.key_ranges.RANGE_ROWS", 2)
    parts = list(compared_parts(*both[1:]))
    assert len(parts) == (16 if in_parts else 1)
    figures = diff_figures(*parts)
    assert figures["changes"] == {
        "same": 1, "re-encoded": 1, "moved": 2, "changed photo": 1, "only old": 2, "only new": 1,
    }  # fmt: skip
    overlaps = (1 + 1 / 3 + 180 / 220 + 1) / 4
    assert figures["overlap"]["mean"] == pytest.approx(overlaps, abs=1e-4)
    assert figures["overlap"]["below"] == {"0.9": 2, "0.7": 1, "0.5": 1}
    # Five crops are in both runs, one of them less sure by .3; one is of a photo that changed.
    # The means themselves are of all crops: seven of .8; five of .8 and one of .5.
    assert figures["confidence"] == {
        "old": 0.8, "new": 0.75, "delta": -0.06, "both": 5,
        "delta_same_content": -0.075, "both_same_content": 4,
    }  # fmt: skip
    assert figures["verdicts"] == {"ok": [7, 5], "review": [0, 1]}
    assert figures["reasons"] == {"head_cut": [0, 1]}
    assert figures["errors"] == {"new": {"truncated": 1}, "gone": {}, "other": {}}
    folders = {part["name"]: part for part in figures["slices"]["folder"]}
    assert folders["u"] == {
        "name": "u", "crops": 3, "compared": 3, "moved": 2, "review_old": 0, "review_new": 1,
        "overlap": pytest.approx((1 + 1 / 3 + 180 / 220) / 3, abs=1e-4),
        "confidence_delta": pytest.approx(-0.1, abs=1e-4),
        "confidence_delta_same_content": pytest.approx(-0.1, abs=1e-4),
    }  # fmt: skip
    assert [part["name"] for part in figures["slices"]["size"]] == ["up to 1 MP"]
    json.dumps(figures)


@pytest.mark.parametrize("in_parts", [False, True])
def test_the_most_changed_come_first(
    both: tuple[Path, Run, Run], monkeypatch: pytest.MonkeyPatch, in_parts: bool
) -> None:
    if in_parts:
        monkeypatch.setattr("pipeline.ledger.coverage.key_ranges.RANGE_ROWS", 2)
    most = MostChanged()
    for part in compared_parts(*both[1:]):
        most.add(part)
    assert most.photos["uri"].tolist() == [
        "v/breaks.jpg", HOSTILE, "u/moved.jpg", "v/changed.jpg", "w/gone.jpg", "w/late.jpg",
        "v/encoded.jpg",
    ]  # fmt: skip
    assert most.changed == 7
    assert most.shapes == ["1:1"]
    assert sorted(most.crops["uri"]) == sorted(most.photos["uri"])


def test_of_more_photos_than_are_shown_the_most_changed_are(
    both: tuple[Path, Run, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.ledger.coverage.key_ranges.RANGE_ROWS", 2)
    monkeypatch.setattr("pipeline.report.diff.most_changed.MOST_PHOTOS", 3)
    most = MostChanged()
    for part in compared_parts(*both[1:]):
        most.add(part)
    assert most.photos["uri"].tolist() == ["v/breaks.jpg", HOSTILE, "u/moved.jpg"]
    assert sorted(most.crops["uri"]) == sorted(most.photos["uri"])
    assert most.changed == 7


def test_runs_of_an_old_release_are_compared(tmp_path: Path, capsys: Any) -> None:
    golden = Path(__file__).parents[2] / "golden" / "runs" / "release_0_1_0" / "out"
    out = shutil.copytree(golden, tmp_path / "out")
    (run_id,) = [path.name for path in (out / "runs").iterdir() if not path.name.startswith("_")]
    assert main(["diff", str(out), run_id, run_id, "--json", "--html", str(tmp_path / "p")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["changes"]["same"] == report["crops"]["both"] == 6
    assert report["confidence"] == {
        "old": None, "new": None, "delta": None, "both": 0,
        "delta_same_content": None, "both_same_content": 0,
    }  # fmt: skip
    assert report["pages"]["photos"] == 0


def test_the_pages_show_before_and_after(
    both: tuple[Path, Run, Run], tmp_path: Path, capsys: Any
) -> None:
    folder, old, new = both
    ids = [run.manifest["run_id"] for run in (old, new)]
    assert main(["diff", str(folder), *ids, "--html", str(tmp_path / "page")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["crops"]["moved"] == report["changes"]["moved"] == 2
    assert report["crops"]["of_changed_photos"] == report["changes"]["changed photo"] == 1
    assert report["pages"]["photos"] == 7
    about = (tmp_path / "page" / "data" / "diff.js").read_text()
    assert re.search(r'"changed": ?7\b', about), "of eight photos one is the same"
    page = Path(report["pages"]["open"]).as_uri()

    async def look(tab: Tab) -> None:
        count = "document.querySelectorAll('article.row').length"
        for width, dark in ((1280, False), (390, True)):
            await tab.window(width, 900, dark)
            await tab.open(page, f"{count} === 7")
            assert await tab.run("document.documentElement.scrollWidth - innerWidth") <= 0
        text = await tab.run("document.body.innerText")
        assert "-0.075\nmean change of confidence, 4 crops of unchanged photos" in text
        for words in (
            "2\ncrops moved",
            "0 → 1\ncrops to review, of all in each run",
            "overlap 0.33",
            "ends early",
        ):
            assert words in text
        table = await tab.run("document.querySelector('.slicecard tbody').innerText")
        assert table.split("\t")[:3] == ["1:1", "8", "50 %"]  # 2 of the 4 that have an overlap
        assert "onerror" in text  # the hostile name, as text
        assert "owned" not in await tab.run("document.title")
        pairs = "document.querySelector('article:nth-of-type(2) .both').querySelectorAll('.tile')"
        boxes = await tab.run(f"[...{pairs}].map((tile) => tile.getAttribute('viewBox'))")
        assert boxes == ["0 0 200 200", "100 0 200 200"]
        changed = "document.querySelector('article:nth-of-type(4)').querySelectorAll('.hero svg')"
        assert await tab.run(f"{changed}.length") == 2  # the photo before and the photo after
        for query, expected in (
            ("change=moved", 2), ("change=re-encoded", 1), ("error=new", 1), ("q=u/", 2),
        ):  # fmt: skip
            await tab.open(page + f"#/?{query}", f"{count} === {expected}")
        await tab.open(page + "#/?slice=folder", count)
        assert "w" in await tab.run("document.querySelector('.slicecard table').innerText")
        await tab.open(page + "#/?q=u/", f"{count} === 2")
        await tab.run("document.querySelector('.skip').click()")
        assert await tab.run("[location.hash, document.activeElement.id]") == ["#/?q=u/", "main"]
        await tab.run(
            "{ const change = document.querySelector('select[name=change]'); change.focus();"
            " change.value = 'moved'; change.dispatchEvent(new Event('change')); }"
        )
        await tab.until("location.hash.includes('change=moved') && document.activeElement.name")
        assert await tab.run("document.activeElement.name") == "change"
        assert tab.problems == []

    browse(look)


def test_the_pages_of_one_run_have_only_its_photos(tmp_path: Path) -> None:
    """The runs have no promotion, as those of early releases, so the latest is in front."""
    uris = ("u/stays.jpg", "u/moves.jpg")
    rows = [photo(uri, "one") for uri in uris]
    old = commit_rows(tmp_path / "out", rows, [crop(uri, 0) for uri in uris])
    rows = [photo(uri, "one") for uri in (uris[1], "u/late.jpg")]
    crops = [crop(row["uri"], 20, BLUE) for row in rows]
    new = commit_rows(tmp_path / "out", rows, crops, weights_sha256="bb" * 32)
    page, ids = tmp_path / "page", [run.manifest["run_id"] for run in (old, new)]
    assert main(["diff", str(tmp_path / "out"), ids[1], "--html", str(page)]) == 0

    async def look(tab: Tab) -> None:
        await tab.open((page / "index.html").as_uri(), "document.querySelector('.pair')")
        names = "[...document.querySelectorAll('article.row')].map((row) => row.textContent)"
        moves, late = await tab.run(names)
        plots = "document.querySelector('.plotcard').textContent"
        assert "highest bar: 1 crop" in await tab.run(plots)
        assert ("moves.jpg" in moves, "late.jpg" in late) == (True, True), (moves, late)
        title = await tab.run("document.title")
        assert title == f"{ids[0][:8]} → {ids[1][:8]}"

    browse(look)


def test_further_crops_of_a_shape_are_numbered(tmp_path: Path) -> None:
    rows = [photo("u/a.jpg", "one")]
    ranks = [crop("u/a.jpg", 100 * rank, rank=rank) for rank in (0, 1)]
    old = commit_rows(tmp_path / "out", rows, ranks, settings={"top_k": 2})
    new = commit_rows(tmp_path / "out", rows, [crop("u/a.jpg", 50)], settings={"top_k": 1})
    page, ids = tmp_path / "page", [run.manifest["run_id"] for run in (old, new)]
    assert main(["diff", str(tmp_path / "out"), *ids, "--html", str(page)]) == 0

    async def look(tab: Tab) -> None:
        await tab.open((page / "index.html").as_uri(), "document.querySelector('.pair')")
        names = "[...document.querySelectorAll('.pair .shape')].map((name) => name.textContent)"
        assert await tab.run(names) == ["1:1", "1:1 #2"]

    browse(look)


def test_a_crop_that_nobody_judged_is_not_called_ok(tmp_path: Path) -> None:
    """As in a run rendered for another ratio, whose crops have no verdict."""
    uris, bad = ("u/a.jpg", "u/b.jpg"), {"verdict": "review", "reason": "head_cut"}
    rows, previews = [photo(uri, "one") for uri in uris], [preview_row(uri, GREEN) for uri in uris]
    old = commit_rows(tmp_path / "out", rows, [crop(uri, 0, **bad) for uri in uris], previews)
    crops = [crop(uris[0], 50), crop(uris[1], 60, verdict="ok")]
    new = commit_rows(tmp_path / "out", rows, crops, previews, settings={"top_k": 2})
    page, ids = tmp_path / "page", [run.manifest["run_id"] for run in (old, new)]
    assert main(["diff", str(tmp_path / "out"), *ids, "--html", str(page)]) == 0

    async def look(tab: Tab) -> None:
        await tab.open((page / "index.html").as_uri(), "document.querySelector('.pair')")
        rows = "[...document.querySelectorAll('article.row')].map((row) => row.textContent)"
        ends = {row[0]: row.rpartition("head cut→")[2] for row in await tab.run(rows)}
        assert ends == {"a": "not judged", "b": "ok"}

    browse(look)


def test_runs_without_crops_are_compared(tmp_path: Path, capsys: Any) -> None:
    uris, failed = ("u/a.jpg", "u/b.jpg"), {"status": "corrupt", "error_kind": "permanent"}
    rows, out = [image_row(uri, None, **failed) for uri in uris], tmp_path / "out"
    old = commit_rows(out, rows, [], settings={"top_k": 1})
    rows = [{**row, "status": "truncated"} for row in rows]
    new = commit_rows(out, rows, [], settings={"top_k": 2})
    figures = diff_figures(joined(old, new))
    assert set(figures["changes"].values()) == {0}
    assert figures["overlap"]["mean"] is None
    assert figures["errors"] == {"new": {}, "gone": {}, "other": {"truncated": 2}}
    one = commit_rows(out, [photo(uris[0], "one")], [crop(uris[0], 0)])
    for pair, change in (((old, one), "only new"), ((one, new), "only old")):
        changes = diff_figures(joined(*pair))["changes"]
        assert {name: n for name, n in changes.items() if n} == {change: 1}
    ids = [run.manifest["run_id"] for run in (old, new)]
    for more in ([], ["--html", str(tmp_path / "pages")]):
        assert main(["diff", str(out), *ids, *more]) == 0

    async def look(tab: Tab) -> None:
        page = (tmp_path / "pages" / "index.html").as_uri()
        await tab.open(page, "document.querySelector('article.row')")
        plot = await tab.run("document.querySelector('.plotcard').textContent")
        assert "no crops" in plot
        assert "highest bar" not in plot

    browse(look)


def test_runs_whose_photos_are_all_forgotten_are_compared(tmp_path: Path) -> None:
    out = tmp_path / "out"
    runs = [commit_rows(out, [photo("u/a.jpg", b)], [crop("u/a.jpg", 0)]) for b in ("one", "two")]
    ids = [run.manifest["run_id"] for run in runs]
    assert main(["forget", str(out), "u/a.jpg"]) == 0
    assert main(["diff", str(out), *ids, "--html", str(tmp_path / "pages")]) == 0
    assert joined(*(open_run(str(out), one) for one in ids)).photos.empty


def test_a_run_of_an_old_release_is_compared(tmp_path: Path) -> None:
    """Its files lack columns that crops have today, which are null then."""
    run = open_run(str(shutil.copytree(GOLDEN, tmp_path / "made") / "out"))
    files = ds.dataset(tmp_path / "made" / "out" / "_data" / "crops", format="parquet")
    assert not {"verdict", "fit", "subject_share"} & {*files.schema.names}
    compared = joined(run, run)
    assert {*compared.crops["change"]} == {"same"}
    assert len(compared.crops) == files.count_rows() > 0
    assert compared.crops[["verdict_old", "fit_new", "subject_share_old"]].isna().all(axis=None)
