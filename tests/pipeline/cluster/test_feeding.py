"""Whether the slowest stage always has work: tasks on a cluster that only keeps time.

Times of a photo are those of docs/GPU.md: an H100 beside 16 busy cores.
"""

from typing import Any

import pyarrow as pa
import pytest

from pipeline.cluster import flow as module
from pipeline.cluster.flow import Flow, Room, Stages
from pipeline.cluster.shares import share_out
from pipeline.stop import Stop
from tests.support.timed_ray import TimedRay

PHOTOS = 16  # of a task
DECODE_S, SCORE_S, ENCODE_S = 0.0217, 0.0346, 0.0938
CHOOSE_CPU_S = 0.041  # CPU time of scoring
START_S = 20.0


def read(block: pa.Table, job: Any) -> pa.Table:
    raise NotImplementedError


def encode(block: pa.Table, job: Any, decoded: pa.Table) -> pa.Table:
    raise NotImplementedError


class TimedScorer:
    seconds, start_s = PHOTOS * SCORE_S, START_S


read.seconds, encode.seconds = PHOTOS * DECODE_S, PHOTOS * ENCODE_S  # type: ignore[attr-defined]


def timed(
    cores: int, tasks: int, actors: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[float, list[float]]:
    """Seconds after the start, and the share of it that each actor is at work."""
    cluster = TimedRay(cores)
    monkeypatch.setattr(module, "ray", cluster)
    monkeypatch.setattr(Flow, "_look_at_nodes", lambda _: None)
    shares = share_out({"CPU": cores, "GPU": 1}, tasks, actors, None)
    flow = Flow(
        Stages(read, TimedScorer, encode),
        Room(shares.actors, shares.beside),
        {"num_cpus": shares.actor_cpus},
        {"num_cpus": shares.task_cpus},
        Stop(),
    )
    found = [block["task"][0].as_py() for block in flow.run(list(range(tasks)), None, ())]
    assert sorted(found) == list(range(tasks))
    wall_s = cluster.now_s - START_S
    return wall_s, [actor.busy_s / wall_s for actor in cluster.actors]


def test_one_worker_on_a_gpu_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside 16 cores it is the slowest stage: 1 / .0346 = 28.9 photos a second."""
    wall_s, busy = timed(16, 120, 1, monkeypatch)
    assert busy[0] > 0.97
    assert 120 * PHOTOS / wall_s > 28


@pytest.mark.parametrize("cores", [8, 16, 32])
def test_the_cores_beside_a_gpu_are_full(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then no order of tasks could be faster: photos a second = cores / CPU time of a photo."""
    tasks = 20 * cores
    wall_s, _ = timed(cores, tasks, 0, monkeypatch)
    limit = cores / (DECODE_S + ENCODE_S + CHOOSE_CPU_S)
    assert tasks * PHOTOS / wall_s > 0.97 * limit
