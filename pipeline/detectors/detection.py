"""Define a detector's types: its input, its results and its methods.

Boxes are float32 xyxy in the frame of the input array (`_view`), half-open, inside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.detectors.attention import Attention

if TYPE_CHECKING:  # torch takes seconds to import, and workers that only decode never need it
    from torch import Tensor

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Detections:
    """Objects of one photo, best first.

    boxes: float32 xyxy, in the frame that their producer documents. [D, 4]
    scores: larger is surer. [D]
    labels: D names, "" where unknown.
    attention: what people look at in the photo, if the source provides it.
    features: the feature map of S2CNet, if the source provides it: [8, h, w], cells that are equal
        shares of the photo's sides, on the CPU.

    Code that changes some objects uses `dataclasses.replace`, so that fields about the whole photo
    are kept.
    """

    boxes: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    scores: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    labels: list[str] = field(default_factory=list)
    attention: Attention | None = None
    features: Tensor | None = None

    def __post_init__(self) -> None:
        count = len(self.labels)
        shapes = [getattr(one, "shape", type(one)) for one in (self.boxes, self.scores)]
        if shapes != [(count, 4), (count,)]:
            raise ValueError(
                f"give arrays boxes [D, 4], scores [D] and D labels, not boxes {shapes[0]}, "
                f"scores {shapes[1]} and {count} labels"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def top(self, count: int) -> Detections:
        """Return the `count` best, or all if there are fewer."""
        boxes, scores, labels = self.boxes[:count], self.scores[:count], self.labels[:count]
        return replace(self, boxes=boxes, scores=scores, labels=labels)


class Detector(Protocol):
    """The interface of a detector."""

    @property
    def name(self) -> str:
        """Short name for people."""
        ...

    @property
    def identity(self) -> str:
        """Version or weights' sha256, for the run id, since other boxes give other crops."""
        ...

    def detect(self, photos: Sequence[Pixels]) -> list[Detections]:
        """Detect the objects of each photo (uint8 RGB [h, w, 3], any sizes), in its own frame.

        The result for a photo does not depend on which others are in the call.
        Raises DetectError if one photo can't be served.
        """
        ...


class SmallInputDetector(Detector, Protocol):
    """A detector that reads a small copy of a photo, which can travel with the network's input."""

    def detector_input(self, photo: Pixels) -> Pixels:
        """Return the copy of a photo that the detector reads, uint8 [h, w, 3]."""
        ...

    def detect_inputs(self, inputs: Sequence[Tensor], photos: Sequence[Pixels]) -> list[Detections]:
        """Detect as `Detector.detect`, with each photo's `detector_input` already on the device."""
        ...
