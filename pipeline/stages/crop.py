"""The second stage: find each photo's objects and choose its crops."""

import time
from functools import partial
from typing import TYPE_CHECKING

from pipeline.cropping.build import engine_of
from pipeline.cropping.kind_policy import kind_with_objects
from pipeline.detectors.given_boxes import ListedPhoto
from pipeline.errors import LedgerError
from pipeline.photo.decode import Photo
from pipeline.stages.attempt import attempt
from pipeline.stages.heap import give_back_growth
from pipeline.stages.meter import Meter
from pipeline.stages.task import PhotoRow, Task
from pipeline.stages.wire import Block, pack, unpack
from pipeline.stages.worker import Job, ledger_of, one_thread
from pipeline.stages.worker_deaths import died_before, one_by_one

if TYPE_CHECKING:  # torch takes seconds to import: only this stage's workers load it
    from pipeline.cropping.sources import SeenPhoto


class DetectScore:
    """Holds the model and the detector on one device; chooses the crops of each photo."""

    def __init__(self, job: Job, device: str, gpus: float = 0.0) -> None:
        """Make the networks ready. gpus: GPUs that this worker holds, or the share of one.

        Raises LedgerError if the GPU has no memory for this worker, GpuShareError if its share has
        too little.
        """
        self.settings, self.run_id, self.session = job.settings, job.run_id, job.session
        self.shapes = job.settings.cropping.shapes
        one_thread()
        if device == "cuda" and gpus:
            from pipeline.cropping.gpu_memory import check_gpu_memory  # loads torch

            check_gpu_memory(gpus, is_default=job.settings.running.gpus_per_actor is None)
        self.engine = engine_of(
            job.settings, job.weights, device, lambda: job.images or ledger_of(job).rows
        )
        # A GPU is mostly idle with one photo at a time. A CPU core is not, and on it a photo that
        # is detected by itself has the same boxes whatever its neighbours.
        self.batches = device != "cpu"
        self.gpus = gpus
        give_back_growth()  # the memory freed after loading weights and building networks

    def __call__(self, block: Block) -> Block:
        """Call `decide` for the task of a block."""
        return pack(self.decide(unpack(block)))

    def decisions(self, block: Block) -> Block:
        """Call `decide` for the task of a block; return it without the photos, sent separately."""
        return pack(self.decide(unpack(block)).without_pixels())

    def decide(self, task: Task) -> Task:
        """Detect, score and choose for every photo of a task that has not ended."""
        meter = Meter(self.gpus)
        seen: dict[str, SeenPhoto] = {}  # photos that are not scored yet, by image_id
        batch = self.batches and not died_before(task, "score", self.run_id, self.session)
        deadline_s = self.settings.running.image_timeout_s
        for row in one_by_one(task, "score", self.run_id, deadline_s, self.session):
            if row.encoded is not None:  # decided by an earlier run
                continue
            with meter.on("detect"):
                if batch:  # the first photo is noted: if the worker dies here, no retry batches
                    seen = self.see_all(task)
                    batch = False
                attempt(row, "detect", partial(self.detect, seen))
            with meter.on("score"):
                attempt(row, "score", partial(self.score, seen))
        meter.add_to(task, "score")
        return task

    def see_all(self, task: Task) -> dict[str, "SeenPhoto"]:
        """Find the objects of all photos of a task in one batch, by image_id.

        If one photo fails, the result is empty, and `detect` finds out which one it is.
        """
        well = [row for row in task.rows if not row.has_ended and row.encoded is None]
        start = time.perf_counter()
        try:
            found = self.engine.see(list(map(_photo, well)), list(map(_listed, well)))
        except LedgerError:
            raise
        except Exception:  # noqa: BLE001 - the process boundary of a stage, as in `attempt`
            return {}
        for row in well:
            row.seconds["detect"] = (time.perf_counter() - start) / len(well)
        return {row.image_id: seen for row, seen in zip(well, found, strict=True)}

    def detect(self, seen: dict[str, "SeenPhoto"], row: PhotoRow) -> None:
        """Set one photo's objects and kind; detect the objects if `see_all` has not."""
        if row.image_id not in seen:
            (seen[row.image_id],) = self.engine.see([_photo(row)], [_listed(row)])
        found = seen[row.image_id]
        row.objects, row.kind = found.objects_px, kind_with_objects(found.photo, found.objects)

    def score(self, seen: dict[str, "SeenPhoto"], row: PhotoRow) -> None:
        """Choose one photo's crops from scored candidates."""
        top_k, keep = self.settings.cropping.top_k, self.settings.cropping.candidates
        photo = seen.pop(row.image_id)
        found = self.engine.choose(photo, self.shapes, top_k, keep, row.override_there)
        row.crops, row.candidates, row.skipped = found.crops, found.candidates, found.skipped
        if self.settings.thumbnails.boxes_only and not self.settings.running.preview:
            row.photo = None  # its pixels are no longer needed


def _photo(row: PhotoRow) -> Photo:
    """Return the photo to crop, with its borders if it has an override, which may refer to them."""
    return row.decoded if row.override is None else row.decoded.with_borders()


def _listed(row: PhotoRow) -> ListedPhoto:
    return ListedPhoto(row.uri, row.given_boxes)
