"""Register RoIAlign and RoDAlign as torch custom operators: schema, shape rule, gradient, kernel.

An operator's Python function, schema and kernel take the same arguments. The kernel is the
definition of `cuda_ops.reference` on every device unless a compiled one is registered.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cuda_ops import kernels, reference

_ARGUMENTS = "(Tensor features, Tensor rois, int output_size, float spatial_scale) -> Tensor"
_BACKWARD_ARGUMENTS = (
    "(Tensor grad, Tensor rois, SymInt[] size, int output_size, float spatial_scale) -> Tensor"
)


def roi_align(features: Tensor, rois: Tensor, output_size: int, spatial_scale: float) -> Tensor:
    """Average the features sampled inside each box (see `cuda_ops.reference`).

    Args:
        features: [B, C, H, W] floating, H and W at least 2.
        rois: [K, 5] rows of (batch index, x0, y0, x1, y1), boxes in pixels of the network's input;
            x1 <= x0 and boxes beyond the map are allowed. Rows must be finite.
        output_size: A, at least 1.
        spatial_scale: feature cells per input pixel, 1/16 in S2CNet.

    Returns: [K, C, A, A], dtype of the features. Differentiable in the features, not in the boxes.

    Raises:
        ValueError: a shape, dtype or device that does not fit.
        IndexError or RuntimeError: a batch index that is not in 0..B-1 (on the CPU; the compiled
            CUDA kernel gives NaN for such a box).
    """
    _check(features, rois, output_size)
    out: Tensor = torch.ops.s2cnet.roi_align(features, rois, output_size, spatial_scale)
    return out


def rod_align(features: Tensor, rois: Tensor, output_size: int, spatial_scale: float) -> Tensor:
    """Average the features sampled over the map with each box discarded; as `roi_align`."""
    _check(features, rois, output_size)
    out: Tensor = torch.ops.s2cnet.rod_align(features, rois, output_size, spatial_scale)
    return out


def _check(features: Tensor, rois: Tensor, output_size: int) -> None:
    if features.dim() != 4 or not features.is_floating_point():
        raise ValueError(
            "features must be a floating tensor [B, C, H, W], "
            f"got {features.dtype} {list(features.shape)}"
        )
    if features.shape[2] < 2 or features.shape[3] < 2:
        raise ValueError(f"features must be at least 2 x 2 cells, got {list(features.shape)}")
    if rois.dim() != 2 or rois.shape[1] != 5 or not rois.is_floating_point():
        raise ValueError(
            "rois must be a floating tensor [K, 5] of (batch index, x0, y0, x1, y1), "
            f"got {rois.dtype} {list(rois.shape)}"
        )
    if rois.device != features.device:
        raise ValueError(f"rois are on {rois.device}, features on {features.device}")
    if output_size < 1:
        raise ValueError(f"output_size must be at least 1, got {output_size}")


def _shape(features: Tensor, rois: Tensor, output_size: int, spatial_scale: float) -> Tensor:
    return features.new_empty(rois.shape[0], features.shape[1], output_size, output_size)


def _backward_shape(
    grad: Tensor, rois: Tensor, size: list[int], output_size: int, spatial_scale: float
) -> Tensor:
    return grad.new_empty(size)


def _save_for_backward(ctx: Any, inputs: tuple[Tensor, Tensor, int, float], output: Tensor) -> None:
    features, rois, ctx.output_size, ctx.spatial_scale = inputs
    ctx.size = features.shape
    ctx.save_for_backward(rois)


def _register(name: str, forward: Callable[..., Tensor], backward: Callable[..., Tensor]) -> None:
    """Define `s2cnet::<name>` and `s2cnet::<name>_backward` with `reference` as their kernel."""

    def gradient(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        operator = getattr(torch.ops.s2cnet, f"{name}_backward")
        (rois,) = ctx.saved_tensors
        size = list(ctx.size)
        return operator(grad, rois, size, ctx.output_size, ctx.spatial_scale), None, None, None

    operator, operator_backward = f"s2cnet::{name}", f"s2cnet::{name}_backward"
    torch.library.define(operator, _ARGUMENTS)
    torch.library.define(operator_backward, _BACKWARD_ARGUMENTS)
    torch.library.impl(operator, "default", forward)
    torch.library.impl(operator_backward, "default", backward)
    torch.library.register_fake(operator, _shape)
    torch.library.register_fake(operator_backward, _backward_shape)
    torch.library.register_autograd(operator, gradient, setup_context=_save_for_backward)


_register("roi_align", reference.roi_align, reference.roi_align_backward)
_register("rod_align", reference.rod_align, reference.rod_align_backward)
COMPILED = kernels.load()  # "cpu", "cuda": where a compiled kernel replaces the definition
