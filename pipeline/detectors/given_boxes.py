"""Read given boxes from a column of the input list or from published box files."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import fsspec
import numpy as np
from fsspec.implementations.local import LocalFileSystem
from numpy.typing import NDArray

from pipeline.detectors.detection import Detections, Pixels
from pipeline.errors import DetectError, ReadError, SettingError


@dataclass(frozen=True)
class ListedPhoto:
    """What the input list has about a photo in addition to its pixels.

    boxes_px: the row's `boxes` value, xyxy in source pixels; None if it has none.
    """

    uri: str = ""
    boxes_px: Sequence[Sequence[float]] | None = None


class GivenBoxes:
    """Looks boxes up instead of detecting them: `objects_px` takes the place of `detect`."""

    name = "boxes"

    def __init__(self, folder: str | None = None) -> None:
        """Keep `folder`: local path or fsspec URI with `<photo's name without suffix>.txt` files.

        There is one file per photo. None: the boxes are in the list's `boxes` column.
        """
        self.folder = folder

    @cached_property
    def identity(self) -> str:
        """`column`, or a hash of the box files: reading it lists the folder.

        Raises SettingError for a folder without box files, or one that cannot be listed.
        """
        return "column" if self.folder is None else f"files:{_sha256(self.folder)}"

    def objects_px(self, listed: ListedPhoto) -> Detections:
        """Return the boxes of a photo, xyxy in source pixels, in the order given.

        Those of the list take precedence over a file. An empty list or file means no objects.
        Scores are 1 and labels empty, since neither is known.
        Raises DetectError: boxes_missing (neither in the list nor a file), boxes_invalid, and as
        `read_box_file`.
        """
        uri = listed.uri or "a photo without an address"
        if listed.boxes_px is not None:
            where = f"the boxes of {uri}"
            return _detections(_four_columns(listed.boxes_px, where), where)
        if self.folder is None or not listed.uri:
            raise DetectError(
                "boxes_missing",
                f"the detector is boxes, but {uri} has no boxes: fill the list's boxes column "
                "(a list of [x0, y0, x1, y1]; an empty one means no objects), or name a folder "
                "of box files, called as the photos are, in the detector, boxes:<folder>",
            )
        stem = posixpath.splitext(posixpath.basename(uri.replace("\\", "/")))[0]
        return read_box_file(f"{self.folder.rstrip('/')}/{stem}.txt")

    def detect(self, photos: Sequence[Pixels]) -> list[Detections]:
        """Raise DetectError, always: pixels don't say which boxes belong to them."""
        raise DetectError(
            "boxes_missing", "the boxes detector finds nothing by itself: pass the photo's objects"
        )


def read_box_file(uri: str) -> Detections:
    """Read a published box file into xyxy: `y1 x1 y2 x2` per line, source pixels, best first.

    Further columns of a line are ignored. Raises DetectError: boxes_missing, boxes_invalid, and,
    if the file cannot be read, which says nothing about the photo, the statuses of ReadError.
    """
    try:
        text = _read(uri).decode("utf-8-sig")  # Windows' editors begin a file with a mark
    except ReadError as error:
        if error.status == "not_found":
            raise DetectError("boxes_missing", f"there is no box file {uri}") from error
        raise DetectError(error.status, f"{uri} is not read: {error.message}") from error
    except UnicodeDecodeError as error:
        raise DetectError("boxes_invalid", f"{uri} is not text") from error
    lines = [line.split() for line in text.splitlines() if line.strip()]
    yxyx = _four_columns([line[:4] for line in lines], f"{uri} (`y1 x1 y2 x2` a line)")
    return _detections(yxyx[:, [1, 0, 3, 2]], uri)


def _read(uri: str) -> bytes:
    """Read a file in the same way as a photo, also from stores without photos. Raises ReadError."""
    # Slow to import, and a program that uses `Cropper` needs none of it.
    from pipeline.inputs.read_errors import READ_EXCEPTIONS, read_error
    from pipeline.inputs.reading import read_image
    from pipeline.storage.addresses import scheme_of
    from pipeline.storage.fsspec_store import CREATES_ONCE

    if scheme_of(uri) in ("s3", "s3a", "s3n", *CREATES_ONCE):
        return read_image(uri)
    try:
        filesystem, path = fsspec.core.url_to_fs(uri)
        if not isinstance(filesystem, LocalFileSystem):
            return bytes(filesystem.cat_file(path))
    except READ_EXCEPTIONS as error:
        raise read_error(error) from error
    return read_image(path)


def _four_columns(rows: Sequence[Sequence[float | str]], where: str) -> NDArray[np.float64]:
    try:
        boxes = np.array([[float(value) for value in row] for row in rows], np.float64)
    except (TypeError, ValueError) as error:
        raise DetectError("boxes_invalid", f"{where}: four numbers a box: {error}") from error
    if len(rows) and (boxes.ndim != 2 or boxes.shape[1] != 4):
        raise DetectError("boxes_invalid", f"{where}: four numbers a box, not {rows[0]}")
    return boxes.reshape(-1, 4)


def _detections(boxes: NDArray[np.float64], where: str) -> Detections:
    ordered = (boxes[:, 2:] >= boxes[:, :2]).all()
    if not (ordered and np.isfinite(boxes).all()):
        raise DetectError(
            "boxes_invalid",
            f"{where}: a box is not finite or its high corner lies before its low corner",
        )
    count = len(boxes)
    return Detections(boxes.astype(np.float32), np.ones(count, np.float32), [""] * count)


def _sha256(folder: str) -> str:
    """Hash a folder's box files (ETags if the store has them): other boxes give another run."""
    from s2cnet.checkpoints.files import address_errors  # slow to import

    digest, has_boxes = hashlib.sha256(), False
    try:
        filesystem, path = fsspec.core.url_to_fs(folder)
        for name, info in sorted(filesystem.find(path, detail=True).items()):
            if name.endswith(".txt"):
                mark = info.get("ETag") or hashlib.sha256(filesystem.cat_file(name)).hexdigest()
                digest.update(f"{name[len(path) :]} {mark}\n".encode())
                has_boxes |= posixpath.dirname(name) == path.rstrip("/")
    except address_errors() as error:
        raise SettingError("detector", f"cannot read the box files of {folder}: {error}") from error
    if not has_boxes:  # every photo without boxes in the list would fail
        raise SettingError(
            "detector",
            f"finds no box file <photo's name>.txt in {folder}: check the address, or write boxes, "
            "which takes those of the list only",
        )
    return digest.hexdigest()
