"""The first stage: reads and decodes the photos of one task."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

from pipeline.inputs.listing import read_image
from pipeline.stages.attempt import attempt
from pipeline.stages.task import PhotoRow
from pipeline.stages.wire import Block, new_task, pack, task_number
from pipeline.stages.worker import Job, decoder_for, ledger_of
from pipeline.storage.store import requests_so_far


def read_decode(block: Block, job: Job) -> Block:
    """Read and decode the photos of one task. Reads run ahead of decoding.

    block: one row, `task`, the task's number.
    """
    before = requests_so_far()
    number = task_number(block)
    task = new_task(number, ledger_of(job).task_inputs(number))
    settings = job.settings
    decoder = decoder_for(settings.decoding.limits, settings.decoded_side)
    waiting: dict[str, bytes] = {}  # image_id -> what was read and is not decoded yet

    def read(row: PhotoRow) -> None:
        data = read_image(row.uri, row.etag, settings.decoding.max_bytes, settings.input.http)
        row.bytes, waiting[row.image_id] = len(data), data

    def decode(row: PhotoRow) -> None:
        data = waiting.pop(row.image_id)
        row.content_sha256 = hashlib.sha256(data).hexdigest()
        photo = row.photo = decoder.decode(data)
        row.width_px, row.height_px = photo.width_px, photo.height_px
        row.format, row.orientation = photo.format, photo.orientation

    with ThreadPoolExecutor(settings.running.read_threads) as pool:
        reads = [pool.submit(attempt, row, "read", read) for row in task.rows]
        for row, done in zip(task.rows, reads, strict=True):
            done.result()
            attempt(row, "decode", decode)
    task.requests = requests_so_far() - before
    return pack(task)
