"""The strings that select a detector, and the result that all detectors return."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import models

from pipeline.detectors import Detections, make_detector
from pipeline.errors import UsageError


@pytest.mark.parametrize("spec", ["", "yolo", "embedded:x", "torchvision", "torchvision:"])
def test_an_unknown_detector_lists_the_known_ones(spec: str) -> None:
    with pytest.raises(UsageError, match=r"use embedded, boxes, .* or vg:"):
        make_detector(spec)


@pytest.mark.parametrize("spec", ["embedded", "torchvision:ssdlite320_mobilenet_v3_large"])
def test_the_device_is_asked_for_by_the_common_rule(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    if spec != "embedded":
        network = models.get_model(spec.split(":")[1], weights=None, weights_backbone=None)
        torch.save(network.state_dict(), tmp_path / "drawn.pth")
        spec += f":{tmp_path / 'drawn.pth'}"
    with pytest.raises(UsageError, match="torch finds no CUDA GPU here; use cpu"):
        make_detector(spec, "cuda:1")


def test_detections_hold_their_shapes_together() -> None:
    boxes = np.zeros((2, 4), np.float32)
    with pytest.raises(ValueError, match="D labels"):
        Detections(boxes, np.ones(2, np.float32), ["a"])
    with pytest.raises(ValueError, match="D labels"):
        Detections(boxes[:, :3], np.ones(2, np.float32), ["a", "b"])
    with pytest.raises(ValueError, match=r"give arrays .* not boxes <class 'list'>"):
        Detections(boxes.tolist(), np.ones(2, np.float32), ["a", "b"])
    both = Detections(boxes, np.array([0.9, 0.1], np.float32), ["a", "b"])
    assert len(both) == 2
    assert both.top(1).labels == ["a"]
    assert both.top(1).boxes.shape == (1, 4)
    assert len(both.top(5)) == 2
    assert len(Detections()) == 0
