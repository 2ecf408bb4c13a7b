"""What a row contains once its photo is decoded: kind, frames, borders, and what is left out."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.cropping.weights import choose_weights
from pipeline.job import failures
from pipeline.ledger.figures import Figures
from pipeline.photo.decode import decode
from pipeline.photo.sandbox.decoder import Decoder
from pipeline.report.progress import summary_lines
from pipeline.settings import DecodingSettings, Settings
from pipeline.stages.attempt import attempt
from pipeline.stages.read import PhotoReader, read_ahead, set_decoded
from pipeline.stages.task import PhotoRow, Task
from pipeline.stages.worker import Job
from tests.support.drawn_pictures import framed, lens, moving, moving_file
from tests.support.odd_photos import saved

MOVING = moving_file("GIF", moving(3), [100] * 3)


def row_of(data: bytes, **settings: object) -> PhotoRow:
    row = PhotoRow("a", "b")
    set_decoded(row, data, decode(data), DecodingSettings(**settings))  # type: ignore[arg-type]
    return row


def test_a_row_tells_kind_frames_and_borders() -> None:
    row = row_of(saved(framed(lens(320, 240), 0, 40, 0, 40, 0), "PNG"))
    assert (row.kind, row.frames, row.content_px) == ("photo", 1, (0, 40, 320, 280))
    row = row_of(saved(framed(lens(320, 240), 0, 40, 0, 40, 0), "PNG"), borders="keep")
    assert (row.content_px, row.decoded.content_px) == (None, None)


@pytest.mark.parametrize("animated", ["first", "all"])
def test_moving_pictures_are_done_or_left_out(animated: str) -> None:
    row = row_of(MOVING, animated=animated)
    assert (row.kind, row.frames, row.status, row.has_ended) == ("animated", 3, "ok", False)
    assert (row.moving is not None) == (animated == "all")
    assert row_of(saved(lens(32, 24), "PNG"), animated=animated).moving is None
    row = row_of(MOVING, animated="skip")
    assert (row.kind, row.frames, row.status) == ("animated", 3, "skipped_animated")
    assert row.has_ended
    assert row.photo is None
    assert row.failure is None
    done: list[PhotoRow] = []
    attempt(row, "detect", done.append)
    assert done == []
    still = row_of(saved(np.zeros((4, 4, 3), np.uint8), "GIF"), animated="skip")
    assert still.status == "ok"


@pytest.mark.parametrize(
    ("hosts", "told"),
    [("", "--http-hosts"), ("img.example", "'other.example' is not among the allowed hosts")],
)
def test_a_photo_is_read_as_the_job_says_of_hosts(tmp_path: Path, hosts: str, told: str) -> None:
    settings = Settings.of(input="a.csv", output=str(tmp_path), http_hosts=hosts)
    row = PhotoRow("a", "https://other.example/a.jpg")
    with Decoder(settings.decoding.limits, settings.decoded_side) as decoder:
        reader = PhotoReader(Task(0, [row]), Job(settings, choose_weights(), "run"), decoder, None)
        attempt(row, "read", reader.read)
    assert row.failure is not None
    assert told in row.failure.message


def test_reads_run_ahead_by_a_few_photos_only() -> None:
    rows = [PhotoRow(str(number), "b") for number in range(9)]
    begun: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        for place, row in enumerate(
            read_ahead(pool, rows, lambda row: begun.append(row.image_id), 3)
        ):
            assert row is rows[place]
            pool.submit(lambda: None).result()  # what is handed out is done
            assert begun == [str(number) for number in range(min(place + 3, 9))]


def test_what_is_left_out_has_not_failed() -> None:
    metrics = Figures(statuses={"ok": 5, "skipped_animated": 3, "corrupt": 2}, kinds={"photo": 9})
    assert metrics.failed == 2
    assert failures(metrics) == {"corrupt": 2}
    lines = summary_lines(
        {"images": 10, "statuses": metrics.statuses, "crops": 5, "seconds": {},
         "kinds": metrics.kinds, "overridden": 4}
    )  # fmt: skip
    text = io.StringIO("\n".join(lines)).read()
    assert "3  skipped_animated" in text
    assert "9  photo" in text
    assert "by override 4 photos" in text
