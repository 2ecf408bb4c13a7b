"""Tasks passing through a real Ray cluster of two nodes, with stages that only take time."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.core.generated.autoscaler_pb2 import DrainNodeReason
from ray.exceptions import TaskCancelledError

from pipeline.cluster import actor_pool
from pipeline.cluster import flow as flow_module
from pipeline.cluster.actor import Actor
from pipeline.cluster.actor_pool import ActorPool
from pipeline.cluster.capacity import Capacity
from pipeline.cluster.flow import Flow, Stages
from pipeline.errors import LedgerError
from pipeline.stop import Drained, Stop
from tests.pipeline.cluster.test_feeding import TimedScorer
from tests.pipeline.cluster.timed_ray import TimedRay
from tests.support import slow_stages
from tests.support.slow_flows import CAPACITY, CORES, MOST, OPTIONS, STAGES, done, flow
from tests.support.slow_stages import (
    BrokenScorer,
    FirstScorer,
    Note,
    SlowJob,
    SlowScorer,
    notes_of,
)

# By hand: `MOST` are on the way when a node is given notice, which is at the first that ends, and
# two actors score at most 20 in the second until the driver looks. A slow machine does fewer.
LATE = 40  # the number of a task that has nothing to do with that node


def most_in_flight(notes: list[Note]) -> int:
    """Tasks that were read and not yet encoded, at most."""
    step = {"read": 1, "encode": -1}
    total = most = 0
    for one in sorted(notes, key=lambda one: one.at_s):
        total += step.get(one.what, 0)
        most = max(most, total)
    return most


def test_a_stage_that_starts_slowly_is_not_starved_by_a_fast_one(
    cluster: Cluster, job: SlowJob
) -> None:
    """Reading takes nothing, actors take seconds to come up: few tasks are read till then."""
    job = replace(job, start_s=2.0)
    assert sorted(done(flow(40, job))) == list(range(40))
    notes = list(notes_of(job))
    assert Counter(one.what for one in notes) == {"read": 40, "score": 40, "encode": 40, "actor": 2}
    first_up, last_up = sorted(one.at_s for one in notes if one.what == "actor")
    read_before = sum(one.what == "read" and one.at_s < first_up for one in notes)
    assert 0 < read_before <= MOST, "actors have work when they come up, and no more than that"
    assert most_in_flight(notes) <= MOST
    scored = [one for one in notes if one.what == "score"]
    shares = Counter(one.pid for one in scored if one.at_s > last_up)
    assert len(shares) == 2
    assert min(shares.values()) > 0.3 * sum(shares.values()), "an actor was given little to do"


def test_an_actor_that_is_up_does_not_wait_for_another(cluster: Cluster, job: SlowJob) -> None:
    """The other takes longer than all tasks."""
    stages = Stages(slow_stages.read, FirstScorer, slow_stages.encode)
    assert sorted(done(flow(12, job, stages))) == list(range(12))
    assert Counter(one.what for one in notes_of(job))["actor"] == 1, "tasks waited for the other"


def test_actors_that_put_tasks_on_record_hand_nothing_on(cluster: Cluster, job: SlowJob) -> None:
    alone = Stages(slow_stages.read, SlowScorer, None)
    assert sorted(done(flow(20, job, alone))) == list(range(20))
    assert Counter(one.what for one in notes_of(job)) == {"read": 20, "score": 20, "actor": 2}


def test_what_a_worker_raised_is_the_cause(cluster: Cluster, job: SlowJob) -> None:
    broken = Stages(slow_stages.read, BrokenScorer, slow_stages.encode)
    with pytest.raises(LedgerError) as told:
        done(flow(3, job, broken))
    assert str(told.value) == (
        "a worker could not continue: ValueError: the weights are for another network"
    )
    no_room = Stages(slow_stages.read, slow_stages.NoRoomScorer, slow_stages.encode)
    with pytest.raises(LedgerError, match=r"^a worker could not continue: this GPU has no room$"):
        done(flow(3, job, no_room))
    full = Stages(slow_stages.read, SlowScorer, slow_stages.full_disk)
    problem = r"continue: OSError: \[Errno 28\] No space left on device$"
    with pytest.raises(LedgerError, match=problem):
        done(flow(3, job, full))


def test_nothing_is_begun_once_the_job_is_asked_to_stop(cluster: Cluster, job: SlowJob) -> None:
    stop = Stop()

    def ask(count: int) -> None:
        stop.asked = stop.asked or count == 5

    with pytest.raises(Drained):
        done(flow(40, job, stop=stop), ask)
    notes = list(notes_of(job))
    begun = sorted(one.task for one in notes if one.what == "read")
    ended = sorted(one.task for one in notes if one.what == "encode")
    assert begun == ended, "what was begun is ended"
    assert 5 <= len(ended) <= 5 + MOST


@pytest.mark.parametrize(("is_stopping", "ends"), [(True, Drained), (False, LedgerError)])
def test_workers_that_are_lost_during_a_stop_are_part_of_it(
    is_stopping: bool, ends: type[BaseException], cluster: Cluster, job: SlowJob
) -> None:
    """A stop may reach Ray's processes too; without one, the run cannot go on."""
    stop = Stop()
    running = flow(30, replace(job, score_s=0.5), stop=stop)

    def lose(count: int) -> None:
        stop.asked = is_stopping
        for actor in running.pool.actors:
            ray.kill(actor.handle)

    with pytest.raises(ends):
        done(running, lose)


def test_a_cluster_that_grows_at_the_end_gets_no_actors_without_tasks(
    cluster: Cluster, job: SlowJob
) -> None:
    """Two actors score for longer than a second, after which there would be room for twenty."""
    job, grown = replace(job, score_s=2.0), Capacity(actors=20, task_slots=2)
    arguments = STAGES, CAPACITY, deque(range(3)), job, (job, "cpu"), OPTIONS, OPTIONS, Stop()
    running = Flow(*arguments, capacity_now=lambda: grown)
    assert sorted(done(running)) == [0, 1, 2]
    assert len(running.pool.actors) == 3, "one for each task"


@pytest.mark.parametrize(("unscored", "actors"), [(0, 1), (1, 1), (2, 2), (9, 2)])
def test_an_actor_that_has_to_leave_is_replaced_only_for_tasks(
    unscored: int, actors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two actors is on a draining node; as many tasks as given are not scored."""
    monkeypatch.setattr(actor_pool, "ray", TimedRay(16))
    monkeypatch.setattr(Actor, "node", property(lambda one: "leaves" if one.cpus else "stays"))
    pool = ActorPool(TimedScorer, (), {"num_cpus": 1.0}, lambda _: None, lambda: 2)
    pool.grow_to(2)
    first, second = pool.actors
    first.is_ready = second.is_ready = True
    second.cpus = 0.0
    pool.unscored = lambda: unscored
    pool.leave({"leaves": 0})
    assert first not in pool.actors
    assert second in pool.actors
    assert len(pool.actors) == actors


def test_a_task_removed_from_pending_is_not_started(cluster: Cluster, job: SlowJob) -> None:
    pending = deque(range(40))
    running = Flow(STAGES, CAPACITY, pending, job, (job, "cpu"), OPTIONS, OPTIONS, Stop())
    assert 1 <= len(done(running, lambda _: pending.clear())) <= MOST


def test_a_worker_that_is_told_to_end_gives_its_task_back(cluster: Cluster, job: SlowJob) -> None:
    """SIGTERM to an actor at work, and to one that reads or encodes."""
    ended: set[int] = set()

    def end_one(count: int) -> None:
        what = {6: "score", 12: "encode"}.get(count)
        if what:
            pid = [one.pid for one in notes_of(job) if one.what == what][-1]
            os.kill(pid, signal.SIGTERM)
            ended.add(pid)

    assert sorted(done(flow(24, job), end_one)) == list(range(24))
    assert len(ended) == 2
    actors = [one.pid for one in notes_of(job) if one.what == "actor"]
    assert len(actors) == 3, "one came up again"


def test_a_task_that_ray_cancels_is_done_again(cluster: Cluster, job: SlowJob) -> None:
    """As it does, now and then, to what a worker has begun that is told to end.

    One is cancelled while it is read, so that what comes behind fails too, and one that waits at an
    actor: Ray does not cancel what an actor has begun.
    """
    job = replace(job, score_s=0.5)  # longest, so that tasks come to wait at actors
    running = flow(20, job, Stages(slow_stages.read_slowly, SlowScorer, slow_stages.encode))
    least = {"_on_decoded": 1, "_on_scored": CAPACITY.actors + 1}  # so that one is not begun

    def cancel(_: int) -> None:
        for stage, count in list(least.items()):
            known = [ref for ref, then in running.awaited.items() if then.func.__name__ == stage]
            _, there = ray.wait(known, num_returns=len(known), timeout=0) if known else ([], [])
            if len(there) >= count and was_cancelled(there[-1]):
                del least[stage]
                return

    assert sorted(done(running, cancel)) == list(range(20))
    assert not least, "one of each was cancelled"


def was_cancelled(task: Any) -> bool:
    """Have Ray cancel a task; whether it did, since one that is done by then stays done."""
    ray.cancel(task)
    try:
        ray.get(task)
    except TaskCancelledError:
        return True
    return False


class CancelsOne(Flow):
    """A flow of which Ray cancels the question to an actor whether it is ready, as it starts."""

    asked = 0
    has_cancelled = False

    def _await_ready(self, actor: Actor) -> None:
        before = set(self.awaited)
        super()._await_ready(actor)
        (question,) = set(self.awaited) - before
        self.asked += 1
        self.has_cancelled = self.has_cancelled or was_cancelled(question)


def test_an_actor_is_asked_again_whether_it_is_ready(cluster: Cluster, job: SlowJob) -> None:
    running = flow(12, job, kind=CancelsOne)
    assert sorted(done(running)) == list(range(12))
    assert isinstance(running, CancelsOne)
    assert running.has_cancelled
    assert running.asked == 3, "two actors, and one of them once more"
    assert sum(one.what == "actor" for one in notes_of(job)) == 2


def test_a_node_on_notice_is_drained(cluster: Cluster, head_taken: Any, job: SlowJob) -> None:
    """Its tasks end, none is begun there, its actors leave, and the node ends by itself."""
    doomed = cluster.add_node(num_cpus=CORES, object_store_memory=100 << 20)

    def give_notice(count: int) -> None:
        if count == 1:
            ray.kill(head_taken)
            accepted, why = doomed.get_gcs_client().drain_node(
                doomed.node_id,
                DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION,
                "the machine is wanted back",
                int((time.time() + 60) * 1000),
            )
            assert accepted, why

    try:
        assert sorted(done(flow(80, job), give_notice)) == list(range(80))
        notes = list(notes_of(job))
        there = [one for one in notes if one.node == doomed.node_id]
        assert Counter(one.what for one in there)["actor"] == 2, "all began on the node"
        late = [one for one in there if one.task >= LATE]
        assert not late, "work was begun on a node that is to be taken away"
        assert Counter(one.what for one in notes)["encode"] == 80, "nothing was done twice"
        elsewhere = {one.pid for one in notes if one.what == "actor"} - {one.pid for one in there}
        assert len(elsewhere) == 2, "other actors took their place"
        deadline = threading.Event()
        for _ in range(40):
            alive = {one["NodeID"] for one in ray.nodes() if one["Alive"]}
            if doomed.node_id not in alive:
                break
            deadline.wait(0.25)
        assert doomed.node_id not in alive, "the node waits for nobody any more"
    finally:
        cluster.remove_node(doomed, allow_graceful=False)


@pytest.mark.slow
def test_a_pod_that_is_told_to_end_drains(cluster: Cluster, head_taken: Any, job: SlowJob) -> None:
    """SIGTERM to the command line that KubeRay gives a worker's container, as Kubernetes sends it.

    bash lets Ray take its place, so that the signal reaches Ray.
    """
    before = {one["NodeID"] for one in ray.nodes()}
    start = f"{sys.executable} -m ray.scripts.scripts start --address={cluster.address} --block"
    start += f" --num-cpus={CORES} --object-store-memory={100 << 20}"
    pod = subprocess.Popen(
        ["/bin/bash", "-c", "--", f"ulimit -n 1024; {start}"], start_new_session=True,
        env={**os.environ, "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "60"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def give_notice(count: int) -> None:
        if count == 1:
            ray.kill(head_taken)
            pod.terminate()

    try:
        cluster.wait_for_nodes()
        for _ in range(240):
            new = {one["NodeID"] for one in ray.nodes() if one["Alive"]} - before
            if new:
                break
            assert pod.poll() is None, "it ended before it came up"
            time.sleep(0.25)
        assert sorted(done(flow(80, job), give_notice)) == list(range(80))
        notes = list(notes_of(job))
        there = [one for one in notes if one.node in new]
        assert Counter(one.what for one in there)["actor"] == 2, "all began in the pod"
        assert not [one for one in there if one.task >= LATE], "work was begun there"
        assert Counter(one.what for one in notes)["encode"] == 80, "nothing was done twice"
        pod.wait(30)  # by itself, well before the minute that it may take
    finally:
        with suppress(ProcessLookupError):
            os.killpg(pod.pid, signal.SIGKILL)
        pod.wait()


def test_jobs_whose_actors_hold_all_cores_give_way_to_their_readers(
    cluster: Cluster, job: SlowJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: each actor of two jobs requests one of two cores; no reader gets half a core."""
    monkeypatch.setattr(flow_module, "STALL_S", 2.0)
    ran: dict[int, list[int]] = {}

    def run(number: int) -> None:
        ran[number] = done(flow(6, job, actor_options={"num_cpus": 1.0}))

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert {number: sorted(found) for number, found in ran.items()} == {
        0: list(range(6)), 1: list(range(6)),
    }  # fmt: skip


def test_actors_release_cores_that_scored_tasks_wait_for(
    cluster: Cluster, head_taken: Any, job: SlowJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: two jobs read all tasks while their actors wait for a GPU.

    Then four actors hold half a core each, all of two cores, and each has scored, so none is idle.
    """
    monkeypatch.setattr(flow_module, "STALL_S", 2.0)
    job = replace(job, start_s=1.0, score_s=0.5)
    shared = cluster.add_node(num_cpus=CORES, num_gpus=1, object_store_memory=100 << 20)
    holder = ray.remote(slow_stages.Idle).options(num_cpus=0, num_gpus=1).remote()
    ray.get(holder.ready.remote())
    ran: list[list[int]] = []

    def run() -> None:
        ran.append(done(flow(MOST, job, actor_options={**OPTIONS, "num_gpus": 0.25})))

    threads = [threading.Thread(target=run, daemon=True) for _ in range(2)]
    try:
        for thread in threads:
            thread.start()
        for _ in range(120):
            if sum(one.what == "read" for one in notes_of(job)) == 2 * MOST:
                break
            time.sleep(0.25)
        ray.kill(holder)
        for thread in threads:
            thread.join(60)
        assert [sorted(found) for found in ran] == [list(range(MOST))] * 2
    finally:
        cluster.remove_node(shared, allow_graceful=False)
