"""Share a run's tasks with other jobs that do the same run at the same time.

Two submissions of one job start with the same task and would then run in lockstep, doing each task
twice. The ledger counts a task only once, so the only harm is double cost.
"""

import random
from collections import deque
from collections.abc import Iterable, Iterator

from pipeline.ledger.ledger import Ledger
from pipeline.report.progress import Log
from pipeline.stages.task import TaskSummary
from pipeline.words import counted


def skip_recorded_elsewhere(
    summaries: Iterable[TaskSummary], pending: deque[int], ledger: Ledger, log: Log
) -> Iterator[TaskSummary]:
    """Yield tasks as this job completes them, and those that another job has recorded meanwhile.

    pending: tasks that this job has not started; `summaries` removes those that it starts

    A task that another attempt recorded first is a sign of another running job. Then recorded tasks
    are removed from `pending`, and the others continue from a random position, so that the jobs
    separate. They keep their order, since a worker caches the input file of adjacent tasks. A job
    that runs alone makes no additional requests. The first tasks that another job has done, which
    this one never started, are reported to `log`.
    """
    has_told = False
    for done in summaries:
        yield done
        if done.lost_race and pending:
            recorded = _remove_recorded(pending, ledger)
            if recorded and not has_told:
                has_told = True
                _report_other_job(len(recorded), log)
            for record in ledger.records(recorded):
                yield TaskSummary(record.task, record.metrics)


def _report_other_job(tasks: int, log: Log) -> None:
    message = (
        f"WARNING: another job does this run at the same time; it has done {counted(tasks, 'task')}"
        " that this job now skips, and some are done twice. Each counts once. To save the work, "
        "stop one of the two jobs (Ctrl-C or SIGTERM): the other completes the run"
    )
    log.say("other_job", message, tasks=tasks)


def _remove_recorded(pending: deque[int], ledger: Ledger) -> list[int]:
    """Remove recorded tasks from `pending`, rotate the rest, and return those removed."""
    before, unrecorded = list(pending), set(ledger.pending())
    pending.clear()
    pending.extend(task for task in before if task in unrecorded)
    if pending:
        pending.rotate(-random.randrange(len(pending)))
    return [task for task in before if task not in unrecorded]
