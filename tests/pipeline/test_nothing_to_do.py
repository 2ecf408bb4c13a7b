"""How a job ends whose photos earlier runs have done."""

from pathlib import Path

import pytest
from PIL import Image

from pipeline.job import plan
from pipeline.ledger.audit import list_runs
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.storage.store import open_store
from tests.pipeline.test_job import carry_out, log, photos, settings, told

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


@pytest.mark.parametrize(
    ("asked", "check"),
    [
        ({}, "; check the address"),
        ({"include": "*.nope"}, " that --include and --exclude let through; check their patterns"),
        ({"exclude": "*"}, " that --include and --exclude let through; check their patterns"),
    ],
)
def test_what_to_check_where_no_photo_is_taken(
    asked: dict[str, str], check: str, photos: Path, log: Log
) -> None:
    if not asked:
        for photo in photos.iterdir():
            photo.unlink()
    plan(settings(photos, **asked), log)
    assert f"WARNING: {photos} holds no photos{check}\n" in told(log)


def test_a_job_without_work_names_the_run_that_waits_for_a_person(photos: Path, log: Log) -> None:
    given = settings(photos, promote="manual")
    assert carry_out(given, log) == "done"
    (waiting,) = list_runs(open_store(given.running.output))
    assert carry_out(given, log) == "done"
    last = told(log).splitlines()[-1]
    how = f"`runs.py promote {photos.parent}/out {waiting['run_id']} --behind-newer`"
    assert last.startswith(f"not live yet: {how} makes it live in channel ")


def test_a_job_without_photos_leaves_nothing_to_promote(photos: Path, log: Log) -> None:
    for photo in photos.iterdir():
        photo.unlink()
    assert carry_out(settings(photos, promote="manual"), log) == "done"
    assert "not live yet" not in told(log)
