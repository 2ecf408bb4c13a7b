"""A run on a cluster whose machines join one after another."""

import io
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.core.generated.autoscaler_pb2 import DrainNodeReason
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.cluster import first_machine, growing
from pipeline.cluster.flow import Stages
from pipeline.cluster.growing import ClusterWorkers, start_ray
from pipeline.cluster.nodes import ClusterNode, cluster_nodes, total
from pipeline.cluster.shares import ClusterShares, share_out
from pipeline.report.progress import Log
from pipeline.settings import RunningSettings
from pipeline.stop import Drained, Stop
from tests.support import slow_stages
from tests.support.slow_flows import CORES
from tests.support.slow_stages import DeviceScorer, SlowJob, notes_of, number

NODE = {"num_cpus": CORES, "object_store_memory": 100 << 20}
HEAD = [ClusterNode(CORES, 0)]
TASKS = 60
NOWHERE = Log(stream=io.StringIO())


class SlowShares(ClusterShares):
    """The shares of stages that only take time."""

    @property
    def stages(self) -> Stages:
        """Stand in for `ClusterShares.stages`."""
        return Stages(slow_stages.read, DeviceScorer, None)


def divided(
    nodes: Sequence[ClusterNode], left: int | None = None, there: int = 0, _: float = 0.0
) -> ClusterShares:
    most = TASKS if left is None else max(1, left, there)
    return SlowShares(**asdict(share_out(nodes, most, 0, None)))


@pytest.fixture
def add(cluster: Cluster) -> Iterator[Callable[..., Any]]:
    """A function that adds a machine, which leaves with the test."""
    added: list[Any] = []

    def add_node(**more: float) -> Any:
        added.append(cluster.add_node(**NODE, **more))
        return added[-1]

    yield add_node
    for node in added:
        cluster.remove_node(node, allow_graceful=True)  # known as gone at once
    for _ in range(300):
        if cluster_nodes() == HEAD:
            return
        time.sleep(0.1)
    raise AssertionError("a machine is still there")


@pytest.fixture
def workers(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> ClusterWorkers:
    monkeypatch.setattr(growing, "unpack_summaries", lambda block: [number(block)])
    return ClusterWorkers(divided, NOWHERE)


def done(
    workers: ClusterWorkers, job: SlowJob, then: Callable[[], Any], stop: Stop | None = None
) -> list[int]:
    """Numbers of the tasks in the order in which they ended. then: called after the fifth."""
    found: list[Any] = []
    for task in workers.work(deque(range(TASKS)), job, stop or Stop()):  # type: ignore[arg-type]
        found.append(task)
        if len(found) == 5:
            then()
    return found


def test_a_machine_that_joins_gets_actors(
    job: SlowJob, workers: ClusterWorkers, add: Callable[..., Any]
) -> None:
    """By hand: an actor for each core; two machines of two cores."""
    job = replace(job, actors=4)
    assert (workers.machines.cores, workers.machines.actors) == (2, 2)
    joined: list[Any] = []
    assert sorted(done(workers, job, lambda: joined.append(add()))) == list(range(TASKS))
    assert (workers.machines.cores, workers.machines.actors) == (4, 4)
    assert workers.why == "no GPU in the cluster; 4 actors of one thread on 4 cores"
    notes = list(notes_of(job))
    counts = Counter(one.what for one in notes)
    assert (counts["score"], counts["actor"]) == (TASKS, 4), "nothing was done twice"
    assert any(one.what == "score" and one.node == joined[0].node_id for one in notes)


def test_a_gpu_that_joins_is_used(
    job: SlowJob,
    workers: ClusterWorkers,
    add: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The actors on cores end what they have begun; the others are given the rest."""
    monkeypatch.setattr(growing, "SETTLED_S", 1.0)
    assert workers.does == "scoring on cpu"
    assert sorted(done(workers, job, lambda: add(num_gpus=1))) == list(range(TASKS))
    assert workers.does == "scoring on cuda"
    assert workers.machines.gpus == 1
    devices = {one.pid: one.what for one in notes_of(job) if one.what in ("cpu", "cuda")}
    scored = [one for one in notes_of(job) if one.what == "score"]
    assert Counter(one.task for one in scored) == dict.fromkeys(range(TASKS), 1)
    on = [devices[one.pid] for one in sorted(scored, key=lambda one: one.at_s)]
    assert on == sorted(on), "first those on cores, then those on the GPU"
    assert set(on) == {"cpu", "cuda"}


def test_a_stop_ends_a_run_whose_actors_are_being_replaced(
    job: SlowJob, workers: ClusterWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClusterWorkers, "_capacity", lambda *_: None)  # replaced every second
    stop = Stop()

    def ask() -> None:
        stop.asked = True

    with pytest.raises(Drained):
        done(workers, job, ask, stop)


def test_a_machine_in_place_of_another_is_no_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two machines of four cores: one is lost, comes back, and then a third joins.

    The third is used once it has been there for a second.
    """
    found, now_s = [ClusterNode(4, 0)] * 2, [0.0]
    monkeypatch.setattr(growing, "cluster_nodes", lambda: [*found])
    monkeypatch.setattr(growing, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    workers = ClusterWorkers(divided, NOWHERE)
    for machines, at_once, later in ((2, 8, 8), (1, 8, 8), (2, 8, 8), (3, 8, 12), (2, 12, 12)):
        found[:] = [ClusterNode(4, 0)] * machines
        for cores in (at_once, later):
            capacity = workers._capacity([*found])
            assert capacity is not None
            assert (capacity.actors, capacity.task_slots) == (cores, cores)
            now_s[0] += 1.1
    found.append(ClusterNode(0, 1))  # while a machine is away
    workers._capacity([*found])
    assert workers.wanted.cores == 12


def test_larger_machines_in_place_of_smaller_ones_count_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [ClusterNode(4, 0)] * 2
    monkeypatch.setattr(growing, "cluster_nodes", lambda: [*found])
    workers = ClusterWorkers(divided, NOWHERE)
    found[:] = [ClusterNode(4, 0), ClusterNode(6, 0)]
    workers._capacity([*found])
    assert workers.wanted.cores == 10


def test_gpus_too_few_for_a_worker_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's share is two GPUs; the first two machines to join have one, the next has two."""
    found = [ClusterNode(4, 0)]
    monkeypatch.setattr(growing, "cluster_nodes", lambda: [*found])
    workers = ClusterWorkers(lambda nodes, *_: share_out(nodes, TASKS, 0, 2.0), NOWHERE)
    for gpus, device in ((1, "cpu"), (1, "cpu"), (2, "cuda")):
        found.append(ClusterNode(4, gpus))
        assert workers._capacity([*found]) is not None
        assert (workers.shares.device, workers.wanted.device) == ("cpu", device)
    assert workers.wanted.actors == 1


def test_actors_are_replaced_once_the_cluster_has_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a GPU joins at 10 s, another with cores at 30 s: settled at 61 s."""
    found, now_s = [ClusterNode(6, 0)], [0.0]
    monkeypatch.setattr(growing, "cluster_nodes", lambda: [*found])
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    workers = ClusterWorkers(divided, NOWHERE)
    joining = {10: ClusterNode(6, 1), 30: ClusterNode(3, 0)}
    for second in range(1, 61):
        now_s[0] = second
        found += [joining[second]] if second in joining else []
        assert workers._capacity([*found]) is not None, f"replaced after {second} s"
        assert workers.does == "scoring on cpu"
    now_s[0] = 61
    assert workers._capacity([*found]) is None
    assert (workers.wanted.device, workers.wanted.actors) == ("cuda", 5), "one for three cores"


def test_the_first_machine_is_waited_for(
    head_taken: Any, add: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head's cores are taken here, as those of a head that is given none."""
    nodes = iter([[ClusterNode(0, 0)], [ClusterNode(2, 0)]])
    logged = io.StringIO()
    arguments = (RunningSettings(), TASKS, Log("json", logged), Stop())
    with monkeypatch.context() as patch, ThreadPoolExecutor(1) as pool:
        patch.setattr(growing, "cluster_nodes", lambda: next(nodes))
        patch.setattr(first_machine, "cluster_nodes", lambda: [ClusterNode(0, 0)])
        started = pool.submit(start_ray, *arguments)
        time.sleep(2.0)
        assert not started.done(), "it did not wait"
        add()
        assert started.result(60).why.endswith("2 actors of one thread on 2 cores")
    (line,) = map(json.loads, logged.getvalue().splitlines())
    assert line["event"] == "waiting"
    assert line["message"] == "no machine with cores has joined the cluster yet: waiting for one"


def test_who_waits_for_a_machine_is_told_again(
    head_taken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that says something once and then waits all night looks as if it hung."""
    monkeypatch.setattr(first_machine, "SAY_EVERY_S", 1.0)
    monkeypatch.setattr(first_machine, "cluster_nodes", lambda: [ClusterNode(0, 0)])
    logged, stop = io.StringIO(), Stop()
    with ThreadPoolExecutor(1) as pool:
        began_s = time.monotonic()
        waits = pool.submit(first_machine.await_machine, stop, Log("json", logged))
        while logged.getvalue().count("\n") < 2 and time.monotonic() < began_s + 30:
            time.sleep(0.05)
        stop.asked = True
        with pytest.raises(Drained):
            waits.result(30)
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    assert 2 <= len(lines) <= time.monotonic() - began_s, "once a second"
    assert {line["event"] for line in lines} == {"waiting"}
    assert "joined the cluster in 0:01: still waiting. `ray status` shows" in lines[0]["message"]


def test_a_dry_run_waits_for_no_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def waited(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(growing, "await_machine", waited)
    monkeypatch.setattr(growing, "cluster_nodes", lambda: [ClusterNode(0, 0)])
    monkeypatch.setattr(growing, "join_or_start", lambda: True)
    monkeypatch.setattr(growing, "startable_gpus", lambda: 0.0)
    found = start_ray(RunningSettings(dry_run=True), TASKS, Log(stream=io.StringIO()), Stop())
    assert found.machines.cores == 1


@pytest.mark.parametrize(
    ("asked", "tasks", "photos", "actors", "late", "grown"),
    [
        (0, 10, 20, 1, 1, 5),
        (0, 50, 100, 3, 1, 5),
        (0, 1000, 64_000, 64, 20, 20),
        (8, 10, 20, 8, 8, 8),
        (40, 10, 20, 10, 10, 10),
        (40, 10, 640, 10, 10, 10),
        (0, 100, None, 64, 20, 20),
    ],
)
def test_actors_are_as_many_as_the_tasks_that_are_left_keep_busy(
    asked: int, tasks: int, photos: int | None, actors: int, late: int, grown: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """By hand, on 64 cores: one for 40 photos, or for a task if a number is asked for.

    late: with 20 tasks left. grown: if five are there already
    """
    monkeypatch.setattr(growing, "cluster_nodes", lambda: [ClusterNode(64, 0)])
    monkeypatch.setattr(growing, "join_or_start", lambda: True)
    monkeypatch.setattr(growing, "startable_gpus", lambda: 0.0)
    settings = RunningSettings(num_actors=asked)
    workers = start_ray(settings, tasks, NOWHERE, Stop(), photos=photos)
    assert workers.machines.actors == actors
    left = min(20, tasks)
    assert workers.divide([ClusterNode(64, 0)], left).actors == late
    assert workers.divide([ClusterNode(64, 0)], left, 5).actors == grown


def test_a_stop_ends_the_wait_for_a_machine(
    head_taken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (growing, first_machine):
        monkeypatch.setattr(module, "cluster_nodes", lambda: [ClusterNode(0, 0)])
    log = Log(stream=io.StringIO())
    with pytest.raises(Drained):
        start_ray(RunningSettings(), TASKS, log, Stop(asked=True))


def test_a_first_machine_that_others_keep_busy_is_not_waited_for(head_taken: Any) -> None:
    """It would be said for as long that none has joined. Here, the head has joined."""
    logged = io.StringIO()
    first_machine.await_machine(Stop(), Log("json", logged))
    assert not logged.getvalue()


def test_a_machine_that_is_about_to_leave_does_not_count(add: Callable[..., Any]) -> None:
    assert cluster_nodes() == HEAD
    leaving = add(num_gpus=1)
    assert total(cluster_nodes()) == (2 * CORES, 1)
    there = NodeAffinitySchedulingStrategy(leaving.node_id, soft=False)
    busy = ray.remote(slow_stages.Idle).options(scheduling_strategy=there).remote()
    ray.get(busy.ready.remote())  # else the node would end at once
    deadline = int((time.time() + 60) * 1000)
    reason = DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION
    leaving.get_gcs_client().drain_node(leaving.node_id, reason, "wanted back", deadline)
    assert cluster_nodes() == HEAD
    ray.kill(busy)
