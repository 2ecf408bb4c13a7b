"""Provide the objects of photos, from a detector or from boxes in the input list.

Every source has the same members (`ObjectSource`); `pipeline.cropping.build` builds the one that a
name asks for. Objects are in source pixels, clipped to the photo, best first.
"""

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from pipeline.cropping.parts import objects_of_whole, shifted
from pipeline.cropping.transfer import SentPhoto
from pipeline.detectors import Detections, Detector, Pixels, SmallInputDetector
from pipeline.detectors.given_boxes import GivenBoxes, ListedPhoto
from pipeline.errors import UsageError
from pipeline.photo.decode import Photo

# A box much thinner than a pixel is no object, and shares of an area near 0 are not finite.
LEAST_SIDE_PX = 1e-3


@dataclass(frozen=True, eq=False)
class SeenPhoto:
    """A photo whose objects are known: all that proposing, scoring and choosing need.

    objects: in source pixels, best first, with everything else that the source found.
    whole: the photo of which this is the part inside the borders; None: this is the whole photo.
        The boxes of objects are in the frame of the part.
    """

    sent: SentPhoto
    objects: Detections
    whole: Photo | None = None

    @property
    def objects_px(self) -> Detections:
        """The objects in source pixels of the whole photo."""
        return objects_of_whole(self.objects, self.photo, self.whole or self.photo)

    @property
    def photo(self) -> Photo:
        return self.sent.photo

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the photo in source pixels."""
        return self.photo.width_px, self.photo.height_px


class ObjectSource(Protocol):
    """Finds the objects of photos."""

    @property
    def identity(self) -> str:
        """Version or weights' sha256, for the run id, since other objects give other crops."""
        ...

    def detector_input(self, photo: Photo) -> Pixels | None:
        """Return the small copy, uint8 [h, w, 3], to send along with a photo; None for none."""
        ...

    def objects(
        self, photos: Sequence[SentPhoto], given: Sequence[ListedPhoto]
    ) -> list[Detections]:
        """Find the objects of each photo, in source pixels.

        photos: sent with what `detector_input` returned for them.
        given: the input list's entry for each photo; as many as photos.

        The result for a photo does not depend on which others are in the call.
        Raises DetectError if one photo cannot be served.
        """
        ...


class DetectorSource:
    """Objects from a detector that reads the decoded pixels."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    @property
    def identity(self) -> str:
        return self.detector.identity

    def detector_input(self, photo: Photo) -> None:
        """Return no copy: the detector reads the view."""

    def objects(
        self, photos: Sequence[SentPhoto], given: Sequence[ListedPhoto]
    ) -> list[Detections]:
        """See `ObjectSource.objects`. The list's entries are not used.

        Raises UsageError for a result of another type, from a detector that a program gives.
        """
        found = self.detector.detect([one.photo.pixels for one in photos])
        fits = isinstance(found, Sequence) and len(found) == len(photos)
        if not fits or not all(isinstance(one, Detections) for one in found):
            raise UsageError(
                "`detect` of a detector returns a list with one pipeline.detectors.Detections for "
                f"each of the {len(photos)} photos, not {reprlib.repr(found)}"
            )
        return [to_source(seen, one.photo) for seen, one in zip(found, photos, strict=True)]


class SmallInputSource:
    """Objects from a detector that reads a small copy, which is sent with the network's input."""

    def __init__(self, detector: SmallInputDetector) -> None:
        self.detector = detector

    @property
    def identity(self) -> str:
        return self.detector.identity

    def detector_input(self, photo: Photo) -> Pixels:
        """See `ObjectSource.detector_input`."""
        return self.detector.detector_input(photo.pixels)

    def objects(
        self, photos: Sequence[SentPhoto], given: Sequence[ListedPhoto]
    ) -> list[Detections]:
        """See `ObjectSource.objects`. The list's entries are not used."""
        inputs = [one.detector_input() for one in photos]
        found = self.detector.detect_inputs(inputs, [one.photo.pixels for one in photos])
        return [to_source(seen, one.photo) for seen, one in zip(found, photos, strict=True)]


class GivenSource:
    """Objects from the input list's `boxes` column or from box files, in the order given."""

    def __init__(self, boxes: GivenBoxes) -> None:
        self.boxes = boxes

    @property
    def identity(self) -> str:
        return self.boxes.identity

    def detector_input(self, photo: Photo) -> None:
        """Return no copy: nothing is detected."""

    def objects(
        self, photos: Sequence[SentPhoto], given: Sequence[ListedPhoto]
    ) -> list[Detections]:
        """See `ObjectSource.objects`. Raises DetectError: boxes_missing, boxes_invalid."""
        return [
            clipped_to_photo(
                shifted(self.boxes.objects_px(listed), _shift_to_part(one.photo)), one.photo
            )
            for one, listed in zip(photos, given, strict=True)
        ]


def _shift_to_part(part: Photo) -> tuple[int, int]:
    """Return the shift from the whole photo's frame, which lists use, to that of the part."""
    x, y = part.origin_px
    return -x, -y


def to_source(objects_view: Detections, photo: Photo) -> Detections:
    """Convert a detector's boxes, in pixels of the view, to objects in source pixels."""
    scale = np.array(photo.scale_xy * 2, np.float32)
    return clipped_to_photo(replace(objects_view, boxes=objects_view.boxes * scale), photo)


def clipped_to_photo(objects: Detections, photo: Photo) -> Detections:
    """Clip objects to the photo; drop those below LEAST_SIDE_PX, and those that are not finite.

    Boxes are in source pixels. Everything else from the source stays as it is.
    """
    limit = np.array([photo.width_px, photo.height_px] * 2, np.float32)
    finite = np.isfinite(objects.boxes).all(axis=1) & np.isfinite(objects.scores)
    boxes = np.clip(np.where(finite[:, None], objects.boxes, 0), 0, limit).astype(np.float32)
    keep = np.all(boxes[:, 2:] - boxes[:, :2] >= LEAST_SIDE_PX, axis=1)
    labels = [label for label, good in zip(objects.labels, keep, strict=True) if good]
    return replace(objects, boxes=boxes[keep], scores=objects.scores[keep], labels=labels)
