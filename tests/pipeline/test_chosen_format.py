"""What `--format auto` means for a run is decided by its plan, and kept afterwards."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from pipeline.crop_names import parse_crop_names
from pipeline.errors import SettingError, UsageError
from pipeline.job import PlannedRun, encoding, plan
from pipeline.ledger.channels.channel import channel_name
from pipeline.photo.encoding import jpegli
from pipeline.rendering import RenderRequest, plan_rendering
from pipeline.report.gallery.overview import run_facts
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.settings.crop_name_checks import check_photos
from tests.support.tasks import done

NAMES = "{stem}/{ratio}.{format}"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for number in range(2):
        Image.new("RGB", (32, 24 + number), (number, 0, 0)).save(tmp_path / "in" / f"{number}.png")
    return tmp_path / "in"


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Take the package away, or give it back."""

    def take(away: bool) -> None:
        found = None if away else jpegli.__spec__
        monkeypatch.setattr(jpegli, "find_spec", lambda _: found)

    take(False)
    return take


def planned(photos: Path, **more: Any) -> tuple[PlannedRun, str]:
    asked = {"weights": "untrained", "task_images": 1, "ratios": "1:1", **more}
    told = io.StringIO()
    out = str(photos.parent / "out")
    return plan(
        Settings.of(input=str(photos), output=out, **asked), Log(stream=told)
    ), told.getvalue()


def begun(photos: Path, **more: Any) -> str:
    """Begin a run; the second of its two tasks is left to do."""
    job, ledger = planned(photos, **more)[0].begin()
    ledger.commit_task(0, done(ledger.task_inputs(0)))
    return job.run_id


def committed(photos: Path, **more: Any) -> str:
    job, ledger = planned(photos, **more)[0].begin()
    for n in ledger.pending():
        ledger.commit_task(n, done(ledger.task_inputs(n), {0: "transient"} if n else None))
    ledger.finish({"job": job.settings.flat(), "weights": job.weights.as_dict()})
    return job.run_id


def test_the_plan_decides_and_says_it(photos: Path, absent: Any) -> None:
    run, told = planned(photos)
    assert run.settings.thumbnails.format == run.todo.spec.settings["format"] == "auto"
    assert "crops: JPEG by jpegli; WebP where they are round" in told
    absent(True)
    run, told = planned(photos)
    assert run.settings.thumbnails.format == run.todo.spec.settings["format"] == "webp"
    assert "crops: WebP, since the package pyjpegli is not installed here: pip install " in told
    assert "WARNING: crops" not in told
    assert run.todo.channel == channel_name(Settings.of(format="webp", ratios="1:1").identity())
    # Without the package the run is the one of a job that asks for WebP, which asks for nothing.
    asked, told = planned(photos, format="webp")
    assert asked.todo.spec == run.todo.spec
    assert "crops:" not in told


def test_a_run_is_gone_on_with_as_it_was_begun(photos: Path, absent: Any) -> None:
    run_id = begun(photos)
    absent(True)
    with pytest.raises(SettingError) as caught:
        planned(photos, resume=run_id)
    assert caught.value.field == "format"
    for part in ("pyjpegli", "pip install 's2cnet-thumbnails[jpegli]'", f"run {run_id}"):
        assert part in caught.value.problem
    absent(False)
    assert planned(photos, resume=run_id)[0].begin()[1].pending() == [1]


def test_a_run_of_webp_stays_one_where_the_package_has_come(photos: Path, absent: Any) -> None:
    absent(True)
    run_id = begun(photos)
    absent(False)
    run, told = planned(photos, resume=run_id)
    assert run.begin()[0].run_id == run_id
    assert "crops: WebP, as the run was begun" in told


@pytest.mark.parametrize("there", [True, False])
def test_a_retry_has_the_format_of_what_it_repairs(photos: Path, absent: Any, there: bool) -> None:
    absent(not there)
    run_id = committed(photos)
    absent(there)
    if not there:
        assert planned(photos, retry=run_id)[0].todo.spec.settings["format"] == "webp"
        return
    with pytest.raises(SettingError, match="pyjpegli"):
        planned(photos, retry=run_id)
    absent(False)
    assert planned(photos, retry=run_id)[0].todo.spec.settings["format"] == "auto"


def test_photos_that_would_be_done_again_for_want_of_the_package_are_told(
    photos: Path, absent: Any
) -> None:
    committed(photos, gate="error_rate<=1")
    run, _ = planned(photos)
    assert run.todo.covered == 1
    run.end_without_work(Log(stream=io.StringIO()))  # goes live
    absent(True)
    run, told = planned(photos)
    assert run.todo.covered == 0
    assert "WARNING: crops: WebP, since" in told
    assert "all photos are done once more" in told


def test_a_rendering_takes_the_runs_own_word(photos: Path, absent: Any) -> None:
    run_id, out = committed(photos), str(photos.parent / "out")
    smaller = RenderRequest(out, run_id, {"thumbnail_size": 64})
    assert plan_rendering(smaller).settings.thumbnails.format == "auto"
    absent(True)
    with pytest.raises(SettingError, match="pyjpegli"):
        plan_rendering(smaller)
    asked = RenderRequest(out, run_id, {"format": "auto"})
    assert plan_rendering(asked).settings.thumbnails.format == "webp"  # asked for here and now
    absent(False)
    with pytest.raises(UsageError, match="rendered so already"):
        plan_rendering(asked)


def test_a_rendering_of_a_trial_is_one(photos: Path, absent: Any) -> None:
    run_id, out = committed(photos, trial=True), str(photos.parent / "out")
    assert plan_rendering(RenderRequest(out, run_id, {"quality": 7})).settings.running.trial


def test_names_that_do_not_tell_formats_apart_are_of_one(photos: Path, absent: Any) -> None:
    run, told = planned(photos, crop_files="{stem}/{ratio}.webp")
    assert run.settings.thumbnails.format == "webp"
    assert "since '{stem}/{ratio}.webp' does not tell formats apart" in told
    assert "do not end" not in told
    told = planned(photos, crop_files="{stem}/{ratio}.jpg")[1]
    assert "do not end as the crops' format, WebP: " in told
    assert "or choose --format jpeg" in told
    assert "do not end" not in planned(photos, crop_files="{stem}-{ratio}.JPG", format="jpeg")[1]
    assert planned(photos, crop_files=NAMES)[0].settings.thumbnails.format == "auto"
    assert planned(photos, crop_files=True)[0].settings.thumbnails.format == "auto"


def test_names_are_looked_at_in_every_format_that_a_crop_may_have() -> None:
    """A photo's JPEG may have the name of another one's WebP where a column follows at once."""
    rows = [
        {"uri": "s3://b/a.jpg", "image_id": "1", "tail": "webpx"},
        {"uri": "s3://b/ajpeg.jpg", "image_id": "2", "tail": "x"},
    ]
    names = parse_crop_names("{stem}{format}{column:tail}")
    for one in ("jpeg", "webp"):
        check_photos(names, rows, ["1:1"], one)
    with pytest.raises(SettingError, match="gives two photos the name 'ajpegwebpx'"):
        check_photos(names, rows, ["1:1"], "jpeg", "webp")


def test_boxes_alone_are_the_run_that_they_were() -> None:
    assert Settings.of(boxes_only=True).identity()["format"] == "webp"


def test_a_channel_that_cannot_be_read_is_told_elsewhere(
    photos: Path, absent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.errors import RecordError

    def refuse(*_: Any) -> Any:
        raise RecordError("channels/x/1.json", "it is damaged", "")

    monkeypatch.setattr(encoding, "read_channel", refuse)
    absent(True)
    assert "crops: WebP" in planned(photos)[1]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"format": "auto"}, "JPEG by jpegli; WebP where they are round"),
        ({"format": "webp"}, "WebP"),
        ({"format": "jpeg", "jpeg_encoder": "jpegli"}, "JPEG by jpegli"),
        ({"format": "webp", "boxes_only": True}, "none, only boxes"),
    ],
)
def test_the_page_of_a_run_says_it(settings: dict[str, Any], words: str) -> None:
    manifest = {
        "run_id": "r", "committed_at": 0.0, "weights": None, "detector": "d",
        "code_version": "c", "settings": settings,
    }  # fmt: skip
    facts: dict[str, str] = dict(run_facts(SimpleNamespace(manifest=manifest)))  # type: ignore[arg-type]
    assert facts["crops"].startswith(words)
