"""Let photos of a task with the same bytes share one result.

The first of them in the list is decoded and scored; the others take over its result. Which one is
first depends only on the pinned list and the bytes, so two attempts at a task give the same rows.
Each photo keeps rows of its own, so forgetting one photo does not affect the others.
"""

from collections.abc import Hashable
from dataclasses import replace

from pipeline.stages.task import EncodedCrop, PhotoRow, Preview

# The fields that are taken over, in addition to crops and preview, which contain the photo's id.
COPIED_FIELDS = (
    "failure", "left_out", "content_sha256", "format", "width_px", "height_px", "orientation",
    "kind", "frames", "complete", "thumbhash", "phash", "content_px", "objects", "candidates",
    "skipped", "gaze_focus_rel",
)  # fmt: skip


class SameBytes:
    """Finds the first photo of a task with given bytes."""

    def __init__(self, has_box_files: bool = False) -> None:
        """has_box_files: whether boxes that the list lacks are in a file named after the photo."""
        self._has_box_files = has_box_files
        self._first: dict[Hashable, PhotoRow] = {}

    def mark_if_duplicate(self, row: PhotoRow, content_sha256: str) -> bool:
        """Return whether a photo that was read takes over an earlier one's result; mark it if so.

        A photo that could not be decoded shares nothing: a list may name any file of the machine,
        and would otherwise reveal which of them are the same. A photo with an override or a focal
        point of its own shares nothing either, nor does one with a box file. One with boxes from
        the list shares only with photos that have the same boxes.
        """
        if row.override is not None or (self._has_box_files and row.given_boxes is None):
            return False
        boxes = None if row.given_boxes is None else tuple(map(tuple, row.given_boxes))
        key = (content_sha256, boxes)
        first = self._first.get(key)
        if first is None or first.failure is not None:
            self._first[key] = row
            return False
        row.same_as, row.awaits_result = first.image_id, True
        return True


def copy_result(row: PhotoRow, first: PhotoRow) -> None:
    """Give a waiting photo the result of the first one, including a failure to score."""
    for name in COPIED_FIELDS:
        setattr(row, name, getattr(first, name))
    row.awaits_result = False


def crop_for(row: PhotoRow, crop: EncodedCrop) -> EncodedCrop:
    """Return another photo's crop as this photo's own, without the name of its file."""
    return replace(crop, image_id=row.image_id, uri=row.uri, file=None, name=None)


def preview_for(row: PhotoRow, preview: Preview) -> Preview:
    """Return another photo's preview as this photo's own."""
    return replace(preview, image_id=row.image_id)
