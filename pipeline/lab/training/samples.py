"""Training samples from scored photos: network input, crops, objects, target scores."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.boxes import FloatArray, area, mirror
from pipeline.detectors import Detector
from pipeline.errors import DetectError, UsageError
from pipeline.lab.datasets.example import Example
from pipeline.lab.datasets.layout import decoded_photo
from pipeline.lab.evaluation.frame import leaving, leaving_message
from pipeline.lab.training.settings import MOS_MEAN, MOS_SPREAD, TrainSettings
from s2cnet import boxes_to_input, prepare_image

SLIP = 0.05  # of the photo's short side: boxes that leave it by less are clamped


@dataclass(frozen=True)
class Sample:
    """One photo as the network's input, with its targets; boxes are in input pixels."""

    image: Tensor  # [3, h, w], prepared
    crops: Tensor  # [N, 5], first column 0
    objects: Tensor  # [D, 4]
    truth: Tensor  # [N], normalised scores


@dataclass(frozen=True, eq=False)
class ScoredPhoto:
    """A decoded photo with human scores; boxes are xyxy in pixels of `pixels`, inside it.

    Boxes have double precision: an edge of the photo has to match an edge of the input within
    `s2cnet.inputs.ROUNDING`, which single precision does not reach.
    """

    id: str
    pixels: NDArray[np.uint8]  # [h, w, 3]
    crops: FloatArray  # [N, 4]
    mos: NDArray[np.float32]  # [N]
    objects: FloatArray  # [D, 4], best first


def read_scored_photo(example: Example, detector: Detector | None) -> ScoredPhoto:
    """Decode a photo, scale its boxes to the decoded frame and clamp them to it.

    Boxes that then have no area are left out. Objects are those of the data set, else the
    detector's, else none.

    Raises UsageError where the photo cannot be read, most of its scored crops or of its objects
    leave it, or the detector fails.
    """
    photo = decoded_photo(example.image)
    size_wh = (photo.width_px, photo.height_px)
    for what, boxes in (("scored crops", example.scored_px), ("objects", example.objects_px)):
        if boxes is None:
            continue
        leaves = leaving(boxes, size_wh, SLIP * min(size_wh))
        if 2 * leaves.sum() > len(leaves):  # clamping is for slips, not for photos of another size
            problem = leaving_message(what, boxes, leaves, size_wh)
            raise UsageError(f"{example.image}: {problem}")
    height, width = photo.pixels.shape[:2]

    def decoded(boxes: NDArray[np.float32], scale_xy: tuple[float, float]) -> FloatArray:
        scaled = boxes.astype(np.float64) / np.array(scale_xy * 2)
        return np.asarray(np.clip(scaled, 0, np.array([width, height] * 2)))

    objects = np.zeros((0, 4))
    if example.objects_px is not None:
        objects = decoded(example.objects_px, photo.scale_xy)
    elif detector is not None:
        try:
            objects = decoded(detector.detect([photo.pixels])[0].boxes, (1.0, 1.0))
        except DetectError as error:
            raise UsageError(f"{example.image}: {error.message}") from error
    crops = decoded(example.scored_px, photo.scale_xy)
    kept = area(crops) > 0
    return ScoredPhoto(
        example.id, photo.pixels, crops[kept], example.mos[kept], objects[area(objects) > 0]
    )


def plain_sample(photo: ScoredPhoto) -> Sample:
    """Make a sample of the unchanged photo with all its crops, for validation."""
    return _sample(photo.pixels, photo.crops, photo.objects, photo.mos)


def random_sample(
    photo: ScoredPhoto, settings: TrainSettings, random: np.random.Generator
) -> Sample:
    """Augment: mirror at random, change colours, draw some of the crops."""
    count = min(settings.crops_per_photo, len(photo.mos))
    drawn = random.permutation(len(photo.mos))[:count]
    pixels, crops, objects = photo.pixels, photo.crops[drawn], photo.objects
    if random.random() < settings.mirror:
        width = pixels.shape[1]
        pixels = np.ascontiguousarray(pixels[:, ::-1])
        crops, objects = mirror(crops, width), mirror(objects, width)
    return _sample(recoloured(pixels, settings.colour, random), crops, objects, photo.mos[drawn])


def recoloured(
    pixels: NDArray[np.uint8], max_change: float, random: np.random.Generator
) -> NDArray[np.uint8]:
    """Change brightness, contrast and saturation by random factors within 1 ± `max_change`."""
    brightness, contrast, saturation = 1 + random.uniform(-max_change, max_change, 3)
    changed = pixels.astype(np.float32)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    changed = grey + saturation * (changed - grey)
    mean = float(grey.mean())
    changed = brightness * (mean + contrast * (changed - mean))
    return np.asarray(np.clip(changed, 0, 255), np.uint8)


def _sample(
    pixels: NDArray[np.uint8],
    crops: FloatArray,
    objects: FloatArray,
    mos: NDArray[np.float32],
) -> Sample:
    image, scale_xy = prepare_image(pixels)
    boxes = boxes_to_input(crops, scale_xy)
    return Sample(
        image,
        torch.cat([boxes.new_zeros(len(boxes), 1), boxes], dim=1),
        boxes_to_input(objects, scale_xy),
        torch.from_numpy((mos - MOS_MEAN) / MOS_SPREAD).float(),
    )
