"""Process a sample of a run, with the run's own settings, on the available cluster.

Nothing is promoted and nothing becomes visible, since nothing is written. The workers read photos
as in the run; what they would write is produced, counted and thrown away (`storage/sample.py`).
"""

import time
from collections import deque
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from pipeline.estimate.forecast import Forecast, forecast
from pipeline.estimate.measure import measured
from pipeline.estimate.sample import draw_sample
from pipeline.job import PlannedRun
from pipeline.ledger.identity import input_sha256
from pipeline.ledger.ledger import Ledger
from pipeline.report.costs import Machines
from pipeline.report.progress import Log, Progress
from pipeline.stages.task import TaskSummary
from pipeline.stages.worker import Job
from pipeline.storage.sample import SampleStore

Work = Callable[[deque[int], Job], Iterator[TaskSummary]]  # task numbers -> what was done


def estimate(planned: PlannedRun, log: Log, start: Callable[[], tuple[Machines, Work]]) -> Forecast:
    """Measure a sample and forecast the planned run.

    start: joins or starts the cluster; returns its machines and a function that does tasks on it.
    """
    settings, todo = planned.settings, planned.todo
    began = time.time()
    machines, work = start()
    task_images = todo.inputs.num_rows / planned.tasks.task_count
    wanted = settings.estimating.estimate_photos
    sample = draw_sample(todo.inputs, wanted, task_images, machines.actors)
    store = SampleStore({}, keep=True)
    spec = replace(todo.spec, input_sha256=input_sha256(sample.inputs))
    ledger = Ledger.open(store, spec, sample.inputs, sample.cuts)
    job = Job(
        settings,
        planned.weights,
        ledger.run_id,
        sample=SampleStore(store.objects),
        images=todo.inputs.num_rows,
    )
    progress = Progress(log, sample.inputs.num_rows, sample.cuts.task_count)
    done = []
    for summary in work(deque(ledger.pending()), job):
        done.append(summary)
        metrics = summary.metrics
        progress.advance(metrics.photos, metrics.failed, metrics.crops)
    sample_usage = measured(done, began, time.time(), machines)
    return forecast(sample_usage, todo.inputs, planned.tasks.task_count, settings.estimating)
