"""GAIC, the baseline: the same backbone and operators, each crop judged alone, without a graph.

Zeng, Li, Cao and Zhang: "Reliable and Efficient Image Cropping: A Grid Anchor based Approach",
CVPR 2019. Its scores differ from `S2CNet`'s by what the graph of objects adds: an ablation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cuda_ops import rod_align, roi_align
from s2cnet.backbone import STRIDE, Backbone
from s2cnet.checkpoint import WeightsError
from s2cnet.config import BackboneName
from s2cnet.model import check_inputs


@dataclass(frozen=True)
class GAICConfig:
    """Shape of the baseline; the defaults are those of the published GAIC-MobileNetV2.

    backbone: feature extractor. align_size: samples per side of a crop. reduced_dim: channels of
    the map that is sampled.
    """

    backbone: BackboneName = "mobilenet_v2"
    align_size: int = 9
    reduced_dim: int = 8


class GAIC(nn.Module):
    """Scores crops from the features they keep and the features they discard."""

    def __init__(self, config: GAICConfig | None = None) -> None:
        super().__init__()
        self.config = config or GAICConfig()
        channels = 2 * self.config.reduced_dim
        self.backbone = Backbone(self.config.backbone, self.config.reduced_dim)
        self.head = nn.Sequential(
            nn.Sequential(
                nn.Conv2d(channels, 768, self.config.align_size), nn.BatchNorm2d(768), nn.ReLU()
            ),
            nn.Sequential(nn.Conv2d(768, 128, 1), nn.BatchNorm2d(128), nn.ReLU()),
            nn.Dropout(0.5),
            nn.Conv2d(128, 1, 1),
        )

    @classmethod
    def untrained(cls, config: GAICConfig | None = None, seed: int = 0) -> "GAIC":
        """A network with weights drawn from `seed`, in evaluation mode."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config).eval()

    def forward(self, images: Tensor, crops: Tensor, detections: Sequence[Tensor]) -> Tensor:
        """Arguments, result and errors of `S2CNet.forward`; the detections are not looked at."""
        check_inputs(images, crops, detections)
        features = self.backbone(images)  # [B, C, h, w]
        size, scale = self.config.align_size, 1 / STRIDE
        kept = roi_align(features, crops, size, scale)
        lost = rod_align(features, crops, size, scale)
        scores: Tensor = self.head(torch.cat([kept, lost], dim=1))  # [K, 1, 1, 1]
        return scores.flatten()

    def score(self, images: Tensor, crops: Tensor, detections: Sequence[Tensor]) -> Tensor:
        """The same as `forward`: there is nothing per picture to share beyond the backbone."""
        return self.forward(images, crops, detections)


# Own prefix -> prefix in a weights file. The stages keep torchvision's block numbers; inside a
# block, names are nested as in torchvision.
_PREFIXES = {
    "backbone.stage3.": "Feat_ext.feature3.",
    "backbone.stage4.": "Feat_ext.feature4.",
    "backbone.stage5.": "Feat_ext.feature5.",
    "backbone.reduce.": "DimRed.",
    "head.": "FC_layers.",
}


def to_gaic_state_dict(network: GAIC) -> dict[str, Tensor]:
    """The network's tensors as weights files hold them.

    Feat_ext.feature3|4|5.<block>…   backbone stages of stride 8, 16 and 32
    DimRed.weight, .bias             1×1 convolution to 8 channels
    FC_layers.0.0|0.1                align_size² × 16 → 768 convolution, its batch-norm
    FC_layers.1.0|1.1, FC_layers.3   768 → 128 with batch-norm, 128 → 1
    """
    return {
        _file_name(name): tensor.detach().cpu().contiguous()
        for name, tensor in network.state_dict().items()
    }


def load_gaic(mapping: Mapping[str, Tensor]) -> GAIC:
    """A baseline in evaluation mode with the given weights, cast to float32.

    Raises WeightsError where names or shapes are not those of the layout.
    """
    network = GAIC()
    own = network.state_dict()
    expected = {_file_name(name): name for name in own}
    differing = sorted(set(expected) ^ set(mapping))
    differing += [
        name
        for name, tensor in mapping.items()
        if name in expected and tensor.shape != own[expected[name]].shape
    ]
    if differing:
        raise WeightsError(
            f"not the layout of a GAIC-MobileNetV2, {len(differing)} tensors differ: "
            + ", ".join(differing[:5])
        )
    network.load_state_dict(
        {expected[name]: tensor.to(own[expected[name]].dtype) for name, tensor in mapping.items()}
    )
    return network.eval()


def _file_name(name: str) -> str:
    prefix = next(prefix for prefix in _PREFIXES if name.startswith(prefix))
    return _PREFIXES[prefix] + name.removeprefix(prefix)
