"""Human scores of crops whose photos are not there, for learning from the layout alone."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.boxes import Boxes, mirror
from pipeline.cropping.search import Scores
from pipeline.errors import UsageError
from pipeline.lab.training.settings import MOS_MEAN, MOS_SPREAD


@dataclass(frozen=True, eq=False)
class ScoredLayout:
    """Crops [N, 4] of a photo, their normalised scores [N], object boxes [D, 4], width / height."""

    crops: Boxes
    scores: Scores
    objects: Boxes
    aspect: float

    def mirrored(self) -> "ScoredLayout":
        """The same crops, scores and objects in the mirrored photo."""
        return ScoredLayout(
            mirror(self.crops, 1), self.scores, mirror(self.objects, 1), self.aspect
        )


def read_scored_crops(path: Path) -> dict[str, list[ScoredLayout]]:
    """The layouts of each split from a JSON of GAICv1's form, keyed "train" and "test".

    {"<photo>": {"split": …, "crops": [[x0, y0, x1, y1], …], "scores": […], "detections": […]}}, in
    pixels. The photo's size is not in the file: the grid anchors lie symmetrically in the photo, so
    it is the sum of the lowest and the highest corner. Raises UsageError.
    """
    try:
        rows = json.loads(path.read_text())
        splits: dict[str, list[ScoredLayout]] = {"train": [], "test": []}
        for row in rows.values():
            splits[row["split"]].append(_layout(row))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} holds no scored crops: {error!r}") from error
    return splits


def _layout(row: dict[str, list[list[float]]]) -> ScoredLayout:
    crops = np.array(row["crops"], np.float32)
    width, height = (crops[:, :2].min(axis=0) + crops[:, 2:].max(axis=0)).tolist()
    size = np.array([width, height, width, height], np.float32)
    objects = np.array(row["detections"], np.float32).reshape(-1, 4)
    scores = (np.array(row["scores"], np.float32) - MOS_MEAN) / MOS_SPREAD
    return ScoredLayout(crops / size, scores, np.clip(objects / size, 0, 1), width / height)
