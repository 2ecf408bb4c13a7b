"""The contents of a photo, from people's labels where there are any, else from a detector."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Boxes, area
from pipeline.detectors import Detections
from pipeline.lab.datasets import Example

# All thresholds are ours. A head counts if it has at least this share of the largest head's area;
# smaller ones are a crowd in the background.
MIN_HEAD_AREA = 0.25
# A main object has at least this score, as a share of the highest score of its label (scores of
# different labels are not comparable), and fills at least this share of the photo.
MAIN_SCORE, MAIN_AREA = 0.5, 0.01
# A head is cut where a crop shows between these shares of its box, lost where it shows less, and
# kept where it shows more. Boxes drawn by hand are exact to about one pixel in fifty; detected ones
# are off by a few percent on each side.
DRAWN_CUT, DETECTED_CUT = (0.02, 0.98), (0.05, 0.95)


@dataclass(frozen=True, eq=False)
class FaultEvidence:
    """The evidence that crops of one photo are judged by. Boxes [N, 4] in source pixels.

    heads: those that count, the largest first. head_cut: the shares between which one is cut.
    drawn_heads: the parts inside the photo of all heads that people drew; empty without labels.
    objects: main objects of the detector, the best first. text: its text blocks.
    gaze: fixations [F, 2] inside the photo; None where there is none.
    subject: centre (x, y) of people's mean crop; None where people drew none.
    """

    size_wh: tuple[int, int]
    heads: Boxes
    head_cut: tuple[float, float]
    drawn_heads: Boxes
    objects: Boxes
    text: Boxes
    gaze: NDArray[np.float32] | None
    subject: NDArray[np.float32] | None

    def sources(self) -> dict[str, str]:
        """Return the sources of heads and subject; objects and text are always a detector's."""
        subject = "detector" if self.subject is None else "people's crops"
        return {
            "heads": "people" if self.head_cut == DRAWN_CUT else "detector",
            "subject": subject if self.gaze is None else "gaze",
        }


def fault_evidence(
    example: Example, detected: Detections, size_wh: tuple[int, int]
) -> FaultEvidence:
    """Collect the evidence on a photo.

    detected: all objects that the detector reports, in source pixels, best first. Detectors apply
    a threshold of their own; no further one is set here.
    """
    labels = np.array(detected.labels, dtype=object)
    crops, gaze = example.human_px, example.fixations_px
    drawn = None if example.heads_px is None else _inside(example.heads_px, size_wh)
    heads = detected.boxes[labels == "face"] if drawn is None else drawn
    heads = heads[np.argsort(-area(heads), kind="stable")]
    if gaze is not None:
        gaze = gaze[((gaze >= 0) & (gaze < size_wh)).all(axis=1)]
    return FaultEvidence(
        size_wh,
        heads=heads[area(heads) >= MIN_HEAD_AREA * area(heads[:1])],
        head_cut=DETECTED_CUT if drawn is None else DRAWN_CUT,
        drawn_heads=detected.boxes[:0] if drawn is None else drawn,
        objects=detected.boxes[_is_main(detected, size_wh)],
        text=detected.boxes[labels == "text"],
        gaze=gaze if gaze is not None and len(gaze) else None,
        subject=(crops[:, :2] + crops[:, 2:]).mean(axis=0) / 2 if len(crops) else None,
    )


def _inside(boxes: Boxes, size_wh: tuple[int, int]) -> Boxes:
    """Clip boxes [N, 4] to the photo, and drop those that are outside."""
    clipped = np.clip(boxes, 0, np.array([*size_wh, *size_wh], np.float32))
    return clipped[(clipped[:, :2] < clipped[:, 2:]).all(axis=1)]


def _is_main(detected: Detections, size_wh: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which objects are main ones; faces and text have rules of their own: [D]."""
    surest: dict[str, float] = {}
    for label, score in zip(detected.labels, detected.scores.tolist(), strict=True):
        surest[label] = max(score, surest.get(label, 0.0))
    sure = [
        label not in ("face", "text") and score >= MAIN_SCORE * surest[label]
        for label, score in zip(detected.labels, detected.scores.tolist(), strict=True)
    ]
    large = area(detected.boxes) >= MAIN_AREA * size_wh[0] * size_wh[1]
    return np.asarray(np.array(sure, bool) & large)
