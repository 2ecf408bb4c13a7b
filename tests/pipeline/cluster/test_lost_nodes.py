"""A job goes on after a node is lost while its actors release their cores."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from pipeline.cluster import flow as flow_module
from pipeline.cluster.actor_pool import MIN_CPUS
from pipeline.cluster.flow import ALWAYS, Flow, Stages
from pipeline.errors import LedgerError
from tests.support import slow_stages
from tests.support.slow_flows import CORES, MOST, OPTIONS, done, flow
from tests.support.slow_stages import LargeScorer, SlowJob, notes_of

WAIT_S = 120.0  # for a step of the test, on a busy machine too
NODE = {"num_cpus": CORES, "object_store_memory": 100 << 20}


class RecordsElsewhere(Flow):
    """A flow whose last stage waits for a node with the resource `records`."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        encode = ray.remote(self.stages.encode)
        self.encode = encode.options(**OPTIONS, max_retries=ALWAYS, resources={"records": 1})


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_scored_tasks_whose_actors_were_replaced_start_again(
    cluster: Cluster, head_taken: Any, job: SlowJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All tasks are scored on a node and wait to be recorded, so its actors end: none has a task.

    Then the node is lost with the results, which no actor can compute again: those that scored are
    gone. What was decoded is lost too. Two other actors score all tasks again.
    """
    lost = cluster.add_node(**NODE)
    stages = Stages(slow_stages.read, LargeScorer, slow_stages.encode)
    running = flow(MOST, job, stages, kind=RecordsElsewhere)
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(done, running)
        wait_until(lambda: counts(job)["score"] == MOST)
        assert counts(job)["actor"] == 2
        monkeypatch.setattr(flow_module, "STALL_S", 1.0)
        wait_until(lambda: not running.pool.actors)
        assert {one.node for one in notes_of(job)} == {lost.node_id}
        ray.kill(head_taken)
        cluster.remove_node(lost, allow_graceful=False)
        other = cluster.add_node(**NODE, resources={"records": CORES})
        try:
            assert sorted(ended.result(2 * WAIT_S)) == list(range(MOST))
        finally:
            cluster.remove_node(other, allow_graceful=False)
    assert counts(job)["actor"] == 4
    assert counts(job)["score"] == 2 * MOST
    assert counts(job)["encode"] == MOST
    assert not running.pool.orphans


def test_an_actor_that_somebody_ends_is_not_waited_for(cluster: Cluster, job: SlowJob) -> None:
    """Its tasks would come back for ever."""
    running = flow(12, job)

    def end_one(count: int) -> None:
        if count == 1:
            ray.kill(next(one.handle for one in running.pool.actors if one.is_ready))

    with pytest.raises(LedgerError, match="a worker could not continue: "):
        done(running, end_one)


@pytest.mark.parametrize("finishes", [False, True])
def test_tasks_of_actors_that_find_no_room_after_a_loss_go_to_others(
    cluster: Cluster,
    head_taken: Any,
    job: SlowJob,
    monkeypatch: pytest.MonkeyPatch,
    finishes: bool,
) -> None:
    """One of two GPUs is lost for good, with an actor that has two tasks.

    Its actors have released their cores before, so that nothing else frees the other GPU.
    """
    job = replace(job, score_s=1.0)
    nodes = [cluster.add_node(**NODE, num_gpus=1) for _ in range(2)]
    stages = Stages(slow_stages.read, LargeScorer, None if finishes else slow_stages.encode)
    running = flow(MOST, job, stages, actor_options={"num_cpus": MIN_CPUS, "num_gpus": 1})
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.extend(done(running)), daemon=True)
    thread.start()
    try:
        wait_until(lambda: len({one.node for one in notes_of(job) if one.what == "score"}) == 2)
        cluster.remove_node(nodes.pop(), allow_graceful=False)
        monkeypatch.setattr(flow_module, "STALL_S", 2.0)
        thread.join(WAIT_S)
        assert sorted(found) == list(range(MOST))
        assert not running.pool.orphans
    finally:
        cluster.remove_node(nodes.pop(), allow_graceful=False)


def counts(job: SlowJob) -> Counter[str]:
    return Counter(one.what for one in notes_of(job))
