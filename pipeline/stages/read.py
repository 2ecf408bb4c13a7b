"""The first stage: read and decode the photos of one task."""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.inputs.reading import read_image
from pipeline.photo.animations.animation import Animation
from pipeline.photo.decode import Photo
from pipeline.photo.hashes import hashes_of
from pipeline.photo.sandbox.decoder import Decoder
from pipeline.schema import ANIMATED_SKIPPED
from pipeline.settings import DecodingSettings, Settings
from pipeline.stages.attempt import attempt
from pipeline.stages.encode import encoded_crops
from pipeline.stages.fine_view import cut_locked_boxes, view_within_borders
from pipeline.stages.heap import give_back_when_idle, keep_freed_memory
from pipeline.stages.meter import RECALL, Meter
from pipeline.stages.preview import preview_of
from pipeline.stages.recall import StoredDecisions
from pipeline.stages.same_bytes import SameBytes
from pipeline.stages.seen_before import Rows, SeenBefore, copy_rows
from pipeline.stages.task import PhotoRow, Task
from pipeline.stages.wire import Block, new_task, pack, task_number
from pipeline.stages.worker import Job, decoder_for, ledger_of
from pipeline.storage.addresses import scheme_of
from pipeline.storage.traffic import requests_so_far

READ_AHEAD = 2  # photos waiting to be decoded, per reading thread


def read_decode(block: Block, job: Job) -> Block:
    """Call `read_task` for a block of one row, whose column `task` is the task's number."""
    keep_freed_memory()
    with give_back_when_idle():
        return pack(read_task(task_number(block), job))


def read_task(number: int, job: Job) -> Task:
    """Read and decode the photos of one task. Reads run ahead of decoding.

    If the job uses the decisions of an earlier run, the rows have them afterwards, and their crops
    are encoded.
    """
    settings = job.settings
    meter, before = Meter(), requests_so_far()
    task = new_task(number, ledger_of(job).task_inputs(number))
    stored = None
    if job.decisions_of is not None:
        with meter.on(RECALL):
            stored = StoredDecisions.read(task, job, job.decisions_of)
        for row in task.rows:
            stored.end_failed(row)
    decoder = decoder_for(settings.decoding.limits, settings.thumbnails.colour)
    decoder.start()
    photos = PhotoReader(task, job, decoder, stored)
    with meter.on("read"), ThreadPoolExecutor(settings.running.read_threads) as pool:
        ahead = READ_AHEAD * settings.running.read_threads
        read = partial(attempt, stage="read", work=photos.read)
        for row in read_ahead(pool, task.rows, read, ahead):
            with meter.thread_on("decode", "read"):  # while other threads read
                attempt(row, "decode", photos.decode)
            if stored is not None and row.moving is None:
                with meter.thread_on("encode", "read"):
                    attempt(row, "encode", partial(encode_now, settings=settings))
    meter.set_read_cost(
        sum(photos.waits_s), sum(row.bytes or 0 for row in task.rows if was_read(row))
    )
    task.requests = requests_so_far() - before
    meter.add_to(task, "read")
    return task


@dataclass(frozen=True)
class _Read:
    """A photo that was read and is not decoded yet.

    rows: an earlier run's rows for the same bytes; None if there are none.
    """

    data: bytes
    sha256: str
    rows: Rows | None


class PhotoReader:
    """Reads and decodes the photos of one task: `read` in any thread, then `decode` in one.

    A photo whose bytes the task has read before is not decoded: it takes over that result later.
    Nor is one whose bytes an earlier run has processed: it gets that run's crops at once.
    """

    def __init__(
        self, task: Task, job: Job, decoder: Decoder, stored: StoredDecisions | None
    ) -> None:
        """stored: the decisions that the task's photos get; None if the job decides itself."""
        self.waits_s: list[float] = []  # of each photo that was read
        self._settings, self._decoder, self._stored = job.settings, decoder, stored
        self._http = job.settings.input.http  # kept, since it is parsed from a text
        self._same = SameBytes(job.settings.input.has_box_files)
        self._seen = SeenBefore(job, task.rows)
        self._read: dict[str, _Read] = {}  # by image_id

    def read(self, row: PhotoRow) -> None:
        """Fetch a photo's bytes. Raises CropError."""
        wall_s, own_s = time.perf_counter(), time.thread_time()
        about, limit = self._settings.input, self._settings.decoding.max_bytes
        data = read_image(row.uri, row.etag, limit, self._http, about.requester_pays)
        self.waits_s.append(time.perf_counter() - wall_s - (time.thread_time() - own_s))
        row.bytes, sha256 = len(data), hashlib.sha256(data).hexdigest()
        self._read[row.image_id] = _Read(data, sha256, self._seen.rows_of(row, sha256))

    def decode(self, row: PhotoRow) -> None:
        """Decode a photo that was read, unless it shares another's result. Raises CropError."""
        found = self._read.pop(row.image_id)
        if scheme_of(row.uri) != "file":  # a list may name any file: its hash would reveal it
            row.content_sha256 = found.sha256
        if self._stored is None and self._same.mark_if_duplicate(row, found.sha256):
            return
        if found.rows is not None:
            row.content_sha256 = found.sha256
            copy_rows(row, found.rows, self._settings)
            return
        photo = self._decoded(row, found.data)
        set_decoded(row, found.data, photo, self._settings.decoding)
        row.content_sha256 = found.sha256
        if row.has_ended:
            return
        if self._stored is not None:
            self._stored.apply_to(row)
        else:
            cut_locked_boxes(row, found.data, self._decoder, self._settings)

    def _decoded(self, row: PhotoRow, data: bytes) -> Photo:
        settings, decoder = self._settings, self._decoder
        if self._stored is not None:
            return decoder.decode(data, self._stored.view_side(row.image_id))
        photo = decoder.decode(data, settings.decoded_side)
        if trims_borders(row, settings.decoding):
            return view_within_borders(photo, data, decoder, settings)
        return photo


def read_ahead(
    pool: Executor, rows: Sequence[PhotoRow], read: Callable[[PhotoRow], None], ahead: int
) -> Iterator[PhotoRow]:
    """Yield the rows in order, each once it is read, with reads running at most `ahead` rows ahead.

    So a task keeps the files of a few photos in memory, not of all.
    """
    reads: deque[Future[None]] = deque()
    for place, row in enumerate(rows):
        for other in rows[place + len(reads) : place + ahead]:
            reads.append(pool.submit(read, other))
        reads.popleft().result()
        yield row


def encode_now(row: PhotoRow, settings: Settings) -> None:
    """Encode a decided photo and drop its pixels, so that a task keeps those of only one photo."""
    areas = settings.cropping.areas
    row.encoded = encoded_crops(row, settings.thumbnails, areas, _no_frames)
    if settings.running.preview and row.preview is None:
        automatic = settings.thumbnails.is_automatic
        row.preview = preview_of(row, settings.running.preview, automatic)
    row.photo = None


def _no_frames(_: bytes) -> Animation:
    raise ValueError("a moving photo is encoded with its task")


def set_decoded(row: PhotoRow, data: bytes, photo: Photo, settings: DecodingSettings) -> None:
    """Give the row its decoded photo and the facts from it; leave it out if it is to be skipped."""
    if not trims_borders(row, settings):
        photo = photo.with_borders()
    row.width_px, row.height_px, row.content_px = photo.width_px, photo.height_px, photo.content_px
    row.format, row.orientation = photo.format, photo.orientation
    row.kind, row.frames, row.photo = photo.kind, photo.frames, photo
    row.complete = photo.complete
    row.thumbhash, row.phash = hashes_of(photo)
    if photo.frames > 1 and settings.animated == "all":
        row.moving = np.frombuffer(data, np.uint8)
    if photo.frames > 1 and settings.animated == "skip":
        row.leave_out(ANIMATED_SKIPPED)


def trims_borders(row: PhotoRow, settings: DecodingSettings) -> bool:
    """Return whether a photo is cropped within its borders. Overrides refer to the whole photo."""
    return settings.borders == "trim" and row.override is None


def was_read(row: PhotoRow) -> bool:
    """Return whether the photo's bytes were read, whether or not they could be decoded."""
    return row.failure is None or row.failure.stage != "read"
