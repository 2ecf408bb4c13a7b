"""Maps and boxes for photos that are not available, and detections with a detector's errors.

The numbers are set by hand so that the results look like the maps and boxes of real photos.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.boxes import area
from pipeline.lab.starter.scored_crops import ScoredLayout
from pipeline.lab.starter.semantic_map import CHANNELS, GAZE, GAZE_SCALE, X, Y, position_map
from pipeline.lab.starter.simulated_crops import jittered

SUBJECT, PERSON, THING = (CHANNELS.index(name) for name in ("subject", "person", "thing"))
GAZE_SHARE = 0.7  # probability that a synthetic map has gaze


def synthetic_map(
    layout: ScoredLayout,
    subject: NDArray[np.float32],
    width: int,
    height: int,
    random: np.random.Generator,
) -> tuple[Tensor, NDArray[np.float64]]:
    """Make a map [8, h / 16, w / 16] and boxes [D, 4] like those of a photo with this subject.

    The map's channels are those of `semantic_map`. layout: has objects besides the subject [4].
    """
    values = position_map(height // 16, width // 16)
    x, y = (values[0] + 1) / 2, (values[1] + 1) / 2

    def bump(box: NDArray[np.float64]) -> NDArray[np.float32]:
        """Draw 1 in the middle of the box, 1/2 on its edge, 0 far away."""
        centre, radius = (box[:2] + box[2:]) / 2, np.maximum((box[2:] - box[:2]) / 2, 0.03)
        offset_x, offset_y = (x - centre[0]) / radius[0], (y - centre[1]) / radius[1]
        edge = np.abs(offset_x) ** 2.5 + np.abs(offset_y) ** 2.5
        return np.asarray(1 / (1 + edge**2), np.float32)

    def moved(deviation: float) -> NDArray[np.float64]:
        return jittered(subject[None].astype(np.float64), deviation, random)

    if random.random() < 0.85:  # else the map misses the subject
        values[SUBJECT] = random.uniform(0.5, 1) * bump(
            scaled(moved(0.08)[0], random.uniform(1.1, 1.9))
        )
    for box in layout.objects[random.integers(len(layout.objects), size=random.integers(4))]:
        values[SUBJECT] = np.maximum(
            values[SUBJECT], random.uniform(0.1, 0.6) * bump(box.astype(float))
        )
    noise = random.normal(0, 0.05, values[SUBJECT].shape)
    values[SUBJECT] = np.clip(values[SUBJECT] + noise, 0, 1)
    if random.random() < 0.5:  # the subject is a person or a thing
        values[random.choice([PERSON, THING])] = random.uniform(0.3, 1) * bump(moved(0.08)[0])
    # The detector reports a region around the subject, a wider one, and sometimes its exact box.
    boxes = [
        jittered(scaled(moved(0.06)[0], random.uniform(*sizes))[None], deviation, random)
        for sizes, deviation, chance in (
            ((0.9, 1.5), 0.05, 0.85),
            ((1.2, 2.0), 0.06, 0.7),
            ((1.0, 1.0), 0.04, 0.5),
        )
        if random.random() < chance
    ]
    others = random.permutation(layout.objects)[: random.integers(6)].astype(np.float64)
    small = others[area(others) < 0.6]
    boxes.append(jittered(small, 0.03, random))
    return torch.from_numpy(values), np.concatenate(boxes)


def add_gaze(values: Tensor, subject: NDArray[np.float32], random: np.random.Generator) -> Tensor:
    """Add gaze on a subject [4], shares of sides, to a map [8, h, w], or sometimes none, in place.

    The gaze is centred near the subject's middle, and is narrower or wider than the subject.
    """
    if random.random() >= GAZE_SHARE:
        return values
    x, y = (values[X].numpy() + 1) / 2, (values[Y].numpy() + 1) / 2
    deviation = np.maximum((subject[2:] - subject[:2]) / 2, 0.05) * random.uniform(0.6, 1.2)
    centre = (subject[:2] + subject[2:]) / 2 + random.normal(0, 0.05, 2)
    offset_x, offset_y = (x - centre[0]) / deviation[0], (y - centre[1]) / deviation[1]
    bump = np.exp(-0.5 * (offset_x**2 + offset_y**2))
    gaze = random.uniform(0.6, 0.95) * GAZE_SCALE * bump / bump.mean() + random.uniform(0.02, 0.08)
    values[GAZE] = torch.from_numpy(gaze.astype(np.float32))
    return values


def perturbed_detections(
    boxes: NDArray[np.float32], random: np.random.Generator
) -> NDArray[np.float64]:
    """Jitter the edges of boxes [D, 4], and drop some or all of them, as a detector would."""
    found = boxes.astype(np.float64)
    if random.random() < 0.6 and len(found):
        found = jittered(found, random.choice([0.01, 0.03, 0.06]), random)
    if len(found) > 1:
        found = found[random.random(len(found)) < random.choice([0.6, 0.85, 1.0])]
    return found[:0] if random.random() < 0.04 else found


def scaled(box: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Scale the sides of a box [4] by `factor` about its centre, inside the photo."""
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * factor
    return np.asarray(np.clip(np.concatenate([centre - half, centre + half]), 0, 1))
