"""The scoring actors of a flow."""

from collections.abc import Callable, Mapping
from typing import Any

import ray

from pipeline.cluster.actor import Actor
from pipeline.cluster.capacity import PER_ACTOR
from pipeline.errors import GpuShareError

MIN_CPUS = 0.01  # of an actor that released its CPUs


class ActorPool:
    """Starts scoring actors, and replaces those that have to leave their node or their cores.

    orphans: tasks whose actor was replaced before they were recorded. Ray can't compute what it
        scored again, and never computes what it had not scored.
    """

    def __init__(
        self,
        kind: type | None,
        arguments: tuple[Any, ...],
        options: Mapping[str, Any],
        await_ready: Callable[[Actor], None],
        unscored: Callable[[], int],
    ) -> None:
        """Make a pool without actors; kind: None if nothing is scored, then it stays empty.

        arguments, options: of the actor class, and its Ray options
        await_ready: is called with each new actor
        unscored: returns how many tasks still have to be scored; there are no more actors than that
        """
        self.kind, self.arguments, self.options = kind, arguments, {**options}
        self.await_ready, self.unscored = await_ready, unscored
        self.actors: list[Actor] = []
        self.orphans: set[int] = set()

    def grow_to(self, count: int) -> None:
        """Start actors until there are this many, or one for each task that is not scored."""
        wanted = min(count, self.unscored()) if self.kind else 0
        for _ in range(wanted - len(self.actors)):
            self._add()

    def end(self) -> None:
        """End all actors."""
        for actor in self.actors:
            ray.kill(actor.handle)

    @property
    def is_starting(self) -> bool:
        """Whether there are actors and none is ready."""
        return bool(self.actors) and not self.can_score

    @property
    def can_score(self) -> bool:
        """Whether an actor is ready, or Ray restarts one that was."""
        return any(one.is_ready for one in self.actors)

    @property
    def too_small(self) -> GpuShareError | None:
        """Why actors can't score, if their share of a GPU has too little memory."""
        found = [one.too_small for one in self.actors if one.too_small]
        return max(found, key=lambda one: one.enough, default=None)

    def idlest(self) -> Actor | None:
        """Return the least busy actor that can take another task."""
        able = [one for one in self.actors if one.is_ready and not one.leaves]
        best = min(able, key=lambda one: len(one.scoring), default=None)
        return best if best is not None and len(best.scoring) < PER_ACTOR else None

    def leave(self, nodes: Mapping[str, int]) -> None:
        """Remove idle actors from draining nodes, and start others elsewhere if tasks need them.

        Only the actor that scored a task can compute its result again, so it stays until the task
        is recorded.

        nodes: the ids of the draining nodes.
        """
        for actor in list(self.actors):
            actor.leaves = bool(nodes) and actor.node in nodes
            if actor.leaves and actor.is_idle:
                self._replace(actor)

    def replace_lost(self) -> bool:
        """Replace actors that find no room again, so that others do their tasks; whether any did.

        If a node is lost for good, its actors may wait for a GPU for the rest of the run.
        """
        ready = [one for one in self.actors if one.is_ready]
        lost = [one for one in ready if one.scoring and one.is_restarting]
        if len(lost) == len(ready):
            return False  # no other can do their tasks
        for actor in lost:
            self._replace(actor)
        return bool(lost)

    def give_up_lost(self) -> None:
        """End the actors that find no room again; their tasks are left to another flow."""
        for actor in [one for one in self.actors if one.is_ready and one.is_restarting]:
            self._end(actor)

    def release_cpus(self) -> None:
        """End actors that score nothing, and start others, now and later, with almost no CPU.

        Their scored tasks stay in Ray's store. If their node is lost before these are recorded,
        they start again.
        """
        self.options["num_cpus"] = MIN_CPUS
        not_scoring = [one for one in self.actors if one.is_ready and not one.scoring]
        for actor in [one for one in not_scoring if one.cpus > MIN_CPUS]:
            self._replace(actor)

    def _add(self) -> None:
        made = ray.remote(self.kind).options(**self.options)
        actor = Actor(made.remote(*self.arguments), self.options.get("num_cpus", 0.0))
        self.actors.append(actor)
        self.await_ready(actor)

    def _replace(self, actor: Actor) -> None:
        self._end(actor)
        self.grow_to(len(self.actors) + 1)

    def _end(self, actor: Actor) -> None:
        self.actors.remove(actor)
        self.orphans |= actor.scored | actor.scoring
        ray.kill(actor.handle)
