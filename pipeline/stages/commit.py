"""The last stage: cuts and encodes the crops of one task and commits the task."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from pipeline.cropping.results import ScoredCrop
from pipeline.ledger.figures import Cost, Figures, confidence_counts
from pipeline.photo.thumbnail import cut, encode, thumbnail_size
from pipeline.photo.whole import draw_whole, place_whole
from pipeline.settings import ThumbnailSettings
from pipeline.settings.safe_areas import SafeArea, safe_area_of
from pipeline.shapes import parse_shape
from pipeline.stages.attempt import attempt
from pipeline.stages.guard import one_by_one
from pipeline.stages.meter import COMMIT, Meter
from pipeline.stages.preview import preview_of
from pipeline.stages.task import STAGES, EncodedCrop, PhotoRow, Preview, Task, TaskSummary
from pipeline.stages.wire import Block, pack_summary, task_tables, unpack
from pipeline.stages.worker import Job, ledger_of, output_store
from pipeline.storage.store import Store, requests_so_far


def cut_encode_commit(block: Block, job: Job) -> Block:
    """Cut and encode the crops of one task, write its tables and put it on record."""
    meter, before = Meter(), requests_so_far()
    task = unpack(block)
    settings = job.settings
    store, areas = output_store(job), settings.cropping.areas
    encoded: list[EncodedCrop] = []
    previews: list[Preview] = []

    def cut_and_encode(row: PhotoRow) -> None:
        make = sized_crop if settings.thumbnails.boxes_only else encode_crop
        made = [make(row, chosen, settings.thumbnails, areas) for chosen in row.crops]
        if settings.thumbnails.crop_files:
            made = [replace(crop, file=write_crop_file(store, crop)) for crop in made]
        encoded.extend(made)
        if settings.running.preview:
            previews.append(preview_of(row, settings.running.preview))

    for row in one_by_one(task, "encode", job.run_id, settings.running.image_timeout_s):
        with meter.on("encode"):
            attempt(row, "encode", cut_and_encode)
    with meter.on(COMMIT):
        tables = task_tables(task, encoded, settings.cropping.candidates, previews)
        figures = figures_of(task, encoded) + Figures(requests=requests_so_far() - before)
        own = partial(_own_costs, meter)
        record = ledger_of(job).commit_task(task.number, tables, figures, own)
    return pack_summary(TaskSummary(task.number, record.metrics, meter.spans_of(task, "commit")))


def _own_costs(meter: Meter) -> Figures:
    """What this stage costs, with the request that creates the task's record."""
    return meter.figures() + Figures(costs={COMMIT: Cost(requests=1)})


def write_crop_file(store: Store, crop: EncodedCrop) -> str:
    """Write a crop under a key made of its content's hash, so that writing it twice is harmless."""
    if crop.image is None or crop.sha256 is None:
        raise ValueError(f"the crop {crop.chosen.ratio} of {crop.uri} is not encoded")
    key = f"crops/{crop.sha256[:2]}/{crop.sha256}.{crop.format}"
    store.write(key, crop.image)
    return key


def sized_crop(
    row: PhotoRow,
    chosen: ScoredCrop,
    settings: ThumbnailSettings,
    areas: Mapping[str, SafeArea] | None = None,
) -> EncodedCrop:
    """A chosen crop with the size that `encode_crop` would give it, and no picture."""
    shape, shown = parse_shape(chosen.ratio), chosen.box_px
    if chosen.fit != "crop":
        area = safe_area_of(shape, areas or {})
        shown = place_whole(shown, shape, area.is_circle, area.covered).canvas_px
    size_wh = thumbnail_size(shape, shown, settings.thumbnail_size)
    return EncodedCrop(row.image_id, row.uri, chosen, *size_wh, None, None, None)


def encode_crop(
    row: PhotoRow,
    chosen: ScoredCrop,
    settings: ThumbnailSettings,
    areas: Mapping[str, SafeArea] | None = None,
) -> EncodedCrop:
    """Cut a chosen crop from its photo, or draw the whole photo on a ground, and encode it.

    areas: what lies over the crops, by shape; a whole photo keeps clear of it. Raises EncodeError.
    """
    shape = parse_shape(chosen.ratio)
    if chosen.fit == "crop":
        size_wh = thumbnail_size(shape, chosen.box_px, settings.thumbnail_size)
        pixels = cut(row.decoded, chosen.box_px, size_wh)  # [h, w, 3]
    else:
        area = safe_area_of(shape, areas or {})
        placed = place_whole(chosen.box_px, shape, area.is_circle, area.covered)
        size_wh = thumbnail_size(shape, placed.canvas_px, settings.thumbnail_size)
        pixels = draw_whole(row.decoded, placed, size_wh, chosen.fit, settings.background_rgb)
    image = encode(
        pixels, settings.format, settings.quality, shape.is_circle, settings.background_rgb
    )
    height, width = pixels.shape[:2]
    sha256 = hashlib.sha256(image).hexdigest()
    return EncodedCrop(row.image_id, row.uri, chosen, width, height, settings.format, image, sha256)


def figures_of(task: Task, crops: Sequence[EncodedCrop]) -> Figures:
    """What a task did: counts, bytes, seconds of work by stage, requests of reading it."""
    rows = task.rows
    return Figures(
        statuses=Counter(row.status for row in rows),
        crops=len(crops),
        verdicts=Counter(f"{crop.chosen.ratio}|{crop.chosen.verdict}" for crop in crops),
        reasons=Counter(
            f"{crop.chosen.verdict}|{crop.chosen.reason}" for crop in crops if crop.chosen.reason
        ),
        kinds=Counter(row.kind for row in rows if row.kind),
        overridden=sum(bool(row.override and row.override.name) for row in rows),
        confidence=confidence_counts(crop.chosen.confidence for crop in crops),
        confidence_sum=round(sum(crop.chosen.confidence or 0.0 for crop in crops), 4),
        bytes=sum(row.bytes or 0 for row in rows),
        crop_bytes=sum(len(crop.image or b"") for crop in crops),
        seconds={s: round(sum(row.seconds.get(s, 0) for row in rows), 4) for s in STAGES},
        requests=task.requests,
        costs=task.costs,
    )
