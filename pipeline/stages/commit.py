"""The last stage: cut and encode the crops of one task, and commit the task."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial

from pipeline.ledger.figures import Cost, Figures, confidence_counts
from pipeline.ledger.layout import new_attempt
from pipeline.stages.attempt import attempt
from pipeline.stages.heap import give_back_when_idle
from pipeline.stages.meter import COMMIT, Meter
from pipeline.stages.same_bytes import copy_result
from pipeline.stages.task import STAGES, EncodedCrop, Task, TaskSummary
from pipeline.stages.task_crops import TaskCrops
from pipeline.stages.wire import Block, pack_summary, task_tables, unpack
from pipeline.stages.worker import Job, ledger_of, output_store
from pipeline.stages.worker_deaths import one_by_one
from pipeline.storage.store import Store
from pipeline.storage.traffic import requests_so_far


def cut_encode_commit(block: Block, job: Job, decoded: Block | None = None) -> Block:
    """Call `finish` for the task of a block.

    decoded: the block with the task's photos, if `block` contains only its decisions.
    """
    with give_back_when_idle():
        task = unpack(block)
        task = task if decoded is None else task.with_pixels_of(unpack(decoded))
        return pack_summary(finish(task, job))


def finish(task: Task, job: Job) -> TaskSummary:
    """Cut and encode the crops of one task, write its tables and its record."""
    meter, before, settings = Meter(), requests_so_far(), job.settings
    made = TaskCrops(job)
    deadline_s = settings.running.image_timeout_s
    for row in one_by_one(task, "encode", job.run_id, deadline_s, job.session):
        with meter.on("encode"):
            attempt(row, "encode", made.make)
    done = {row.image_id: row for row in task.rows}
    for row in (row for row in task.rows if row.awaits_result):
        copy_result(row, done[str(row.same_as)])
        with meter.on("encode"):
            attempt(row, "encode", made.share)
    crops, previews = made.take(task.rows)
    if settings.thumbnails.crop_files:
        with meter.on("encode"):
            write_crop_files(output_store(job), crops)
    with meter.on(COMMIT):
        tables = task_tables(task, crops, settings.cropping.candidates, previews)
        figures = figures_of(task, crops) + Figures(requests=requests_so_far() - before)
        del crops, previews  # the tables, from which files are written, have copies of the bytes
        own, name = partial(_own_costs, meter), new_attempt()
        record = ledger_of(job).commit_task(task.number, tables, figures, own, name)
    lost_race, spans = record.attempt != name, meter.spans_of(task, "commit")
    return TaskSummary(task.number, record.metrics, spans, lost_race)


def _own_costs(meter: Meter) -> Figures:
    """Return the costs of this stage, with the request that creates the task's record."""
    return meter.figures() + Figures(costs={COMMIT: Cost(requests=1)})


def write_crop_files(store: Store, crops: Iterable[EncodedCrop]) -> None:
    """Write the crops of a task as objects under their keys.

    This is not done photo by photo, since a store that does not answer would count as the photo's
    failure and the wait as its time. Raises LedgerError and StoreRefusedError, as for the tables.
    """
    for crop in crops:
        if crop.file is not None and crop.image is not None:
            store.write(crop.file, crop.image)


def figures_of(task: Task, crops: Sequence[EncodedCrop]) -> Figures:
    """Return a task's figures: counts, bytes, seconds by stage, requests of reading it."""
    rows = task.rows
    return Figures(
        statuses=Counter(row.status for row in rows),
        crops=len(crops),
        verdicts=Counter(
            f"{crop.chosen.ratio}|{crop.chosen.verdict}" for crop in crops if crop.chosen.verdict
        ),
        reasons=Counter(
            f"{crop.chosen.verdict}|{crop.chosen.reason}" for crop in crops if crop.chosen.reason
        ),
        kinds=Counter(row.kind for row in rows if row.kind),
        shared=sum(row.same_as is not None for row in rows),
        overridden=sum(bool(row.override and row.override.name) for row in rows),
        confidence=confidence_counts(crop.chosen.confidence for crop in crops),
        confidence_sum=round(sum(crop.chosen.confidence or 0.0 for crop in crops), 4),
        bytes=sum(row.bytes or 0 for row in rows),
        crop_bytes=sum(len(crop.image or b"") for crop in crops),
        seconds={s: round(sum(row.seconds.get(s, 0) for row in rows), 4) for s in STAGES},
        requests=task.requests,
        costs=task.costs,
    )
