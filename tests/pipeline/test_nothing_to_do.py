"""How a job ends whose photos earlier runs have done."""

from pathlib import Path

import pytest
from PIL import Image

from pipeline.job import plan
from pipeline.report.progress import Log
from pipeline.settings import Settings
from tests.pipeline.test_job import carry_out, log, photos, settings

__all__ = ["log", "photos"]  # fixtures


@pytest.mark.parametrize("trial", [True, False])
def test_a_finished_job_ends_as_its_own_photos_did(trial: bool, photos: Path, log: Log) -> None:
    """Not as another run with the same settings did: a trial, or a night of other photos."""
    most = {"max_error_rate": 0.1, "gate": ""}
    assert carry_out(settings(photos, **most), log) == "done"
    other = photos.parent / "other"
    other.mkdir()
    for number in range(3):
        Image.new("RGB", (32, 24), (number, 9, 0)).save(other / f"{number}.png")
    more = {"input": str(other), "trial": trial, "channel": "" if trial else "other"}
    bad = Settings.of(**{**settings(photos, **most).flat(), **more})
    assert carry_out(bad, log, {0: "permanent"}) == "over_error_rate"
    assert carry_out(settings(photos, **most), log) == "done"
    if not trial:
        assert carry_out(bad, log) == "over_error_rate"


def test_an_input_without_photos_is_told_as_such(photos: Path, log: Log) -> None:
    for photo in photos.iterdir():
        photo.unlink()
    said = plan(settings(photos), log).message
    assert said == "nothing to do: the input has no photos to crop"
