"""Encode and score on a GPU: each shape of input is recorded once as a CUDA graph, then replayed.

A recording serves inputs of one shape (`s2cnet.recording`). So every image gets exactly D object
boxes (fewer are repeated, with the same scores), and candidates are padded to the next of a few
counts.
"""

from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor

from s2cnet.config import STRIDE
from s2cnet.fast.folded import FoldedNetwork
from s2cnet.fast.image import EncodedImage, encode_features, encode_images
from s2cnet.fast.score import score_chunk
from s2cnet.network.nodes import fill_detections
from s2cnet.recording import Recorded

BUCKETS = (32, 64, 128, 256, 512, 1024)  # candidates per call; more take several calls


class CudaGraphs:
    """The two steps of `FastS2CNet`, recorded and replayed."""

    def __init__(self, folded: FoldedNetwork) -> None:
        self._folded = folded
        self._encode = Recorded(self._encode_one)
        self._encode_map = Recorded(self._encode_one_map)
        self._score = Recorded(self._score_some)

    def encode(self, images: Tensor, detections: Sequence[Tensor]) -> list[EncodedImage]:
        """Encode images as `s2cnet.fast.image.encode_images`."""
        return [
            EncodedImage(*self._encode(image[None], self._filled(found, image.shape[-2:])))
            for image, found in zip(images, detections, strict=True)
        ]

    def encode_features(self, features: Tensor, detections: Sequence[Tensor]) -> list[EncodedImage]:
        """Encode images as `s2cnet.fast.image.encode_features`."""
        size = [STRIDE * side for side in features.shape[-2:]]
        return [
            EncodedImage(*self._encode_map(one[None], self._filled(found, size)))
            for one, found in zip(features, detections, strict=True)
        ]

    def score_boxes(self, image: EncodedImage, boxes: Tensor) -> Tensor:
        """Score boxes as `s2cnet.fast.score.score_boxes`."""
        shared = image_tensors(image)
        return torch.cat(
            [
                self._score(*shared, fill(part, BUCKETS))[0][: len(part)]
                for part in torch.split(boxes, BUCKETS[-1])
            ]
        )

    def _filled(self, boxes: Tensor, size: Sequence[int]) -> Tensor:
        """Return as many boxes as the graph has places, of an image of `size` (height, width)."""
        return fill_detections(boxes, self._folded.config.detections, *size)

    def _encode_one(self, images: Tensor, boxes: Tensor) -> list[Tensor]:
        (encoded,) = encode_images(self._folded, images, [boxes])
        return image_tensors(encoded)

    def _encode_one_map(self, features: Tensor, boxes: Tensor) -> list[Tensor]:
        (encoded,) = encode_features(self._folded, features, [boxes])
        return image_tensors(encoded)

    def _score_some(self, *inputs: Tensor) -> list[Tensor]:
        return [score_chunk(self._folded, EncodedImage(*inputs[:-1]), inputs[-1])]


def image_tensors(image: EncodedImage) -> list[Tensor]:
    """Return the fields of an encoded image, in order."""
    return [getattr(image, field.name) for field in fields(image)]


def fill(boxes: Tensor, counts: Sequence[int]) -> Tensor:
    """Append copies of the first of boxes [k, 4] up to the next of `counts`; k <= the last one."""
    count = next(count for count in counts if count >= len(boxes))
    return torch.cat([boxes, boxes[:1].expand(count - len(boxes), -1)])
