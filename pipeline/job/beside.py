"""Share a run's tasks with other jobs that do the same run at the same time.

Two submissions of one job begin with the same task and would go on in step, so that each task is
done twice. The ledger counts it once; only its cost is double.
"""

import random
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from pipeline.ledger.ahead import ahead
from pipeline.ledger.ledger import READERS, Ledger
from pipeline.stages.task import TaskSummary


def beside_others(
    summaries: Iterable[TaskSummary], pending: deque[int], ledger: Ledger
) -> Iterator[TaskSummary]:
    """Yield tasks as they end here, and those that another job has put on record meanwhile.

    pending: tasks that nobody has begun here; `summaries` takes out of it what it begins

    A task that was on record before it ended here tells of another job. Then the tasks that are on
    record are taken out, and the others go on from a place drawn at random: in their order, since a
    worker has the list of neighbours at hand, and elsewhere than the other job. Where nobody else
    is at work this costs nothing.
    """
    for done in summaries:
        yield done
        if done.came_late and pending:
            yield from _recorded(ledger, _take_out_done(pending, ledger))


def _take_out_done(pending: deque[int], ledger: Ledger) -> list[int]:
    """Take out of the pending tasks those that are on record, and return them."""
    known, left = list(pending), set(ledger.pending())
    pending.clear()
    pending.extend(task for task in known if task in left)
    if pending:
        pending.rotate(-random.randrange(len(pending)))
    return [task for task in known if task not in left]


def _recorded(ledger: Ledger, tasks: list[int]) -> Iterator[TaskSummary]:
    with ThreadPoolExecutor(READERS) as pool:
        for record in ahead(pool, ledger.record, tasks, READERS):
            yield TaskSummary(record.task, record.metrics)
