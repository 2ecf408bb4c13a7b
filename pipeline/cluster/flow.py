"""Bring tasks through three stages on a Ray cluster, only so many at once.

One worker reads and decodes a task, an actor scores it, and one more worker, or the same actor,
encodes and commits it. Ray moves what they hand on, restarts what dies and gives its task to
another; whether a task is done is decided by the ledger in the output store alone, so a task that
Ray runs twice counts once.

Tasks enter in order, and a new one enters only when there is room. So a slow stage is never starved
by a fast one: readers leave actors the cores that these ask for, what is decoded waits for actors
that still start, and nothing piles up before them. A node that is to be taken away gets nothing
new, and its actors leave it once all that they have made is on record.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import pyarrow as pa
import ray
from ray._private.state import state as cluster_state  # no public call tells leaving nodes
from ray.exceptions import RayError, TaskCancelledError

from pipeline.cluster.actor import Actor
from pipeline.cluster.causes import cause_of
from pipeline.errors import LedgerError
from pipeline.stop import Drained, Stop

Ref: TypeAlias = Any  # ray.ObjectRef; Ray's calls have no types
PER_ACTOR = 2  # tasks at an actor: one at work, one whose pixels are brought there meanwhile
LOOK_S = 1.0  # between two looks for nodes that are to be taken away
STUCK_S = 30.0  # without a result, until actors release their cores to the other stages
LEAST_CPUS = 0.01  # of an actor that gave way
ALWAYS = -1  # Ray's word for: as often as a worker dies


@dataclass(frozen=True)
class Stages:
    """What is done with a task.

    read: a function of a block, which is one row, `task`, and the job.
    score: an actor's class with the members of `workers.Scorer`; None where nothing is scored.
    encode: a function of the last stage's block, the job and, where that scores, the first stage's
        block; None where the actors put tasks on record themselves.
    """

    read: Callable[[pa.Table, Any], pa.Table]
    score: type | None
    encode: Callable[..., pa.Table] | None


@dataclass(frozen=True)
class Room:
    """How much is on the way at once.

    actors: that score
    beside: tasks of the other stages that find cores beside all actors
    """

    actors: int
    beside: int

    @property
    def tasks(self) -> int:
        """From the first stage to the last."""
        return PER_ACTOR * self.actors + 2 * self.beside


class Flow:
    """Tasks of one run on their way through the stages.

    pending: numbers of the tasks, in the order in which they start; started ones are removed
    job: what the functions of the stages are given of it
    of_actors: what the actors' class is made with
    actor_options, task_options: what Ray is to give each actor, and each task of another stage
    """

    def __init__(
        self,
        stages: Stages,
        room: Room,
        pending: deque[int],
        job: Any,
        of_actors: tuple[Any, ...],
        actor_options: Mapping[str, Any],
        task_options: Mapping[str, Any],
        stop: Stop,
    ) -> None:
        """Ray has to be there, since the job is put into its store."""
        self.stages, self.room, self.stop = stages, room, stop
        self.waiting, self.job, self.of_actors = pending, ray.put(job), of_actors
        task = {**task_options, "max_retries": ALWAYS}
        self.read = ray.remote(stages.read).options(**task, scheduling_strategy="SPREAD")
        self.encode: Any = ray.remote(stages.encode).options(**task) if stages.encode else None
        self.actor_options = {
            **actor_options, "max_restarts": ALWAYS, "max_task_retries": ALWAYS,
            "scheduling_strategy": "SPREAD",
        }  # fmt: skip
        self.decoded: deque[tuple[int, Ref]] = deque()  # numbers of tasks, and their decoded photos
        self.reading = self.on_the_way = 0
        # What is to be done when a result is there; it returns the task that is through, if any.
        self.awaited: dict[Ref, Callable[[Ref], int | None]] = {}
        self.actors: list[Actor] = []
        self.looked_s = self.found_s = time.monotonic()

    def run(self) -> Iterator[pa.Table]:
        """Yield what the last stage has made of each task, as they end. Once only.

        Raises LedgerError where a worker cannot go on, Drained as it says.
        """
        try:
            for _ in range(self.room.actors if self.stages.score else 0):
                self._add_actor()
            self._feed()
            while self.on_the_way:
                found, _ = ray.wait([*self.awaited], timeout=LOOK_S, fetch_local=False)
                for ref in found:
                    task = self.awaited.pop(ref)(ref)
                    if task is None:
                        continue
                    self.on_the_way -= 1
                    try:
                        made = ray.get(ref)
                    except TaskCancelledError:
                        # A worker was told to end at this task, and Ray does not try it again.
                        self.waiting.appendleft(task)
                        continue
                    yield made
                self._look_at_nodes()
                self._give_way(bool(found))
                self._feed()
        except RayError as error:
            raise LedgerError(f"a worker could not go on: {cause_of(error)}") from error
        finally:
            for actor in self.actors:
                ray.kill(actor.handle)
        if self.waiting:
            raise Drained

    def _feed(self) -> None:
        """Give actors what is decoded, and begin new tasks where there is room."""
        while self.decoded and (actor := self._idlest()):
            task, decoded = self.decoded.popleft()
            ref = actor.handle.do.remote(decoded)
            actor.scoring += 1
            self.awaited[ref] = partial(self._scored, actor, task, decoded)
        while (
            self.waiting
            and not self.stop.asked
            and self.reading < self._readers()
            and self.on_the_way < self.room.tasks
        ):
            task = self.waiting.popleft()
            first = pa.table({"task": [task]})
            self.awaited[self.read.remote(first, self.job)] = partial(self._decoded, task)
            self.reading += 1
            self.on_the_way += 1

    def _readers(self) -> int:
        """Tasks that may be read at once: half as many while no actor is up.

        Meanwhile readers would load their code on the cores on which actors load theirs, for tasks
        that then wait.
        """
        if self.actors and not any(one.is_ready for one in self.actors):
            return max(1, self.room.beside // 2)
        return self.room.beside

    def _idlest(self) -> Actor | None:
        """The actor with the least to do that may get more."""
        able = [one for one in self.actors if one.is_ready and not one.leaves]
        best = min(able, key=lambda one: one.scoring, default=None)
        return best if best is not None and best.scoring < PER_ACTOR else None

    def _decoded(self, task: int, ref: Ref) -> None:
        self.reading -= 1
        if self.stages.score:
            self.decoded.append((task, ref))
        else:
            self.awaited[self.encode.remote(ref, self.job)] = lambda _: task

    def _scored(self, actor: Actor, task: int, decoded: Ref, ref: Ref) -> int | None:
        actor.scoring -= 1
        if self.encode is None:
            return task
        actor.made += 1
        written = self.encode.remote(ref, self.job, decoded)
        self.awaited[written] = partial(self._on_record, actor, task)
        return None

    def _on_record(self, actor: Actor, task: int, _: Ref) -> int:
        actor.made -= 1
        return task

    def _add_actor(self) -> None:
        made = ray.remote(self.stages.score).options(**self.actor_options)
        actor = Actor(made.remote(*self.of_actors), self.actor_options.get("num_cpus", 0.0))
        self.actors.append(actor)
        self._await_ready(actor)

    def _await_ready(self, actor: Actor) -> None:
        self.awaited[actor.handle.ready.remote()] = partial(self._ready, actor)

    def _ready(self, actor: Actor, ref: Ref) -> None:
        try:
            ray.get(ref)  # raises what its constructor raised
        except TaskCancelledError:
            self._await_ready(actor)  # its worker was told to end, and Ray starts another
        else:
            actor.is_ready = True

    def _look_at_nodes(self) -> None:
        """Let actors leave the nodes that are to be taken away, and start others elsewhere.

        What an actor has scored is made anew by that actor alone, so it stays until it is on
        record.
        """
        if time.monotonic() < self.looked_s + LOOK_S or not self.actors:
            return
        self.looked_s = time.monotonic()
        leaving = cluster_state.get_draining_nodes()
        for actor in list(self.actors):
            actor.leaves = bool(leaving) and actor.node in leaving
            if actor.leaves and actor.is_idle:
                self._replace(actor)

    def _give_way(self, is_moving: bool) -> None:
        """Restart actors with almost no CPU if nothing makes progress.

        The actors of several jobs can hold all cores while the other stages of each job wait for
        one. An actor's scored tasks stay in Ray's store when it ends. If a node is lost just then,
        they are lost and the job ends, which is better than all jobs waiting for ever.
        """
        now = time.monotonic()
        if is_moving:
            self.found_s = now
        if now < self.found_s + STUCK_S:
            return
        self.found_s = now
        self.actor_options["num_cpus"] = LEAST_CPUS
        not_scoring = [one for one in self.actors if one.is_ready and not one.scoring]
        for actor in [one for one in not_scoring if one.cpus > LEAST_CPUS]:
            self._replace(actor)

    def _replace(self, actor: Actor) -> None:
        self.actors.remove(actor)
        ray.kill(actor.handle)
        self._add_actor()
