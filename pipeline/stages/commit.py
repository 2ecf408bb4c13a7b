"""The last stage: cuts and encodes the crops of one task and commits the task."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from pipeline.ledger.crop_files import run_prefix
from pipeline.ledger.figures import Cost, Figures, confidence_counts
from pipeline.photo.animation import Animation
from pipeline.settings import Settings
from pipeline.stages.attempt import attempt
from pipeline.stages.encode import encoded_crops
from pipeline.stages.guard import one_by_one
from pipeline.stages.heap import at_work
from pipeline.stages.meter import COMMIT, Meter
from pipeline.stages.preview import preview_of
from pipeline.stages.same_bytes import crop_for, preview_for, take_over
from pipeline.stages.task import STAGES, EncodedCrop, PhotoRow, Preview, Task, TaskSummary
from pipeline.stages.wire import Block, pack_summary, task_tables, unpack
from pipeline.stages.worker import Job, decoder_for, ledger_of, output_store
from pipeline.storage.store import Store
from pipeline.storage.traffic import requests_so_far


def cut_encode_commit(block: Block, job: Job, decoded: Block | None = None) -> Block:
    """`finish` for the task of a block.

    decoded: the block that has the task's photos, where the other only tells decisions.
    """
    with at_work():
        task = unpack(block)
        task = task if decoded is None else task.with_pixels_of(unpack(decoded))
        return pack_summary(finish(task, job))


def finish(task: Task, job: Job) -> TaskSummary:
    """Cut and encode the crops of one task, write its tables and put it on record."""
    meter, before = Meter(), requests_so_far()
    settings = job.settings
    areas, own_objects = settings.cropping.areas, settings.thumbnails.crop_files
    encoded: dict[str, list[EncodedCrop]] = {}  # by image_id, as the next
    previews: dict[str, Preview] = {}

    def named(row: PhotoRow, made: list[EncodedCrop]) -> list[EncodedCrop]:
        return [with_key(job, row, crop) for crop in made] if own_objects else made

    def cut_and_encode(row: PhotoRow) -> None:
        made = row.encoded
        if made is None:
            frames = partial(frames_of, settings=settings)
            made = encoded_crops(row, settings.thumbnails, areas, frames)
        made, side = named(row, made), settings.running.preview
        if side:
            shown = row.preview or preview_of(row, side, settings.thumbnails.is_automatic)
            previews[row.image_id] = shown
        encoded[row.image_id] = made  # last: a photo that fails has no crops

    def give(row: PhotoRow) -> None:
        """Give a photo the crops and the preview of the one that it is the same bytes as."""
        made = [crop_for(row, crop) for crop in encoded[str(row.same_as)]]
        encoded[row.image_id] = named(row, made)
        if row.same_as in previews:
            previews[row.image_id] = preview_for(row, previews[row.same_as])

    for row in one_by_one(task, "encode", job.run_id, settings.running.image_timeout_s):
        with meter.on("encode"):
            attempt(row, "encode", cut_and_encode)
    done = {row.image_id: row for row in task.rows}
    for row in (row for row in task.rows if row.awaits):
        take_over(row, done[str(row.same_as)])
        with meter.on("encode"):
            attempt(row, "encode", give)
    crops = [crop for row in task.rows for crop in encoded.get(row.image_id, ())]
    shown = [previews[row.image_id] for row in task.rows if row.image_id in previews]
    if own_objects:
        with meter.on("encode"):
            write_crop_files(output_store(job), crops)
    with meter.on(COMMIT):
        tables = task_tables(task, crops, settings.cropping.candidates, shown)
        figures = figures_of(task, crops) + Figures(requests=requests_so_far() - before)
        del crops, shown  # the tables have their bytes now, and files are made of them
        encoded.clear()
        previews.clear()
        own = partial(_own_costs, meter)
        record = ledger_of(job).commit_task(task.number, tables, figures, own)
    return TaskSummary(task.number, record.metrics, meter.spans_of(task, "commit"))


def _own_costs(meter: Meter) -> Figures:
    """What this stage costs, with the request that creates the task's record."""
    return meter.figures() + Figures(costs={COMMIT: Cost(requests=1)})


def frames_of(data: bytes, settings: Settings) -> Animation:
    """Decode every frame of a file, in the child that decodes strangers' files. DecodeError."""
    decoder = decoder_for(
        settings.decoding.limits, settings.decoded_side, settings.thumbnails.colour
    )
    return decoder.decode_frames(data)


def with_key(job: Job, row: PhotoRow, crop: EncodedCrop) -> EncodedCrop:
    """A crop with the key of its own object, and its name where a template gives one.

    The key is made of the content's hash, or of the run's id and the template's name. So writing it
    twice is harmless.
    """
    names = job.settings.thumbnails.crop_names
    if crop.sha256 is None or crop.format is None:
        raise ValueError(f"the crop {crop.chosen.ratio} of {crop.uri} is not encoded")
    if names is None:
        return replace(crop, file=f"crops/{crop.sha256[:2]}/{crop.sha256}.{crop.format}", name=None)
    chosen = crop.chosen
    about = (row.uri, row.image_id, row.pass_through)
    name = names.name(*about, chosen.ratio, chosen.rank, crop.format, crop.sha256)
    return replace(crop, file=run_prefix(job.run_id) + name, name=name)


def write_crop_files(store: Store, crops: Iterable[EncodedCrop]) -> None:
    """Write the crops of a task as objects under their keys.

    It is no photo's work: a store that does not answer would count as the photo's failure, and the
    wait for it as the photo's time. Raises LedgerError and StoreRefusedError, as the tables do.
    """
    for crop in crops:
        if crop.file is not None and crop.image is not None:
            store.write(crop.file, crop.image)


def figures_of(task: Task, crops: Sequence[EncodedCrop]) -> Figures:
    """What a task did: counts, bytes, seconds of work by stage, requests of reading it."""
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
