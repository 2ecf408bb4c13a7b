"""Let photos of a task that are the same bytes share one result.

The first of them in the list is decoded and scored, the others take over what came of it. Which one
is first follows from the pinned list and the bytes alone, so two attempts at a task give the same
rows. Each photo keeps rows of its own: forgetting one leaves the others as they are.
"""

from collections.abc import Hashable
from dataclasses import replace

from pipeline.stages.task import EncodedCrop, PhotoRow, Preview

# What is taken over, beside crops and preview, which carry the photo's name.
TAKEN = (
    "failure", "left_out", "content_sha256", "format", "width_px", "height_px", "orientation",
    "kind", "frames", "complete", "thumbhash", "phash", "content_px", "objects", "candidates",
    "skipped", "gaze_focus_rel",
)  # fmt: skip


class SameBytes:
    """Which photo of a task had some bytes first."""

    def __init__(self) -> None:
        self._first: dict[Hashable, PhotoRow] = {}

    def awaits_other(self, row: PhotoRow, content_sha256: str) -> bool:
        """Whether a photo that was read is to have the result of an earlier one; notes it.

        One that could not be decoded shares nothing: a list may name any file of the machine, and
        would be told which of them are the same.
        A photo with an override or a focal point of its own shares nothing; one with boxes of the
        list shares with photos that have the same.
        """
        if row.override is not None:
            return False
        boxes = None if row.given_boxes is None else tuple(map(tuple, row.given_boxes))
        key = (content_sha256, boxes)
        first = self._first.get(key)
        if first is None or first.failure is not None:
            self._first[key] = row
            return False
        row.same_as, row.awaits = first.image_id, True
        return True


def take_over(row: PhotoRow, first: PhotoRow) -> None:
    """Give a photo that awaits it what came of another one, a failure to score it as well."""
    for name in TAKEN:
        setattr(row, name, getattr(first, name))
    row.awaits = False


def crop_for(row: PhotoRow, crop: EncodedCrop) -> EncodedCrop:
    """Another photo's crop as this photo's own, without the name of its file."""
    return replace(crop, image_id=row.image_id, uri=row.uri, file=None, name=None)


def preview_for(row: PhotoRow, preview: Preview) -> Preview:
    """Another photo's preview as this photo's own."""
    return replace(preview, image_id=row.image_id)
