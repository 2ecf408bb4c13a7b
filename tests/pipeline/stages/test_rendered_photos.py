"""Rendering photos with people's decisions, forgotten photos, and similar ratios."""

import io
import time
from pathlib import Path

import pytest
from PIL import Image

from pipeline import open_run
from pipeline.cli.runs import main
from pipeline.inputs.listing import image_id
from pipeline.job import plan
from pipeline.ledger.audit import list_runs
from pipeline.ledger.forgetting import forget
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.rendering import RenderRequest, plan_rendering
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.storage.store import open_store
from tests.pipeline.stages.test_recall import crop_job, do, planned, write_photos

pytestmark = pytest.mark.usefixtures("_workers_end_with_the_test")

EDGES = ("x0", "y0", "x1", "y1")


@pytest.fixture
def job(tmp_path: Path) -> Settings:
    """Four photos: of one a person has said where to look, of another which box is the circle."""
    write_photos(tmp_path)
    people = tmp_path / "people.csv"
    people.write_text(
        "uri,focus_x,focus_y,ratio,x0,y0,x1,y1\n"
        f"{tmp_path}/in/0.png,0.05,0.5,,,,,\n"
        f"{tmp_path}/in/1.png,,,circle,10,20,210,220\n"
    )
    return crop_job(tmp_path, overrides=str(people), fallback="next", guards="off")


def by_photo(output: str, run_id: str) -> dict[tuple[str, str], dict[str, object]]:
    rows = open_run(output, run_id).crops().to_pylist()
    return {(Path(row["uri"]).stem, row["ratio"]): row for row in rows}


def test_a_persons_word_is_in_the_render_and_a_forgotten_photo_is_not(
    job: Settings, tmp_path: Path
) -> None:
    output = str(tmp_path / "out")
    full = do(planned(job))
    before = by_photo(output, full.run_id)
    assert [before["1", "circle"][edge] for edge in EDGES] == [10, 20, 210, 220]
    store = open_store(output)
    forget(store, [image_id(f"{tmp_path}/in/2.png")], why="asked by its owner")
    for changes in ({"thumbnail_size": 40}, {"format": "png"}):  # before and after it is erased
        made = do(plan_rendering(RenderRequest(output, full.run_id, changes)))
        after = by_photo(output, made.run_id)
        assert {name for name, _ in after} == {"0", "1", "3"}
        for key, row in after.items():
            same = (*EDGES, "override", "verdict", "confidence", "fit", "score")
            assert {n: row[n] for n in same} == {n: before[key][n] for n in same}
        images = {
            Path(row["uri"]).stem: row for row in open_run(output, made.run_id).images().to_pylist()
        }
        assert images["0"]["focus_source"] == "override"
        assert images["0"]["focus_x"] == pytest.approx(0.05)
        remove_garbage(store, look_for_garbage(store, 0).garbage)


def test_of_forgotten_photos_alone_nothing_is_rendered_or_promoted(
    job: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "out")
    full = do(planned(job))
    store = open_store(output)
    forget(store, {image_id(f"{tmp_path}/in/{path.name}") for path in (tmp_path / "in").iterdir()})
    assert main(["render", output, full.run_id, "--thumbnail-size", "40"]) == 0
    assert capsys.readouterr().out == (
        f"nothing to do: run {full.run_id} has no photos to render: all are forgotten\n"
    )
    assert [run["run_id"] for run in list_runs(store)] == [full.run_id]


def test_metrics_and_log_of_the_first_job_are_its_own(job: Settings, tmp_path: Path) -> None:
    """They name a port and a file of the machine that it ran on, and what read its log."""
    of_call = {"log_format": "json", "metrics_port": 9317, "metrics_file": f"{tmp_path}/m.prom"}
    kept = {"openlineage": f"{tmp_path}/events.json", "preview": 64, "metrics_host": "::1"}
    full = do(planned(Settings.of(**{**job.flat(), **of_call, **kept})))
    request = RenderRequest(str(tmp_path / "out"), full.run_id, {"thumbnail_size": 40})
    running = plan_rendering(request).settings.running
    assert (running.log_format, running.metrics_port, running.metrics_file) == ("text", 0, "")
    assert running.metrics_host == "127.0.0.1"
    assert (running.openlineage, running.preview) == (f"{tmp_path}/events.json", 64)


def test_a_plan_tells_of_the_run_that_was_begun_and_of_the_next_where_it_was_given_up(
    job: Settings, tmp_path: Path
) -> None:
    """Five photos: in few tasks where there is one core, in more where there are many."""
    output = str(tmp_path / "out")
    request = RenderRequest(output, do(planned(job)).run_id, {"thumbnail_size": 40})
    many, few = (plan_rendering(request, lambda n=n: n) for n in (8, 1))
    assert many.tasks.task_count != few.tasks.task_count
    _, begun = many.begin()
    assert plan_rendering(request, lambda: 1).message == many.message
    store = open_store(output)
    remove_garbage(store, look_for_garbage(store, 0, time.time() + 60).garbage)
    again = plan_rendering(request, lambda: 1)
    assert begun.run_id not in again.message
    assert f"run {again.begin()[1].run_id}: 5 photos in" in again.message


def test_a_circle_is_round_and_a_near_ratio_holds_the_stored_crop(
    job: Settings, tmp_path: Path
) -> None:
    output = str(tmp_path / "out")
    full = do(planned(job))
    before = by_photo(output, full.run_id)
    changes = {"ratios": "circle,17:9,1920x1080", "format": "png", "thumbnail_size": 64}
    made = do(plan_rendering(RenderRequest(output, full.run_id, changes)))
    after = by_photo(output, made.run_id)
    assert len(after) == 12
    for (name, ratio), row in after.items():
        picture = Image.open(io.BytesIO(bytes(row["image"])))  # type: ignore[arg-type]
        if ratio == "circle":
            opaque = picture.convert("RGBA").getchannel("A")
            assert (opaque.getpixel((0, 0)), opaque.getpixel((32, 32))) == (0, 255)
            assert [row[e] for e in EDGES] == [before[name, "circle"][e] for e in EDGES]
            continue
        stored = before[name, "16:9"]
        wide, high = (row[b] - row[a] for a, b in (("x0", "x1"), ("y0", "y1")))  # type: ignore[operator]
        assert wide / high == pytest.approx(17 / 9 if ratio == "17:9" else 16 / 9, abs=0.02)
        if ratio == "1920x1080":  # the same shape under another name
            assert [row[e] for e in EDGES] == [stored[e] for e in EDGES]
        assert picture.size == (row["width"], row["height"])
    # A derived ratio covers nothing, and the run that it came from is as it was.
    assert plan(job, _silent()).todo.inputs.num_rows == 0


def test_a_shape_that_a_photo_was_left_without_stays_out(tmp_path: Path) -> None:
    """In photo 0 only the circle cuts too much of the subject: it has a crop of 1:1, no circle."""
    write_photos(tmp_path)
    output = str(tmp_path / "out")
    full = do(planned(crop_job(tmp_path, guards="subject=0.9", fallback="skip")))
    crops, skipped = set(by_photo(output, full.run_id)), left_out(output, full.run_id)
    assert {("0", "1:1"), ("1", "16:9")} <= crops
    assert {("0", "circle"), ("1", "1:1")} <= skipped.keys()
    smaller = do(plan_rendering(RenderRequest(output, full.run_id, {"thumbnail_size": 48})))
    assert set(by_photo(output, smaller.run_id)) == crops
    assert left_out(output, smaller.run_id) == skipped
    # A derived ratio shares the fate of the shape that it is taken from, under its own name.
    source_of = {"1.91:1": "16:9", "circle": "circle", "100:101": "1:1"}
    changes = {"ratios": ",".join(source_of)}
    derived = do(plan_rendering(RenderRequest(output, full.run_id, changes)))
    wanted = [(name, ratio) for name in "0123" for ratio in source_of]
    assert set(by_photo(output, derived.run_id)) == {
        (name, ratio) for name, ratio in wanted if (name, source_of[ratio]) in crops
    }
    assert left_out(output, derived.run_id) == {
        (name, ratio): skipped[name, source_of[ratio]]
        for name, ratio in wanted
        if (name, source_of[ratio]) in skipped
    }


def left_out(output: str, run_id: str) -> dict[tuple[str, str], str]:
    """Why a photo has no crop of a shape, by both."""
    rows = open_run(output, run_id).images().to_pylist()
    return {
        (Path(row["uri"]).stem, one["ratio"]): one["reason"]
        for row in rows
        for one in row["skipped"] or ()
    }


def _silent() -> Log:
    return Log("json", io.StringIO())
