"""The GAIC network as a baseline: the same backbone and operators, no graph of objects."""

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.cropping.candidates import for_ratio
from pipeline.device import choose_device
from pipeline.lab.evaluation.baselines import Box, Boxes, Scores
from pipeline.photo.decode import Photo
from s2cnet import boxes_to_input, prepare_image
from s2cnet.checkpoint import parse_weights, read_weights
from s2cnet.gaic import GAIC, load_gaic


class GaicBaseline:
    """Scores crops without looking at objects; its crop is the best of all candidates."""

    def __init__(self, network: GAIC, device: str = "cpu") -> None:
        self._device = choose_device(device)
        self._network = network.eval().to(self._device)

    @classmethod
    def from_weights(cls, weights: str, device: str = "cpu") -> "GaicBaseline":
        """Load a path or fsspec URI. Raises WeightsError."""
        return cls(load_gaic(parse_weights(read_weights(weights))), device)

    def crop(self, photo: Photo, ratio: float) -> Box | None:
        boxes = for_ratio(photo.width_px, photo.height_px, ratio)
        best: NDArray[np.float32] = boxes[int(np.argmax(self.score(photo, boxes)))]
        return best

    @torch.inference_mode()
    def score(self, photo: Photo, boxes_px: Boxes) -> Scores:
        image, _ = prepare_image(photo.pixels)  # [3, h, w]
        scale_xy = (photo.width_px / image.shape[2], photo.height_px / image.shape[1])
        crops = boxes_to_input(boxes_px, scale_xy)
        rois = torch.cat([crops.new_zeros(len(crops), 1), crops], dim=1).to(self._device)
        scores = self._network(image[None].to(self._device), rois, [rois.new_zeros(0, 4)])
        return np.asarray(scores.double().cpu().numpy())
