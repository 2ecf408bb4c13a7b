"""Augmented views of labelled photos, to train the maps of gaze and of keeping.

Views are parts at any place, of three ratios, mirrored, with changed brightness, contrast and
colours. Each comes twice: as it is, and degraded (moved a little, at half size, compressed as a
JPEG), because both should have the same maps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.boxes import FloatArray
from pipeline.detectors import Pixels
from pipeline.detectors.embedded import detector_input
from pipeline.detectors.subject_network import STRIDE
from pipeline.lab.datasets.layout import read_upright_pixels
from pipeline.lab.people.labels import PeopleLabels
from pipeline.lab.people.targets import TargetMap
from pipeline.lab.people.views import MIN_FIXATIONS, as_jpeg, at_half_size, map_targets

WHOLE = 0.4  # share of a photo's views that show all of it
# Range of a part's sides, shares of the photo's; photos with people's crops have only near parts.
NEAR_PART, FAR_PART = (0.85, 1.0), (0.5, 0.9)
# A part's ratio over the photo's, and its probability; the ratios give inputs of other sizes.
RATIOS, RATIO_SHARES = (1.0, 1.26, 0.64), (0.7, 0.18, 0.12)
# A part with less of the photo's area than this counts half: its fixations depend on the rest.
LARGE_PART, SMALL_WEIGHT = 0.6, 0.5
EDGE_NOISE = 0.002  # deviation of a degraded view's edges, shares of the photo's sides
# Probabilities of half size and of JPEG compression, for a view and for its degraded copy.
HALF_AND_JPEG, DEGRADED_HALF_AND_JPEG = (0.1, 0.3), (0.45, 0.8)


@dataclass(frozen=True, eq=False)
class LookingView:
    """The network's inputs for a view and its degraded copy, of the same size, and its targets.

    gaze_weight: 1, less for a small part, whose fixations depend on the rest of the photo.
    """

    pixels: Pixels
    degraded: Pixels
    gaze: TargetMap | None
    kept: TargetMap | None
    gaze_weight: float


def batches_of_views(
    photos: Sequence[PeopleLabels], steps: int, batch_size: int, random: np.random.Generator
) -> Iterator[list[LookingView]]:
    """Yield `steps` batches of `batch_size` views of one input size, cycling through all photos.

    photos: `has_targets` must be true for at least one, or the loop never ends.
    """
    waiting: dict[tuple[int, ...], list[LookingView]] = {}
    order: list[int] = []
    made = 0
    while made < steps:
        order = order or random.permutation(len(photos)).tolist()
        view = random_view(photos[order.pop()], random)
        if view is None:
            continue
        batch = waiting.setdefault(view.pixels.shape, [])
        batch.append(view)
        if len(batch) == batch_size:
            yield waiting.pop(view.pixels.shape)
            made += 1


def has_targets(labels: PeopleLabels) -> bool:
    """Return whether a photo has enough gaze or crops for targets, at least in whole views."""
    return len(labels.crops) > 0 or len(labels.fixations) >= MIN_FIXATIONS


def random_view(labels: PeopleLabels, random: np.random.Generator) -> LookingView | None:
    """Make a view of a photo; None where it has too few fixations and no people's crops.

    It is also None where the degraded copy has another size.
    """
    pixels = read_upright_pixels(labels.photo)
    part, mirrored = random_part(random, near=len(labels.crops) > 0), bool(random.random() < 0.5)
    colours = int(random.integers(2**32))
    moved = np.clip(part + random.normal(0, EDGE_NOISE, 4), 0, 1)
    first = _pixels(pixels, part, mirrored, colours, HALF_AND_JPEG, random)
    degraded = _pixels(pixels, moved, mirrored, colours, DEGRADED_HALF_AND_JPEG, random)
    height, width = first.shape[0] // STRIDE, first.shape[1] // STRIDE
    gaze, kept = map_targets(labels, part, mirrored, height, width)
    if first.shape != degraded.shape or (gaze is None and kept is None):
        return None
    area = float(np.prod(part[2:] - part[:2]))
    return LookingView(first, degraded, gaze, kept, 1.0 if area > LARGE_PART else SMALL_WEIGHT)


def random_part(random: np.random.Generator, near: bool) -> FloatArray:
    """Draw a part of a photo, xyxy, shares of its sides. near: only nearly whole photos."""
    if random.random() < WHOLE:
        return np.array([0.0, 0.0, 1.0, 1.0])
    ratio = 1.0 if near else random.choice(RATIOS, p=RATIO_SHARES)
    share = random.uniform(*(NEAR_PART if near or random.random() < 0.5 else FAR_PART))
    sides = share * np.array([min(1.0, ratio), min(1.0, 1 / ratio)])
    sides = np.minimum(sides * np.exp(random.normal(0, 0.06, 2)), 1)
    low = random.uniform(0, 1 - sides)
    return np.concatenate([low, low + sides])


def _pixels(
    photo: Pixels,
    part: FloatArray,
    mirrored: bool,
    colours: int,
    shares: tuple[float, float],
    random: np.random.Generator,
) -> Pixels:
    """Make the network's input of a part. shares: probabilities of half size and compression."""
    height, width = photo.shape[:2]
    x0, y0 = (part[:2] * (width, height)).round().astype(int)
    x1, y1 = np.maximum((part[2:] * (width, height)).round().astype(int), (x0 + 1, y0 + 1))
    found = photo[y0:y1, x0:x1]
    found = jitter_colours(found[:, ::-1] if mirrored else found, np.random.default_rng(colours))
    if random.random() < shares[0]:
        found = at_half_size(found)
    if random.random() < shares[1]:
        found = as_jpeg(found, int(random.uniform(35, 95)))
    return detector_input(np.ascontiguousarray(found))


def jitter_colours(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Change the tone curve, brightness, saturation and contrast of pixels uint8 RGB."""
    curve, bright = np.exp(random.uniform(-0.3, 0.3)), random.uniform(0.8, 1.15)
    saturation, contrast = random.uniform(0.5, 1.4), random.uniform(0.75, 1.25)
    table = 255 * (np.arange(256) / 255) ** curve * bright
    found = np.asarray(table.astype(np.float32)[pixels])
    grey = found.mean(axis=2, keepdims=True)
    found = grey + saturation * (found - grey)
    mean = float(grey.mean())
    return np.asarray(np.clip(mean + contrast * (found - mean), 0, 255).astype(np.uint8))
