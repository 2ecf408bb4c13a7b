"""The last stage: cuts and encodes the crops of one task and commits the task."""

import hashlib
import json
from collections import Counter
from typing import Any

import pyarrow as pa

from pipeline import schema
from pipeline.ledger.figures import add_figures
from pipeline.photo.thumbnail import cut, encode, thumbnail_size
from pipeline.schema import OK
from pipeline.settings import Settings
from pipeline.shapes import parse_shape
from pipeline.stages.attempt import attempt
from pipeline.stages.guard import one_by_one
from pipeline.stages.wire import Row, extra_fields, images_table, unpack
from pipeline.stages.worker import Job, ledger_of, one_thread, output_store
from pipeline.storage.store import Store, requests_so_far


def cut_encode_commit(block: pa.Table, job: Job) -> pa.Table:
    """Cuts and encodes the crops of one task, writes its tables and puts it on record."""
    one_thread()
    images = unpack(block)
    before = requests_so_far()
    store = output_store(job.settings.output)
    encoded: list[Row] = []

    def cut_and_encode(row: Row) -> None:
        made = [_encoded(row, crop, job.settings) for crop in row["crops"]]
        for crop in made if job.settings.crop_files else []:
            crop["file"] = write_crop_file(store, crop)
        encoded.extend(made)

    for row in one_by_one(images, "encode", job.run_id, job.settings.image_timeout_s):
        attempt(row, "encode", cut_and_encode)
    tables = _tables(images, encoded, extra_fields(block), job.settings)
    figures = [_figures(images, encoded), {"requests": requests_so_far() - before}]
    figures += [{"requests": dict(row["requests"] or ())} for row in images]
    (task,) = {row["task"] for row in images}
    record = ledger_of(job).commit_task(task, tables, add_figures(figures))
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
        "images": images_table(images, extra),
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
