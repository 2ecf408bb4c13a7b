"""Detectors of torchvision.models.detection, trained on COCO."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.error import URLError

import numpy as np
import torch
from torch import Tensor, nn
from torchvision import models

from pipeline.detectors import Detections, Pixels
from pipeline.detectors.checkpoint import check_layout, read_checkpoint
from pipeline.errors import UsageError

SCORE_THRESHOLD = 0.3
"""Least confidence of a reported box. Low on purpose: the network weighs boxes, a miss is lost."""
MAX_OBJECTS = 10
"""As many as the larger published graph has nodes for."""


class TorchvisionDetector:
    """Any model of torchvision.models.detection, with downloaded weights or a given file.

    One photo is one forward pass: a batch is padded to its largest member there, which would make
    a photo's boxes depend on its neighbours.
    """

    def __init__(self, model: str, weights: str | None = None, device: str = "cpu") -> None:
        """`model`: its name in torchvision, e.g. `ssdlite320_mobilenet_v3_large`.

        `weights`: path or fsspec URI of a state dict; None takes torchvision's own, downloaded
        into torch.hub's folder once. Raises UsageError for an unknown model or unusable weights.
        """
        names = models.list_models(module=models.detection)
        if model not in names:
            raise UsageError(f"torchvision has no detector {model!r}, only {', '.join(names)}")
        published = models.get_model_weights(model).DEFAULT
        source = weights or str(_download(model, published.url))
        state, sha256 = read_checkpoint(source, _how_to_get(model, published.url))
        network: nn.Module = models.get_model(model, weights=None, weights_backbone=None)
        check_layout(state, network.state_dict(), source)
        network.load_state_dict(state)
        self.name = f"torchvision:{model}"
        self.identity = f"{model}:{sha256}"
        self._network = network.eval().to(device)
        self._device = device
        self._categories: list[str] = published.meta["categories"]

    @torch.inference_mode()
    def detect(self, photos: Sequence[Pixels]) -> list[Detections]:
        """See `Detector.detect`. At most 10 boxes of score .3 and more, best first."""
        return [self._detect_one(photo) for photo in photos]

    def _detect_one(self, photo: Pixels) -> Detections:
        image = torch.from_numpy(np.ascontiguousarray(photo)).to(self._device)
        found: dict[str, Tensor] = self._network([image.permute(2, 0, 1).float() / 255])[0]
        keep = (found["scores"] >= SCORE_THRESHOLD).nonzero()[:, 0][:MAX_OBJECTS]
        return Detections(
            found["boxes"][keep].float().cpu().numpy(),
            found["scores"][keep].float().cpu().numpy(),
            [self._categories[int(label)] for label in found["labels"][keep]],
        )


def _download(model: str, url: str) -> Path:
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    sha256_prefix = path.stem.rsplit("-", 1)[-1]
    try:
        torch.hub.download_url_to_file(url, str(path), sha256_prefix, progress=False)
    except (URLError, OSError, RuntimeError) as error:
        raise UsageError(
            f"can't download the weights of {model}: {error}. {_how_to_get(model, url)}"
        ) from error
    return path


def _how_to_get(model: str, url: str) -> str:
    return (
        f"Download {url} on a machine with internet access and pass "
        f"--detector torchvision:{model}:<that file>, or use --detector embedded"
    )
