"""Human scores of crops whose photos are not available, for learning from the layout only."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.boxes import Boxes, mirror
from pipeline.cropping.search import Scores
from pipeline.errors import UsageError
from pipeline.lab.datasets.box_files import boxes, finite
from pipeline.lab.datasets.layout import read_json
from pipeline.lab.training.settings import MOS_MEAN, MOS_SPREAD
from pipeline.words import counted


@dataclass(frozen=True, eq=False)
class ScoredLayout:
    """Crops [N, 4] of a photo, their normalised scores [N], object boxes [D, 4], width / height."""

    crops: Boxes
    scores: Scores
    objects: Boxes
    aspect: float

    def mirrored(self) -> "ScoredLayout":
        """Return the same crops, scores and objects in the mirrored photo."""
        return ScoredLayout(
            mirror(self.crops, 1), self.scores, mirror(self.objects, 1), self.aspect
        )


def read_scored_crops(path: Path) -> dict[str, list[ScoredLayout]]:
    """Read the layouts of each split, keyed "train" and "test", from a JSON of GAICv1's form.

    {"<photo>": {"split": …, "crops": [[x0, y0, x1, y1], …], "scores": […], "detections": […]}}, in
    pixels. The photo's size is not in the file. The grid anchors are symmetric in the photo, so its
    size is the sum of the lowest and the highest corner.

    Raises UsageError, also where the split "train" is empty, or a photo has no crops or detections.
    """
    rows = read_json(path)
    try:
        splits: dict[str, list[ScoredLayout]] = {"train": [], "test": []}
        for name, row in rows.items():
            splits[row["split"]].append(_layout(row, f"{path}: {name}"))
    except UsageError:  # its message is specific already
        raise
    except (AttributeError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UsageError(f"{path} holds no scored crops in the form of GAICv1's") from error
    if not splits["train"]:
        raise UsageError(f"{path} has no photo of the split train")
    return splits


def _layout(row: dict[str, Any], where: str) -> ScoredLayout:
    crops = boxes(row["crops"], f"{where}: crops")
    # Some of GAICv1's detections have no area.
    objects = finite(row["detections"], f"{where}: detections").astype(np.float32).reshape(-1, 4)
    scores = (finite(row["scores"], f"{where}: scores").astype(np.float32) - MOS_MEAN) / MOS_SPREAD
    if not len(crops) or not len(objects) or scores.shape != crops.shape[:1]:
        raise UsageError(
            f"{where} has {counted(len(crops), 'crop')}, {counted(scores.size, 'score')} and "
            f"{counted(len(objects), 'detection')}: expected a score for each crop, and a detection"
        )
    width, height = (crops[:, :2].min(axis=0) + crops[:, 2:].max(axis=0)).tolist()
    size = np.array([width, height, width, height], np.float32)
    return ScoredLayout(crops / size, scores, np.clip(objects / size, 0, 1), width / height)
