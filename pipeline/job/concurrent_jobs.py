"""Share a run's tasks with other jobs that do the same run at the same time.

Two submissions of one job start with the same task and would then run in lockstep, doing each task
twice. The ledger counts a task only once, so the only harm is double cost.
"""

import random
from collections import deque
from collections.abc import Iterable, Iterator

from pipeline.ledger.ledger import Ledger
from pipeline.stages.task import TaskSummary


def skip_recorded_elsewhere(
    summaries: Iterable[TaskSummary], pending: deque[int], ledger: Ledger
) -> Iterator[TaskSummary]:
    """Yield tasks as this job completes them, and those that another job has recorded meanwhile.

    pending: tasks that this job has not started; `summaries` removes those that it starts

    A task that another attempt recorded first is a sign of another running job. Then recorded tasks
    are removed from `pending`, and the others continue from a random position, so that the jobs
    separate. They keep their order, since a worker caches the input file of adjacent tasks. A job
    that runs alone makes no additional requests.
    """
    for done in summaries:
        yield done
        if done.lost_race and pending:
            for record in ledger.records(_remove_recorded(pending, ledger)):
                yield TaskSummary(record.task, record.metrics)


def _remove_recorded(pending: deque[int], ledger: Ledger) -> list[int]:
    """Remove recorded tasks from `pending`, rotate the rest, and return those removed."""
    before, unrecorded = list(pending), set(ledger.pending())
    pending.clear()
    pending.extend(task for task in before if task in unrecorded)
    if pending:
        pending.rotate(-random.randrange(len(pending)))
    return [task for task in before if task not in unrecorded]
