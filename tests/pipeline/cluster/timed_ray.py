"""A simulated one-node cluster: the Ray functions that `Flow` uses, with a simulated clock.

A task or call takes as long as its function's `seconds`, occupies its cores for that time, and
starts in the order of submission as soon as there is room. Nothing is run.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pyarrow as pa


@dataclass(eq=False)
class Ref:
    """A result; `done_s` is set once it is available."""

    value: Any
    done_s: float | None = None


@dataclass(eq=False)
class Waiting:
    """A task or call that waits for cores, or for its actor."""

    ref: Ref
    seconds: float
    cpus: float
    name: str
    actor: "ActorHandle | None" = None


@dataclass(eq=False)
class ActorHandle:
    """An actor, which runs its calls one after another, in order."""

    cluster: "TimedRay"
    seconds: float
    calls: list[Waiting] = field(default_factory=list)
    is_up: bool = False
    busy_s: float = 0.0
    is_busy: bool = False

    @property
    def ready(self) -> "Call":
        return Call(self, 0.0)

    @property
    def do(self) -> "Call":
        return Call(self, self.seconds)


@dataclass
class Call:
    actor: ActorHandle
    seconds: float

    def remote(self, *args: Ref) -> Ref:
        block = args[0].value if args else None
        waiting = Waiting(Ref(block), self.seconds, 0.0, "score", self.actor)
        self.actor.calls.append(waiting)
        return waiting.ref


@dataclass
class Remote:
    """A remote function or class."""

    cluster: "TimedRay"
    target: Any
    cpus: float = 1.0

    def options(self, num_cpus: float, **_: Any) -> "Remote":
        return Remote(self.cluster, self.target, num_cpus)

    def remote(self, *args: Any) -> Any:
        if isinstance(self.target, type):
            return self.cluster.new_actor(self.target, self.cpus)
        first = args[0].value if isinstance(args[0], Ref) else args[0]
        ref, name = Ref(first), self.target.__name__
        self.cluster.waiting.append(Waiting(ref, self.target.seconds, self.cpus, name))
        return ref


class TimedRay:
    """Stands in for the module `ray` in `pipeline.cluster.flow`."""

    def __init__(self, cores: float) -> None:
        self.free, self.now_s = cores, 0.0
        self.waiting: list[Waiting] = []
        self.actors: list[ActorHandle] = []
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.order = count()
        # Each function that started, when, and for which task.
        self.begun: list[tuple[str, float, int]] = []

    def put(self, value: Any) -> Any:
        return value

    def get(self, ref: Ref) -> Any:
        return ref.value if isinstance(ref.value, pa.Table) else None

    def kill(self, _: ActorHandle) -> None:
        pass

    def remote(self, target: Any) -> Remote:
        return Remote(self, target)

    def new_actor(self, target: Any, cpus: float) -> ActorHandle:
        actor = ActorHandle(self, target.seconds)
        self.actors.append(actor)
        self.free -= cpus

        def up() -> None:
            actor.is_up = True

        self._after(target.start_s, up)
        return actor

    def wait(
        self, refs: Sequence[Ref], timeout: float, fetch_local: bool
    ) -> tuple[list[Ref], list[Ref]]:
        """Advance the clock until a result is available; returns it and the others."""
        while not (done := [ref for ref in refs if ref.done_s is not None]):
            self._begin()
            self.now_s, _, event = heapq.heappop(self.events)
            event()
        first = min(done, key=lambda ref: ref.done_s or 0.0)
        return [first], [ref for ref in refs if ref is not first]

    def _after(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self.events, (self.now_s + seconds, next(self.order), event))

    def _begin(self) -> None:
        for one in list(self.waiting):
            if one.cpus <= self.free + 1e-9:
                self.waiting.remove(one)
                self.free -= one.cpus
                self.begun.append((one.name, self.now_s, one.ref.value["task"][0].as_py()))
                self._after(one.seconds, lambda one=one: self._end(one))  # type: ignore[misc]
        for actor in self.actors:
            if actor.is_up and not actor.is_busy and actor.calls:
                call = actor.calls.pop(0)
                actor.is_busy = True
                self._after(call.seconds, lambda call=call: self._end(call))  # type: ignore[misc]

    def _end(self, one: Waiting) -> None:
        one.ref.done_s = self.now_s
        self.free += one.cpus
        if one.actor is not None:
            one.actor.is_busy = False
            one.actor.busy_s += one.seconds
