"""torchvision detectors without downloads: weights are drawn and given by path."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torchvision import models

from pipeline.detectors import Detector, make_detector
from pipeline.detectors.torchvision_models import MAX_OBJECTS, SCORE_THRESHOLD
from pipeline.errors import UsageError

MODEL = "ssdlite320_mobilenet_v3_large"
DOG = 18  # COCO's category number


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn network that sees dogs of many scores; a fresh one sees the same everywhere."""
    torch.manual_seed(0)
    network = models.get_model(MODEL, weights=None, weights_backbone=None)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0  # one pass sets its statistics
    with torch.no_grad():
        network.train().head(list(network.backbone(torch.randn(2, 3, 320, 320)).values()))
        for name, tensor in network.head.classification_head.named_parameters():
            if name.endswith("1.bias") and len(tensor) == 6 * 91:  # six anchors a cell
                tensor.view(6, 91)[:, DOG] = 4.0
    path = tmp_path_factory.mktemp("weights") / "ssd.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def detector(weights: Path) -> Detector:
    return make_detector(f"torchvision:{MODEL}:{weights}")


def photos() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, size, np.uint8) for size in [(60, 90, 3), (120, 50, 3)]]


def test_boxes_are_torchvisions_own(detector: Detector, weights: Path) -> None:
    network = models.get_model(MODEL, weights=None, weights_backbone=None).eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    transform = models.get_model_weights(MODEL).DEFAULT.transforms()
    for photo, found in zip(photos(), detector.detect(photos()), strict=True):
        image = transform(torch.from_numpy(photo).permute(2, 0, 1))
        with torch.inference_mode():
            own = network([image])[0]
        count = min(MAX_OBJECTS, int((own["scores"] >= SCORE_THRESHOLD).sum()))
        assert count > 0
        np.testing.assert_allclose(found.boxes, own["boxes"][:count], atol=1e-4)
        np.testing.assert_allclose(found.scores, own["scores"][:count], atol=1e-6)
        assert set(found.labels) == {"dog"}
        assert (np.diff(found.scores) <= 0).all()


def test_a_photo_does_not_depend_on_its_neighbours(detector: Detector) -> None:
    first, second = photos()
    alone = detector.detect([second])[0]
    np.testing.assert_array_equal(detector.detect([first, second])[1].boxes, alone.boxes)


def test_batches_hold_photos_of_one_size(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = photos()
    alone = detector.detect([first, second])
    monkeypatch.setattr(detector, "batch", 8)
    together = detector.detect([first, second, first[:, ::-1].copy(), first])
    for index, single in ((0, alone[0]), (1, alone[1]), (3, alone[0])):
        np.testing.assert_allclose(together[index].boxes, single.boxes, atol=1e-3)
        np.testing.assert_allclose(together[index].scores, single.scores, atol=1e-5)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 3000), (3000, 2)])
def test_odd_shapes_stay_inside_the_photo(detector: Detector, size_hw: tuple[int, int]) -> None:
    height, width = size_hw
    (found,) = detector.detect([np.full((height, width, 3), 90, np.uint8)])
    assert (found.boxes >= 0).all()
    assert (found.boxes[:, 2:] <= [width, height]).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()


def test_identity_follows_the_weights(detector: Detector, weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    next(iter(state.values())).add_(1)
    torch.save(state, tmp_path / "other.pth")
    other = make_detector(f"torchvision:{MODEL}:{tmp_path / 'other.pth'}")
    assert other.identity != detector.identity
    assert other.name == detector.name == f"torchvision:{MODEL}"


def test_offline_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise URLError("no route")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with pytest.raises(
        UsageError, match=r"Download https://\S+\.pth .* and name it in the detector, torchvision:"
    ):
        make_detector(f"torchvision:{MODEL}")


def test_a_download_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights: Path, detector: Detector
) -> None:
    downloads = []

    def download(url: str, path: str, hash_prefix: str, progress: bool) -> None:
        downloads.append((url, hash_prefix))
        Path(path).write_bytes(weights.read_bytes())

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    assert make_detector(f"torchvision:{MODEL}").identity == detector.identity
    assert make_detector(f"torchvision:{MODEL}").identity == detector.identity
    assert len(downloads) == 1
    url, hash_prefix = downloads[0]
    assert url.endswith(f"-{hash_prefix}.pth")


def test_wrong_names_and_files(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ssdlite320_mobilenet_v3_large"):
        make_detector("torchvision:resnet18")
    with pytest.raises(UsageError, match=r"can't use the weights .* there is no weights file"):
        make_detector(f"torchvision:{MODEL}:{tmp_path / 'none.pth'}")
    with pytest.raises(UsageError, match="another layout"):
        make_detector(f"torchvision:fcos_resnet50_fpn:{weights}")
