"""The crop job as its users start it, on a real local cluster: one Ray head for the module."""

import contextlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from pipeline import LedgerError, open_run
from pipeline.cli.crop import main, parser
from pipeline.cli.local_services import RayHead, ray_head
from pipeline.settings import Settings
from pipeline.storage.store import open_store
from tests.conftest import S3_ENVIRONMENT, free_port
from tests.support.odd_photos import scene, write_odd_photos

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cuda_ops", "jobs", "pipeline", "s2cnet")
QUICK = ["--ratios", "1:1,circle", "--thumbnail-size", "64", "--weights", "untrained"]


@pytest.fixture(scope="module")
def head(s3_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayHead]:
    environment = {**S3_ENVIRONMENT, "AWS_ENDPOINT_URL": s3_server, "OMP_NUM_THREADS": "1"}
    environment["RAY_worker_niceness"] = "0"  # else (15) other work on the machine starves workers
    with ray_head(tmp_path_factory.mktemp("ray-log"), environment, cpus=2) as started:
        yield started


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages alone, as a working directory to submit; editing the project disturbs no run."""
    copy = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, copy / package, ignore=ignored)
    return copy


def start(
    tree: Path, head: RayHead | None, *arguments: str, submit: bool = False
) -> subprocess.Popen[str]:
    """The job as a process of its own, or through `ray job submit`; its output is JSON lines."""
    command = [sys.executable, "jobs/crop_bucket.py"]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    if head is not None:
        environment |= {**head.environment, "RAY_ADDRESS": head.address}
    if submit:
        assert head is not None
        del environment["RAY_ADDRESS"]
        ray = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit"]
        where = ["--address", head.dashboard_url, "--working-dir", str(tree)]
        command = [*ray, *where, "--", "python", "jobs/crop_bucket.py"]
    command += [*arguments, *QUICK, "--log-format", "json"]
    return subprocess.Popen(
        command, cwd=tree, env=environment, text=True, stdout=subprocess.PIPE
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and events."""
    try:
        output, _ = process.communicate(timeout=600)
    finally:
        process.kill()  # where it did not end; else nothing happens
    return process.returncode, events(output)


def events(output: str) -> list[dict[str, Any]]:
    found = []
    for line in output.splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return [event for event in found if isinstance(event, dict)]


def crops_of(output: str) -> pa.Table:
    order = [("uri", "ascending"), ("ratio", "ascending"), ("rank", "ascending")]
    return open_run(output).crops().drop_columns(["run_id", "processed_at"]).sort_by(order)


def test_an_odd_bucket_by_ray_job_submit_then_again(
    tree: Path, head: RayHead, s3: str, tmp_path: Path
) -> None:
    """Every object of a bucket becomes one row; the same job again finds nothing to do."""
    expected = write_odd_photos(tmp_path / "odd")
    bucket = open_store(s3)
    names = {}
    for number, path in enumerate(sorted((tmp_path / "odd").iterdir())):
        bucket.write(f"in/{number}", path.read_bytes())
        names[f"{s3}/in/{number}"] = path.name
    arguments = ["--input", f"{s3}/in/", "--output", f"{s3}/out", "--task-images", "20"]
    code, told = finish(start(tree, head, *arguments, submit=True))
    assert code == 0, told
    assert "UNTRAINED" in next(e["message"] for e in told if e["event"] == "untrained")
    assert "no GPU" in next(e["message"] for e in told if e["event"] == "workers")

    run = open_run(f"{s3}/out")
    statuses = {names[r["uri"]]: r["status"] for r in run.images().to_pylist()}
    assert statuses == expected
    good = sum(status == "ok" for status in expected.values())
    assert run.crops().num_rows == 2 * good
    manifest = run.manifest
    assert manifest["verdict"] == "done"
    assert manifest["weights"] == {
        "kind": "untrained", "preset": "gaicv1", "seed": 0, "sha256": "untrained-gaicv1-seed0",
    }  # fmt: skip
    committed = next(e for e in told if e["event"] == "committed")
    assert committed["statuses"]["ok"] == good
    assert set(committed["seconds"]) >= {"read", "decode", "detect", "score", "encode"}
    reads = manifest["metrics"]["requests"]["get"]
    assert reads >= len(expected), "every object is read once"

    before = {info.key: info.etag for info in bucket.list("out/")}
    code, told = finish(start(tree, head, *arguments, submit=True))
    assert code == 0
    assert told[-1]["message"].startswith("nothing to do")
    assert {info.key: info.etag for info in bucket.list("out/")} == before


POISON = """
import os
import time


def poisoned(detect_inputs):
    def first_looks(self, inputs, photos):
        for photo in photos:
            if photo[0, 0].tolist() == [1, 2, 3]:
                os._exit(1)
            if photo[0, 0].tolist() == [3, 2, 1]:
                time.sleep(600)
        return detect_inputs(self, inputs, photos)

    return first_looks


EmbeddedDetector.detect_inputs = poisoned(EmbeddedDetector.detect_inputs)
"""


def test_a_picture_that_kills_or_hangs_its_worker_costs_its_own_row(
    tree: Path, head: RayHead, tmp_path: Path
) -> None:
    photos = Path(write_scenes(tmp_path / "in", 4))
    for name, colour in (("01b-kills.png", (1, 2, 3)), ("02b-hangs.png", (3, 2, 1))):
        picture = scene(90, 60)
        picture[0, 0] = colour
        Image.fromarray(picture).save(photos / name)
    poisoned = tmp_path / "tree"
    shutil.copytree(tree, poisoned)
    with (poisoned / "pipeline" / "detectors" / "embedded.py").open("a") as source:
        source.write(POISON)
    guard = poisoned / "pipeline/stages/guard.py"  # each death costs seconds: two must do here
    guard.write_text(guard.read_text().replace("DEATHS = 3", "DEATHS = 2"))
    arguments = ["--input", str(photos), "--output", str(tmp_path / "out"), "--num-actors", "1"]
    code, told = finish(start(poisoned, head, *arguments, "--image-timeout-s", "10"))
    assert code == 0, told
    images = open_run(str(tmp_path / "out")).images().to_pylist()
    failed = {Path(r["uri"]).name: r["status"] for r in images if r["status"] != "ok"}
    assert failed == {"01b-kills.png": "worker_died", "02b-hangs.png": "timeout"}
    assert {r["error_kind"] for r in images if r["status"] != "ok"} == {"transient"}
    assert sum(r["status"] == "ok" for r in images) == 4


def write_scenes(folder: Path, count: int) -> str:
    folder.mkdir()
    for number in range(count):
        picture = np.roll(scene(160 + 10 * number, 120), 9 * number, axis=1)
        Image.fromarray(picture).save(folder / f"{number:02}.jpg")
    return str(folder)


def test_an_estimate_leaves_nothing_and_the_run_tells_what_it_took(
    tree: Path, head: RayHead, tmp_path: Path
) -> None:
    """An estimate of all photos counts what the run then does; lineage is told of the run only."""
    photos, out, events = write_scenes(tmp_path / "in", 8), tmp_path / "out", tmp_path / "events"
    arguments = ["--input", photos, "--output", str(out), "--openlineage", str(events)]
    code, told = finish(start(tree, head, *arguments, "--estimate"))
    assert code == 0, told
    estimate = told[-1]
    assert estimate["event"] == "estimate"
    assert (estimate["photos"], estimate["sampled"]) == (8, 8)
    assert estimate["crops"]["value"] == 16
    assert 0 < estimate["cpu_hours"]["low"] <= estimate["cpu_hours"]["high"]
    assert estimate["cost_total"]["value"] > 0
    assert not out.exists()
    assert not events.exists()

    code, told = finish(start(tree, head, *arguments))
    assert code == 0, told
    committed = next(e for e in told if e["event"] == "committed")
    assert committed["crops"] == 16
    assert {"start", "read", "decode", "detect", "score", "encode", "commit", "hand_over"} == set(
        committed["costs"]
    )
    assert committed["costs"]["start"]["starts"] >= 2
    assert committed["costs"]["decode"]["cpu_s"] > 0, "the time of the decoding child"
    assert " limits" in committed["limits"]
    kinds = [json.loads(line)["eventType"] for line in events.read_text().splitlines()]
    assert kinds == ["START", "COMPLETE"]


def test_a_stopped_job_goes_on_and_workers_change_nothing(
    tree: Path, head: RayHead, tmp_path: Path
) -> None:
    """SIGTERM: exit 143, what is on record stays; the crops are those of any other workers."""
    photos = write_scenes(tmp_path / "in", 24)
    arguments = ["--input", photos, "--output", str(tmp_path / "out"), "--task-images", "1"]
    process = start(tree, head, *arguments, "--num-actors", "1", "--drain-s", "1")
    assert process.stdout is not None
    for line in process.stdout:
        if '"workers"' in line:
            break
    while not list((tmp_path / "out").glob("runs/*/tasks/*.json")):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    code, told = finish(process)
    assert code == 128 + signal.SIGTERM
    assert [event["event"] for event in told][-1] == "stopped"
    assert not list((tmp_path / "out").glob("runs/*/_MANIFEST.json"))

    code, told = finish(start(tree, head, *arguments, "--num-actors", "1"))
    assert code == 0
    planned = next(event for event in told if event["event"] == "begin")
    assert 0 < planned["pending"] < 24
    assert open_run(str(tmp_path / "out")).images().num_rows == 24

    other = ["--input", photos, "--output", str(tmp_path / "other"), "--task-images", "10"]
    assert finish(start(tree, head, *other, "--num-actors", "2"))[0] == 0
    assert crops_of(str(tmp_path / "out")).equals(crops_of(str(tmp_path / "other")))


def stop_soon(process: subprocess.Popen[str], output: Path) -> None:
    """SIGTERM as soon as a task is on record."""
    while not list(output.glob("runs/*/tasks/*.json")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == 128 + signal.SIGTERM


def all_rows(output: Path) -> list[pa.Table]:
    """Every table with every column, but for when a row was made and how long that took."""
    run = open_run(str(output))
    tables = []
    for table in (run.images(), run.crops(), run.previews(), run.candidates()):
        names = [name for name in table.column_names if name != "processed_at"]
        names = [name for name in names if not name.endswith("_s")]
        keys = [
            name for name in ("image_id", "ratio", "rank", "score", "x0", "y0") if name in names
        ]
        tables.append(table.select(names).sort_by([(key, "ascending") for key in keys]))
    return tables


@pytest.mark.slow
def test_ray_and_processes_of_this_machine_go_on_with_each_other_s_runs(
    tree: Path, head: RayHead, tmp_path: Path
) -> None:
    """One run begun by Ray and ended without, one the other way round: the rows are the same."""
    photos = write_scenes(tmp_path / "in", 16)
    (tmp_path / "in" / "lie.jpg").write_text("not a picture")
    given = ["--input", photos, "--task-images", "1", "--candidates", "--drain-s", "0.5"]
    outputs = []
    for first, second in (([head], [None, "--local"]), ([None, "--local"], [head])):
        out = tmp_path / f"out-{len(outputs)}"
        arguments = [*given, "--output", str(out)]
        stop_soon(start(tree, first[0], *arguments, *first[1:]), out)
        code, told = finish(start(tree, second[0], *arguments, *second[1:]))
        assert code == 0, told
        left = next(event for event in told if event["event"] == "begin")["pending"]
        assert 0 < left < 17
        outputs.append(all_rows(out))
    ours, theirs = outputs
    assert [table.num_rows for table in ours[:3]] == [17, 32, 16]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.equals(other)


def test_too_many_failures_exit_with_3_and_say_why(
    tree: Path, head: RayHead, tmp_path: Path
) -> None:
    photos = write_scenes(tmp_path / "in", 1)
    (tmp_path / "in" / "lie.jpg").write_text("not a picture")
    (tmp_path / "in" / "none.jpg").write_bytes(b"")
    arguments = ["--input", photos, "--output", str(tmp_path / "out"), "--num-actors", "1"]
    code, told = finish(start(tree, head, *arguments, "--max-error-rate", "0.5"))
    assert code == 3
    reasons = next(event for event in told if event["event"] == "over_error_rate")
    assert reasons["failed"] == {"empty": 1, "unsupported_format": 1}
    assert open_run(str(tmp_path / "out")).manifest["verdict"] == "over_error_rate"
    code, _ = finish(start(tree, None, *arguments, "--max-error-rate", "0.5"))
    assert code == 3, "a committed run keeps its verdict"


def scrape(text: str) -> dict[str, float]:
    """Each sample of Prometheus's text form, its label with its name."""
    families = text_string_to_metric_families(text)
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in families
        for sample in family.samples
    }


def crops_counted(figures: dict[str, float]) -> float:
    """Crops of every verdict and shape."""
    return sum(v for name, v in figures.items() if name.startswith("s2cnet_crops_total "))


def test_figures_can_be_read_while_the_job_runs(tree: Path, head: RayHead, tmp_path: Path) -> None:
    """Each scrape is what a number of whole tasks did; they grow into those of metrics.json."""
    photos = write_scenes(tmp_path / "in", 24)
    (tmp_path / "in" / "none.jpg").write_bytes(b"")
    port, file = free_port(), tmp_path / "figures.prom"
    arguments = ["--input", photos, "--output", str(tmp_path / "out"), "--task-images", "1"]
    told = [f"--metrics-port={port}", f"--metrics-file={file}"]
    process = start(tree, head, *arguments, *told)
    seen: list[dict[str, float]] = []
    while process.poll() is None:
        with contextlib.suppress(OSError):  # not there yet, or not there any more
            answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5)
            with answer:
                seen.append(scrape(answer.read().decode()))
        time.sleep(0.05)
    assert finish(process)[0] == 0
    (metrics,) = (tmp_path / "out").glob("runs/*/metrics.json")
    end = json.loads(metrics.read_text())
    done = [figures["s2cnet_tasks_done_total"] for figures in seen]
    assert done == sorted(done)
    assert len({tasks for tasks in done if 0 < tasks < 25}) > 1
    for figures, tasks in zip(seen, done, strict=True):
        assert figures["s2cnet_queue_depth_tasks"] == 25 - tasks
        by_status = [v for name, v in figures.items() if name.startswith("s2cnet_images_total ")]
        assert sum(by_status) == tasks
        assert crops_counted(figures) == 2 * figures.get("s2cnet_images_total ok", 0)
    last = scrape(file.read_text())
    assert {name: last[f"s2cnet_images_total {name}"] for name in end["images"]} == end["images"]
    assert end["images"] == {"ok": 24, "empty": 1}
    assert crops_counted(last) == end["crops"] == 48
    for name in ("input_bytes", "crop_bytes", "tasks_done"):
        assert last[f"s2cnet_{name}_total"] == end[name] > 0
    for name, seconds in end["stage_seconds"].items():
        # Tasks are added up in another order, and each sum is rounded to a thousandth.
        assert last[f"s2cnet_stage_seconds_total {name}"] == pytest.approx(seconds, abs=0.0011)
    for name in ("images_planned", "tasks_planned"):
        assert last[f"s2cnet_{name}"] == seen[0][f"s2cnet_{name}"] == end[name] == 25
    assert last["s2cnet_storage_requests_total get"] <= end["storage_requests"]["get"]


def test_a_dry_run_writes_nothing(tree: Path, tmp_path: Path) -> None:
    photos = write_scenes(tmp_path / "in", 3)
    arguments = ["--input", photos, "--output", str(tmp_path / "out"), "--dry-run"]
    code, told = finish(start(tree, None, *arguments, "--task-images", "2"))
    assert code == 0
    assert "3 photos in 2 tasks" in told[-1]["message"]
    assert not (tmp_path / "out").exists()


@pytest.fixture
def _own_handlers() -> Iterator[None]:
    """Puts back what a job in this process does to signals."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
    handlers = {number: signal.getsignal(number) for number in numbers}
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_own_handlers")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("times", [1, 2])
def test_signals_end_a_job_within_its_drain_time(
    number: signal.Signals, code: int, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: after the time to drain. Twice: at once, however long that time is."""

    def interrupted(*_: object) -> NoReturn:
        for _ in range(times):
            os.kill(os.getpid(), number)
        while True:
            signal.pause()

    monkeypatch.setattr("pipeline.run.crop_bucket", interrupted)
    drain_s = "0.1" if times == 1 else "3600"
    assert main(["--input", "a", "--output", "b", "--drain-s", drain_s]) == code


@pytest.mark.usefixtures("_own_handlers")
def test_a_kill_while_a_job_plans_or_commits_is_answered_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--input", write_scenes(tmp_path / "in", 2), "--output", str(tmp_path / "out")]
    arguments += ["--ratios", "1:1", "--thumbnail-size", "64", "--local", "--drain-s", "60"]

    def killed(*told: Any, then: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return then(*told)

    for name in ("pipeline.run.plan", "pipeline.run.commit"):
        module, _, function = name.rpartition(".")
        then = getattr(importlib.import_module(module), function)
        with monkeypatch.context() as patch:
            patch.setattr(name, partial(killed, then=then))
            assert main(arguments) == 128 + signal.SIGTERM
        told = capsys.readouterr().out
        assert "stopping within" in told
        assert ("is committed" in told) == (function == "commit")
    assert main(arguments) == 0
    assert "nothing to do" in capsys.readouterr().out


GOODBYE = """
import atexit, os, signal, sys, time
from pipeline.cli import crop
from pipeline.report.progress import Log


class TornDown:
    def __del__(self, sleep=time.sleep):
        sleep(1)


torn_down = TornDown()
crop.EXIT_S = 0.4
crop.stop_on_signals(0, Log())
atexit.register(time.sleep, {ray_s})
try:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)
except crop.Stopped as stopped:
    sys.exit(128 + stopped.signum)
"""


@pytest.mark.parametrize("ray_s", [0.0, 5.0])
def test_a_slow_goodbye_does_not_change_the_exit_code(ray_s: float) -> None:
    """Ray's, which has a deadline, or the interpreter's, which has handlers no more."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", GOODBYE.format(ray_s=ray_s)], cwd=ROOT, check=False
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert time.monotonic() - started < 5


@pytest.mark.usefixtures("_own_handlers")
def test_a_run_that_cannot_go_on_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> NoReturn:
        raise LedgerError("the store is read only")

    monkeypatch.setattr("pipeline.run.crop_bucket", refused)
    assert main(["--input", "a", "--output", "b"]) == 1
    assert "the store is read only" in capsys.readouterr().out


@pytest.mark.usefixtures("_own_handlers")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "nowhere", "--output", "out"], "nowhere"),
        (["--input", "in", "--output", "out", "--ratios", "round"], "round"),
        (["--input", "in", "--output", "out", "--weights", "gone.pth"], "gone.pth"),
        (["--input", "in", "--output", "out", "--detector", "eyes"], "eyes"),
        (["--input", "s3://key:secret@bucket/", "--output", "out"], "user:password"),
        (["--input", "in", "--output", "in/out"], "inside the input"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    write_scenes(tmp_path / "in", 1)
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "secret" not in told
    assert not (tmp_path / "out").exists()


def test_the_command_line_is_the_settings() -> None:
    chosen = parser().parse_args(["--input", "a", "--output", "b", "--top-k", "3", "--candidates"])
    settings = Settings.of(**vars(chosen))
    assert settings == Settings.of(input="a", output="b", top_k=3, candidates=True)
    text = parser().format_help()
    assert "default: 512 px" in text
    assert "default: 10.0 s" in text
