"""The crop job as users start it, on a real local cluster: one Ray head for the module."""

import contextlib
import json
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from pipeline import open_run
from pipeline.cli.local_services import RayHead, free_ports, ray_head
from pipeline.storage.store import open_store
from tests.conftest import S3_ENVIRONMENT
from tests.support.crop_jobs import finish, start, tree, write_scenes
from tests.support.odd_photos import scene, write_odd_photos

__all__ = ["tree"]  # a fixture


@pytest.fixture(scope="module")
def head(s3_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayHead]:
    environment = {**S3_ENVIRONMENT, "AWS_ENDPOINT_URL": s3_server, "OMP_NUM_THREADS": "1"}
    environment["RAY_worker_niceness"] = "0"  # else (15) other work on the machine starves workers
    with ray_head(tmp_path_factory.mktemp("ray-log"), environment, cpus=2) as started:
        yield started


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
    code, log = finish(start(tree, head, *arguments, submit=True))
    assert code == 0, log
    assert "UNTRAINED" in next(e["message"] for e in log if e["event"] == "untrained")
    assert "no GPU" in next(e["message"] for e in log if e["event"] == "workers")

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
    committed = next(e for e in log if e["event"] == "committed")
    assert committed["statuses"]["ok"] == good
    assert set(committed["seconds"]) >= {"read", "decode", "detect", "score", "encode"}
    reads = manifest["metrics"]["requests"]["get"]
    assert reads >= len(expected), "every object is read once"

    before = {info.key: info.etag for info in bucket.list("out/")}
    code, log = finish(start(tree, head, *arguments, submit=True))
    assert code == 0
    assert log[-1]["message"].startswith("nothing to do")
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
    deaths = poisoned / "pipeline/stages/worker_deaths.py"
    deaths.write_text(deaths.read_text().replace("DEATHS = 3", "DEATHS = 2"))  # each costs seconds
    arguments = ["--input", str(photos), "--output", str(tmp_path / "out"), "--num-actors", "1"]
    code, log = finish(start(poisoned, head, *arguments, "--image-timeout-s", "6"))
    assert code == 0, log
    images = open_run(str(tmp_path / "out")).images().to_pylist()
    failed = {Path(r["uri"]).name: r["status"] for r in images if r["status"] != "ok"}
    assert failed == {"01b-kills.png": "worker_died", "02b-hangs.png": "timeout"}
    assert {r["error_kind"] for r in images if r["status"] != "ok"} == {"transient"}
    assert sum(r["status"] == "ok" for r in images) == 4


def test_an_estimate_leaves_nothing_and_the_run_tells_what_it_took(
    tree: Path, head: RayHead, tmp_path: Path
) -> None:
    """An estimate of all photos counts what the run then does; lineage receives only the run."""
    photos, out, events = write_scenes(tmp_path / "in", 8), tmp_path / "out", tmp_path / "events"
    arguments = ["--input", photos, "--output", str(out), "--openlineage", str(events)]
    code, log = finish(start(tree, head, *arguments, "--estimate"))
    assert code == 0, log
    estimate = log[-1]
    assert estimate["event"] == "estimate"
    assert (estimate["photos"], estimate["sampled"]) == (8, 8)
    assert estimate["crops"]["value"] == 16
    assert 0 < estimate["cpu_hours"]["low"] <= estimate["cpu_hours"]["high"]
    assert estimate["cost_total"]["value"] > 0
    assert not out.exists()
    assert not events.exists()

    code, log = finish(start(tree, head, *arguments))
    assert code == 0, log
    committed = next(e for e in log if e["event"] == "committed")
    assert committed["crops"] == 16
    assert {"start", "read", "decode", "detect", "score", "encode", "commit", "hand_over"} == set(
        committed["costs"]
    )
    assert committed["costs"]["start"]["starts"] >= 2
    assert committed["costs"]["decode"]["cpu_s"] > 0, "the time of the decoding child"
    assert " limits" in committed["limits"] or committed["limits"].startswith("starting took ")
    kinds = [json.loads(line)["eventType"] for line in events.read_text().splitlines()]
    assert kinds == ["START", "COMPLETE"]


def stop_soon(process: subprocess.Popen[str], output: Path) -> list[dict[str, Any]]:
    """SIGTERM as soon as a task is on record; returns the job's events."""
    while not list(output.glob("runs/*/tasks/*.json")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    code, log = finish(process)
    assert code == 128 + signal.SIGTERM
    return log


def test_a_stopped_job_goes_on_and_workers_change_nothing(
    tree: Path, head: RayHead, tmp_path: Path
) -> None:
    """SIGTERM: exit 143, what is on record stays; the crops are those of any other workers."""
    photos = write_scenes(tmp_path / "in", 24)
    arguments = ["--input", photos, "--output", str(tmp_path / "out"), "--task-images", "1"]
    process = start(tree, head, *arguments, "--num-actors", "1", "--drain-s", "1")
    assert stop_soon(process, tmp_path / "out")[-1]["event"] == "stopped"
    assert not list((tmp_path / "out").glob("runs/*/_MANIFEST.json"))

    code, log = finish(start(tree, head, *arguments, "--num-actors", "1"))
    assert code == 0
    planned = next(event for event in log if event["event"] == "begin")
    assert 0 < planned["pending"] < 24
    assert open_run(str(tmp_path / "out")).images().num_rows == 24

    other = ["--input", photos, "--output", str(tmp_path / "other"), "--task-images", "10"]
    assert finish(start(tree, head, *other, "--num-actors", "2"))[0] == 0
    assert crops_of(str(tmp_path / "out")).equals(crops_of(str(tmp_path / "other")))


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
        code, log = finish(start(tree, second[0], *arguments, *second[1:]))
        assert code == 0, log
        left = next(event for event in log if event["event"] == "begin")["pending"]
        assert 0 < left < 17
        outputs.append(all_rows(out))
    ours, theirs = outputs
    assert [table.num_rows for table in ours[:3]] == [17, 32, 16]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.equals(other)


def test_too_many_failures_exit_with_3_and_say_why(tree: Path, tmp_path: Path) -> None:
    photos = write_scenes(tmp_path / "in", 1)
    (tmp_path / "in" / "lie.jpg").write_text("not a picture")
    (tmp_path / "in" / "none.jpg").write_bytes(b"")
    arguments = ["--input", photos, "--output", str(tmp_path / "out"), "--local"]
    code, log = finish(start(tree, None, *arguments, "--max-error-rate", "0.5"))
    assert code == 3
    reasons = next(event for event in log if event["event"] == "over_error_rate")
    assert reasons["failed"] == {"empty": 1, "unsupported_format": 1}
    assert open_run(str(tmp_path / "out")).manifest["verdict"] == "over_error_rate"
    code, log = finish(start(tree, None, *arguments, "--max-error-rate", "0.5"))
    assert code == 3, "a committed run keeps its verdict"
    again = next(event for event in log if event["event"] == "over_error_rate")
    assert again["failed"] == reasons["failed"]
    assert again["message"].startswith("in run ")


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
    (port,), file = free_ports(1), tmp_path / "figures.prom"
    arguments = ["--input", photos, "--output", str(tmp_path / "out"), "--task-images", "1"]
    metrics = [f"--metrics-port={port}", f"--metrics-file={file}"]
    process = start(tree, head, *arguments, *metrics)
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
