"""Odd shapes and batches, calculated by hand."""

import numpy as np
import torch

from pipeline.detectors.batches import FILL, batch_for, clipped, in_batches, padded


def test_thin_photos_grow_below_or_to_the_right() -> None:
    photo = np.full((1, 90, 3), 7, np.uint8)
    grown = padded(photo)
    assert grown.shape == (3, 90, 3)
    assert (grown[0] == 7).all()
    assert (grown[1:] == FILL).all()
    assert padded(photo.transpose(1, 0, 2)).shape == (90, 3, 3)
    ordinary = np.zeros((10, 300, 3), np.uint8)
    assert padded(ordinary) is ordinary


def test_boxes_end_at_the_photo() -> None:
    boxes = torch.tensor([[-5.0, 1, 4, 20], [12.0, 0, 15, 5], [2.0, 2, 2, 5]])
    inside, visible = clipped(boxes, np.zeros((10, 12, 3), np.uint8))
    assert inside[0].tolist() == [0, 1, 4, 10]
    assert visible.tolist() == [True, False, False]


def test_batches_never_mix_sizes() -> None:
    assert in_batches(["a", "b", "a", "a", "b"], 2) == [[0, 2], [3], [1, 4]]
    assert in_batches([], 4) == []
    assert batch_for(torch.device("cpu"), 8) == 1
    assert batch_for(torch.device("cuda", 1), 8) == 8
