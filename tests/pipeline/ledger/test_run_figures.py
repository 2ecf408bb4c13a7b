"""Adding up figures: each field by its own rule, by hand; an empty one adds nothing."""

import json
from typing import Any

import pytest
from msgspec.structs import asdict

from pipeline.ledger.figures import Cost, Figures, add_figures, confidence_counts
from pipeline.ledger.records import Manifest, StoredList
from pipeline.ledger.totals import RunTotals

ONE = Figures(
    statuses={"ok": 3, "corrupt": 1}, crops=6, verdicts={"1:1|ok": 5}, reasons={"review|x": 1},
    kinds={"photo": 4}, shared=1, overridden=2, bytes=1000, crop_bytes=100, seconds={"read": 1.5},
    requests={"get": 7}, costs={"read": Cost(cpu_s=1.0, wait_s=2.0, requests=3)},
    confidence={"0.5": 2}, confidence_sum=0.9,
)  # fmt: skip
OTHER = Figures(
    statuses={"ok": 1, "skipped_animated": 2}, crops=2, verdicts={"1:1|ok": 1, "9:16|ok": 1},
    reasons={"review|x": 2}, kinds={"animated": 2}, shared=4, overridden=1, bytes=50, crop_bytes=5,
    seconds={"read": 0.25, "score": 2}, requests={"get": 1, "retry_network": 2},
    costs={"read": Cost(cpu_s=0.5, gpu_s=4.0), "score": Cost(starts=1)},
    confidence={"0.5": 1, "1.0": 1}, confidence_sum=1.5,
)  # fmt: skip
SUM = {
    "statuses": {"ok": 4, "corrupt": 1, "skipped_animated": 2},
    "crops": 8,
    "verdicts": {"1:1|ok": 6, "9:16|ok": 1},
    "reasons": {"review|x": 3},
    "kinds": {"photo": 4, "animated": 2},
    "shared": 5,
    "overridden": 3,
    "bytes": 1050,
    "crop_bytes": 105,
    "seconds": {"read": 1.75, "score": 2},
    "requests": {"get": 8, "retry_network": 2},
    "costs": {"read": Cost(cpu_s=1.5, gpu_s=4.0, wait_s=2.0, requests=3), "score": Cost(starts=1)},
    "confidence": {"0.5": 3, "1.0": 1},
    "confidence_sum": 2.4,
}
COST = {"cpu_s": 1, "gpu_s": 2, "wait_s": 3, "requests": 4, "read_bytes": 5, "written_bytes": 6,
        "starts": 7}  # fmt: skip


def test_every_field_adds_up() -> None:
    assert asdict(ONE + OTHER) == SUM
    assert asdict(OTHER + ONE) == SUM
    assert ONE + Figures() == ONE
    assert Figures() + ONE == ONE
    assert add_figures([]) == Figures()
    assert add_figures([ONE, OTHER, Figures()]) == ONE + OTHER
    assert asdict(Figures()) == {name: type(value)() for name, value in asdict(ONE).items()}, (
        "a figure that is not given is 0 or empty"
    )


def test_every_cost_adds_up() -> None:
    made = Cost(**COST)  # type: ignore[arg-type]
    assert asdict(made + made) == {name: 2 * value for name, value in COST.items()}
    assert made + Cost() == made
    assert asdict(Cost()) == dict.fromkeys(COST, 0)


def test_photos_are_ok_failed_or_left_out() -> None:
    both = ONE + OTHER
    assert (both.photos, both.ok, both.failed) == (7, 4, 1)
    assert (Figures().photos, Figures().ok, Figures().failed) == (0, 0, 0)


@pytest.mark.parametrize(
    ("confidence", "upper_end"),
    [(0.0, "0.1"), (0.05, "0.1"), (0.1, "0.1"), (0.10000000149, "0.1"), (0.11, "0.2"), (0.2, "0.2"),
     (0.3, "0.3"), (0.95, "1.0"), (1.0, "1.0")],
)  # fmt: skip
def test_a_confidence_is_counted_by_the_upper_end_of_its_tenth(
    confidence: float, upper_end: str
) -> None:
    assert confidence_counts([confidence]) == {upper_end: 1}


def test_confidences_are_counted_in_order_and_unknown_ones_left_out() -> None:
    counts = confidence_counts([0.95, None, 0.15, 0.11, None])
    assert list(counts.items()) == [("0.2", 2), ("1.0", 1)]


def totals(clock: list[float]) -> RunTotals:
    return RunTotals("run", images=9, tasks=3, clock=lambda: clock[0])


def test_a_task_counts_once_and_its_time_is_the_last() -> None:
    clock = [10.0]
    made = totals(clock)
    clock[0] = 20.0
    made.task_done(1, ONE)
    clock[0] = 30.0
    made.task_done(1, ONE)
    assert (made.started_s, made.last_task_s) == (10.0, 20.0)
    assert made.totals == ONE
    made.task_done(2, OTHER)
    made.add_requests({"list": 4})
    assert made.totals == ONE + OTHER + Figures(requests={"list": 4})
    assert made.last_task_s == 30.0


def test_the_figures_of_a_run_under_plain_names() -> None:
    made = totals([0.0])
    made.limits = "reading"
    made.task_done(0, ONE)
    made.task_done(1, OTHER)
    told: dict[str, Any] = json.loads(made.metrics_json())
    assert told == {
        "run_id": "run",
        "images": {"corrupt": 1, "ok": 4, "skipped_animated": 2},
        "images_done": 7,
        "images_planned": 9,
        "crops": 8,
        "input_bytes": 1050,
        "crop_bytes": 105,
        "stage_seconds": {"read": 1.75, "score": 2},
        "crops_by_verdict": {"1:1|ok": 6, "9:16|ok": 1},
        "crops_by_reason": {"review|x": 3},
        "crops_by_confidence": {"0.5": 3, "1.0": 1},
        "costs": {
            "read": {"cpu_s": 1.5, "gpu_s": 4.0, "wait_s": 2.0, "requests": 3},
            "score": {"starts": 1},
        },
        "limits": "reading",
        "storage_requests": {"get": 8},
        "storage_retries": {"network": 2},
        "storage_requests_per_image": 1.1429,  # 8 / 7
        "tasks_done": 2,
        "tasks_planned": 3,
        "queue_depth_tasks": 1,
    }
    assert made.metrics_json().endswith(b"}\n")


def test_a_run_without_newer_figures_is_told_as_it_was() -> None:
    made = totals([0.0])
    made.limits = "reading"
    told = made.as_dict()
    assert {"crops_by_verdict", "crops_by_confidence", "costs", "limits"} & told.keys() == set()
    assert told["storage_requests_per_image"] == 0
    assert (told["tasks_done"], told["queue_depth_tasks"]) == (0, 3)


def test_the_figures_of_a_committed_run() -> None:
    stored = StoredList(key="k", sha256="s", rows=0)
    manifest = Manifest(
        format=1, tables={},
        run_id="a" * 20, settings={}, weights_sha256="w", detector="d", code_version="c",
        input_sha256="i", verdict="done", committed_at=50.0, rows=7, tasks=2, files=stored,
        unsettled=stored, metrics=ONE,
        session={"driver_requests": {"put": 5}, "limits": "scoring"},
    )  # fmt: skip
    made = RunTotals.of_manifest(manifest)
    assert (made.started_s, made.last_task_s, made.limits) == (50.0, 50.0, "scoring")
    assert (made.images_planned, made.tasks_planned) == (7, 2)
    assert made.totals.requests == {"get": 7, "put": 5}
    assert made.as_dict()["queue_depth_tasks"] == 0
    made.task_done(1, ONE)  # it is in there already
    assert made.totals.crops == 6
