"""Run the detectors of torchvision.models.detection, trained on COCO."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision import models

from pipeline.detectors.batches import batch_for, clipped, in_batches, padded, uploaded
from pipeline.detectors.checkpoint import check_layout, read_checkpoint
from pipeline.detectors.detection import Detections, Pixels
from pipeline.device import choose_device
from pipeline.errors import UsageError
from s2cnet.aot import CompiledModule, DynamicDim, load_or_compile

SCORE_THRESHOLD = 0.3
"""Least confidence of a reported box, low on purpose: the network weighs boxes, but a box that is
missing cannot be recovered."""
MAX_OBJECTS = 10
"""The number of object nodes in the larger published graph."""
GPU_BATCH = 8
SIDE_MULTIPLE = 32  # torchvision pads photos to multiples of it


class TorchvisionDetector:
    """Any model of torchvision.models.detection, with downloaded weights or a given file.

    Photos of one size share a forward pass on a GPU; on a CPU each has its own.
    """

    def __init__(
        self,
        model: str,
        weights: str | None = None,
        device: str | torch.device = "cpu",
        cache: Path | None = None,
    ) -> None:
        """Load a model.

        model: its name in torchvision, e.g. `ssdlite320_mobilenet_v3_large`.
        weights: path or fsspec URI of a state dict; None takes torchvision's own, downloaded once
            into torch.hub's folder.
        device, cache: see `make_detector`.

        Raises UsageError for an unknown model or device and for unusable weights.
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
        self._device = choose_device(device)
        self.batch = batch_for(self._device, GPU_BATCH)
        self._network: Any = _thresholded(network).to(self._device)
        self._categories: list[str] = published.meta["categories"]
        if cache is not None:
            self.compile(cache)

    @torch.inference_mode()
    def detect(self, photos: Sequence[Pixels]) -> list[Detections]:
        """See `Detector.detect`. At most 10 boxes of score .3 and more, best first."""
        found: dict[int, Detections] = {}
        inputs = [padded(photo) for photo in photos]
        for indices in in_batches([image.shape for image in inputs], self.batch):
            outputs = self._network([self._tensor(inputs[i]) for i in indices])
            found |= {
                i: self._detections(output, photos[i])
                for i, output in zip(indices, outputs, strict=True)
            }
        return [found[i] for i in range(len(photos))]

    def compile(self, folder: Path) -> None:
        """Compile the backbone ahead of time, or load it from `folder`; boxes stay the same.

        On a GPU this does nothing, since its passes have several photos. Raises CannotCompileError.
        """
        if self.batch != 1:
            return
        fixed = self._network.transform.fixed_size
        example = torch.zeros(1, 3, *(fixed[::-1] if fixed else (320, 416)))
        example = example.contiguous(memory_format=torch.channels_last)
        most = self._network.transform.max_size // SIDE_MULTIPLE + 1
        names = () if fixed else ((2, "rows"), (3, "columns"))
        # From 3 multiples on, every map of the pyramid has at least two cells, as the code assumes.
        dims = {i: DynamicDim(name, SIDE_MULTIPLE, 3, most) for i, name in names}
        backbone = self._network.backbone
        compiled = load_or_compile(backbone, example, dims, folder)
        self._network.backbone = _CompiledBackbone(backbone, compiled)

    def _tensor(self, image: Pixels) -> Tensor:
        return uploaded(image, self._device).permute(2, 0, 1).float() / 255

    def _detections(self, output: dict[str, Tensor], photo: Pixels) -> Detections:
        boxes, visible = clipped(output["boxes"], photo)
        keep = (visible & (output["scores"] >= SCORE_THRESHOLD)).nonzero()[:, 0][:MAX_OBJECTS]
        return Detections(
            boxes[keep].float().cpu().numpy(),
            output["scores"][keep].float().cpu().numpy(),
            [self._categories[int(label)] for label in output["labels"][keep]],
        )


class _CompiledBackbone(nn.Module):
    """A backbone that runs its compiled code if that accepts the input's shape."""

    def __init__(self, backbone: nn.Module, compiled: CompiledModule) -> None:
        super().__init__()
        self.backbone = backbone
        self.compiled = compiled

    def forward(self, images: Tensor) -> Any:
        return self.compiled(images) if self.compiled.accepts(images) else self.backbone(images)


def _thresholded(network: nn.Module) -> nn.Module:
    """Drop boxes under SCORE_THRESHOLD before non-maximum suppression instead of after it.

    They rank below those kept, so they can't suppress any, and the results are the same:
    ssdlite320 takes 51 ms of a CPU core, not 81. Channels-last suits the convolutions.
    """
    head: Any = getattr(network, "roi_heads", network)
    head.score_thresh = SCORE_THRESHOLD
    return network.eval().to(memory_format=torch.channels_last)


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
        f"Download {url} on a machine with internet access and name it in the detector, "
        f"torchvision:{model}:<that file>; or use the detector embedded"
    )
