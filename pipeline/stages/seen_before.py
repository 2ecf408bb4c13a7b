"""Let a photo whose bytes an earlier run has processed take over its rows, without decoding.

The plan states where such rows may be (`ledger.coverage.seen`), in runs with the same settings,
weights, detector and code; the hash of the bytes that were read decides. Encoded crops are copied,
so that the photo keeps them whatever happens to the other one.
"""

import threading
from collections.abc import Iterable

from pipeline import schema
from pipeline.errors import LedgerError
from pipeline.ledger.stored_rows import RowsByPhoto, StoredRow, rows_of_task
from pipeline.settings import Settings
from pipeline.stages.recall import StoredDecisions, scored_crop
from pipeline.stages.same_bytes import preview_for
from pipeline.stages.task import EncodedCrop, PhotoRow
from pipeline.stages.worker import Job, output_store

# Columns of `images` about the file and the whole photo.
FILE_COLUMNS = (
    "format", "width_px", "height_px", "orientation", "complete", "thumbhash", "phash",
)  # fmt: skip
PICTURE_COLUMNS = ("width", "height", "format", "image", "sha256", "frames")
PARTS = ("crops", "candidates", "previews")
Rows = dict[str, list[StoredRow]]  # of one photo, by table


class SeenBefore:
    """The stored rows of photos that may have the same bytes as those of a task.

    Threads may call it concurrently; what several need is fetched by one of them.
    """

    def __init__(self, job: Job, rows: Iterable[PhotoRow]) -> None:
        self._settings, self._store = job.settings, output_store(job)
        self._wanted: dict[tuple[str, int], set[str]] = {}
        self._known: dict[tuple[str, int, str], RowsByPhoto] = {}
        self._lock = threading.Lock()
        # A sample's store has no earlier runs, so that an estimate measures the work itself.
        for row in rows if job.sample is None else ():
            if row.seen_in is not None:
                run_id, task, image_id = _place(row.seen_in)
                self._wanted.setdefault((run_id, task), set()).add(image_id)

    def rows_of(self, row: PhotoRow, content_sha256: str) -> Rows | None:
        """Return the rows that a photo may take over; None if there are none for its bytes."""
        if row.seen_in is None or not self._wanted:
            return None
        run_id, task, image_id = _place(row.seen_in)
        try:
            images = self._rows(run_id, task, image_id, "images")
            if not images or not _is_result(images[0], content_sha256):
                return None
            rows = {name: self._rows(run_id, task, image_id, name) for name in PARTS}
        except (LedgerError, OSError):  # gone or out of reach: the photo is processed as any other
            return None
        return {"images": images, **rows} if _has_preview(rows, images[0], self._settings) else None

    def _rows(self, run_id: str, task: int, image_id: str, table: str) -> list[StoredRow]:
        place, photos = (run_id, task, table), self._wanted[(run_id, task)]
        with self._lock:
            if place not in self._known:
                self._known[place] = rows_of_task(self._store, run_id, task, table, photos)
            return self._known[place].get(image_id, [])


def copy_rows(row: PhotoRow, stored: Rows, settings: Settings) -> None:
    """Give a photo that was read the rows of the photo with the same bytes, as its own.

    row: has its `content_sha256` already.
    """
    (image,) = stored["images"]
    for name in FILE_COLUMNS:
        setattr(row, name, image[name])
    crops, candidates, previews = ({row.image_id: stored[name]} for name in PARTS)
    shapes = [shape.name for shape in settings.cropping.shapes]  # the run's settings are the same
    own = StoredDecisions({row.image_id: image}, crops, candidates, previews, settings, shapes)
    own.apply_to(row)
    row.same_as = image["image_id"]
    if row.preview is not None:
        row.preview = preview_for(row, row.preview)
    row.encoded = [_encoded(row, crop) for crop in stored["crops"]]


def _place(seen_in: str) -> tuple[str, int, str]:
    """Split a place into run, task and image_id."""
    run_id, task, image_id = seen_in.split("/")
    return run_id, int(task), image_id


def _encoded(row: PhotoRow, crop: StoredRow) -> EncodedCrop:
    """Return a stored crop as the photo's own, without the name of the other photo's file."""
    of_picture = {name: crop[name] for name in PICTURE_COLUMNS}
    return EncodedCrop(row.image_id, row.uri, scored_crop(crop), **of_picture)


def _is_result(image: StoredRow, content_sha256: str) -> bool:
    """Return whether a row of `images` is a result for these bytes that no person influenced."""
    same = image["content_sha256"] == content_sha256 and image["override"] is None
    return same and image["status"] == schema.OK and image["focus_source"] in (None, "gaze")


def _has_preview(rows: Rows, image: StoredRow, settings: Settings) -> bool:
    """Return whether the preview exists in the size that the job needs."""
    side = settings.running.preview
    wanted = min(side, max(image["width_px"], image["height_px"]))
    return not side or any(max(p["width"], p["height"]) == wanted for p in rows["previews"])
