"""Define RoIAlign and RoDAlign in plain PyTorch; every faster kernel is tested against this.

Both operators read an (A+1) x (A+1) grid of points from a feature map with one bilinear tap each,
then average every 2 x 2 neighbourhood with stride 1 into A x A values. They differ in where the
points lie:

- RoIAlign spreads them over the box;
- RoDAlign ("region of discard") spreads them over the whole map and zeroes those inside the box.

They are not torchvision's roi_align: a box is one cell wider, a point outside the map counts as 0,
and a point between the last cell and the map's edge is extrapolated (see `bilinear_taps`). The
operators are those of "Spatial-Semantic Collaborative Cropping for User Generated Content",
AAAI 2024, https://arxiv.org/abs/2401.08086.

Both are linear in the features, so each is a table of taps (`cell`, `weight`): reading through the
table is the forward pass and writing through it is the backward pass.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Taps(NamedTuple):
    """Where each grid point reads: four cells of the flattened map and their weights."""

    cell: Tensor  # [K, P, 4] int64, row * width + column
    weight: Tensor  # [K, P, 4]


TapsOf = Callable[[Tensor, int, int, int], Taps]


def roi_align(features: Tensor, rois: Tensor, output_size: int, spatial_scale: float) -> Tensor:
    """Average the samples inside each box.

    Args:
        features: [B, C, H, W], H and W at least 2.
        rois: [K, 5] rows of (batch index, x0, y0, x1, y1), in pixels of the network's input.
        output_size: A.
        spatial_scale: feature cells per input pixel, 1/16 in S2CNet.

    Returns: [K, C, A, A] in the features' dtype; half precisions are accumulated in float32.
    """
    return _read(features, rois, roi_taps, output_size, spatial_scale)


def rod_align(features: Tensor, rois: Tensor, output_size: int, spatial_scale: float) -> Tensor:
    """Average the samples of the whole map, zero inside each box; arguments as of `roi_align`."""
    return _read(features, rois, rod_taps, output_size, spatial_scale)


def roi_align_backward(
    grad: Tensor, rois: Tensor, size: list[int], output_size: int, spatial_scale: float
) -> Tensor:
    """Compute `roi_align`'s gradient for the features, of shape `size`; boxes get none."""
    return _write(grad, rois, roi_taps, size, output_size, spatial_scale)


def rod_align_backward(
    grad: Tensor, rois: Tensor, size: list[int], output_size: int, spatial_scale: float
) -> Tensor:
    """Compute `rod_align`'s gradient for the features, of shape `size`; boxes get none."""
    return _write(grad, rois, rod_taps, size, output_size, spatial_scale)


def roi_taps(boxes: Tensor, height: int, width: int, output_size: int) -> Taps:
    """Compute taps of points y0 + p * max(y1 - y0 + 1, 0) / A for p = 0..A, and the same for x.

    `boxes` [K, 4] (x0, y0, x1, y1) and the points are in feature cells.
    """
    x0, y0, x1, y1 = boxes.unbind(dim=1)
    steps = torch.arange(output_size + 1, device=boxes.device, dtype=boxes.dtype)
    size = steps[-1]  # A on the device: for a Python number CUDA multiplies by its reciprocal
    rows = y0[:, None] + steps * ((y1 - y0 + 1).clamp(min=0) / size)[:, None]
    columns = x0[:, None] + steps * ((x1 - x0 + 1).clamp(min=0) / size)[:, None]
    inside_rows = (rows >= 0) & (rows < height)
    inside_columns = (columns >= 0) & (columns < width)
    read = inside_rows[:, :, None] & inside_columns[:, None, :]
    return bilinear_taps(rows, columns, read, height, width)


def rod_taps(boxes: Tensor, height: int, width: int, output_size: int) -> Taps:
    """Compute taps of a fixed grid over the map, except for the points inside each box.

    The grid's steps are (H - 1.001) / A and (W - 1.001) / A. `boxes` [K, 4] (x0, y0, x1, y1) are in
    feature cells; a point on a box's edge is inside it.
    """
    x0, y0, x1, y1 = (edge[:, None] for edge in boxes.unbind(dim=1))
    steps = torch.arange(output_size + 1, device=boxes.device, dtype=boxes.dtype)
    rows = (steps * ((height - 1.001) / output_size)).expand(len(boxes), -1)
    columns = (steps * ((width - 1.001) / output_size)).expand(len(boxes), -1)
    inside_rows = (rows >= y0) & (rows <= y1)
    inside_columns = (columns >= x0) & (columns <= x1)
    read = ~(inside_rows[:, :, None] & inside_columns[:, None, :])
    return bilinear_taps(rows, columns, read, height, width)


def bilinear_taps(rows: Tensor, columns: Tensor, read: Tensor, height: int, width: int) -> Taps:
    """Return the four cells around every (row, column), weight 0 where `read` [K, R, C] is false.

    The top-left cell is min(floor(row), height - 2), and the offset from it is not clamped: on
    height - 1 <= row < height it reaches [1, 2) and the value is extrapolated.
    """
    top = rows.floor().clamp(0, height - 2)
    left = columns.floor().clamp(0, width - 2)
    down, right = (rows - top)[:, :, None], (columns - left)[:, None, :]  # [K, R, 1], [K, 1, C]
    weight = torch.stack(
        [(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right], dim=-1
    )
    corner = (top[:, :, None] * width + left[:, None, :]).long()
    step = torch.arange(2, device=rows.device)
    offsets = (width * step[:, None] + step).flatten()  # 0, 1, width, width + 1
    index = corner[..., None] + offsets
    weight = torch.where(read[..., None], weight, 0)
    return Taps(index.flatten(1, 2), weight.flatten(1, 2))


def _read(
    features: Tensor, rois: Tensor, taps_of: TapsOf, output_size: int, spatial_scale: float
) -> Tensor:
    batch, channels, height, width = features.shape
    compute = torch.promote_types(features.dtype, torch.float32)
    taps = taps_of(rois[:, 1:].to(compute) * spatial_scale, height, width, output_size)
    cells = features.to(compute).permute(0, 2, 3, 1).reshape(-1, channels)  # [B*H*W, C]
    index = taps.cell + _first_cell(rois, batch, height * width)[:, None, None]
    points = (cells[index] * taps.weight[..., None]).sum(dim=2)  # [K, P, C]
    side = output_size + 1
    grid = points.transpose(1, 2).reshape(len(rois), channels, side, side).contiguous()
    return functional.avg_pool2d(grid, 2, stride=1).to(features.dtype)


def _write(
    grad: Tensor,
    rois: Tensor,
    taps_of: TapsOf,
    size: list[int],
    output_size: int,
    spatial_scale: float,
) -> Tensor:
    batch, channels, height, width = size
    compute = torch.promote_types(grad.dtype, torch.float32)
    taps = taps_of(rois[:, 1:].to(compute) * spatial_scale, height, width, output_size)
    # A point feeds the up to four averages around it, each with weight 1/4.
    grid = functional.avg_pool2d(functional.pad(grad.to(compute), (1, 1, 1, 1)), 2, stride=1)
    points = grid.flatten(2).transpose(1, 2)  # [K, P, C]
    index = taps.cell + _first_cell(rois, batch, height * width)[:, None, None]
    spread = points[:, :, None, :] * taps.weight[..., None]  # [K, P, 4, C]
    cells = torch.zeros(batch * height * width, channels, dtype=compute, device=grad.device)
    cells.index_add_(0, index.flatten(), spread.reshape(-1, channels))
    features = cells.view(batch, height, width, channels).permute(0, 3, 1, 2)
    return features.to(grad.dtype).contiguous()


def _first_cell(rois: Tensor, batch: int, cells: int) -> Tensor:
    """Return where each box's map starts in the flattened batch, [K]."""
    index = rois[:, 0].long()
    # Reading the values would make a GPU wait.
    if index.device.type == "cpu" and ((index < 0) | (index >= batch)).any():
        raise IndexError(f"rois name a batch index that is not in 0..{batch - 1}")
    return index * cells
