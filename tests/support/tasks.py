"""Small inputs and finished tasks for the tests of the ledger; nothing is decoded or scored."""

import hashlib
from typing import Any

import pyarrow as pa
from msgspec.structs import replace

from pipeline import schema
from pipeline.inputs.listing import image_id
from pipeline.ledger.identity import RunSpec, input_sha256
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.plan import cut_tasks
from pipeline.ledger.records import Manifest
from pipeline.storage.store import Store

SPEC = RunSpec(
    settings={"ratios": "1:1", "top_k": 1},
    weights_sha256="aa" * 32,
    detector="none 1",
    code_version="test",
    input_sha256="",
)


STATUSES = {"transient": "throttled", "circumstances": "forbidden"}  # by kind of failure


def make_inputs(count: int, etag: str = "v1", start: int = 0) -> pa.Table:
    uris = [f"s3://ugc/{number:06d}.jpg" for number in range(start, start + count)]
    rows = [{"image_id": image_id(u), "uri": u, "etag": etag, "bytes": 1000} for u in uris]
    return pa.Table.from_pylist(rows, schema=schema.INPUTS)


def sized(*sizes: int | None) -> pa.Table:
    """Make inputs of these sizes in bytes; no two appear to have the same content."""
    return make_inputs(len(sizes)).set_column(3, "bytes", pa.array(sizes, pa.int64()))


def open_ledger(store: Store, inputs: pa.Table, task_images: int = 3, **changes: Any) -> Ledger:
    spec = replace(SPEC, input_sha256=input_sha256(inputs), **changes)
    return Ledger.open(store, spec, inputs, cut_tasks(inputs, task_images))


def done(
    inputs: pa.Table, failed: dict[int, str] | None = None, mark: str = ""
) -> dict[str, pa.Table]:
    """Make a task's tables: each image is ok with one crop, except rows in `failed` (row: kind)."""
    failed = failed or {}
    images, crops = [], []
    for row, one in enumerate(inputs.to_pylist()):
        kind = failed.get(row)
        status = "ok" if kind is None else STATUSES.get(kind, "corrupt")
        blank = dict.fromkeys(schema.IMAGES.names)
        images.append({**blank, **one, "status": status, "error_kind": kind})
        if kind is None:
            picture = f"{one['uri']}{mark}".encode()
            crops.append(
                {
                    "image_id": one["image_id"], "uri": one["uri"], "ratio": "1:1", "rank": 0,
                    "x0": 0.0, "y0": 0.0, "x1": 1.0, "y1": 1.0, "score": 0.5, "width": 1,
                    "height": 1, "format": "webp", "image": picture,
                    "sha256": hashlib.sha256(picture).hexdigest(),
                }
            )  # fmt: skip
    return {
        "images": pa.Table.from_pylist(
            images, schema=schema.images_schema(schema.pass_through(inputs.schema))
        ),
        "crops": pa.Table.from_pylist(crops, schema=schema.CROPS),
    }


def run_all(
    ledger: Ledger, failed: dict[int, str] | None = None, mark: str = "", **job: Any
) -> Manifest:
    """Do every open task and commit. job: settings for the manifest."""
    for n in ledger.pending():
        ledger.commit_task(n, done(ledger.task_inputs(n), failed, mark))
    return ledger.finish({"job": job} if job else {})
