"""RoIAlign and RoDAlign against stored numbers, hand calculation, loops, and torch's own checks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from cuda_ops import reference, rod_align, roi_align
from tests.cuda_ops import loops

GOLDEN = np.load(Path(__file__).parents[1] / "golden/align.npz")
Operator = Callable[[Tensor, Tensor, int, float], Tensor]
OPERATORS = pytest.mark.parametrize("operator", [roi_align, rod_align], ids=lambda op: op.__name__)
# What runs here, which may be compiled kernels, and the definition.
BOTH_WAYS = pytest.mark.parametrize(
    "operator",
    [roi_align, rod_align, reference.roi_align, reference.rod_align],
    ids=["roi_align", "rod_align", "definition-roi_align", "definition-rod_align"],
)
SCALE = 1 / 16


def draw(
    size: tuple[int, int, int, int], count: int = 7, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """A map and boxes: some inside, some overhanging, one inverted, one of a point, one of all."""
    generator = torch.Generator().manual_seed(sum(size) + count)
    features = torch.randn(size, generator=generator, dtype=torch.float64)
    side = 16 * torch.tensor([size[3], size[2]], dtype=torch.float64)
    corners = torch.rand(count, 2, 2, generator=generator, dtype=torch.float64) * 1.6 - 0.3
    low, high = corners.amin(1) * side, corners.amax(1) * side
    index = torch.arange(count, dtype=torch.float64)[:, None] % size[0]
    rois = torch.cat([index, low, high], dim=1)
    special = torch.tensor([[40.0, 40, 8, 8], [24, 24, 24, 24], [0, 0, *side]])
    rois[: len(special), 1:] = special[:count]
    return features.to(dtype), rois.to(dtype)


@pytest.mark.parametrize("case", range(3))
@BOTH_WAYS
def test_stored_numbers(operator: Operator, case: int) -> None:
    boxes = torch.from_numpy(GOLDEN[f"boxes{case}"])
    rois = torch.nn.functional.pad(boxes, (1, 0))
    features = torch.from_numpy(GOLDEN[f"features{case}"])[None]
    expected = torch.from_numpy(GOLDEN[f"{operator.__name__[:3]}{case}"])
    found = operator(features, rois, int(GOLDEN[f"size{case}"]), SCALE)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_roi_by_hand() -> None:
    """On the map f(row, column) = column, bilinear taps return the column itself.

    The box [16, 16, 47, 47] is 1..2.9375 in cells, so 2.9375 wide with the added cell: points at
    1, 1 + 2.9375 / 2, 1 + 2.9375. A is 2, so the averages are halfway: 1.734375 and 3.203125.
    """
    features = torch.arange(6.0).expand(1, 1, 6, 6)
    found = roi_align(features, torch.tensor([[0.0, 16, 16, 47, 47]]), 2, SCALE)
    expected = torch.tensor([[1.734375, 3.203125]] * 2)
    torch.testing.assert_close(found[0, 0], expected)


def test_roi_beyond_the_last_cell_is_extrapolated_and_beyond_the_map_zero() -> None:
    """A 4 x 4 map, f = column, box from cell 3 of no width: points at 3, 3.5 and 4.

    3 and 3.5 extend the slope between cells 2 and 3; 4 is outside and counts as 0.
    """
    features = torch.arange(4.0).expand(1, 1, 4, 4)
    found = roi_align(features, torch.tensor([[0.0, 48, 0, 48, 0]]), 2, SCALE)
    expected = torch.tensor([[(3 + 3.5) / 2, 3.5 / 2]] * 2)
    torch.testing.assert_close(found[0, 0], expected)


def test_rod_by_hand() -> None:
    """On a map of ones of 5 x 5 cells with A = 4, the points are 0.99975 cells apart.

    The box over cells 0..1 holds points 0 and 1 of each axis, so 2 x 2 of 25 points are 0. The
    first average has 4 of them, its neighbours 2, the diagonal one 1.
    """
    found = rod_align(torch.ones(1, 1, 5, 5), torch.tensor([[0.0, 0, 0, 16, 16]]), 4, SCALE)
    expected = torch.ones(4, 4)
    expected[:2, :2] = torch.tensor([[0, 0.5], [0.5, 0.75]])
    torch.testing.assert_close(found[0, 0], expected)


@pytest.mark.parametrize("size", [(1, 1, 2, 2), (2, 3, 5, 7), (3, 8, 16, 23), (1, 9, 31, 3)])
@pytest.mark.parametrize("align_size", [1, 4, 9])
@BOTH_WAYS
def test_loops_agree(operator: Operator, align_size: int, size: tuple[int, int, int, int]) -> None:
    features, rois = draw(size, dtype=torch.float64)
    found = operator(features, rois, align_size, SCALE)
    slow = getattr(loops, operator.__name__)
    for row, roi in enumerate(rois.numpy()):
        one = slow(features[int(roi[0])].numpy(), roi[1:], align_size, SCALE)
        np.testing.assert_allclose(found[row].numpy(), one, atol=1e-12)


@BOTH_WAYS
def test_no_boxes(operator: Operator) -> None:
    assert operator(torch.ones(2, 3, 8, 8), torch.zeros(0, 5), 4, SCALE).shape == (0, 3, 4, 4)


@BOTH_WAYS
def test_memory_layout_does_not_matter(operator: Operator) -> None:
    features, rois = draw((2, 8, 6, 9))
    expected = operator(features, rois, 5, SCALE)
    channels_last = features.to(memory_format=torch.channels_last)
    transposed = features.transpose(2, 3).contiguous().transpose(2, 3)
    strided = torch.cat([rois, rois], dim=1)[:, :5]
    for same in (channels_last, transposed):
        assert not same.is_contiguous()
        torch.testing.assert_close(operator(same, strided, 5, SCALE), expected, atol=0, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@BOTH_WAYS
def test_half_precision_is_accumulated_in_float32(operator: Operator, dtype: torch.dtype) -> None:
    """One rounding at the end: at most half a unit in the last place of the exact result."""
    features, rois = draw((1, 4, 8, 8))
    low = features.to(dtype)
    found = operator(low, rois, 5, SCALE)
    assert found.dtype == dtype
    exact = operator(low.float(), rois, 5, SCALE)
    torch.testing.assert_close(found, exact.to(dtype), atol=0, rtol=torch.finfo(dtype).eps)


@OPERATORS
def test_gradient(operator: Operator) -> None:
    features, rois = draw((2, 2, 5, 6), dtype=torch.float64)
    features.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: operator(x, rois, 3, SCALE), (features,))


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # opcheck's own
@OPERATORS
def test_registration(operator: Operator) -> None:
    features, rois = draw((2, 3, 5, 6))
    forward = getattr(torch.ops.s2cnet, operator.__name__).default
    backward = getattr(torch.ops.s2cnet, f"{operator.__name__}_backward").default
    torch.library.opcheck(forward, (features, rois, 3, SCALE))
    torch.library.opcheck(forward, (features.requires_grad_(), rois, 3, SCALE))
    torch.library.opcheck(backward, (torch.randn(7, 3, 3, 3), rois, [2, 3, 5, 6], 3, SCALE))


class Both(torch.nn.Module):
    def forward(self, features: Tensor, rois: Tensor) -> Tensor:
        return roi_align(features, rois, 3, SCALE) + rod_align(features, rois, 3, SCALE)


def test_compile_sees_through() -> None:
    features, rois = draw((2, 3, 5, 6))
    compiled = torch.compile(Both(), backend="aot_eager", fullgraph=True, dynamic=True)
    torch.testing.assert_close(compiled(features, rois), Both()(features, rois))


def test_export_sees_through_with_any_number_of_boxes() -> None:
    features, rois = draw((1, 3, 5, 6))
    height, width = torch.export.Dim("height", min=2), torch.export.Dim("width", min=2)
    shapes = ({2: height, 3: width}, {0: torch.export.Dim("boxes")})
    exported = torch.export.export(Both(), (features, rois), dynamic_shapes=shapes).module()
    features, rois = draw((1, 3, 9, 4), count=11)
    torch.testing.assert_close(exported(features, rois), Both()(features, rois))


@pytest.mark.parametrize(
    ("features", "rois", "size", "message"),
    [
        (torch.ones(3, 8, 8), torch.zeros(1, 5), 3, "features must be"),
        (torch.ones(1, 3, 8, 8, dtype=torch.int64), torch.zeros(1, 5), 3, "features must be"),
        (torch.ones(1, 3, 1, 8), torch.zeros(1, 5), 3, "at least 2 x 2"),
        (torch.ones(1, 3, 8, 8), torch.zeros(1, 4), 3, "rois must be"),
        (torch.ones(1, 3, 8, 8), torch.zeros(1, 5, dtype=torch.int64), 3, "rois must be"),
        (torch.ones(1, 3, 8, 8), torch.zeros(1, 5), 0, "output_size"),
        (torch.ones(1, 3, 8, 8), torch.zeros(1, 5, device="meta"), 3, "rois are on"),
    ],
)
@OPERATORS
def test_wrong_arguments(
    operator: Operator, features: Tensor, rois: Tensor, size: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        operator(features, rois, size, SCALE)


@pytest.mark.parametrize("index", [-1.0, 2.0])
@BOTH_WAYS
def test_image_that_is_not_there(operator: Operator, index: float) -> None:
    with pytest.raises((IndexError, RuntimeError), match="batch index that is not in"):
        operator(torch.ones(2, 3, 8, 8), torch.tensor([[index, 0, 0, 9, 9]]), 3, SCALE)
