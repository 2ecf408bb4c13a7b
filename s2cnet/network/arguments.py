"""Check the arguments of `S2CNet.forward`, for the definition and for the fast path."""

from collections.abc import Sequence

import torch
from torch import Tensor


def check_inputs(images: Tensor, crops: Tensor, detections: Sequence[Tensor]) -> None:
    """Raise ValueError for arguments that `S2CNet.forward` cannot score."""
    check_images(images, detections)
    check_crops(crops, len(images))
    check_numbers("crops", crops, images.dtype)


def check_images(images: Tensor, detections: Sequence[Tensor]) -> None:
    """Raise ValueError for images or object boxes that cannot be used."""
    if images.dim() != 4 or images.shape[1] != 3 or min(images.shape[2:]) < 32:
        raise ValueError(
            f"images must be [B, 3, H, W] with sides of at least 32, got {list(images.shape)}"
        )
    if not len(images) or not images.is_floating_point():
        raise ValueError(
            f"images must be one or more, of floating point as `prepare_image` makes them, got "
            f"{len(images)} of {images.dtype}"
        )
    if len(detections) != len(images):
        raise ValueError(f"{len(images)} images need as many detections, got {len(detections)}")
    for boxes in detections:
        if boxes.dim() != 2 or boxes.shape[1] != 4:
            raise ValueError(f"detections must be [D, 4] xyxy, got {list(boxes.shape)}")
        check_numbers("detections", boxes, images.dtype)
        _check_finite("detections", boxes)


def check_crops(crops: Tensor, images: int) -> None:
    """Raise ValueError for crops that do not fit the number of images."""
    if crops.dim() != 2 or crops.shape[1] != 5:
        raise ValueError(
            f"crops must be [K, 5]: image index, x0, y0, x1, y1; got {list(crops.shape)}"
        )
    _check_finite("crops", crops)
    if torch.compiler.is_compiling() or len(crops) == 0:
        return
    lowest, highest = int(crops[:, 0].min()), int(crops[:, 0].max())
    if lowest < 0 or highest >= images:
        raise ValueError(
            f"image indices of crops must lie in 0..{images - 1}, got {lowest}..{highest}"
        )


def check_numbers(name: str, boxes: Tensor, dtype: torch.dtype) -> None:
    """Raise ValueError for boxes of another dtype than `dtype`, with which they are multiplied."""
    if boxes.dtype != dtype:
        raise ValueError(f"{name} must be {dtype} as the images, got {boxes.dtype}: convert them")


def _check_finite(name: str, boxes: Tensor) -> None:
    # While torch traces or compiles, values are unknown.
    if not torch.compiler.is_compiling() and not bool(boxes.isfinite().all()):
        raise ValueError(f"{name} must be finite")
