"""Define MobileNetV2 (Sandler et al., arXiv 1801.04381, table 2), with torchvision's names.

Importing torchvision also loads torch's compiler: a second of CPU time in every process that
scores. Its state dicts fit here, and an untrained network of the same seed has the same weights.
"""

from torch import Tensor, nn

# Per stage: expansion of the channels inside a block, channels, blocks, stride of the first.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
FIRST, LAST, CLASSES = 32, 1280, 1000  # channels of the first and last layer; ImageNet's classes


def mobilenet_v2_features() -> nn.Sequential:
    """Build the 19 blocks before the classifier, initialised as torchvision does."""
    blocks: list[nn.Module] = [_convolution(3, FIRST, 3, stride=2)]
    channels = FIRST
    for expansion, out, count, stride in STAGES:
        for number in range(count):
            blocks.append(InvertedResidual(channels, out, stride if number == 0 else 1, expansion))
            channels = out
    blocks.append(_convolution(channels, LAST, 1))
    features = nn.Sequential(*blocks)
    # The classifier is unused. It only draws its random numbers, before and after the others are
    # initialised again, so that the next draws are the same as with torchvision's network.
    classifier = nn.Linear(LAST, CLASSES)
    for module in features.modules():
        # A tensor without memory has nothing to initialise, and torch's compiler would be loaded.
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
    if not classifier.weight.is_meta:
        nn.init.normal_(classifier.weight, 0, 0.01)
    return features


class InvertedResidual(nn.Module):
    """A block: widen, filter each channel, narrow; added to its input if the shapes agree."""

    def __init__(self, channels: int, out: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        layers = [] if expansion == 1 else [_convolution(channels, inner, 1)]
        layers.append(_convolution(inner, inner, 3, stride, groups=inner))
        narrow = nn.Conv2d(inner, out, kernel_size=1, bias=False)
        self.conv = nn.Sequential(*layers, narrow, nn.BatchNorm2d(out))
        self.use_res_connect = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """Map x [B, channels, h, w] to [B, out, h / stride, w / stride]."""
        y: Tensor = self.conv(x)
        return x + y if self.use_res_connect else y


def _convolution(
    channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    padding = (kernel - 1) // 2
    convolution = nn.Conv2d(channels, out, kernel, stride, padding, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU6(inplace=True))
