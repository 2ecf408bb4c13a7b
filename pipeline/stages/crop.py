"""The second stage: finds each photo's objects and chooses its crops."""

import time
from collections.abc import Iterable
from dataclasses import asdict

import pyarrow as pa

from pipeline.cropping.build import scorer_of
from pipeline.cropping.results import ScoredCandidates, ScoredCrop
from pipeline.detectors import Detections
from pipeline.detectors.given_boxes import GivenBoxes
from pipeline.errors import CropError
from pipeline.schema import OK
from pipeline.shapes import parse_shapes
from pipeline.stages.attempt import attempt
from pipeline.stages.guard import died_before, one_by_one
from pipeline.stages.wire import Row, extra_fields, pack, unpack
from pipeline.stages.worker import Job, ledger_of, one_thread


class DetectScore:
    """Holds the model and the detector on one device; chooses the crops of each image."""

    def __init__(self, job: Job, device: str) -> None:
        self.settings, self.run_id = job.settings, job.run_id
        self.shapes = parse_shapes(job.settings.ratios)
        if device == "cpu":
            one_thread()
        self.scorer = scorer_of(job.settings, job.weights, device, lambda: ledger_of(job).rows)
        # A GPU is idle most of the time that it looks at one photo. A CPU core is not, and there
        # each photo alone has the same boxes whatever its neighbours.
        self.batches = device != "cpu"

    def __call__(self, block: pa.Table) -> pa.Table:
        images = unpack(block)
        batch = self.batches and not died_before(images, "score", self.run_id)
        for row in one_by_one(images, "score", self.run_id, self.settings.image_timeout_s):
            if batch:  # while the first image is noted: a worker that dies here batches no more
                self.detect_all(images)
                batch = False
            attempt(row, "detect", self.detect)
            attempt(row, "score", self.score)
        return pack(images, extra_fields(block))

    def detect_all(self, images: list[Row]) -> None:
        """Finds the objects of all photos of a task together; a failure leaves them to `detect`."""
        well = [row for row in images if row["status"] == OK]
        if isinstance(self.scorer.detector, GivenBoxes):
            return
        start = time.perf_counter()
        try:
            found = self.scorer.objects_of([row["photo"] for row in well])
        except (CropError, RuntimeError):  # whose photo it was, is found one by one
            return
        for row, objects in zip(well, found, strict=True):
            row.update(found=objects, detect_s=(time.perf_counter() - start) / len(well))

    def detect(self, row: Row) -> None:
        detector = self.scorer.detector
        if isinstance(detector, GivenBoxes):
            given = detector.objects_px(row["uri"], row["boxes"])
            row["found"] = self.scorer.objects(row["photo"], given)
        elif "found" not in row:
            row["found"] = self.scorer.objects(row["photo"])
        row["objects"] = _object_rows(row["found"])

    def score(self, row: Row) -> None:
        top_k, keep = self.settings.top_k, self.settings.candidates
        choice = self.scorer.choose(row["photo"], self.shapes, top_k, row["found"], keep)
        row["crops"] = [_crop_row(crop) for crop in choice.crops]
        row["candidates"] = [one for shape in choice.candidates for one in _candidate_rows(shape)]


def _object_rows(objects: Detections) -> list[Row]:
    return [
        {**_corners(box), "score": float(score), "label": label}
        for box, score, label in zip(objects.boxes, objects.scores, objects.labels, strict=True)
    ]


def _crop_row(crop: ScoredCrop) -> Row:
    row = asdict(crop)
    return {**row, **_corners(row.pop("box_px"))}


def _candidate_rows(found: ScoredCandidates) -> list[Row]:
    return [
        {"ratio": found.ratio, **_corners(box), "score": float(score)}
        for box, score in zip(found.boxes_px, found.scores, strict=True)
    ]


def _corners(box: Iterable[float]) -> Row:
    return dict(zip(("x0", "y0", "x1", "y1"), map(float, box), strict=True))
