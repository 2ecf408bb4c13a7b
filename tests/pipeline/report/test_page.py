"""The page of a run, opened in a real browser and judged by its pixels."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from msgspec.structs import replace
from PIL import Image

from pipeline import open_run, schema
from pipeline.ledger.identity import input_sha256
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.plan import cut_tasks
from pipeline.photo.thumbnail import encode
from pipeline.report.page import describe_weights, write_page
from pipeline.storage.store import open_store
from tests.support.tasks import SPEC

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
HOSTILE = "<img src=x onerror=document.title='owned'>.png"
CROP_COLOURS = {"1:1": (200, 30, 40), "16:9": (20, 140, 220)}
PHOTO_COLOUR = (40, 160, 60)
UNTRAINED = {"kind": "untrained", "sha256": "-", "preset": "gaicv1", "seed": 7}


def image_row(uri: str, **changes: object) -> dict[str, object]:
    blank = dict.fromkeys([*schema.IMAGES.names])
    known = {"image_id": hashlib.sha256(uri.encode()).hexdigest(), "uri": uri, "etag": None}
    return {**blank, **known, "status": "ok", **changes}


def crop_row(uri: str, ratio: str, size_wh: tuple[int, int]) -> dict[str, object]:
    width, height = size_wh
    picture = encode(np.full((height, width, 3), CROP_COLOURS[ratio], np.uint8), "png", 80)
    blank = dict.fromkeys(schema.CROPS.names)
    known = {"image_id": hashlib.sha256(uri.encode()).hexdigest(), "uri": uri, "ratio": ratio}
    box = {"x0": 10.0, "y0": 20.0, "x1": 10.0 + width, "y1": 20.0 + height}
    rest = {"rank": 0, "score": 0.625, "width": width, "height": height, "format": "png"}
    return {**blank, **known, **box, **rest, "image": picture, "sha256": "-"}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The page of a run with one good photo of a hostile name and one that failed."""
    good = tmp_path / HOSTILE
    Image.new("RGB", (400, 300), PHOTO_COLOUR).save(good)
    bad = str(tmp_path / "bad.jpg")
    found = {"x0": 30, "y0": 40, "x1": 90, "y1": 80, "score": 0.9, "label": "<b>dog</b>"}
    images = [
        image_row(str(good), width_px=400, height_px=300, format="png", objects=[found]),
        image_row(bad, status="corrupt", error_message="the <i>data</i> ends early"),
    ]
    crops = [crop_row(str(good), "1:1", (200, 200)), crop_row(str(good), "16:9", (320, 180))]
    inputs = pa.Table.from_pylist(
        [{name: row[name] for name in schema.INPUTS.names} for row in images], schema=schema.INPUTS
    )
    spec = replace(SPEC, input_sha256=input_sha256(inputs))
    store = open_store(str(tmp_path / "out"))
    ledger = Ledger.open(store, spec, inputs, cut_tasks(inputs))
    tables = {
        "images": pa.Table.from_pylist(images, schema=schema.IMAGES),
        "crops": pa.Table.from_pylist(crops, schema=schema.CROPS),
    }
    ledger.commit_task(0, tables)
    ledger.finish({"weights": UNTRAINED, "detector": "none 1"})
    return write_page(open_run(str(tmp_path / "out")), tmp_path / "page.html")


def browse(page: Path, *options: str) -> str:
    if BROWSER is None:
        pytest.skip("no Chromium on this machine")
    quiet = ("--disable-gpu", "--disable-background-networking", "--disable-component-update")
    command = [BROWSER, "--headless", "--no-sandbox", *quiet, "--no-first-run"]
    profile = f"--user-data-dir={page.parent / 'profile'}"
    done = subprocess.run(
        [*command, profile, *options, page.as_uri()],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout


def count_near(pixels: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((np.abs(pixels.astype(int) - colour).max(axis=2) < 12).sum())


def test_the_browser_shows_photo_and_crops(page: Path) -> None:
    shot = page.parent / "shot.png"
    browse(page, "--window-size=1300,700", f"--screenshot={shot}")
    pixels = np.asarray(Image.open(shot).convert("RGB"))
    # The 1:1 crop is shown 120 px high and the 16:9 crop too, so 14400 and about 25600 pixels.
    assert count_near(pixels, CROP_COLOURS["1:1"]) == pytest.approx(120 * 120, rel=0.02)
    assert count_near(pixels, CROP_COLOURS["16:9"]) == pytest.approx(120 * 120 * 16 / 9, rel=0.02)
    assert count_near(pixels, PHOTO_COLOUR) > 50_000


def test_strangers_text_stays_text(page: Path) -> None:
    document = browse(page, "--dump-dom")
    assert "<title>Crops of run" in document
    assert "&lt;img src=x" in document
    assert '<img src="x"' not in document
    assert "&lt;b&gt;dog&lt;/b&gt; 0.90" in document


def test_it_says_what_failed_and_what_is_untrained(page: Path) -> None:
    text = page.read_text()
    assert "corrupt: the &lt;i&gt;data&lt;/i&gt; ends early" in text
    assert "Untrained network." in text
    assert "2 photos, 2 crops" in text
    assert "untrained gaicv1, seed 7" in text
    assert "http" not in text.replace("http-equiv", ""), "self-contained: nothing is fetched"


def test_a_photo_that_is_gone_leaves_its_crops(page: Path, tmp_path: Path) -> None:
    (tmp_path / HOSTILE).unlink()
    text = write_page(open_run(str(tmp_path / "out")), page).read_text()
    assert text.count("<figure>") == 2
    assert 'class="photo"' not in text


def test_weights_in_words() -> None:
    assert describe_weights({"kind": "file", "sha256": "ab" * 32}) == "file abababababab"
