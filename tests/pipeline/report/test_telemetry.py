"""A run's figures: counted once, the same in metrics.json, on the endpoint and in the textfile."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from pipeline.errors import UsageError
from pipeline.ledger.figures import Figures, add_figures
from pipeline.ledger.records import Manifest, StoredList
from pipeline.report.telemetry import (
    METRICS,
    Telemetry,
    endpoint,
    prometheus_text,
    write_textfile,
)

FIRST = Figures(
    statuses={"ok": 3, "truncated": 1},
    crops=18,
    bytes=4_000,
    crop_bytes=900,
    seconds={"read": 0.5, "score": 2.0},
    requests={"get": 5, "put": 3, "retry_throttled": 1},
)
SECOND = Figures(
    statuses={"ok": 2},
    crops=12,
    bytes=1_000,
    crop_bytes=100,
    seconds={"read": 0.25, "score": 1.0, "encode": 0.125},
    requests={"get": 2},
)
NO_LIST = StoredList(key="", sha256="", rows=0)
MANIFEST = Manifest(
    settings={}, weights_sha256="", detector="", code_version="", input_sha256="", format=1,
    run_id="ab12", verdict="done", committed_at=2_000.0, rows=10, tasks=3, tables={},
    metrics=add_figures([FIRST, SECOND, SECOND]), files=NO_LIST, unsettled=NO_LIST,
    session={"driver_requests": {"list": 4, "get": 1}},
)  # fmt: skip


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def counted() -> tuple[Telemetry, Clock]:
    clock = Clock()
    telemetry = Telemetry("ab12", images=10, tasks=3, clock=clock)
    clock.now += 30
    telemetry.task_done(0, FIRST)
    clock.now += 30
    telemetry.task_done(1, SECOND)
    telemetry.add_requests({"list": 4, "get": 1})
    return telemetry, clock


def samples(text: bytes) -> dict[tuple[str, str], float]:
    """(name, label value) -> number, read by Prometheus's own parser."""
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_metrics_json_holds_the_sums() -> None:
    telemetry, _ = counted()
    assert json.loads(telemetry.metrics_json()) == {
        "run_id": "ab12",
        "images": {"ok": 5, "truncated": 1},
        "images_done": 6,
        "images_planned": 10,
        "crops": 30,
        "input_bytes": 5_000,
        "crop_bytes": 1_000,
        "stage_seconds": {"read": 0.75, "score": 3.0, "encode": 0.125},
        "storage_requests": {"get": 8, "list": 4, "put": 3},
        "storage_retries": {"throttled": 1},
        "storage_requests_per_image": 2.5,
        "tasks_done": 2,
        "tasks_planned": 3,
        "queue_depth_tasks": 1,
    }


def test_a_committed_run_tells_the_same_figures_as_the_live_one() -> None:
    live, _ = counted()
    live.task_done(2, SECOND)
    assert Telemetry.of_manifest(MANIFEST).metrics_json() == live.metrics_json()


def test_nothing_done_yet_is_zero_everywhere() -> None:
    found = samples(prometheus_text(Telemetry("ab12", images=10, tasks=3)))
    assert found["s2cnet_queue_depth_tasks", ""] == 3
    assert found["s2cnet_crops_total", ""] == 0


def test_a_task_that_is_told_twice_counts_once() -> None:
    telemetry, clock = counted()
    before = prometheus_text(telemetry)
    clock.now += 99
    telemetry.task_done(1, SECOND)
    assert prometheus_text(telemetry) == before


def test_prometheus_text_has_every_declared_metric_and_the_same_numbers() -> None:
    telemetry, _ = counted()
    found = samples(prometheus_text(telemetry))
    assert {name for name, _ in found} == set(METRICS)
    assert found["s2cnet_images_total", "ok"] == 5
    assert found["s2cnet_images_total", "truncated"] == 1
    assert found["s2cnet_stage_seconds_total", "score"] == 3.0
    assert found["s2cnet_storage_requests_total", "get"] == 8
    assert found["s2cnet_storage_retries_total", "throttled"] == 1
    assert found["s2cnet_queue_depth_tasks", ""] == 1
    assert found["s2cnet_last_task_time_seconds", ""] == 1_060
    assert ("s2cnet_storage_requests_total", "retry_throttled") not in found


def test_counters_are_counters_and_say_what_they_count() -> None:
    telemetry, _ = counted()
    families = {f.name: f for f in text_string_to_metric_families(
        prometheus_text(telemetry).decode())}  # fmt: skip
    for name, (text, _) in METRICS.items():
        family = families[name.removesuffix("_total")]
        assert family.type == ("counter" if name.endswith("_total") else "gauge"), name
        assert family.documentation == text


def test_a_status_may_be_any_text() -> None:
    telemetry = Telemetry("x", 1, 1)
    odd = 'a"b\\c\nd'
    telemetry.task_done(0, replace(FIRST, statuses={odd: 1}))
    assert samples(prometheus_text(telemetry))["s2cnet_images_total", odd] == 1


def test_endpoint_serves_live_figures_on_loopback_and_ends() -> None:
    telemetry, _ = counted()
    with endpoint(telemetry, port=0) as port:
        url = f"http://127.0.0.1:{port}/metrics"
        first = samples(_get(url))
        telemetry.task_done(2, SECOND)
        second = samples(_get(url))
    assert (first["s2cnet_queue_depth_tasks", ""], second["s2cnet_queue_depth_tasks", ""]) == (1, 0)
    with pytest.raises(urllib.error.URLError):
        _get(url)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's table of sockets")
def test_endpoint_binds_loopback_alone() -> None:
    with endpoint(Telemetry("x", 1, 1), port=0) as port:
        listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        local = {row[1] for row in listening if row[1].endswith(f":{port:04X}") and row[3] == "0A"}
    assert local == {f"0100007F:{port:04X}"}


def test_a_port_that_is_taken_is_a_usage_error() -> None:
    first, second = Telemetry("x", 1, 1), Telemetry("y", 1, 1)
    with endpoint(first, port=0) as port, pytest.raises(UsageError, match=f"127.0.0.1:{port}"):
        endpoint(second, port=port).__enter__()


def test_no_port_serves_nothing() -> None:
    with endpoint(Telemetry("x", 1, 1), port=None) as port:
        assert port is None


def test_textfile_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "s2cnet.prom"
    path.write_text("old")
    telemetry, _ = counted()
    write_textfile(telemetry, path)
    assert path.read_bytes() == prometheus_text(telemetry)
    assert [file.name for file in tmp_path.iterdir()] == ["s2cnet.prom"]


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read()
