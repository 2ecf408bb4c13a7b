"""Prepare the network's input: a photo's pixels, and boxes in the input's frame.

Two frames: a photo's pixels (`_px`), and the input's pixels (`_input`), whose short side is 256.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from s2cnet.config import STRIDE

SHORT_SIDE = 256
MULTIPLE = 32  # the backbone's coarsest stride
LONG_SIDE = 20 * SHORT_SIDE  # a photo of 1 x 16,384 pixels would otherwise take gigabytes
MEAN = (0.485, 0.456, 0.406)  # of ImageNet's photos, as for the pretrained backbones
STD = (0.229, 0.224, 0.225)
# A coordinate within this distance of a whole pixel counts as that pixel. Otherwise a box that
# ends at the photo's edge could end beyond the input's edge: side / (side / input side) is not
# exact in floating point.
ROUNDING = 1e-6


def input_size(width: int, height: int) -> tuple[int, int]:
    """Return (width, height) of the network's input: short side 256, both multiples of 32.

    Rounds half to even, so the aspect ratio changes a little. Ratios beyond 20:1 become 20:1.
    """
    if width < 1 or height < 1:
        raise ValueError(f"a photo needs at least one pixel, got {width} x {height}")
    scale = SHORT_SIDE / min(width, height)
    return (
        min(round(width * scale / MULTIPLE) * MULTIPLE, LONG_SIDE),
        min(round(height * scale / MULTIPLE) * MULTIPLE, LONG_SIDE),
    )


def map_size(width: int, height: int) -> tuple[int, int]:
    """Return (rows, columns) of the feature map of a photo of this size in pixels."""
    input_w, input_h = input_size(width, height)
    return input_h // STRIDE, input_w // STRIDE


def prepare_image(rgb: npt.NDArray[np.uint8]) -> tuple[Tensor, tuple[float, float]]:
    """Resize and normalise one photo for the network.

    Args:
        rgb: uint8 [H, W, 3], sRGB, upright.

    Returns:
        The input float32 [3, h, w], and scale_xy = (W / w, H / h): photo pixels per input pixel.
        Pixels are divided by 256, not 255, as the published network was trained.

    Raises:
        ValueError: not uint8 [H, W, 3], or empty.
    """
    pixels = resized(rgb)
    height, width = pixels.shape[:2]
    scale_xy = rgb.shape[1] / width, rgb.shape[0] / height
    return normalised(torch.from_numpy(pixels)), scale_xy


def resized(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Resize a photo to the input's size: uint8 [h, w, 3]. Raises as `prepare_image` does."""
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(f"rgb must be uint8 [H, W, 3], got {rgb.dtype} {list(rgb.shape)}")
    height, width = rgb.shape[:2]
    size = input_size(width, height)
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def normalised(pixels: Tensor) -> Tensor:
    """Turn uint8 [h, w, 3] into the network's float32 [3, h, w], on the same device."""
    # Channel by channel and in place, this takes an eighth of the time of pixel by pixel.
    channels = pixels.permute(2, 0, 1).contiguous().float()
    mean, std = (
        torch.tensor(values, device=pixels.device)[:, None, None] for values in (MEAN, STD)
    )
    return channels.div_(256).sub_(mean).div_(std)


def boxes_to_input(boxes_px: Any, scale_xy: tuple[float, float]) -> Tensor:
    """Convert boxes of the photo to boxes of the input: low corners down, high corners up.

    Args:
        boxes_px: [N, 4] xyxy in pixels of the photo given to `prepare_image`, on the CPU.
        scale_xy: as `prepare_image` returned it.

    Returns: float32 [N, 4] xyxy in input pixels, on the CPU. A box inside the photo stays inside
        the input; its far edge may equal the input's side.

    Raises:
        ValueError: not [N, 4].
    """
    boxes = np.asarray(boxes_px, np.float64)  # numpy takes a fifth of torch's time for small steps
    if boxes.size == 0:
        return torch.zeros(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes_px must be [N, 4] xyxy, got {list(boxes.shape)}")
    scaled = boxes / np.array([*scale_xy, *scale_xy])
    low, high = np.floor(scaled[:, :2] + ROUNDING), np.ceil(scaled[:, 2:] - ROUNDING)
    return torch.from_numpy(np.concatenate([low, high], axis=1).astype(np.float32))
