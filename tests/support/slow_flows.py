"""Flows of tasks whose stages only take time, on a real Ray cluster."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.cluster.capacity import Capacity
from pipeline.cluster.flow import Flow, Stages
from pipeline.stop import Stop
from tests.support import slow_stages
from tests.support.slow_stages import SlowJob, SlowScorer, number

STAGES = Stages(slow_stages.read, SlowScorer, slow_stages.encode)
CORES = 2  # of each node
CAPACITY = Capacity(actors=2, task_slots=2)
OPTIONS = {"num_cpus": 0.5}  # of actors, and of the tasks beside them
MOST = 8  # by hand: two tasks for each actor and two for each place beside them


def flow(
    tasks: int,
    job: SlowJob,
    stages: Stages = STAGES,
    stop: Stop | None = None,
    kind: type[Flow] = Flow,
    actor_options: Mapping[str, float] = OPTIONS,
) -> Flow:
    pending, actor_arguments = deque(range(tasks)), (job, "cpu")
    return kind(
        stages, CAPACITY, pending, job, actor_arguments, actor_options, OPTIONS, stop or Stop()
    )


def done(flow: Flow, each: Callable[[int], Any] = id) -> list[int]:
    """Numbers of the tasks in the order in which they ended. each: called with how many have."""
    found = []
    for block in flow.run():
        found.append(number(block))
        each(len(found))
    return found
