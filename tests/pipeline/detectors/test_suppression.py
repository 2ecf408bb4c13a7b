"""Suppression and clipping, by hand and against torchvision."""

import numpy as np
import pytest
import torch
from torchvision.ops import clip_boxes_to_image
from torchvision.ops import nms as torchvision_nms

from pipeline.detectors.suppression import clipped_to, nms


def test_a_box_that_overlaps_a_better_one_too_much_is_left_out() -> None:
    boxes = np.array([[0, 0, 4, 2], [0, 0, 2, 2], [1, 0, 5, 2], [9, 9, 10, 10]], np.float32)
    scores = np.array([0.5, 0.9, 0.5, 0.1], np.float32)
    # IoU with the best: 4/8 = .5, which is not more than .5; the third overlaps the first 6/10.
    assert nms(boxes, scores, 0.5).tolist() == [1, 0, 3]
    assert nms(boxes, scores, 0.49).tolist() == [1, 2, 3]
    assert nms(boxes[:0], scores[:0], 0.5).tolist() == []


@pytest.mark.parametrize("seed", range(5))
def test_suppression_is_torchvision_s(seed: int) -> None:
    random = np.random.default_rng(seed)
    low = random.uniform(0, 60, (200, 2))
    boxes = np.hstack([low, low + random.uniform(0, 30, (200, 2))]).astype(np.float32)
    scores = (random.integers(0, 50, 200) / 50).astype(np.float32)  # many are equal
    kept = nms(boxes, scores, 0.5)
    expected = torchvision_nms(torch.from_numpy(boxes), torch.from_numpy(scores), 0.5)
    assert kept.tolist() == expected.tolist()
    assert 10 < len(kept) < 200


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_clipping_is_torchvision_s(kind: torch.dtype) -> None:
    boxes = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=kind) * 40
    clipped = clipped_to(boxes, 20, 30)
    assert torch.equal(clipped, clip_boxes_to_image(boxes, (20, 30)))
    assert clipped.dtype == kind
