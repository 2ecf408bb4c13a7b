"""Detectors in other forms give the same boxes.

Compiled with torch's compiler (slow) or with one that only saves the graph, and run by ONNX
Runtime.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import models

from pipeline.detectors import Detections, make_detector
from pipeline.detectors.embedded import EmbeddedDetector, run_detector
from pipeline.detectors.torchvision_models import TorchvisionDetector
from s2cnet.onnx import OnnxModule
from tests.support.odd_photos import scene

PHOTOS = [scene(300, 200), scene(200, 260), scene(90, 900)]


def check(detector: EmbeddedDetector | TorchvisionDetector, folder: Path) -> None:
    plain = detector.detect(PHOTOS)
    detector.compile(folder)
    assert len(list(folder.glob("*.pt2"))) == 1
    check_same(plain, detector.detect(PHOTOS))


def check_same(plain: list[Detections], other: list[Detections]) -> None:
    for before, after in zip(plain, other, strict=True):
        assert before.labels == after.labels
        np.testing.assert_allclose(after.boxes, before.boxes, atol=0.01)
        np.testing.assert_allclose(after.scores, before.scores, atol=1e-4)


@pytest.mark.usefixtures("_compiler")
def test_embedded(tmp_path: Path) -> None:
    check(EmbeddedDetector(), tmp_path)


@pytest.mark.usefixtures("_compiler")
def test_a_detector_is_made_compiled_where_a_folder_is_named(tmp_path: Path) -> None:
    compiled = make_detector("embedded", cache=tmp_path)
    assert len(list(tmp_path.glob("*.pt2"))) == 1
    (before,), (after,) = (one.detect(PHOTOS[:1]) for one in (EmbeddedDetector(), compiled))
    assert before.labels == after.labels


def test_onnxruntime(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    other = make_detector("embedded", cache=tmp_path, runtime="onnxruntime")
    assert isinstance(other, EmbeddedDetector)
    assert type(other._network) is OnnxModule
    assert not list(tmp_path.iterdir()), "nothing is left to compile"
    check_same(EmbeddedDetector().detect(PHOTOS), other.detect(PHOTOS))


@pytest.mark.usefixtures("_compiler")
@pytest.mark.parametrize(
    "model",
    [
        "ssdlite320_mobilenet_v3_large",
        pytest.param("fasterrcnn_mobilenet_v3_large_320_fpn", marks=pytest.mark.slow),
    ],
)
def test_torchvision(model: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = models.get_model(model, weights=None, weights_backbone=None)
    weights = tmp_path / "drawn.pth"
    torch.save(network.state_dict(), weights)
    detector = TorchvisionDetector(model, str(weights))
    head: Any = detector._network
    getattr(head, "roi_heads", head).score_thresh = 0.0  # drawn weights are sure of nothing
    image = torch.rand(1, 3, 320, 320)
    before = detector._network.backbone(image)
    check(detector, tmp_path / "cache")
    with torch.no_grad():
        after = detector._network.backbone(image)
    assert list(after) == list(before)
    for name, features in before.items():
        torch.testing.assert_close(after[name], features, atol=1e-4, rtol=1e-3)


def test_on_a_gpu_passes_are_recorded_a_photo_each_and_nothing_is_compiled(
    tmp_path: Path,
) -> None:
    """Without the card: the recording then calls the network on the buffers of its graph."""
    detector, photos = EmbeddedDetector(), [scene(200, 150), scene(200, 150)[::-1]]
    inputs = [torch.from_numpy(detector.detector_input(photo)) for photo in photos]
    detector.batch = 8
    plain = detector.detect_inputs(inputs, photos)
    detector._device = torch.device("cuda")
    detector.compile(tmp_path)
    assert detector.batch == 1
    assert not list(tmp_path.iterdir())
    for _ in range(2):  # recorded, then replayed
        for found, expected in zip(detector.detect_inputs(inputs, photos), plain, strict=True):
            assert found.labels == expected.labels
            np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.01)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pictures_have_the_layout_of_their_device(
    layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture alone in channels last makes cuDNN begin with 3 s for each new size."""
    given: list[torch.Tensor] = []
    monkeypatch.setattr("pipeline.detectors.embedded.layout_for", lambda _: layout)
    pictures = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8)
    run_detector(lambda images: given.append(images) or images, pictures)
    assert given[0].is_contiguous(memory_format=layout)
    assert given[0].dtype == torch.float32
    assert torch.equal(given[0], pictures.permute(0, 3, 1, 2).float())
