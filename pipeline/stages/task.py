"""A task and its rows: what the stages pass to each other, as plain Python objects.

`wire.py` converts them to Arrow tables, which Ray moves between processes, and back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.cropping.overrides import Override
from pipeline.cropping.results import ScoredCandidates, ScoredCrop, SkippedShape
from pipeline.detectors import Detections
from pipeline.errors import FailureKind
from pipeline.ledger.figures import Cost, Figures
from pipeline.photo.decode import Photo
from pipeline.schema import OK

Stage = Literal["read", "decode", "detect", "score", "encode"]
STAGES: tuple[Stage, ...] = ("read", "decode", "detect", "score", "encode")
# Pixels of boxes cut from a photo, uint8 [h, w, 3 or 4], by box (xyxy, source pixels) and size.
CutCache = dict[tuple[float, ...], NDArray[np.uint8]]
LONGEST_MESSAGE = 500  # characters; a message may contain text from an untrusted file


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a photo failed: the columns `status` and `error_*` of `images`.

    stage:   the stage that failed, one of STAGES.
    status:  the short reason.
    kind:    "transient" if another attempt at the same bytes may succeed, "circumstances" if a
             limit of the run or a missing package is the reason, else "permanent".
    message: one sentence for a person.
    """

    stage: str
    status: str
    kind: FailureKind
    message: str


@dataclass(slots=True)
class PhotoRow:
    """One photo of a task, and what the stages have found out about it so far.

    image_id, uri, etag, bytes: its identity, from the pinned input list. Once the photo is read,
        `bytes` is the size that was read.
    given_boxes: column `boxes` of the list, xyxy in source pixels; None if it has none.
    seen_in: the place of a photo that may have the same bytes, as in `schema.INPUT_SEEN`; None if
        there is none.
    pass_through: columns of the list that are not the product's own.
    failure: None as long as the photo has not failed.
    left_out: the status of a photo that gets no crops because of a setting; else None.
    content_sha256, same_as, format, width_px, height_px, orientation, kind, frames, complete,
        thumbhash, phash: as in `schema.IMAGES`.
    awaits_result: whether the photo still has to take over the result of the photo `same_as`.
    content_px: the part of the photo inside its borders, xyxy; None for the whole photo.
    photo: the decoded photo, as long as a stage still needs its pixels.
    moving: the file's bytes, uint8, of a moving picture if every frame is needed; else None.
    override: what a person has specified for this photo; None for nothing.
    fine_cuts: boxes that a person locked, if they are too small for the view of `photo`, cut from a
        finer one.
    objects, crops, candidates, skipped: results of the stage that detects and scores. Boxes are in
        source pixels.
    gaze_focus_rel, preview: if the decisions are from an earlier run, its most looked-at point
        (x, y) in shares of the sides, and its stored preview.
    encoded: the crops, if they are encoded right after decoding or taken from an earlier run; the
        row then has no pixels.
    seconds: wall time of each stage.
    """

    image_id: str
    uri: str
    etag: str | None = None
    bytes: int | None = None
    given_boxes: list[list[float]] | None = None
    seen_in: str | None = None
    pass_through: Mapping[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    left_out: str | None = None
    content_sha256: str | None = None
    same_as: str | None = None
    awaits_result: bool = False
    format: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    orientation: int | None = None
    kind: str | None = None
    frames: int | None = None
    complete: float | None = None
    thumbhash: str | None = None
    phash: int | None = None
    content_px: tuple[float, float, float, float] | None = None
    photo: Photo | None = None
    moving: NDArray[np.uint8] | None = None
    override: Override | None = None
    fine_cuts: CutCache = field(default_factory=dict)
    objects: Detections | None = None
    crops: list[ScoredCrop] = field(default_factory=list)
    candidates: list[ScoredCandidates] = field(default_factory=list)
    skipped: list[SkippedShape] = field(default_factory=list)
    gaze_focus_rel: tuple[float, float] | None = None
    preview: "Preview | None" = None
    encoded: "list[EncodedCrop] | None" = None
    seconds: dict[Stage, float] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """`ok`, or the reason why the photo has no crops."""
        return self.failure.status if self.failure else self.left_out or OK

    @property
    def has_ended(self) -> bool:
        """Whether the stages are done with it: it failed, is left out or awaits another result."""
        return self.failure is not None or self.left_out is not None or self.awaits_result

    def leave_out(self, status: str) -> None:
        """End the photo without crops and without failure. status: one of `schema.SKIPPED`."""
        self.left_out = status
        self._drop_pixels()

    def fail(self, stage: str, status: str, kind: FailureKind, message: str) -> None:
        """Record why the photo failed; its pixels and crops are dropped."""
        self.failure = Failure(stage, status, kind, message[:LONGEST_MESSAGE])
        self._drop_pixels()
        self.crops, self.candidates, self.skipped = [], [], []

    def _drop_pixels(self) -> None:
        self.photo, self.moving, self.fine_cuts = None, None, {}

    @property
    def decoded(self) -> Photo:
        """The decoded photo of a row that has not failed. Raises ValueError if there is none."""
        if self.photo is None:
            raise ValueError(f"{self.uri} is not decoded")
        return self.photo

    @property
    def override_there(self) -> Override | None:
        """The override; for a damaged photo, in the frame of the part that exists."""
        there_px, override = self.decoded.there_px, self.override
        if override is None or there_px is None:
            return override
        return override.within(there_px, (self.decoded.width_px, self.decoded.height_px))


@dataclass(slots=True)
class Task:
    """A fixed part of a run's input list: the unit of work, of retry and of commit.

    number:   its place in the run's plan.
    rows:     one for each photo, in the order of the list; a failed photo keeps its row.
    requests: storage requests of reading it, by operation.
    column_types: Arrow types of the pass-through columns, by name; they do not follow from values.
    costs:    costs of the previous stages, by stage.
    spans:    start and end of each stage's work on it, Unix time.
    """

    number: int
    rows: list[PhotoRow]
    requests: Mapping[str, int] = field(default_factory=dict)
    column_types: Mapping[str, Any] = field(default_factory=dict)
    costs: Mapping[str, Cost] = field(default_factory=dict)
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)

    def without_pixels(self) -> "Task":
        """Return the task without its photos: the output of a stage that only decides."""
        rows = [replace(row, photo=None, moving=None, fine_cuts={}) for row in self.rows]
        return replace(self, rows=rows)

    def with_pixels_of(self, decoded: "Task") -> "Task":
        """Return the task with the photos of `decoded`, the same task right after decoding."""
        rows = [
            row
            if row.has_ended
            else replace(row, photo=of.photo, moving=of.moving, fine_cuts=of.fine_cuts)
            for row, of in zip(self.rows, decoded.rows, strict=True)
        ]
        return replace(self, rows=rows)


@dataclass(frozen=True, slots=True)
class EncodedCrop:
    """One crop of one photo, cut and encoded: a row of the table `crops`.

    format, image, sha256: None if nothing is encoded; the size is then the one it would have.
    """

    image_id: str
    uri: str
    chosen: ScoredCrop
    width: int  # of the encoded crop, pixels
    height: int
    format: str | None
    image: bytes | None
    sha256: str | None  # of `image`
    frames: int = 1  # more than 1: it moves
    file: str | None = None  # its key in the output, with --crop-files
    name: str | None = None  # from the template, with --crop-files TEMPLATE


@dataclass(frozen=True, slots=True)
class Preview:
    """The whole photo, small, and its gaze map: a row of the table `previews`."""

    image_id: str
    width: int  # of the encoded preview, pixels
    height: int
    format: str
    image: bytes
    gaze: bytes | None  # see `schema.PREVIEWS`


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """What the driver receives about a recorded task: its number and its record's figures.

    spans: as in `Task`; empty if another job did the task.
    lost_race: whether another attempt recorded the task first.
    """

    task: int
    metrics: Figures
    spans: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    lost_race: bool = False
