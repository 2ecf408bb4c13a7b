"""S2CNet made ready for one device: its backbone compiled, its precision chosen once.

The same scores as `S2CNet.score`, through the same `encode` and `score_crops`. What is compiled is
what wins by it. On one core of a CPU the backbone's package takes 15 ms instead of 20 for 256 x 384
pixels, while the graph of the candidates is as fast as it is (its matrix products run at the
processor's peak already). One package serves every size of picture. On a GPU launching kernels
costs more than running them, so there each shape is recorded once and replayed, see
`s2cnet.recorded`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from s2cnet import context, scoring
from s2cnet.aot import DynamicDim, load_or_compile
from s2cnet.context import ImageContext
from s2cnet.folded_weights import FoldedWeights, fold_backbone
from s2cnet.inputs import LONG_SIDE, MULTIPLE, SHORT_SIDE
from s2cnet.model import S2CNet, check_crops, check_images
from s2cnet.scoring import TYPES, Precision


class ReadyS2CNet:
    """`S2CNet` for scoring alone, in one precision, with a backbone of its own.

    The weights are taken as they are now; later changes of the network are not seen.
    """

    def __init__(
        self,
        network: S2CNet,
        precision: Precision = "float32",
        packages: Path | None = None,
    ) -> None:
        """
        precision: of the feed-forwards, and on a GPU of the backbone too.
        packages: folder of compiled packages; None leaves the backbone as it is.

        Raises CannotCompileError where `packages` is given and there is no compiler.
        """
        self.network = network.eval()
        self.precision: Precision = precision
        self.weights = self._weights(packages)

    def _weights(self, packages: Path | None) -> FoldedWeights:
        device = next(self.network.parameters()).device
        kind = TYPES[self.precision] if device.type == "cuda" else torch.float32
        backbone: Callable[[Tensor], Tensor] = self.network.folded_weights().backbone
        if kind != torch.float32:
            backbone = ReducedBackbone(fold_backbone(self.network.backbone), kind)
        if packages is not None:
            assert isinstance(backbone, nn.Module)
            backbone = compiled_backbone(backbone, device, packages)
        return replace(self.network.folded_weights(), backbone=backbone)

    @torch.no_grad()
    def encode(self, images: Tensor, detections: Sequence[Tensor]) -> ImageContext:
        """As `S2CNet.encode`."""
        check_images(images, detections)
        return context.encode(self.network, self.weights, images, detections)

    @torch.no_grad()
    def score_crops(self, encoded: ImageContext, crops: Tensor) -> Tensor:
        """As `S2CNet.score_crops`."""
        check_crops(crops, len(encoded.pictures))
        return scoring.score_crops(self.network, encoded, crops, self.precision)

    def score(self, images: Tensor, crops: Tensor, detections: Sequence[Tensor]) -> Tensor:
        """As `S2CNet.score`."""
        return self.score_crops(self.encode(images, detections), crops)


class ReducedBackbone(nn.Module):
    """A backbone that computes in half precision; float32 in and out."""

    def __init__(self, backbone: nn.Module, kind: torch.dtype) -> None:
        super().__init__()
        self.backbone = backbone.to(kind)
        self.kind = kind

    def forward(self, images: Tensor) -> Tensor:
        """As `Backbone.forward`."""
        features: Tensor = self.backbone(images.to(self.kind))
        return features.float()


def compiled_backbone(
    backbone: nn.Module, device: torch.device, folder: Path
) -> Callable[[Tensor], Tensor]:
    """The backbone as one package for one picture of any size that `prepare_image` makes."""
    example = torch.zeros(1, 3, SHORT_SIDE, SHORT_SIDE + 4 * MULTIPLE, device=device)
    most = LONG_SIDE // MULTIPLE
    dims = {i: DynamicDim(name, MULTIPLE, 2, most) for i, name in ((2, "rows"), (3, "columns"))}
    channels_last = example.contiguous(memory_format=torch.channels_last)
    one = load_or_compile(backbone, channels_last, dims, folder)
    return lambda images: torch.cat([one(image[None]) for image in images])
