"""Whether the slowest stage always has work: tasks on a simulated cluster.

The times a photo were measured on an H200 with 16 busy cores, before its pictures were contiguous.
"""

from collections import deque
from typing import Any

import pyarrow as pa
import pytest

from pipeline.cluster import actor_pool, flow
from pipeline.cluster.capacity import PER_ACTOR
from pipeline.cluster.flow import Flow, Stages
from pipeline.cluster.nodes import ClusterNode
from pipeline.cluster.shares import share_out
from pipeline.stop import Stop
from tests.pipeline.cluster.timed_ray import TimedRay

PHOTOS = 16  # of a task
DECODE_S, SCORE_S, ENCODE_S = 0.0257, 0.0241, 0.0522
CHOOSE_CPU_S = 0.0241  # CPU time of scoring
START_S = 20.0


def read(block: pa.Table, job: Any) -> pa.Table:
    raise NotImplementedError


def encode(block: pa.Table, job: Any, decoded: pa.Table) -> pa.Table:
    raise NotImplementedError


class TimedScorer:
    seconds, start_s = PHOTOS * SCORE_S, START_S


read.seconds, encode.seconds = PHOTOS * DECODE_S, PHOTOS * ENCODE_S  # type: ignore[attr-defined]


@pytest.fixture
def _nothing_waits_for_a_worker_that_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold at every step of the flow: what is decoded is with actors, two tasks at each."""
    feed = Flow._feed

    def held(self: Flow) -> None:
        feed(self)
        ready = [actor for actor in self.pool.actors if actor.is_ready]
        assert not self.decoded or all(len(actor.scoring) == PER_ACTOR for actor in ready)
        assert all(actor.is_ready or not actor.scoring for actor in self.pool.actors)
        assert self.reading <= self.capacity.task_slots
        assert self.in_flight <= self.capacity.tasks

    monkeypatch.setattr(Flow, "_feed", held)


def timed(
    cores: int, tasks: int, actors: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[float, list[float]]:
    """Seconds after the start, and the share of it that each actor is at work."""
    return found_by(TimedRay(cores), tasks, actors, monkeypatch)


def found_by(
    cluster: TimedRay, tasks: int, actors: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[float, list[float]]:
    """As `timed`, on a cluster that tells more afterwards."""
    cores = int(cluster.free)
    for module in (flow, actor_pool):
        monkeypatch.setattr(module, "ray", cluster)
    monkeypatch.setattr(Flow, "_look_at_nodes", lambda _: None)
    shares = share_out([ClusterNode(cores, 1)], tasks, actors, None)
    running = Flow(
        Stages(read, TimedScorer, encode),
        shares.capacity,
        deque(range(tasks)),
        None,
        (),
        {"num_cpus": shares.actor_cpus},
        {"num_cpus": shares.task_cpus},
        Stop(),
    )
    found = [block["task"][0].as_py() for block in running.run()]
    assert sorted(found) == list(range(tasks))
    wall_s = cluster.now_s - START_S
    return wall_s, [actor.busy_s / wall_s for actor in cluster.actors]


pytestmark = pytest.mark.usefixtures("_nothing_waits_for_a_worker_that_has_room")


def test_readers_do_not_run_ahead_of_workers_that_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 cores, five workers of .6: 13 places beside them, so 2 x 5 + 2 x 13 tasks on the way.

    No more are read in the 20 s that the workers take to start, six at a time. Then each has
    two tasks at once, and 26 more are decoded; reading goes on when the first is on record.
    """
    cluster = TimedRay(16)
    found_by(cluster, 200, 5, monkeypatch)
    reads = [at_s for name, at_s, _ in cluster.begun if name == "read"]
    assert [task for name, _, task in cluster.begun if name == "read"] == list(range(200))
    assert sum(at_s < START_S for at_s in reads) == 36
    assert sum(at_s == 0 for at_s in reads) == 6, "half of the places beside the workers"
    first_scored = START_S + PHOTOS * SCORE_S
    encodes = [at_s for name, at_s, _ in cluster.begun if name == "encode"]
    assert encodes[:5] == [pytest.approx(first_scored)] * 5, "all five begin at once"
    assert reads[36] == pytest.approx(first_scored + PHOTOS * ENCODE_S)


def test_readers_have_all_places_once_a_worker_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five workers of .6 on 15 cores leave 12 places; the first is up while six tasks are read."""
    cluster, starts = TimedRay(15), iter([0.1, 9.0, 9.0, 9.0, 9.0])
    new_actor = cluster.new_actor

    def at_times(target: Any, cpus: float) -> Any:
        return new_actor(type("Slow", (target,), {"start_s": next(starts)}), cpus)

    monkeypatch.setattr(cluster, "new_actor", at_times)
    found_by(cluster, 100, 5, monkeypatch)
    reads = [at_s for name, at_s, _ in cluster.begun if name == "read"]
    assert reads[:12] == [0.0] * 6 + [0.1] * 6
    assert reads[12] == pytest.approx(PHOTOS * DECODE_S), "a place is free again"


def test_one_worker_on_a_gpu_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside 16 cores it is the slowest stage: 1 / .0241 = 41.5 photos a second."""
    wall_s, busy = timed(16, 120, 1, monkeypatch)
    assert busy[0] > 0.97
    assert 120 * PHOTOS / wall_s > 40


@pytest.mark.parametrize("cores", [8, 16, 32])
def test_the_cores_beside_a_gpu_are_full(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then no order of tasks could be faster: photos a second = cores / CPU time of a photo."""
    tasks = 20 * cores
    wall_s, _ = timed(cores, tasks, 0, monkeypatch)
    limit = cores / (DECODE_S + ENCODE_S + CHOOSE_CPU_S)
    assert tasks * PHOTOS / wall_s > 0.97 * limit
