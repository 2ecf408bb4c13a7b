"""Figures that pages repeat agree with the pages that measure them, and with the package."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUALITY, PERFORMANCE, COMPARISON, EFFECTS, GUARDS, CHOICE = (
    (ROOT / "docs" / f"{name}.md").read_text()
    for name in ("QUALITY", "PERFORMANCE", "COMPARISON", "EFFECTS", "GUARDS", "CHOICE")
)
README = (ROOT / "README.md").read_text()
NUMBER = re.compile(r"(?<![\w.:])\d*\.?\d+(?![\w:])")
ROWS = {  # of the table in QUALITY, whose last columns are what is now and its interval
    "FLMS": "FLMS, people's own ratios: IoU",
    "9:16": "OSIE, gaze kept at 9:16",
    "3:4": "OSIE, 3:4",
    "1:1": "OSIE, 1:1",
    "crowds": "crowds, heads cut or lost, mean of 1:1, 16:9, 9:16, 3:4",
    "outside": "3 to 6 heads: more than a tenth of a head outside, 16:9",
}


def cells(page: str, name: str) -> list[str]:
    """The cells behind the first one, of the first row of figures in a table that begins so."""
    for line in page.splitlines():
        first, *rest = [cell.strip() for cell in line.strip("| ").split("|")]
        if first.startswith(name) and rest and numbers(rest[0]):
            return rest
    raise AssertionError(name)


def numbers(text: str) -> list[float]:
    return [float(found) for found in NUMBER.findall(text)]


def same(told: list[float], measured: list[float], within: float = 0.0005) -> bool:
    """Whether numbers are the measured ones, rounded."""
    return told == pytest.approx(measured, abs=within + 1e-9)


def quality(name: str) -> tuple[float, float, list[float]]:
    """The largest centred crop, now, the interval."""
    row = cells(QUALITY, ROWS[name])
    return float(row[0]), float(row[-2]), numbers(row[-1])


def test_faults_in_the_readme() -> None:
    """Any fault on OSIE: ours with its interval, centred, smartcrop.js, attention."""
    (line,) = (one for one in README.splitlines() if one.startswith("| crops with a fault of"))
    _, ours, others, _ = (cell.strip() for cell in line.strip("| ").split("|"))
    measured = [numbers(cells(QUALITY, f"OSIE: {name}")[-1]) for name in (
        "**this**", "largest, centred", "smartcrop.js", "libvips attention"
    )]  # fmt: skip
    assert same(numbers(ours), measured[0])
    assert same(numbers(others), [one[0] for one in measured[1:]])


def test_quality_in_the_comparison() -> None:
    names = ("FLMS", "9:16", "1:1", "crowds")
    centred, now, _ = zip(*map(quality, names), strict=True)
    assert same([*map(float, cells(COMPARISON, "this"))], [*now])
    assert same([*map(float, cells(COMPARISON, "largest centred crop"))], [*centred])


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ("overlap (IoU)", ["FLMS"]),
        ("gaze kept", ["9:16", "3:4", "1:1"]),
        ("heads cut or lost", ["crowds"]),
        ("heads more than a tenth", ["outside"]),
    ],
)
def test_quality_in_the_readme(row: str, names: list[str]) -> None:
    centred, now, intervals = zip(*map(quality, names), strict=True)
    ours, beside, _ = cells(README, row)
    interval = list(intervals[0]) if len(names) == 1 else []
    assert same(numbers(ours), [*now, *interval])
    assert same(numbers(beside), [*centred])


def test_costs() -> None:
    whole, stages = cells(PERFORMANCE, "whole pipeline on Ray"), cells(PERFORMANCE, "sum of the")
    vips, corners = cells(PERFORMANCE, "libvips `smartcrop`"), cells(PERFORMANCE, "corners by")
    measured = [float(row[0]) for row in (whole, stages, vips, corners)]
    before = [float(row[1]) for row in (whole, stages)]
    rows = ("this, whole pipeline", "this, the stages", "libvips `smartcrop`, six", "corners found")
    assert same([float(cells(COMPARISON, row)[0]) for row in rows], measured, 0.5)
    naive = re.search(r"same networks took\s+([\d,]+)", COMPARISON)
    assert naive is not None
    (told,) = numbers(naive[1].replace(",", ""))
    assert same([told], [float(cells(PERFORMANCE, "naive Ray Data script")[0])], 0.5)
    ours, beside, _ = cells(README, "all stages of a photo")
    assert same([*numbers(ours), *numbers(beside)], [measured[1], before[1], measured[2]], 0.5)
    ours, beside, _ = cells(README, "the whole job on Ray")
    assert same([*numbers(ours), *numbers(beside)], [measured[0], before[0]], 0.5)


def test_weights_of_the_penalties() -> None:
    """The table has each weight of the packaged rule; `heads` has two more, told beside it."""
    choice = json.loads((ROOT / "pipeline" / "cropping" / "choice.json").read_text())
    rule = choice["penalties"]
    page = (ROOT / "docs" / "CHOICE.md").read_text()
    told = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", page, re.MULTILINE))
    of_heads = {"head_cut": rule.pop("head_cut"), "head_fade": rule.pop("head_fade")}
    assert {name: float(weight) for name, weight in told.items()} == rule
    assert "(.5 + `head_cut`)" in page
    assert "half a head costs as much" in page
    assert "(`head_fade`, .5)" in page
    framing = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \|$", page, re.MULTILINE)
    assert {name: float(weight) for name, _, weight in framing} == choice["framing"]
    assert of_heads == {"head_cut": 0.5, "head_fade": 0.5}


@pytest.mark.parametrize("page", [GUARDS, CHOICE, EFFECTS], ids=["GUARDS", "CHOICE", "EFFECTS"])
def test_earlier_counts_of_one_head_name_the_latest(page: str) -> None:
    """Figures of one kind are of several days; each place tells the last one and where it is."""
    of_all = cells(EFFECTS, "one head (149 photos), the same / mean of five ratios")
    told = re.findall(r"\[(\.\d+)[^\]]*\]\((?:EFFECTS\.md)?#where-there-are-heads\)", page)
    assert [float(one) for one in told] == [numbers(of_all[3])[1]]


def test_the_latest_count_of_one_head_names_the_earlier_ones() -> None:
    section = EFFECTS.split("### Where there are heads")[1].split("\n## ")[0]
    earlier = numbers(cells(EFFECTS, "one head (142 photos of OSIE)")[1])[0]
    assert f"[Large heads](#large-heads) ({earlier:.3f})".replace("0.", ".") in section
    before = numbers(cells(GUARDS, "one head, more than a tenth outside, mean of five")[0])[0]
    assert f"(GUARDS.md#the-main-subject) ({before:.4f})".replace("0.", ".") in re.sub(
        r"\s+", " ", section
    )
