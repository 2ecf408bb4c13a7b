"""What is written if no crop can show a photo: padded, blurred, skipped or to be reviewed."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import asdict
from PIL import Image

from pipeline import open_run
from pipeline.cropping import build
from pipeline.detectors import Detections
from pipeline.report.progress import summary_lines
from pipeline.settings import Settings
from tests.support.block_transfer import EDGES, run_with_transfers
from tests.support.odd_photos import scene

pytestmark = pytest.mark.usefixtures("_workers_end_with_the_test")


def write_text_photo(path: Path) -> None:
    """A photo of 320 × 180."""
    Image.fromarray(np.tile(scene(160, 90), (2, 2, 1))).save(path)


def jobs_with_lines(tmp_path: Path, **settings: Any) -> tuple[list[Any], list[Any]]:
    """Rows of images and crops of a job with the one photo of `write_text_photo`.

    It is full of text: cropped like a photo, since guards and fallbacks are to decide.
    """
    settings = {"text_heavy": "crop", **settings}
    write_text_photo(tmp_path / "0.png")
    (tmp_path / "list.csv").write_text(f"uri\n{tmp_path}/0.png\n")
    output = str(tmp_path / "out")
    run_with_transfers(
        Settings.of(input=str(tmp_path / "list.csv"), output=output, thumbnail_size=100, **settings)
    )
    run = open_run(output)
    return run.images().to_pylist(), run.crops().to_pylist()


class ThreeLines:
    """A source that sees three lines of text, which fill each photo: only all of it cuts none.

    Each is a third of the photo high but for three pixels. The smallest crops of 1:1 and 4:3 are
    higher, 72 pixels, and too narrow to show 92 % of a line, which would count as whole.
    """

    identity = "three-lines"

    def detector_input(self, photo: Any) -> None:
        """Nothing is detected."""

    def objects(self, photos: Any, given: Any) -> list[Detections]:
        rows = np.array([[0, 0, 320, 58], [0, 61, 320, 119], [0, 122, 320, 180]], np.float32)
        return [Detections(rows, np.ones(3, np.float32), ["text"] * 3) for _ in photos]


@pytest.fixture
def three_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "make_source", lambda *_, **__: ThreeLines())


@pytest.mark.parametrize(
    ("ratio", "size"), [("1:1", (100, 100)), ("4:3", (100, 75)), ("circle", (100, 100))]
)
def test_a_photo_that_no_crop_can_show_is_padded(
    three_lines: None, tmp_path: Path, ratio: str, size: tuple[int, int]
) -> None:
    """What was written has the ratio exactly, and shows the photo whole."""
    pad = {"ratios": ratio, "fallback": "next,largest,pad", "format": "png", "background": "0a141e"}
    _, (crop,) = jobs_with_lines(tmp_path, **pad)
    assert (crop["verdict"], crop["reason"], crop["fit"]) == ("fallback", "fallback_pad", "pad")
    assert [crop[edge] for edge in EDGES] == [0, 0, 320, 180]
    assert (crop["text_cut"], crop["choice"], crop["margin"]) == (0, None, None)
    picture = Image.open(io.BytesIO(crop["image"]))
    assert picture.size == (crop["width"], crop["height"]) == size
    rgb = np.asarray(picture.convert("RGB"))
    x, y = size[0] // 2, 3 if ratio != "circle" else 20
    assert rgb[y, x].tolist() == [10, 20, 30]
    high = size[0] * 180 / 320 if ratio != "circle" else 180 * 100 / np.hypot(320, 180)
    photo_rows = (np.abs(rgb[:, x].astype(int) - (10, 20, 30)).max(axis=1) > 0).sum()
    assert photo_rows == pytest.approx(high, abs=1.5)


def test_a_blurred_ground_is_the_photo_itself(three_lines: None, tmp_path: Path) -> None:
    blur = {"ratios": "1:1", "fallback": "blur", "format": "png"}
    _, (crop,) = jobs_with_lines(tmp_path, **blur)
    assert (crop["verdict"], crop["reason"], crop["fit"]) == ("fallback", "fallback_blur", "blur")
    rgb = np.asarray(Image.open(io.BytesIO(crop["image"])).convert("RGB")).astype(int)
    assert rgb.shape == (100, 100, 3)
    assert np.abs(np.diff(rgb[:20], axis=1)).max() < 25  # soft
    assert rgb[:20].std() > 0  # and no plain colour


def test_a_shape_that_is_skipped_is_told(three_lines: None, tmp_path: Path) -> None:
    (image,), crops = jobs_with_lines(tmp_path, ratios="1:1,16:9", fallback="next,skip")
    assert [crop["ratio"] for crop in crops] == ["16:9"]
    assert image["skipped"] == [{"ratio": "1:1", "reason": "text_cut"}]
    assert image["status"] == "ok"


def test_a_crop_that_breaks_a_guard_is_marked(three_lines: None, tmp_path: Path) -> None:
    """The default gives up before it shows less than a crop: a person is to look at it."""
    _, (crop,) = jobs_with_lines(tmp_path, ratios="1:1")
    assert (crop["verdict"], crop["reason"], crop["fit"]) == ("review", "text_cut", "crop")
    assert crop["text_cut"] >= 1
    _, (free,) = jobs_with_lines(tmp_path, ratios="1:1", guards="off")
    assert (free["verdict"], free["reason"]) == ("ok", None)
    assert free["text_cut"] >= 1, "it is measured whatever is asked"


def test_verdicts_are_counted_and_told(three_lines: None, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_text_photo(tmp_path / "in" / "0.png")
    manifest = run_with_transfers(
        Settings.of(
            input=str(tmp_path / "in"), output=str(tmp_path / "out"), ratios="1:1,16:9,4:3",
            fallback="next,largest", thumbnail_size=64, text_heavy="crop",
        )
    )  # fmt: skip
    assert manifest.metrics.verdicts == {"1:1|review": 1, "16:9|ok": 1, "4:3|review": 1}
    assert manifest.metrics.reasons == {"review|text_cut": 2}
    lines = summary_lines({**asdict(manifest.metrics), "images": 1})
    assert "verdicts 1 ok, 2 review (2 text_cut)" in lines
