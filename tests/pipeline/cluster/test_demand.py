"""What a run asks an autoscaler for, as the autoscaler sees it: Ray's list of what waits."""

import io
import json
import os
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from types import SimpleNamespace

import pytest
import ray
from ray._private import worker as ray_worker
from ray.cluster_utils import Cluster

from pipeline.cluster import demand, growing
from pipeline.cluster.demand import Demand, Pace, machines_for
from pipeline.cluster.flow import Stages
from pipeline.cluster.growing import ClusterWorkers, start_ray
from pipeline.cluster.joining import is_own
from pipeline.cluster.nodes import ClusterNode, machine_kinds
from pipeline.cluster.shares import ClusterShares, share_out
from pipeline.errors import LedgerError
from pipeline.report.progress import Log
from pipeline.settings import RunningSettings
from pipeline.stop import Drained, Stop
from tests.support import slow_stages
from tests.support.fresh import ROOT
from tests.support.slow_flows import CORES
from tests.support.slow_stages import BrokenScorer, DeviceScorer, SlowJob, number

TASKS = 40
HEAD = ClusterNode(CORES, 0)  # the only machine that is there
ENDS = {"stops": Drained, "fails": LedgerError}


class SlowShares(ClusterShares):
    """The shares of stages that only take time."""

    @property
    def stages(self) -> Stages:
        """Stand in for `ClusterShares.stages`."""
        return Stages(slow_stages.read, DeviceScorer, None)


class FailingShares(ClusterShares):
    """The shares of a run whose actors do not start."""

    @property
    def stages(self) -> Stages:
        """Stand in for `ClusterShares.stages`."""
        return Stages(slow_stages.read, BrokenScorer, None)


def waiting() -> Counter[tuple[float, float]]:
    """How many tasks wait for a machine, by CPUs and GPUs, as an autoscaler reads it.

    Those that `demand` submits: others of these tests want less than a whole machine.
    """
    usage = ray_worker.global_worker.gcs_client.get_all_resource_usage(timeout=30)
    found: Counter[tuple[float, float]] = Counter()
    for one in usage.resource_usage_data.resource_load_by_shape.resource_demands:
        wanted = one.num_ready_requests_queued + one.num_infeasible_requests_queued
        kind = one.shape.get("CPU", 0.0), one.shape.get("GPU", 0.0)
        if kind[0] >= CORES or kind[1]:
            found[kind] += wanted + one.backlog_size
    return +found


def soon(wanted: dict[tuple[float, float], int]) -> None:
    """Wait until this waits: Ray collects it every second."""
    ends_s = time.monotonic() + 20
    while waiting() != wanted and time.monotonic() < ends_s:
        time.sleep(0.2)
    assert waiting() == wanted


@pytest.fixture
def logged() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def asks(cluster: Cluster, logged: io.StringIO) -> Iterator[Demand]:
    """Of a run whose tasks take 600 core seconds each: so many are worth as many cores."""
    made = Demand(0, None, Log("json", logged))
    made.pace = SimpleNamespace(look=lambda cores: None, core_s_per_task=600.0)  # type: ignore[assignment]
    yield made
    made.withdraw()


def test_machines_are_asked_for_and_given_up_with_the_work(
    asks: Demand, head_taken: object, logged: io.StringIO
) -> None:
    """By hand: 12 tasks are worth 12 cores; 2 are there, and a machine has 2: 5 more.

    For a few machines fewer (24 tasks are worth 11), nothing is changed.
    """
    for left, machines in ((12, 5), (30, 14), (24, 14), (7, 0), (7, 3), (2, 0), (1000, 100)):
        asks.follow(left, HEAD)
        soon({(2.0, 0.0): machines} if machines else {})
    asks.withdraw()
    soon({})
    (line,) = map(json.loads, logged.getvalue().splitlines())
    assert line["event"] == "demand"
    assert line["cpu"] == 10
    assert "asking for 5 machines with 2 CPU and 0 GPU, which join if" in line["message"]


def test_what_has_run_on_a_machine_that_joined_is_asked_for_again(asks: Demand) -> None:
    """Nothing occupies the head here: whatever asks for a machine has one at once."""
    for _ in range(3):
        asks.follow(6, HEAD)
        refs = [ref for group in asks.waiting.values() for ref in group]
        assert len(refs) == 2
        assert len(ray.wait(refs, num_returns=2, timeout=60)[0]) == 2


@pytest.mark.parametrize(
    ("actors", "gpus", "kinds", "asked"),
    [
        (6, None, [(2, 0)], {(2.0, 0.0): 2}),  # one core for each worker
        (6, None, [(2, 1)], {(2.0, 1.0): 8}),  # three on a GPU
        (6, 0.0, [(2, 1)], {(2.0, 0.0): 2}),  # GPUs that are left alone are not asked for
        (0, None, [(2, 0), (4, 1)], {(2.0, 0.0): 25, (4.0, 1.0): 12}),  # 98 cores: 50 and 48
        (6, 0.5, [(2, 0)], {(2.0, 0.0): 2, (0.0, 0.5): 1}),  # the first GPU
    ],
)
def test_what_is_asked_for_is_bounded_by_the_settings(
    actors: int,
    gpus: float | None,
    kinds: Sequence[tuple[float, float]],
    asked: dict[tuple[float, float], int],
    asks: Demand,
    head_taken: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """100 cores are wanted, and 2 are there: of the first kind of machine, with its GPUs."""
    machines = [ClusterNode(*one) for one in kinds]
    monkeypatch.setattr(demand, "machine_kinds", lambda: set(machines))
    asks.num_actors, asks.gpus_per_actor = actors, gpus
    asks.follow(100, ClusterNode(2.0, sum(one.gpus for one in machines)))
    soon(asked)


def test_no_more_cores_are_asked_for_than_tasks_are_left(asks: Demand, head_taken: object) -> None:
    """Two tasks of 6,000 core seconds are worth 20 cores, and use two more than those there."""
    asks.pace.core_s_per_task = 6000.0  # type: ignore[misc]
    asks.follow(2, HEAD)
    soon({(2.0, 0.0): 1})


def test_machines_of_several_kinds_share_the_cores() -> None:
    """By hand: 100 cores are 48 of each kind, 6 machines of 8 and 3 of 16, and one of 8."""
    small, large, gpu = ClusterNode(8, 0), ClusterNode(16, 0), ClusterNode(0, 1)
    assert machines_for(100, [small, large, gpu]) == {small: 7, large: 3}
    assert machines_for(1e9, [small, large]) == {small: 67, large: 33}, "half of the cores each"
    assert machines_for(10, []) == {}


def test_no_machine_is_asked_for_that_the_work_is_not_worth() -> None:
    """One core is worth one machine, of the smallest kind; 9 are two of 8, not one of 8 and 64."""
    small, large, gpu = ClusterNode(8, 0), ClusterNode(64, 0), ClusterNode(8, 1)
    assert machines_for(1, [small]) == {small: 1}
    assert machines_for(1, [large, gpu, small]) == {small: 1}
    assert machines_for(9, [large, small]) == {small: 2}
    assert machines_for(80, [large, small]) == {small: 2, large: 1}
    assert machines_for(5, [large]) == {large: 1}


def test_the_pace_is_measured_from_the_first_task_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: 4 cores for 20 s and 8 for 20 s did 10 more tasks: 24 core seconds each."""
    now_s = [100.0]
    monkeypatch.setattr(demand, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    pace = Pace()
    pace.look(4)
    now_s[0] = 200.0  # the workers start
    pace.look(4)
    pace.task_done()
    for cores in (4, 8):
        now_s[0] += 20.0
        pace.look(cores)
        for _ in range(5):
            pace.task_done()
        assert pace.core_s_per_task == (0.0 if cores == 4 else 24.0), "known after 30 s"


def test_a_machine_beside_the_head_is_what_an_autoscaler_starts(cluster: Cluster) -> None:
    assert machine_kinds() == {ClusterNode(CORES, 0)}
    added = cluster.add_node(num_cpus=5, num_gpus=1, object_store_memory=100 << 20)
    try:
        assert machine_kinds() == {ClusterNode(5, 1)}
    finally:
        cluster.remove_node(added, allow_graceful=True)


def test_a_run_on_a_joined_cluster_asks_and_one_on_its_own_does_not(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_own()
    log = Log(stream=io.StringIO())
    settings = RunningSettings(num_actors=3, gpus_per_actor=0.5)
    found = start_ray(settings, TASKS, log, Stop()).demand
    assert found is not None
    assert (found.num_actors, found.gpus_per_actor) == (3, 0.5)
    renders = start_ray(settings, TASKS, log, Stop(), scores=False).demand
    assert renders is not None
    assert (renders.num_actors, renders.gpus_per_actor) == (0, 0.0)
    monkeypatch.setattr(growing, "is_own", lambda: True)
    assert start_ray(settings, TASKS, log, Stop()).demand is None


# What Ray 2.60 writes on a driver's stdout while tasks wait for a machine that is not there.
INFEASIBLE = "There are tasks with infeasible resource requests that cannot be scheduled. See https"
SHOWN = f"""
import pipeline.cluster
from ray._private.worker import print_to_stdstream
for line in ({INFEASIBLE!r}, "something else"):
    print_to_stdstream({{"lines": [line], "pid": "raylet", "is_err": False}}, False)
"""


@pytest.mark.parametrize(("own", "shown"), [(None, False), ("nothing like it", True)])
def test_ray_does_not_show_that_no_machine_is_there_yet(own: str | None, shown: bool) -> None:
    """Unless a person has set which lines it does not show."""
    plain = {name: text for name, text in os.environ.items() if not name.startswith("RAY_")}
    plain |= {"RAY_DEDUP_LOGS_SKIP_REGEX": own} if own else {}
    told = subprocess.run(
        [sys.executable, "-c", SHOWN],
        cwd=ROOT,
        env=plain,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert (INFEASIBLE in told) == shown
    assert "something else" in told


@pytest.mark.parametrize("how", ["ends", "stops", "fails", "is given up"])
def test_a_run_asks_for_nothing_after_its_end(
    how: str, job: SlowJob, asks: Demand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing, "unpack_summaries", lambda block: [number(block)])
    monkeypatch.setattr(asks.pace, "task_done", lambda: None, raising=False)
    kind, stop, seen = FailingShares if how == "fails" else SlowShares, Stop(), 0
    if how == "fails":
        asks.follow(1000, HEAD)
    divide: Callable[..., ClusterShares] = lambda nodes, *_: kind(  # noqa: E731
        **asdict(share_out(nodes, TASKS, 0, None))
    )
    workers = ClusterWorkers(divide, Log(stream=io.StringIO()), asks)
    work = workers.work(deque(range(TASKS)), job, stop)  # type: ignore[arg-type]
    with pytest.raises(ENDS[how]) if how in ENDS else nullcontext():
        for _ in work:
            seen = max(seen, sum(waiting().values()))
            stop.asked = how == "stops" and seen > 0
            if how == "is given up" and seen:
                work.close()  # type: ignore[attr-defined]
    assert seen or how == "fails", "it never asked"
    soon({})
    assert not asks.waiting
