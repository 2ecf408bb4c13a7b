"""The cost of a task, against clocks that the test reads itself."""

import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.ledger.figures import Cost
from pipeline.photo.sandbox.decoder import Decoder
from pipeline.stages import meter as meters
from pipeline.stages.meter import COMMIT, HAND_OVER, START, Meter
from pipeline.stages.task import Task
from pipeline.stages.worker import end_worker
from pipeline.storage.store import open_store

WORK_S = 0.15


@pytest.fixture(autouse=True)
def _as_in_a_new_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    end_worker()
    monkeypatch.setattr(meters, "_charged_s", None)
    yield
    end_worker()


def work(seconds: float = WORK_S) -> None:
    """Use that much CPU time of this thread."""
    end_s = time.thread_time() + seconds
    while time.thread_time() < end_s:
        sum(range(1000))


def test_cpu_time_goes_to_the_stage_that_is_on_and_none_is_lost() -> None:
    began = time.process_time()
    meter = Meter()
    with meter.on("decode"):
        work(2 * WORK_S)
    work()
    with meter.on(COMMIT):
        work(3 * WORK_S)
        costs = meter.figures().costs
    assert costs["decode"].cpu_s == pytest.approx(2 * WORK_S, abs=0.08)
    assert costs[HAND_OVER].cpu_s == pytest.approx(WORK_S, abs=0.08)
    assert costs[COMMIT].cpu_s == pytest.approx(3 * WORK_S, abs=0.08)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    before = began + ended.ru_utime + ended.ru_stime
    assert costs[START].cpu_s == pytest.approx(before, abs=0.05), "all before the first task"
    assert costs[START].starts == 1


def test_what_lies_between_two_tasks_is_hand_over_of_the_second() -> None:
    first = Meter()
    with first.on(COMMIT):
        first.figures()
        work()  # after the costs were told: as the making of the record
    work()
    second = Meter().figures().costs
    assert set(second) == {HAND_OVER}
    assert second[HAND_OVER].cpu_s == pytest.approx(2 * WORK_S, abs=0.08)
    assert second[HAND_OVER].starts == 0


def test_waiting_is_not_work() -> None:
    meter = Meter(gpus=0.5)
    began = time.monotonic()
    with meter.on("score"):
        time.sleep(0.3)
    took_s = time.monotonic() - began
    with meter.on("encode"):
        time.sleep(0.1)
    costs = meter.figures().costs
    assert costs["score"].cpu_s < 0.1
    assert costs["score"].gpu_s == pytest.approx(took_s / 2, abs=0.05), "half a GPU was held"
    assert costs["encode"].gpu_s == 0


def test_a_thread_can_be_told_apart() -> None:
    meter = Meter()
    with meter.on("read"):
        other = threading.Thread(target=work, args=(2 * WORK_S,))
        other.start()
        with meter.thread_on("decode", "read"):
            work()
        other.join()
    costs = meter.figures().costs
    assert costs["decode"].cpu_s == pytest.approx(WORK_S, abs=0.08)
    assert costs["read"].cpu_s == pytest.approx(2 * WORK_S, abs=0.1)


def test_a_child_s_time_is_decoding() -> None:
    meter = Meter()
    with meter.on("read"):
        loop = f"import time\nwhile time.process_time() < {2 * WORK_S}: pass"
        subprocess.run([sys.executable, "-I", "-c", loop], check=True)
    assert meter.figures().costs["decode"].cpu_s == pytest.approx(2 * WORK_S, abs=0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for another process's clock")
def test_the_decoder_tells_the_time_of_its_living_child() -> None:
    with Decoder() as decoder:
        assert decoder.cpu_s() == 0
        decoder.start()
        started = decoder.cpu_s()
        assert decoder._child is not None
        status = Path(f"/proc/{decoder._child.pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(status[11]) + int(status[12])  # utime, stime: proc(5)
        assert 0 < started == pytest.approx(ticks / 100, abs=0.05)
        child = decoder._child
    assert decoder.cpu_s() == 0
    assert child.returncode is not None


def test_requests_bytes_and_waits_of_stores_count_where_they_are_made(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.write("a", b"before")
    store.read("a")
    meter = Meter()
    with meter.on("encode"):
        store.write("a", b"x" * 100)
        store.create_once("b", b"y" * 30)
    with meter.on(COMMIT):
        store.read("a")
    costs = meter.figures().costs
    assert (costs["encode"].requests, costs["encode"].written_bytes) == (2, 130)
    assert (costs[COMMIT].requests, costs[COMMIT].read_bytes) == (1, 100)
    assert costs["encode"].wait_s > 0


def test_a_task_carries_costs_and_spans_along() -> None:
    task, before = Task(0, []), time.time()
    for stage in ("read", "score"):
        meter = Meter()
        with meter.on(stage):
            work()
        meter.add_to(task, stage)
    assert task.costs["read"].cpu_s == pytest.approx(WORK_S, abs=0.08)
    assert task.costs["score"].cpu_s == pytest.approx(WORK_S, abs=0.08)
    assert before <= task.spans["read"][0] < task.spans["read"][1] <= task.spans["score"][0]


def test_costs_add_up_field_by_field() -> None:
    one = Cost(cpu_s=1, gpu_s=2, wait_s=3, requests=4, read_bytes=5, written_bytes=6, starts=7)
    other = Cost(cpu_s=10, gpu_s=20, wait_s=30, requests=40, read_bytes=50, written_bytes=60)
    assert one + other == Cost(
        cpu_s=11, gpu_s=22, wait_s=33, requests=44, read_bytes=55, written_bytes=66, starts=7
    )
