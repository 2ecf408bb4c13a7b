"""The second stage: finds each photo's objects and chooses its crops."""

import time

from pipeline.cropping.build import scorer_of
from pipeline.detectors.given_boxes import GivenBoxes
from pipeline.errors import CropError
from pipeline.shapes import parse_shapes
from pipeline.stages.attempt import attempt
from pipeline.stages.guard import died_before, one_by_one
from pipeline.stages.task import PhotoRow, Task
from pipeline.stages.wire import Block, pack, unpack
from pipeline.stages.worker import Job, ledger_of, one_thread


class DetectScore:
    """Holds the model and the detector on one device; chooses the crops of each photo."""

    def __init__(self, job: Job, device: str) -> None:
        self.settings, self.run_id = job.settings, job.run_id
        self.shapes = parse_shapes(job.settings.ratios)
        if device == "cpu":
            one_thread()
        self.scorer = scorer_of(job.settings, job.weights, device, lambda: ledger_of(job).rows)
        # A GPU is idle most of the time that it looks at one photo. A CPU core is not, and there
        # each photo alone has the same boxes whatever its neighbours.
        self.batches = device != "cpu"

    def __call__(self, block: Block) -> Block:
        """Detect, score and choose for every photo of a task that has not failed."""
        task = unpack(block)
        batch = self.batches and not died_before(task, "score", self.run_id)
        for row in one_by_one(task, "score", self.run_id, self.settings.image_timeout_s):
            if batch:  # while the first photo is noted: a worker that dies here batches no more
                self.detect_all(task)
                batch = False
            attempt(row, "detect", self.detect)
            attempt(row, "score", self.score)
        return pack(task)

    def detect_all(self, task: Task) -> None:
        """Find the objects of all photos of a task together; a failure leaves them to `detect`."""
        well = [row for row in task.rows if not row.failure]
        if isinstance(self.scorer.detector, GivenBoxes):
            return
        start = time.perf_counter()
        try:
            found = self.scorer.objects_of([row.decoded for row in well])
        except (CropError, RuntimeError):  # `detect` finds out whose photo it was
            return
        for row, objects in zip(well, found, strict=True):
            row.objects = objects
            row.seconds["detect"] = (time.perf_counter() - start) / len(well)

    def detect(self, row: PhotoRow) -> None:
        """Find one photo's objects, where `detect_all` has not."""
        detector = self.scorer.detector
        if isinstance(detector, GivenBoxes):
            given = detector.objects_px(row.uri, row.given_boxes)
            row.objects = self.scorer.objects(row.decoded, given)
        elif row.objects is None:
            row.objects = self.scorer.objects(row.decoded)

    def score(self, row: PhotoRow) -> None:
        """Choose one photo's crops among scored candidates."""
        assert row.objects is not None  # a row whose detection failed does not come here
        top_k, keep = self.settings.top_k, self.settings.candidates
        choice = self.scorer.choose(row.decoded, self.shapes, top_k, row.objects, keep)
        row.crops, row.candidates = choice.crops, choice.candidates
