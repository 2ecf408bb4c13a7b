"""A run's figures: counted once, the same in metrics.json, on the endpoint and in the textfile."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.errors import SettingError
from pipeline.ledger.figures import Cost, Figures, add_figures, confidence_counts
from pipeline.ledger.records import Manifest, StoredList
from pipeline.report.telemetry import (
    CONFIDENCE,
    METRICS,
    MOST_VALUES,
    Telemetry,
    endpoint,
    write_textfile,
)

FIRST = Figures(
    statuses={"ok": 3, "truncated": 1},
    crops=18,
    bytes=4_000,
    crop_bytes=900,
    seconds={"read": 0.5, "score": 2.0},
    requests={"get": 5, "put": 3, "retry_throttled": 1},
    verdicts={"1:1|ok": 10, "16:9|ok": 5, "16:9|review": 3},
    reasons={"review|head_cut": 3},
    confidence={"0.2": 3, "0.9": 15},
    confidence_sum=13.5,
    costs={"score": Cost(cpu_s=1.5, gpu_s=0.5), "start": Cost(cpu_s=4.0, starts=2)},
)
SECOND = Figures(
    statuses={"ok": 2},
    crops=12,
    bytes=1_000,
    crop_bytes=100,
    seconds={"read": 0.25, "score": 1.0, "encode": 0.125},
    requests={"get": 2},
    verdicts={"1:1|ok": 6, "16:9|review": 6},
    confidence={"0.9": 6, "1.0": 6},
    confidence_sum=11.0,
    costs={"score": Cost(cpu_s=0.5), "read": Cost(wait_s=2.0, requests=2, read_bytes=1_000)},
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


def prometheus_text(telemetry: Telemetry) -> bytes:
    """What Prometheus reads, as the endpoint and the textfile give it."""
    return generate_latest(telemetry.registry)


def samples(text: bytes) -> dict[tuple[str, str], float]:
    """(name, values of its labels by their names' order) -> number, by Prometheus's own parser."""
    return {
        (sample.name, "|".join(value for _, value in sorted(sample.labels.items()))): sample.value
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
        "crops_by_verdict": {"16:9|ok": 5, "16:9|review": 9, "1:1|ok": 16},
        "crops_by_reason": {"review|head_cut": 3},
        "crops_by_confidence": {"0.2": 3, "0.9": 21, "1.0": 6},
        "input_bytes": 5_000,
        "crop_bytes": 1_000,
        "stage_seconds": {"read": 0.75, "score": 3.0, "encode": 0.125},
        "costs": {
            "score": {"cpu_s": 2.0, "gpu_s": 0.5},
            "start": {"cpu_s": 4.0, "starts": 2},
            "read": {"wait_s": 2.0, "requests": 2, "read_bytes": 1_000},
        },
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
    assert found["s2cnet_crops_total", "unknown|unknown"] == 0


def test_a_task_that_is_told_twice_counts_once() -> None:
    telemetry, clock = counted()
    before = prometheus_text(telemetry)
    clock.now += 99
    telemetry.task_done(1, SECOND)
    assert prometheus_text(telemetry) == before


def test_prometheus_text_has_every_declared_metric_and_the_same_numbers() -> None:
    telemetry, _ = counted()
    found = samples(prometheus_text(telemetry))
    histogram = {f"{CONFIDENCE}_{part}" for part in ("bucket", "sum", "count")}
    assert {name for name, _ in found} == set(METRICS) - {CONFIDENCE} | histogram
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
        kind = "counter" if name.endswith("_total") else "gauge"
        assert family.type == ("histogram" if name == CONFIDENCE else kind), name
        assert family.documentation == text


def test_a_status_may_be_any_text() -> None:
    telemetry = Telemetry("x", 1, 1)
    odd = 'a"b\\c\nd'
    telemetry.task_done(0, replace(FIRST, statuses={odd: 1}))
    assert samples(prometheus_text(telemetry))["s2cnet_images_total", odd] == 1


def test_crops_are_told_by_verdict_and_shape() -> None:
    telemetry, _ = counted()
    found = samples(prometheus_text(telemetry))
    crops = {labels: n for (name, labels), n in found.items() if name == "s2cnet_crops_total"}
    assert crops == {"1:1|ok": 16, "16:9|review": 9, "16:9|ok": 5}
    assert found["s2cnet_crop_reasons_total", "head_cut|review"] == 3


def test_crops_of_old_records_have_no_verdict_and_are_still_counted() -> None:
    telemetry, _ = counted()
    telemetry.task_done(2, Figures(statuses={"ok": 1}, crops=4))
    found = samples(prometheus_text(telemetry))
    assert found["s2cnet_crops_total", "unknown|unknown"] == 4
    assert found["s2cnet_crops_total", "1:1|ok"] == 16


def test_the_confidence_histogram_counts_all_up_to_each_end() -> None:
    telemetry, _ = counted()
    found = samples(prometheus_text(telemetry))
    buckets = [found[f"{CONFIDENCE}_bucket", end] for end in ("0.1", "0.2", "0.8", "0.9", "1.0")]
    assert buckets == [0, 3, 3, 24, 30]
    assert found[f"{CONFIDENCE}_bucket", "+Inf"] == found[f"{CONFIDENCE}_count", ""] == 30
    assert found[f"{CONFIDENCE}_sum", ""] == 24.5


def test_confidence_is_counted_by_the_upper_end_of_its_interval() -> None:
    counts = confidence_counts([0.0, 0.1, 0.10001, 0.3, 0.95, 1.0, None])
    assert counts == {"0.1": 2, "0.2": 1, "0.3": 1, "1.0": 2}


def test_series_are_bounded_and_what_is_left_out_is_summed() -> None:
    shapes = {f"{n}:7|ok": n for n in range(1, MOST_VALUES + 4)}
    telemetry = Telemetry("x", 1, 1)
    telemetry.task_done(0, Figures(crops=sum(shapes.values()), verdicts=shapes))
    found = samples(prometheus_text(telemetry))
    crops = {labels: n for (name, labels), n in found.items() if name == "s2cnet_crops_total"}
    assert len(crops) == MOST_VALUES + 1
    assert crops["other|other"] == 1 + 2 + 3, "the smallest"
    assert "3:7|ok" not in crops
    assert crops["4:7|ok"] == 4


def test_all_shapes_that_a_job_takes_keep_their_series() -> None:
    """Where the largest only were kept, series came and went as their counts grew."""
    names = [f"{n}:7|{verdict}" for n in range(100) for verdict in ("ok", "fallback", "review")]
    telemetry = Telemetry("x", 1, 1)
    for task, often in enumerate((names[:150], names[150:])):
        counts = {name: 9 if name in often else 1 for name in names}
        telemetry.task_done(task, Figures(crops=sum(counts.values()), verdicts=counts))
        found = samples(prometheus_text(telemetry))
        crops = [n for (name, _), n in found.items() if name == "s2cnet_crops_total"]
        assert (len(crops), sum(crops)) == (300, (task + 1) * 150 * (9 + 1))


def test_a_shape_may_be_any_text() -> None:
    telemetry = Telemetry("x", 1, 1)
    telemetry.task_done(0, Figures(crops=1, verdicts={'a"}\n:1|ok': 1}))
    assert samples(prometheus_text(telemetry))["s2cnet_crops_total", 'a"}\n:1|ok'] == 1


def test_costs_are_told_by_stage() -> None:
    telemetry, _ = counted()
    found = samples(prometheus_text(telemetry))
    assert found["s2cnet_cpu_seconds_total", "score"] == 2.0
    assert found["s2cnet_cpu_seconds_total", "start"] == 4.0
    assert found["s2cnet_gpu_seconds_total", "score"] == 0.5
    assert found["s2cnet_wait_seconds_total", "read"] == 2.0
    assert found["s2cnet_worker_starts_total", ""] == 2


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
    with endpoint(first, port=0) as port, pytest.raises(SettingError) as told:
        endpoint(second, port=port).__enter__()
    problem = f"cannot be used: no metrics on 127.0.0.1:{port}: Address already in use"
    assert (told.value.field, told.value.problem) == ("metrics_port", problem)


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
