"""Input pixels and boxes against stored ones, and edge cases."""

import numpy as np
import pytest
import torch
from PIL import Image

from s2cnet import boxes_to_input, prepare_image
from s2cnet.inputs import input_size, normalised
from tests.support.drawn import GOLDEN

STORED = np.load(GOLDEN / "preprocess.npz")


@pytest.mark.parametrize("index", range(4))
def test_stored_input(index: int) -> None:
    """Stored in half precision, so equal to half a unit in the last place of values up to 2.7.

    One grey level more or less would be 0.017.
    """
    rgb = np.array(Image.open(GOLDEN / f"photo{index}.png").convert("RGB"))
    tensor, scale_xy = prepare_image(rgb)
    expected = torch.from_numpy(STORED[f"tensor{index}"]).float()
    torch.testing.assert_close(tensor, expected, atol=2**-10, rtol=0)
    height, width = tensor.shape[1:]
    assert scale_xy == (rgb.shape[1] / width, rgb.shape[0] / height)
    boxes_px = STORED[f"det_source{index}"][:, [1, 0, 3, 2]]
    found = boxes_to_input(boxes_px, scale_xy)
    assert torch.equal(found, torch.from_numpy(STORED[f"det_input{index}"]))


def test_one_colour_by_hand() -> None:
    tensor, scale_xy = prepare_image(np.full((10, 20, 3), 128, np.uint8))
    assert tensor.shape == (3, 256, 512)
    assert scale_xy == (20 / 512, 10 / 256)
    expected = torch.tensor([(0.5 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (0.5 - 0.406) / 0.225])
    torch.testing.assert_close(tensor[:, 7, 9], expected)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1, 1), (256, 256)),
        ((1024, 768), (352, 256)),  # 10.67 multiples of 32
        ((768, 816), (256, 256)),  # 8.5, rounded half to even
        ((768, 912), (256, 320)),  # 9.5 likewise
        ((2000, 100), (5120, 256)),
        ((16384, 1), (5120, 256)),  # held at 20:1
    ],
)
def test_input_size(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert input_size(*size) == expected


def test_borders_map_to_borders_for_every_size() -> None:
    """1024 / (1024 / 352) is a little more than 352 in floating point."""
    for side in range(200, 3000, 7):
        for input_side in (256, 288, 320, 352, 384, 608):
            box = torch.tensor([[0.0, 0.0, side, side]])
            found = boxes_to_input(box, (side / input_side, side / input_side))
            assert found.tolist() == [[0, 0, input_side, input_side]]


def test_boxes_are_rounded_outwards() -> None:
    found = boxes_to_input([[3, 5, 7, 9], [4, 4, 8, 8]], (2.0, 4.0))
    assert found.tolist() == [[1, 1, 4, 3], [2, 1, 4, 2]]
    assert found.dtype == torch.float32


@pytest.mark.parametrize("empty", [[], np.zeros((0, 4)), torch.zeros(0, 4)])
def test_no_boxes(empty: object) -> None:
    found = boxes_to_input(empty, (2.0, 2.0))
    assert (found.shape, found.dtype) == ((0, 4), torch.float32)


@pytest.mark.parametrize(
    "rgb",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 0, 3), np.uint8),
    ],
)
def test_wrong_pixels(rgb: np.ndarray) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=r"uint8|at least one pixel"):
        prepare_image(rgb)


@pytest.mark.parametrize("boxes", [[1, 2, 3, 4], [[1, 2, 3]], [[1, 2, 3, 4, 5]], [[[1, 2, 3, 4]]]])
def test_wrong_boxes(boxes: object) -> None:
    with pytest.raises(ValueError, match=r"\[N, 4\]"):
        boxes_to_input(boxes, (1.0, 1.0))


def test_pixels_stay_on_their_device() -> None:
    assert normalised(torch.empty(4, 5, 3, dtype=torch.uint8, device="meta")).device.type == "meta"
    assert normalised(torch.zeros(4, 5, 3, dtype=torch.uint8)).is_contiguous()


def test_a_coordinate_is_whole_within_a_millionth() -> None:
    near = [[2 - 5e-7, 2 - 2e-6, 5 + 5e-7, 5 + 2e-6]]
    assert boxes_to_input(near, (1.0, 1.0)).tolist() == [[2, 1, 5, 6]]
