"""The first stage: reads and decodes the photos of one task."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from pipeline import schema
from pipeline.inputs.listing import read_image
from pipeline.stages.attempt import attempt
from pipeline.stages.wire import Row, new_row, pack
from pipeline.stages.worker import Job, decoder_for, ledger_of
from pipeline.storage.store import requests_so_far


def read_decode(block: pa.Table, job: Job) -> pa.Table:
    """Reads and decodes the images of one task; reads run ahead of decoding. block: one `task`."""
    (task,) = block.column("task").to_pylist()
    before = requests_so_far()
    inputs = ledger_of(job).task_inputs(task)
    images = [new_row(task, image) for image in inputs.to_pylist()]
    decoder = decoder_for(job.settings.decode_limits, job.settings.decoded_side)

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
    return pack(images, schema.pass_through(inputs.schema))
