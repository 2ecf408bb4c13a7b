"""Run tasks through three stages on a Ray cluster, with a bounded number in flight.

One worker reads and decodes a task, an actor scores it, and another worker, or the same actor,
encodes and commits it. Ray moves the results between them, restarts workers that die and gives
their tasks to others. Only the ledger in the output store decides whether a task is done, so a task
that Ray runs twice counts once.

Tasks start in order, and a new one starts only when there is capacity. So a fast stage never
starves a slow one: readers leave actors the cores that they request, decoded tasks wait for actors
that are still starting, and no backlog builds up. A draining node gets no new tasks, and its actors
leave it once everything that they have scored is recorded. The capacity may grow meanwhile.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import pyarrow as pa
import ray
from ray._private.state import state as cluster_state  # no public call lists draining nodes
from ray.exceptions import ActorDiedError, ObjectLostError, RayError, TaskCancelledError

from pipeline.cluster.actor import Actor
from pipeline.cluster.actor_pool import ActorPool
from pipeline.cluster.capacity import Capacity
from pipeline.cluster.causes import cause_of, is_loss
from pipeline.errors import LedgerError
from pipeline.stop import Drained, Stop

Ref: TypeAlias = Any  # ray.ObjectRef; Ray's calls have no types
POLL_S = 1.0  # between two looks at the cluster's nodes
STALL_S = 30.0  # without a result, until actors release their cores to the other stages
ALWAYS = -1  # Ray's value for unlimited retries and restarts


@dataclass(frozen=True)
class Stages:
    """The stages of a task.

    read: a function of a block (one row with the column `task`) and the job.
    score: an actor class with the members of `workers.Scorer`; None if nothing is scored.
    encode: a function of the previous stage's block, the job and, if that stage scores, the first
        stage's block; None if the actors commit tasks themselves.
    """

    read: Callable[[pa.Table, Any], pa.Table]
    score: type | None
    encode: Callable[..., pa.Table] | None


class Flow:
    """The tasks of one run as they pass through the stages.

    pending: numbers of the tasks, in the order in which they start; started ones are removed
    job: what the stages' functions receive of the job
    actor_args: the arguments of the actor class
    actor_options, task_options: Ray options of each actor, and of each task of another stage
    capacity_now: returns the capacity of the cluster as it is now; None to start no more tasks and
        end once those in flight have ended, or wait for actors that are lost, so that a flow with
        other actors can do the rest
    """

    def __init__(
        self,
        stages: Stages,
        capacity: Capacity,
        pending: deque[int],
        job: Any,
        actor_args: tuple[Any, ...],
        actor_options: Mapping[str, Any],
        task_options: Mapping[str, Any],
        stop: Stop,
        capacity_now: Callable[[], Capacity | None] | None = None,
    ) -> None:
        """Put the job into Ray's object store; Ray must be running."""
        self.stages, self.capacity, self.stop = stages, capacity, stop
        self.capacity_now, self.is_ending = capacity_now or (lambda: capacity), False
        self.pending, self.job = pending, ray.put(job)
        task = {**task_options, "max_retries": ALWAYS}
        self.read = ray.remote(stages.read).options(**task, scheduling_strategy="SPREAD")
        self.encode: Any = ray.remote(stages.encode).options(**task) if stages.encode else None
        actor = {
            **actor_options, "max_restarts": ALWAYS, "max_task_retries": ALWAYS,
            "scheduling_strategy": "SPREAD",
        }  # fmt: skip
        self.pool = ActorPool(stages.score, actor_args, actor, self._await_ready, self._unscored)
        self.decoded: deque[tuple[int, Ref]] = deque()  # task numbers, and their decoded photos
        self.reading = self.encoding = self.in_flight = 0
        # The callback for each pending result; it returns the task that has ended, if any.
        self.awaited: dict[Ref, Callable[[Ref], int | None]] = {}
        self.last_look_s = self.last_result_s = time.monotonic()

    def run(self) -> Iterator[pa.Table]:
        """Yield the last stage's result for each task, as tasks end. Call this only once.

        Tasks are left only if `capacity_now` ended the flow. Raises LedgerError if a worker cannot
        continue, and Drained if tasks are left after a stop.
        """
        try:
            self.pool.grow_to(self.capacity.actors)
            self._feed()
            while self.in_flight:
                found, _ = ray.wait([*self.awaited], timeout=POLL_S, fetch_local=False)
                for ref in found:
                    task = self.awaited.pop(ref)(ref)
                    if task is None:
                        continue
                    self.in_flight -= 1
                    result = self._result(task, ref)
                    if result is None:
                        self.pending.appendleft(task)
                    else:
                        yield result
                self._look_at_nodes()
                self._release_cpus(bool(found))
                self._feed()
        except RayError as error:
            if self.stop.asked and is_loss(error):
                raise Drained from error  # Ray's processes have got the same signal
            raise LedgerError(f"a worker could not continue: {cause_of(error)}") from error
        finally:
            self.pool.end()
        if self.pending and self.stop.asked:
            raise Drained

    def _result(self, task: int, ref: Ref) -> pa.Table | None:
        """Return the last stage's result for a task; None if the task has to start again.

        Ray does not retry a task whose worker was asked to exit, nor one that needs the result of
        an actor that is gone, after the node that held the result is lost.
        """
        is_orphan = task in self.pool.orphans
        self.pool.orphans.discard(task)
        try:
            return ray.get(ref)
        except TaskCancelledError:
            return None
        except (ActorDiedError, ObjectLostError):
            if not is_orphan:
                raise
            return None

    def _feed(self) -> None:
        """Give decoded tasks to actors, and start new tasks while there is capacity.

        If the flow ends and has no actor left, decoded tasks wait for the flow that follows.
        """
        while self.decoded and self.is_ending and not self.pool.can_score:
            self.pending.appendleft(self.decoded.pop()[0])
            self.in_flight -= 1
        while self.decoded and (actor := self.pool.idlest()):
            task, decoded = self.decoded.popleft()
            ref = actor.handle.do.remote(decoded)
            actor.scoring.add(task)
            self.awaited[ref] = partial(self._on_scored, actor, task, decoded)
        while (
            self.pending
            and not (self.stop.asked or self.is_ending)
            and self.reading < self._readers()
            and self.in_flight < self.capacity.tasks
        ):
            task = self.pending.popleft()
            first = pa.table({"task": [task]})
            self.awaited[self.read.remote(first, self.job)] = partial(self._on_decoded, task)
            self.reading += 1
            self.in_flight += 1

    def _unscored(self) -> int:
        """Return how many tasks actors still have to score in this flow."""
        to_start = 0 if self.stop.asked or self.is_ending else len(self.pending)
        return to_start + self.in_flight - self.encoding

    def _readers(self) -> int:
        """Return how many tasks may be read at once: half as many while no actor is ready.

        More readers would load their code on the cores on which the actors are loading theirs, for
        tasks that then have to wait.
        """
        if self.pool.is_starting:
            return max(1, self.capacity.task_slots // 2)
        return self.capacity.task_slots

    def _on_decoded(self, task: int, ref: Ref) -> None:
        self.reading -= 1
        if self.stages.score:
            self.decoded.append((task, ref))
        else:
            self.awaited[self.encode.remote(ref, self.job)] = lambda _: task

    def _on_scored(self, actor: Actor, task: int, decoded: Ref, ref: Ref) -> int | None:
        actor.scoring.discard(task)
        if self.encode is None:
            return task
        actor.scored.add(task)
        self.encoding += 1
        written = self.encode.remote(ref, self.job, decoded)
        self.awaited[written] = partial(self._on_recorded, actor, task)
        return None

    def _on_recorded(self, actor: Actor, task: int, _: Ref) -> int:
        actor.scored.remove(task)
        self.encoding -= 1
        return task

    def _await_ready(self, actor: Actor) -> None:
        self.awaited[actor.handle.ready.remote()] = partial(self._on_ready, actor)

    def _on_ready(self, actor: Actor, ref: Ref) -> None:
        try:
            actor.too_small = ray.get(ref)  # raises what its constructor raised
        except TaskCancelledError:
            self._await_ready(actor)  # its worker was asked to exit, and Ray starts another
        else:
            actor.is_ready = actor.too_small is None

    def _look_at_nodes(self) -> None:
        """Leave draining nodes, and follow the capacity of a cluster that grows."""
        if time.monotonic() < self.last_look_s + POLL_S:
            return
        self.last_look_s = time.monotonic()
        if self.pool.actors:
            self.pool.leave(cluster_state.get_draining_nodes())
        if (capacity := self.capacity_now()) is None:
            self.is_ending = True
        else:
            self.capacity = capacity
            self.pool.grow_to(capacity.actors)

    def _release_cpus(self, is_moving: bool) -> None:
        """If nothing makes progress, replace actors that hold tasks or cores others wait for.

        The actors of a lost node may find no room elsewhere, and those of several jobs can hold all
        cores while the other stages of each job wait for one.
        """
        now = time.monotonic()
        if is_moving:
            self.last_result_s = now
        if now < self.last_result_s + STALL_S:
            return
        self.last_result_s = now
        if self.is_ending:
            self.pool.give_up_lost()
        if not self.pool.replace_lost():
            self.pool.release_cpus()
