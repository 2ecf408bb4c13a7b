"""Take the decisions on a task's photos from a committed run instead of an engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np

from pipeline import schema
from pipeline.cropping.derive import derived_crop, nearest_shape
from pipeline.cropping.results import ScoredCandidates, ScoredCrop, SkippedShape
from pipeline.detectors import Detections
from pipeline.ledger.stored_rows import RowsByPhoto, StoredRow, StoredTables
from pipeline.photo.view import VIEW_SLACK, view_side_for
from pipeline.schema import EDGES
from pipeline.settings import Settings
from pipeline.settings.safe_areas import SafeArea, stored_safe_areas
from pipeline.shapes import parse_shape, parse_shapes
from pipeline.stages.fine_view import finest_side, thumbnail_scale
from pipeline.stages.task import PhotoRow, Preview, Task
from pipeline.stages.worker import Job
from pipeline.storage.store import open_store

# Crops are encoded again, so the stored files need not become Python objects.
UNUSED_COLUMNS = {"crops": {"image", "sha256", "file", "format", "width", "height"}}
VIEW_HASHES = ("thumbhash", "phash")  # hashes of the view, which differs here; null in old runs
CHOSEN_FIELDS = [item.name for item in fields(ScoredCrop) if item.name != "box_px"]
# The smaller view has this many thumbnail sides, so a crop of a third of the photo is not enlarged.
VIEW_SIDES = 3


@dataclass(frozen=True)
class StoredDecisions:
    """What a committed run decided about the photos of one task, as stored rows.

    settings: the settings of the job that takes the decisions. shapes: names of the shapes that the
    run was asked for; a photo may lack some of them. areas: the safe areas of the run.
    """

    images: dict[str, StoredRow]
    crops: RowsByPhoto
    candidates: RowsByPhoto
    previews: RowsByPhoto
    settings: Settings
    shapes: Sequence[str]
    areas: Mapping[str, SafeArea] = field(default_factory=dict)

    @classmethod
    def read(cls, task: Task, job: Job, run_id: str) -> "StoredDecisions":
        """Read them. Raises LedgerError if the run is not committed or its files are gone."""
        photos = [(row.image_id, row.uri) for row in task.rows]
        tables = _tables_at(job.settings.running.output, run_id)
        found = tables.rows(photos, UNUSED_COLUMNS)
        images = {image_id: rows[0] for image_id, rows in found["images"].items()}
        crops, candidates, previews = (found[n] for n in ("crops", "candidates", "previews"))
        asked = tables.manifests[0].settings
        shapes = [shape.name for shape in parse_shapes(str(asked["ratios"]))]
        areas = stored_safe_areas(str(asked.get("safe_areas", "")))
        return cls(images, crops, candidates, previews, job.settings, shapes, areas)

    def view_side(self, image_id: str) -> int:
        """Return the view_side that the thumbnails of a photo need, pixels."""
        usual, side = self.settings.decoded_side, self.settings.thumbnails.thumbnail_size
        photo = self.images.get(image_id, {})
        if self.settings.decoding.animated == "all" and (photo.get("frames") or 1) > 1:
            return usual  # every frame is decoded at the usual view size of the job
        boxes = [[crop[edge] for edge in EDGES] for crop in self.crops.get(image_id, ())]
        scale = max((thumbnail_scale(box, side) for box in boxes), default=0.0)
        size_wh = (photo.get("width_px") or 1, photo.get("height_px") or 1)
        for enough in (min(usual, VIEW_SIDES * side), usual):
            if scale * max(size_wh) <= VIEW_SLACK * enough:
                return enough
        return min(view_side_for(size_wh, scale), finest_side(self.settings))

    def end_failed(self, row: PhotoRow) -> None:
        """End a photo that has no crops in the run, with the status that it has there."""
        stored = self.images.get(row.image_id)
        if stored is None:
            row.fail("score", "not_decided", "permanent", "the run has no decision about it")
        elif stored["status"] in schema.SKIPPED:
            row.leave_out(stored["status"])
        elif stored["status"] != schema.OK:
            stage, kind = stored["error_stage"], stored["error_kind"]
            row.fail(stage, stored["status"], kind, stored["error_message"] or "")
        if stored is not None and row.has_ended:
            for name in ("width_px", "height_px", "orientation", "format", "content_sha256"):
                setattr(row, name, stored.get(name))

    def apply_to(self, row: PhotoRow) -> None:
        """Give a photo of known size its stored objects and decisions.

        A photo whose content is not what the run has seen fails.
        """
        stored = self.images[row.image_id]
        known = stored.get("content_sha256")
        if known is not None and known != row.content_sha256:
            row.fail("read", "changed", "permanent", "its content is not what the run has seen")
            return
        row.kind, row.frames = stored.get("kind"), stored.get("frames")
        row.same_as = stored.get("same_as")
        for name in VIEW_HASHES:
            if stored.get(name) is not None:
                setattr(row, name, stored[name])
        row.content_px = None if stored.get("content") is None else tuple(stored["content"])
        row.objects = _detections(stored.get("objects"))
        if stored.get("focus_source") == "gaze":
            row.gaze_focus_rel = (stored["focus_x"], stored["focus_y"])
        # Taken from the run's shapes, not the photo's: a photo may have no crop of some shape.
        sources = {s: nearest_shape(s, self.shapes) for s in self.settings.cropping.shapes}
        size_wh = (row.width_px or 0, row.height_px or 0)
        row.crops = [
            derived_crop(crop, shape, size_wh, row.objects, self.areas)
            for shape, source in sources.items()
            for crop in map(scored_crop, self.crops.get(row.image_id, ()))
            if crop.ratio == source
        ]
        why = {parse_shape(s["ratio"]).name: s["reason"] for s in stored.get("skipped") or ()}
        row.skipped = [
            SkippedShape(shape.name, why[source])
            for shape, source in sources.items()
            if source in why
        ]
        if self.settings.cropping.candidates:
            names = {shape.name for shape in sources}
            row.candidates = _candidates(self.candidates.get(row.image_id, []), names)
        row.preview = next((Preview(**one) for one in self.previews.get(row.image_id, ())), None)


@lru_cache(maxsize=1)
def _tables_at(output: str, run_id: str) -> StoredTables:
    """Return the location of a run's rows, looked up once per process."""
    return StoredTables.of(open_store(output), run_id)


def scored_crop(crop: StoredRow) -> ScoredCrop:
    """Return a decision from its row of `crops`."""
    x0, y0, x1, y1 = (crop[edge] for edge in EDGES)
    values: dict[str, Any] = {name: crop.get(name) for name in CHOSEN_FIELDS}
    values["ratio"] = parse_shape(crop["ratio"]).name  # earlier releases kept spaces
    values["object_shares"] = values["object_shares"] or []
    values["objects_cut"] = values["objects_cut"] or 0
    values["fit"] = values["fit"] or "crop"
    return ScoredCrop(box_px=(x0, y0, x1, y1), **values)


def _detections(objects: list[StoredRow] | None) -> Detections | None:
    if objects is None:
        return None
    boxes = np.array([[one[edge] for edge in EDGES] for one in objects], np.float32).reshape(-1, 4)
    scores = np.array([one["score"] for one in objects], np.float32)
    return Detections(boxes, scores, [one["label"] or "" for one in objects])


def _candidates(rows: list[StoredRow], names: set[str]) -> list[ScoredCandidates]:
    return [
        ScoredCandidates(
            ratio,
            np.array([[one[edge] for edge in EDGES] for one in own], np.float32),
            np.array([one["score"] for one in own], np.float32),
        )
        for ratio, own in ((r, list(rows)) for r, rows in groupby(rows, lambda one: one["ratio"]))
        if ratio in names
    ]
