"""The GAIC network as a baseline: the same backbone and operators, without an object graph."""

from collections.abc import Sequence

import numpy as np
import torch

from pipeline.boxes import Box, Boxes, FloatArray
from pipeline.cropping.candidates import for_ratio
from pipeline.device import choose_device
from pipeline.photo.decode import Photo
from s2cnet import boxes_to_input, prepare_image
from s2cnet.checkpoints.published import load_gaic
from s2cnet.network.gaic import GAIC


class GaicBaseline:
    """Scores crops without object boxes; its crop is the best of all candidates."""

    def __init__(self, network: GAIC, device: str = "cpu") -> None:
        self._device = choose_device(device)
        self._network = network.eval().to(self._device)

    @classmethod
    def from_weights(cls, weights: str, device: str = "cpu") -> "GaicBaseline":
        """Load the weights from a path or fsspec URI. Raises WeightsError."""
        return cls(load_gaic(weights), device)

    def crops(self, photo: Photo, ratios: Sequence[float]) -> list[Box]:
        lists = [for_ratio(photo.width_px, photo.height_px, ratio) for ratio in ratios]
        scores = self.score(photo, np.concatenate(lists))
        parts = np.split(scores, np.cumsum([len(boxes) for boxes in lists])[:-1])
        return [boxes[int(part.argmax())] for boxes, part in zip(lists, parts, strict=True)]

    @torch.inference_mode()
    def score(self, photo: Photo, boxes_px: Boxes) -> FloatArray:
        image, _ = prepare_image(photo.pixels)  # [3, h, w]
        scale_xy = (photo.width_px / image.shape[2], photo.height_px / image.shape[1])
        crops = boxes_to_input(boxes_px, scale_xy)
        rois = torch.cat([crops.new_zeros(len(crops), 1), crops], dim=1).to(self._device)
        scores = self._network(image[None].to(self._device), rois, [rois.new_zeros(0, 4)])
        return np.asarray(scores.double().cpu().numpy())
