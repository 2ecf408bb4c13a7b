"""The three stages of a run: one block in, one block out, where a block is a whole task.

    read_decode         task number          -> a row per image, with its pixels
    DetectScore         rows with pixels     -> the same rows with objects and chosen crops
    cut_encode_commit   rows with crops      -> one summary row, once the task is on record

Nothing leaves a stage but rows. A CropError, or any other exception while one image is worked on,
becomes that image's status: a stage is a process boundary, so `attempt` is the one place that
catches everything. What concerns the whole task (the store is gone, a row got lost) does raise.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline import rows, schema
from pipeline.decoding.decode import DecodeLimits
from pipeline.decoding.decoder import Decoder
from pipeline.detectors import Detections
from pipeline.detectors.given_boxes import GivenBoxes
from pipeline.encode import cut, encode, thumbnail_size
from pipeline.errors import CropError
from pipeline.inputs.listing import read_image
from pipeline.job import Job
from pipeline.ledger.ledger import Ledger
from pipeline.rows import OK, Row
from pipeline.settings import Settings
from pipeline.shapes import parse_shape, parse_shapes
from pipeline.storage.store import Store, open_store, requests_so_far
from pipeline.telemetry import add_figures
from pipeline.watch import died_before, one_by_one
from pipeline.weights import scorer_of

if TYPE_CHECKING:  # its torchvision takes seconds to import: only DetectScore's workers load it
    from pipeline.scoring import Candidates, ScoredCrop


def attempt(row: Row, stage: str, work: Callable[[Row], None]) -> None:
    """Does one stage's work on one image that is still well; an exception becomes its status."""
    if row["status"] != OK:
        return
    start = time.perf_counter()
    try:
        work(row)
    except CropError as error:
        rows.fail(row, error.stage, error.status, error.kind, error.message)
    except MemoryError as error:
        rows.fail(row, stage, "out_of_memory", "transient", str(error))
    except Exception as error:  # noqa: BLE001 - the process boundary of a stage
        rows.fail(row, stage, "internal_error", "permanent", f"{type(error).__name__}: {error}")
    if row[f"{stage}_s"] is None:
        row[f"{stage}_s"] = time.perf_counter() - start


def read_decode(block: pa.Table, job: Job) -> pa.Table:
    """Reads and decodes the images of one task; reads run ahead of decoding. block: one `task`."""
    (task,) = block.column("task").to_pylist()
    before = requests_so_far()
    inputs = _ledger(job).task_inputs(task)
    images = [rows.new_row(task, image) for image in inputs.to_pylist()]
    decoder = _decoder(job.settings.decode_limits, job.settings.decoded_side)

    def read(row: Row) -> None:
        settings = job.settings
        row["data"] = read_image(row["uri"], row["etag"], settings.max_bytes, settings.http)
        row["bytes"] = len(row["data"])

    def decode(row: Row) -> None:
        row["content_sha256"] = hashlib.sha256(row["data"]).hexdigest()
        photo = decoder.decode(row["data"])
        row.update(photo=photo, width_px=photo.width_px, height_px=photo.height_px)
        row.update(format=photo.format, orientation=photo.orientation)

    with ThreadPoolExecutor(job.settings.read_threads) as pool:
        reads = [pool.submit(attempt, row, "read", read) for row in images]
        for row, done in zip(images, reads, strict=True):
            done.result()
            attempt(row, "decode", decode)
            row.pop("data", None)
    images[0]["requests"] = dict(requests_so_far() - before)
    return rows.pack(images, schema.pass_through(inputs.schema))


class DetectScore:
    """Holds the model and the detector on one device; chooses the crops of each image."""

    def __init__(self, job: Job, device: str) -> None:
        self.settings, self.run_id = job.settings, job.run_id
        self.shapes = parse_shapes(job.settings.ratios)
        if device == "cpu":
            one_thread()
        self.scorer = scorer_of(job.settings, job.weights, device, lambda: _ledger(job).rows)
        # A GPU is idle most of the time that it looks at one photo. A CPU core is not, and there
        # each photo alone has the same boxes whatever its neighbours.
        self.batches = device != "cpu"

    def __call__(self, block: pa.Table) -> pa.Table:
        images = rows.unpack(block)
        batch = self.batches and not died_before(images, "score", self.run_id)
        for row in one_by_one(images, "score", self.run_id, self.settings.image_timeout_s):
            if batch:  # while the first image is noted: a worker that dies here batches no more
                self.detect_all(images)
                batch = False
            attempt(row, "detect", self.detect)
            attempt(row, "score", self.score)
        return rows.pack(images, rows.extra_fields(block))

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


def one_thread() -> None:
    """One core for this process: workers are many, and every sum keeps one order."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def cut_encode_commit(block: pa.Table, job: Job) -> pa.Table:
    """Cuts and encodes the crops of one task, writes its tables and puts it on record."""
    one_thread()
    images = rows.unpack(block)
    before = requests_so_far()
    store = _store(job.settings.output)
    encoded: list[Row] = []

    def cut_and_encode(row: Row) -> None:
        made = [_encoded(row, crop, job.settings) for crop in row["crops"]]
        for crop in made if job.settings.crop_files else []:
            crop["file"] = write_crop_file(store, crop)
        encoded.extend(made)

    for row in one_by_one(images, "encode", job.run_id, job.settings.image_timeout_s):
        attempt(row, "encode", cut_and_encode)
    tables = _tables(images, encoded, rows.extra_fields(block), job.settings)
    figures = [_figures(images, encoded), {"requests": requests_so_far() - before}]
    figures += [{"requests": dict(row["requests"] or ())} for row in images]
    (task,) = {row["task"] for row in images}
    record = _ledger(job).commit_task(task, tables, add_figures(figures))
    ok = record.metrics["statuses"].get(OK, 0)
    done = {"task": task, "images": record.images, "ok": ok, "crops": record.metrics["crops"]}
    return pa.Table.from_pylist([{**done, "metrics": json.dumps(record.metrics)}])


def write_crop_file(store: Store, crop: Row) -> str:
    """Writes one encoded crop under a key made of its content's hash; writing it twice is one."""
    key = f"crops/{crop['sha256'][:2]}/{crop['sha256']}.{crop['format']}"
    store.write(key, crop["image"])
    return key


def _encoded(row: Row, crop: Row, settings: Settings) -> Row:
    """One row of `crops`: the chosen box, cut from the photo and encoded."""
    shape = parse_shape(crop["ratio"])
    box_px = (crop["x0"], crop["y0"], crop["x1"], crop["y1"])
    size_wh = thumbnail_size(shape, box_px, settings.thumbnail_size)
    pixels = cut(row["photo"], box_px, size_wh)  # [h, w, 3]
    image = encode(
        pixels, settings.format, settings.quality, shape.is_circle, settings.background_rgb
    )
    made = {"width": pixels.shape[1], "height": pixels.shape[0], "format": settings.format}
    digest = hashlib.sha256(image).hexdigest()
    return {**_key(row), **crop, **made, "image": image, "sha256": digest, "file": None}


def _tables(
    images: list[Row], crops: list[Row], extra: list[pa.Field], settings: Settings
) -> dict[str, pa.Table]:
    tables = {
        "images": rows.images_table(images, extra),
        "crops": pa.Table.from_pylist(crops, schema=schema.CROPS),
    }
    if settings.candidates:
        proposed = [{**_key(row), **one} for row in images for one in row["candidates"] or ()]
        tables["candidates"] = pa.Table.from_pylist(proposed, schema=schema.CANDIDATES)
    return tables


def _figures(images: list[Row], crops: list[Row]) -> dict[str, Any]:
    """Figures of one task for its record: counts and seconds of work by stage."""
    stages = ("read", "decode", "detect", "score", "encode")
    return {
        "statuses": dict(Counter(row["status"] for row in images)),
        "crops": len(crops),
        "crop_bytes": sum(len(crop["image"]) for crop in crops),
        "bytes": sum(row["bytes"] or 0 for row in images),
        "seconds": {s: round(sum(row[f"{s}_s"] or 0 for row in images), 4) for s in stages},
    }


def _key(row: Row) -> Row:
    return {"image_id": row["image_id"], "uri": row["uri"]}


def _object_rows(objects: Detections) -> list[Row]:
    return [
        {**_corners(box), "score": float(score), "label": label}
        for box, score, label in zip(objects.boxes, objects.scores, objects.labels, strict=True)
    ]


def _crop_row(crop: "ScoredCrop") -> Row:
    row = asdict(crop)
    return {**row, **_corners(row.pop("box_px"))}


def _candidate_rows(found: "Candidates") -> list[Row]:
    return [
        {"ratio": found.ratio, **_corners(box), "score": float(score)}
        for box, score in zip(found.boxes_px, found.scores, strict=True)
    ]


def _corners(box: Iterable[float]) -> Row:
    return dict(zip(("x0", "y0", "x1", "y1"), map(float, box), strict=True))


_DECODERS: dict[tuple[DecodeLimits, int], Decoder] = {}  # of this worker process: at most one


def _decoder(limits: DecodeLimits, view_side: int) -> Decoder:
    """This worker's decoding child; it lives as long as the worker, or until limits change."""
    if (limits, view_side) not in _DECODERS:
        end_worker()
        _DECODERS[limits, view_side] = Decoder(limits, view_side)
    return _DECODERS[limits, view_side]


def end_worker() -> None:
    """Ends the decoding child. A worker of Ray's need not call it: the child ends with it."""
    for decoder in _DECODERS.values():
        decoder.close()
    _DECODERS.clear()


@lru_cache(maxsize=1)
def _store(output: str) -> Store:
    return open_store(output)


@lru_cache(maxsize=1)
def _ledger_at(output: str, run_id: str) -> Ledger:
    return Ledger(_store(output), run_id)


def _ledger(job: Job) -> Ledger:
    return _ledger_at(job.settings.output, job.run_id)
