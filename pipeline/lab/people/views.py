"""Views of labelled photos for the people branches: the frozen network's features, and targets.

A labelled photo gives four views: itself, its mirror image, and two parts of it. The parts are
brighter or darker, at half size half of the time, and compressed as JPEGs, so that maps stay the
same when a photo is encoded again. Photos without labelled heads are used for heads too: a clear
face, enlarged, is a head; where the detector sees no person there is none; elsewhere nothing is
learnt. A photo without any label gives only itself. The unmirrored whole photo has a degraded copy,
trimmed by up to TRIMMED pixels, whose gaze map should be the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.boxes import Boxes, FloatArray
from pipeline.detectors import Pixels
from pipeline.detectors.embedded import detector_input
from pipeline.detectors.peaks import HeatMaps
from pipeline.detectors.people_head import FINER
from pipeline.detectors.read_attention import HEAD_OF_FACE
from pipeline.detectors.subject_network import KINDS, OFFSETS_OF, SubjectNetwork
from pipeline.lab.datasets.layout import read_upright_pixels
from pipeline.lab.people.branches import Features, PeopleView
from pipeline.lab.people.labels import PeopleLabels
from pipeline.lab.people.targets import TargetMap, gaze_map, head_target, kept_map

# Range of a part's sides, shares of the photo's, and the weight of its fixations: far, near part.
PARTS = (((0.38, 0.85), 0.5), ((0.85, 1.0), 1.0))
TRIMMED = 2  # pixels, from the right and from the bottom
MIN_FIXATIONS = 30  # a part with fewer has no gaze target
# Where heads are not labelled, the detector's faces and people stand in; set by hand.
CLEAR_FACE = 0.5  # likelihood from which a face, enlarged, is a head
ANY_PERSON = 0.12  # likelihood above which a face or person may be one: no "no head here" in it
MARGIN = 0.15  # share of a person's sides, around it, in which nothing is learnt either
NO_HEAD_WEIGHT = 0.3  # of "no head here" in all other cells


def people_views(
    network: SubjectNetwork, photos: Sequence[PeopleLabels], seed: int = 0
) -> Iterator[PeopleView]:
    """Yield the views of each photo, in order.

    Randomness depends only on the seed and the photo's name. network: its trunk and subject head
    are trained.
    """
    for labels in photos:
        random = np.random.default_rng([seed, zlib.crc32(labels.photo.name.encode())])
        pixels = read_upright_pixels(labels.photo)
        whole = np.array([0.0, 0.0, 1.0, 1.0])
        view = _view(network, labels, pixels, whole, False, 1.0)
        yield replace(view, copy=_copy(network, pixels, view.levels, random))
        if not labels.is_labelled:
            continue
        yield _view(network, labels, np.ascontiguousarray(pixels[:, ::-1]), whole, True, 1.0)
        for shares, weight in PARTS:
            part, pixels_of_part = part_of(pixels, shares, random)
            mirrored = bool(random.random() < 0.5)
            if mirrored:
                pixels_of_part = np.ascontiguousarray(pixels_of_part[:, ::-1])
            yield _view(
                network, labels, degraded_copy(pixels_of_part, random), part, mirrored, weight
            )


def _view(
    network: SubjectNetwork,
    labels: PeopleLabels,
    pixels: Pixels,
    part: FloatArray,
    mirrored: bool,
    gaze_weight: float,
) -> PeopleView:
    """Make a view. part: box of the view in the photo, shares of the photo's sides."""
    levels, output = trunk_features(network, pixels)
    height, width = levels[0].shape[-2:]
    gaze, kept = map_targets(labels, part, mirrored, height, width)
    if gaze_weight < 1:
        kept = None
    if labels.heads is None:
        heads = head_target(*_heads_of_faces(output))
    else:
        heads = head_target(boxes_in_view(labels.heads, part, mirrored), height, width)
    return PeopleView(levels, heads, gaze, kept, gaze_weight)


def map_targets(
    labels: PeopleLabels, part: FloatArray, mirrored: bool, height: int, width: int
) -> tuple[TargetMap | None, TargetMap | None]:
    """Make the targets of the maps of gaze and of keeping for a part of a photo of h × w cells.

    A target is None where the part has fewer than MIN_FIXATIONS, or nobody drew a crop.
    """
    points = in_view(labels.fixations, part, mirrored)
    inside = ((points >= 0) & (points < 1)).all(axis=1)
    gaze = kept = None
    if inside.sum() >= MIN_FIXATIONS:
        gaze = gaze_map(points[inside], labels.fixation_weights[inside], height, width)
    if len(labels.crops):
        crops = np.clip(boxes_in_view(labels.crops, part, mirrored), 0, 1)
        kept = kept_map(crops, height // FINER, width // FINER)
    return gaze, kept


def _copy(
    network: SubjectNetwork, pixels: Pixels, levels: Features, random: np.random.Generator
) -> Features | None:
    """Compute the levels of a degraded copy of the whole photo; None where their size differs."""
    copied, _ = trunk_features(network, reencoded_copy(pixels, random))
    return copied if copied[0].shape == levels[0].shape else None


@torch.inference_mode()
def trunk_features(network: SubjectNetwork, pixels: Pixels) -> tuple[Features, torch.Tensor]:
    """Compute the four levels, half precision, and the subject head's output [1, 17, h, w]."""
    image = torch.from_numpy(detector_input(pixels)).permute(2, 0, 1)[None].float()
    taps = network.trunk(image)
    pyramid = network.head.pyramid(*taps)
    return [level[0].half().clone() for level in (*taps, pyramid)], network.head.predict(pyramid)


def in_view(points: FloatArray, part: FloatArray, mirrored: bool) -> FloatArray:
    """Map points [F, 2] of the photo into a part of it, both as shares of the sides."""
    placed = (points - part[:2]) / (part[2:] - part[:2])
    return np.asarray(placed * (-1, 1) + (1, 0) if mirrored else placed)


def boxes_in_view(boxes: FloatArray, part: FloatArray, mirrored: bool) -> FloatArray:
    """Map boxes [N, 4] of the photo into a part of it."""
    first, second = in_view(boxes[:, :2], part, mirrored), in_view(boxes[:, 2:], part, mirrored)
    return np.concatenate([np.minimum(first, second), np.maximum(first, second)], axis=1)


def _heads_of_faces(output: torch.Tensor) -> tuple[FloatArray, int, int, TargetMap]:
    """Derive heads from clear faces; return them, the map's size, and "no head here" weights."""
    height, width = output.shape[-2:]
    limit = np.array([width, height, width, height])
    negative_weights = np.full((height, width), NO_HEAD_WEIGHT, np.float32)
    for box, _ in zip(*_objects(output, "person"), strict=True):
        margin = MARGIN * np.tile(box[2:] - box[:2], 2) * (-1, -1, 1, 1)
        _ignore(negative_weights, np.clip(box + margin, 0, limit))
    heads = []
    for box, likely in zip(*_objects(output, "face"), strict=True):
        head = np.clip(box + HEAD_OF_FACE * np.tile(box[2:] - box[:2], 2), 0, limit)
        if likely >= CLEAR_FACE:
            heads.append(head / limit)
        else:
            _ignore(negative_weights, head)
    return np.array(heads).reshape(-1, 4), height, width, negative_weights


def _objects(output: torch.Tensor, kind: str) -> tuple[Boxes, NDArray[np.float32]]:
    """Return the objects of a kind above ANY_PERSON: boxes in cells, and likelihoods."""
    return HeatMaps(output).objects(KINDS.index(kind), OFFSETS_OF[kind], ANY_PERSON)


def _ignore(negative_weights: TargetMap, box: FloatArray) -> None:
    x0, y0 = np.floor(box[:2]).astype(int)
    x1, y1 = np.ceil(box[2:]).astype(int)
    negative_weights[y0:y1, x0:x1] = 0


def part_of(
    pixels: Pixels, shares: tuple[float, float], random: np.random.Generator
) -> tuple[FloatArray, Pixels]:
    """Draw a random part: its box as shares of the sides, and its pixels."""
    height, width = pixels.shape[:2]
    share = random.uniform(*shares)
    other = float(np.clip(share * np.exp(random.normal(0, 0.08)), shares[0], 1))
    part_w, part_h = int(width * share), int(height * other)
    x, y = random.integers(0, width - part_w + 1), random.integers(0, height - part_h + 1)
    box = np.array([x / width, y / height, (x + part_w) / width, (y + part_h) / height])
    return box, pixels[y : y + part_h, x : x + part_w]


def degraded_copy(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Change brightness, halve the size half of the time, make a JPEG of quality 40 to 95."""
    return _reencoded(jitter_brightness(pixels, random), random)


def jitter_brightness(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Change the brightness and contrast of pixels."""
    curve = (pixels / 255.0) ** random.uniform(0.8, 1.25) * random.uniform(0.85, 1.15)
    return np.clip(255 * curve, 0, 255).astype(np.uint8)


def reencoded_copy(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Trim up to TRIMMED pixels from the right and bottom, then encode as `_reencoded` does."""
    height, width = pixels.shape[:2]
    below, right = random.integers(0, TRIMMED + 1, 2)
    return _reencoded(pixels[: max(height - below, 1), : max(width - right, 1)], random)


def _reencoded(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Halve the size half of the time, and make a JPEG of quality 40 to 95."""
    degraded = pixels
    if random.random() < 0.5:
        degraded = at_half_size(degraded)
    return as_jpeg(degraded, int(random.uniform(40, 95)))


def at_half_size(pixels: Pixels) -> Pixels:
    """Resize pixels to half their size, at least 32 a side."""
    size = max(32, pixels.shape[1] // 2), max(32, pixels.shape[0] // 2)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def as_jpeg(pixels: Pixels, quality: int) -> Pixels:
    """Encode RGB pixels as a JPEG of a quality, and decode them again."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.cvtColor(cv2.imdecode(data, 1), cv2.COLOR_BGR2RGB), np.uint8)
