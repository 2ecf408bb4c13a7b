"""Guards through the crop job in processes: drawn people and lines, found by colour."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image, ImageDraw

from pipeline import open_run

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cuda_ops", "jobs", "pipeline", "s2cnet")
HEAD, SHIRT, SHOES, LINE = (255, 0, 255), (0, 120, 0), (255, 255, 0), (0, 255, 255)

# What a detector would tell of the drawn photos: magenta is a head, the hull of magenta, green and
# yellow a person, cyan a line of text, and people look at yellow.
BY_COLOUR = f"""
import numpy as np

from pipeline.detectors.attention import Attention


def hull_of(photo, *colours):
    hit = np.zeros(photo.shape[:2], bool)
    for colour in colours:
        hit |= (np.abs(photo.astype(int) - colour).max(axis=2) < 60)
    rows, columns = np.flatnonzero(hit.any(axis=1)), np.flatnonzero(hit.any(axis=0))
    if not len(rows):
        return None
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def by_colour(photo):
    height, width = photo.shape[:2]
    head = hull_of(photo, {HEAD})
    person = hull_of(photo, {HEAD}, {SHIRT}, {SHOES})
    part = height // 5
    lines = [hull_of(photo[top : top + part], {LINE}) for top in range(0, height, part)]
    boxes = [person] if person else []
    boxes += [
        [line[0], line[1] + number * part, line[2], line[3] + number * part]
        for number, line in enumerate(lines) if line
    ]
    labels = ["person"] * bool(person) + ["text"] * (len(boxes) - bool(person))
    y, x = (np.mgrid[:20, :20] + 0.5) / 20
    shoes = hull_of(photo, {SHOES}) or [0, 0, width, height]
    at_x, at_y = (shoes[0] + shoes[2]) / 2 / width, (shoes[1] + shoes[3]) / 2 / height
    gaze = np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / 0.01) + 1e-4
    heads = np.array([head] if head else [], float).reshape(-1, 4) / (width, height, width, height)
    attention = Attention(gaze / gaze.sum(), gaze, heads, np.ones(len(heads)))
    found = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(found, np.ones(len(found), np.float32), labels, attention)


EmbeddedDetector.detect_inputs = lambda self, inputs, photos: [by_colour(one) for one in photos]
"""


def draw_photos(folder: Path) -> None:
    """A person whose shoes all look at, 400 × 300, and five lines of text over a whole photo.

    Of the lines, 60 rows each, a crop of 16:9 as wide as they are shows 207 to 225 rows.
    """
    folder.mkdir()
    person = Image.new("RGB", (400, 300), (90, 90, 90))
    draw = ImageDraw.Draw(person)
    draw.rectangle((170, 0, 229, 49), HEAD)
    draw.rectangle((150, 50, 249, 279), SHIRT)
    draw.rectangle((150, 280, 249, 299), SHOES)
    person.save(folder / "person.png")
    page = Image.new("RGB", (400, 300), (90, 90, 90))
    draw = ImageDraw.Draw(page)
    for row in range(5):
        draw.rectangle((0, 60 * row, 399, 60 * row + 56), LINE)
    page.save(folder / "page.png")


def crop(tree: Path, photos: Path, output: Path, *more: str) -> tuple[dict[str, Any], pa.Table]:
    """Run the job; its last event, and its crops."""
    command = [
        sys.executable,
        "jobs/crop_bucket.py",
        "--input",
        str(photos),
        "--output",
        str(output),
    ]
    command += ["--ratios", "16:9", "--weights", "untrained", "--thumbnail-size", "160"]
    command += ["--format", "png", "--num-actors", "1", "--log-format", "json"]
    command += ["--local", "--text-heavy", "crop", *more]  # by default a page is kept whole
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=tree, env=environment, text=True, stdout=subprocess.PIPE, check=True
    )
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    committed = next(event for event in events if event["event"] == "committed")
    return committed, open_run(str(output)).crops()


def by_name(crops: pa.Table) -> dict[str, dict[str, Any]]:
    return {Path(row["uri"]).stem: row for row in crops.to_pylist()}


def test_a_head_is_kept_and_a_page_that_no_crop_shows_says_so(tmp_path: Path) -> None:
    tree, photos = tmp_path / "tree", tmp_path / "photos"
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    with (tree / "pipeline/detectors/embedded.py").open("a") as source:
        source.write(BY_COLOUR)
    rule = tree / "pipeline/cropping/choice.json"  # by itself it keeps this head
    text = rule.read_text()
    assert '"wide_heads": 0.8' in text
    rule.write_text(text.replace('"wide_heads": 0.8', '"wide_heads": 0.0'))
    draw_photos(photos)

    all_ok = ["--review-below", "0"]
    _, free = crop(tree, photos, tmp_path / "free", "--guards", "off", *all_ok)
    person = by_name(free)["person"]
    assert person["heads_cut"] == 1  # 225 of 300 rows, and the shoes are the last 20
    assert (person["verdict"], person["reason"]) == ("ok", None)

    summary, guarded = crop(tree, photos, tmp_path / "guarded", *all_ok)
    person, page = (by_name(guarded)[name] for name in ("person", "page"))
    assert (person["heads_cut"], person["verdict"], person["reason"]) == (0, "ok", None)
    assert person["y0"] <= 15, "at most three tenths of the head, of 50 rows, are outside"
    assert (page["verdict"], page["reason"], page["fit"]) == ("review", "text_cut", "crop")
    assert page["text_cut"] >= 1
    assert summary["verdicts"] == {"16:9|ok": 1, "16:9|review": 1}
    assert summary["reasons"] == {"review|text_cut": 1}

    fallback = ["--fallback", "next,pad"]
    summary, padded = crop(tree, photos, tmp_path / "padded", *fallback, *all_ok)
    page = by_name(padded)["page"]
    assert (page["verdict"], page["reason"], page["fit"]) == ("fallback", "fallback_pad", "pad")
    assert (page["text_cut"], page["width"], page["height"]) == (0, 160, 90)
    assert summary["verdicts"] == {"16:9|fallback": 1, "16:9|ok": 1}
