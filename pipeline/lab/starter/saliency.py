"""A photo's saliency map: its foreground as far as there is a clear one, else class activation.

The constants were set by hand while looking at photos; none was fitted.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Box, hull
from pipeline.lab.starter.teacher_outputs import TeacherOutputs

SaliencyMap = NDArray[np.float32]

SIDE = 48  # cells of the map along each side
# `decisiveness`: cells above CLEAR are surely salient. It rises from 0 to 1 with their share of the
# map's mass, over MASS_RANGE. It is less where they are fewer than SPECK of all cells, and 0 where
# they are more than WHOLE.
CLEAR, MASS_RANGE, SPECK, WHOLE = 0.7, (0.55, 0.9), 0.004, 0.85
CONTRAST_PERCENTILES = [5, 99]  # of class activation, which become 0 and 1
# Probability of a region, and its level in the map. The levels make regions as large as the
# subjects that human scores imply: the second one fills a fifth to a third of a photo.
REGION_LEVELS, ALL_REGIONS_LEVEL = ((0.3, 0.78), (0.45, 0.65)), (0.1, 0.5)
MIN_MASS = 0.3  # of a region, as a share of the main one's


def saliency(outputs: TeacherOutputs) -> SaliencyMap:
    """Compute the saliency map of a photo, [48, 48] in 0..1."""
    activation = []
    for values in (np.sqrt(outputs.class_confidence), outputs.class_strength):
        large = cv2.resize(values, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        low, high = np.percentile(large, CONTRAST_PERCENTILES)
        activation.append(np.clip((large - low) / (high - low + 1e-6), 0, 1))
    foreground = cv2.resize(outputs.foreground, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    clear = decisiveness(foreground)
    mean = (activation[0] + activation[1]) / 2
    return np.asarray(clear * foreground + (1 - clear) * mean, np.float32)


def decisiveness(salient: SaliencyMap) -> float:
    """Measure how clearly a map separates one thing from the rest, 0..1."""
    clear = salient > CLEAR
    if float(clear.mean()) > WHOLE:
        return 0.0
    share = float(salient[clear].sum()) / max(float(salient.sum()), 1e-6)
    low, high = MASS_RANGE
    sharp = min(max((share - low) / (high - low), 0.0), 1.0)
    return sharp * min(1.0, float(clear.mean()) / SPECK)


def salient_regions(salient: SaliencyMap) -> list[tuple[float, Box]]:
    """Return boxes around the most salient cells, tight and wide, with their probabilities."""
    found = [(share, _regions(salient, level)[0]) for share, level in REGION_LEVELS]
    share, level = ALL_REGIONS_LEVEL
    return [*found, (share, hull(_regions(salient, level)))]


def _regions(salient: SaliencyMap, level: float) -> list[Box]:
    """Return the boxes of connected cells above `level` of the highest value, most mass first."""
    mask = (salient >= level * salient.max() - 1e-6).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    mass = np.bincount(labels.ravel(), salient.ravel(), count)[1:]
    corners = np.concatenate([stats[1:, :2], stats[1:, :2] + stats[1:, 2:4]], axis=1)
    boxes = (corners / len(salient)).astype(np.float32)
    order = np.argsort(-mass, kind="stable")
    return [boxes[i] for i in order if mass[i] > MIN_MASS * mass[order[0]]]
