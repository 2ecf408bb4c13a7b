"""Define the network of the embedded detector, which locates a photo's subjects at stride 8.

The trunk is EfficientNet-Lite0 (squeeze-and-excitation and swish left out, ReLU6 instead:
https://blog.tensorflow.org/2020/03/higher-accuracy-on-vision-models-with-efficientnet-lite.html)
up to its last block, with batch-norms folded into the convolutions. A small feature pyramid (Lin et
al., CVPR 2017) reads it. One convolution predicts, per cell of eight pixels, how likely it is the
centre of a face, of a person, of any other thing or of a block of text (Zhou et al., "Objects as
Points", arXiv 1904.07850), the offsets from there to the object's edges, and how much the cell
belongs to what the photo is about. Branches trained on people's labels add a gaze map, a map of
what people keep, and heads (`people_head`). The two maps read their own copy of the trunk's upper
stages, trained together with them (`looking`). Another branch finds the heads of animals, and
one predicts where a thumbnail should be (`placement_branch`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.detectors.head_branch import HEAD_CHANNELS, HeadBranch, separable
from pipeline.detectors.people_head import FINER, PeopleHead
from pipeline.detectors.placement_branch import PLACEMENT_CHANNELS, PlacementBranch

STRIDE = 8  # input pixels per cell of the output
MULTIPLE = 32  # the trunk's coarsest stride: sides of an input are multiples of it
KINDS = ("face", "person", "thing", "text")
# First channel of each kind's offsets (left, top, right, bottom). People and things share theirs.
OFFSETS_OF = {"face": 4, "person": 8, "thing": 8, "text": 12}
# Channels of `SubjectHead`: a logit for each kind's centre, three times four offsets, and a logit
# for belonging to the subject.
SUBJECT = len(KINDS) + 3 * 4
# The output's channels after those: a logit and four offsets of heads, the logits of gaze, and
# those of being kept, which come in blocks of FINER × FINER equal cells (they have stride 16); then
# a logit and four offsets of animals' heads, and the placement maps, in such blocks too.
HEAD = SUBJECT + 1
GAZE = HEAD + HEAD_CHANNELS
KEPT = GAZE + 1
ANIMAL_HEAD = KEPT + 1
PLACEMENT = ANIMAL_HEAD + HEAD_CHANNELS
CHANNELS = PLACEMENT + PLACEMENT_CHANNELS

# (kernel, stride of the first, expansion, channels, repeats), Tan and Le's EfficientNet-B0 table
# (arXiv 1905.11946), which Lite0 keeps.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
TAPS = {2: 40, 4: 112, 6: 320}  # stage: channels, at strides 8, 16 and 32
UPPER = 3  # the first stage after stride 8


class Levels(NamedTuple):
    """The inputs of the branches: features [B, C, h, w] of the stages and of the pyramid.

    fine, medium, coarse: the trunk's taps at strides 8, 16 and 32. 40, 112 and 320 channels.
    pyramid: the finest level of the feature pyramid, at stride 8. 64 channels.
    map_medium, map_coarse: as medium and coarse, but from the stages that the maps read.
    """

    fine: Tensor
    medium: Tensor
    coarse: Tensor
    pyramid: Tensor
    map_medium: Tensor
    map_coarse: Tensor


class SubjectNetwork(nn.Module):
    """Maps photos of one size to a map of objects and subject (see the module's docstring)."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.stem = _convolution(3, 32, 3, 2)
        self.stages = nn.ModuleList(_stages())
        self.head = SubjectHead(width)
        self.people = PeopleHead()
        self.animals = HeadBranch()
        self.placement = PlacementBranch()
        self.looking = nn.ModuleList(_stages()[UPPER:])

    def forward(self, images: Tensor) -> Tensor:
        """Map RGB [B, 3, H, W] of integers 0..255, sides multiples of 32, to [B, 32, H/8, W/8]."""
        return self.read(self.levels(images))

    def levels(self, images: Tensor) -> Levels:
        """Compute the branches' inputs from images as `forward` takes them."""
        fine, medium, coarse = self.trunk(images)
        pyramid = self.head.pyramid(fine, medium, coarse)
        return Levels(fine, medium, coarse, pyramid, *self.map_taps(fine))

    def read(self, levels: Levels) -> Tensor:
        """Apply the branches to levels: [B, 32, H/8, W/8]."""
        fine, medium, coarse, pyramid, map_medium, map_coarse = levels
        heads = self.people.heads(fine, medium, coarse, pyramid)
        gaze, kept = self.people.maps(fine, map_medium, map_coarse, pyramid)
        coarser = torch.cat([kept, self.placement(fine, medium, coarse, pyramid)], dim=1)
        coarser = functional.interpolate(coarser, scale_factor=float(FINER), mode="nearest")
        animals = self.animals(fine, medium, coarse, pyramid)
        objects = self.head.predict(pyramid)
        return torch.cat([objects, heads, gaze, coarser[:, :1], animals, coarser[:, 1:]], dim=1)

    def trunk(self, images: Tensor) -> list[Tensor]:
        """Compute features at strides 8, 16 and 32: 40, 112 and 320 channels."""
        features = self.lower(images)
        return [features, *self.upper(features)]

    def lower(self, images: Tensor) -> Tensor:
        """Compute features at stride 8."""
        features = functional.relu6(self.stem((images - 127) / 128))  # as the trunk was trained
        for stage in self.stages[:UPPER]:
            features = stage(features)
        return features

    def upper(self, features: Tensor) -> list[Tensor]:
        """Compute features at strides 16 and 32 from those at stride 8."""
        return _taps(self.stages[UPPER:], features)

    def map_taps(self, features: Tensor) -> list[Tensor]:
        """Compute as `upper`, with the stages that the gaze and kept maps read."""
        return _taps(self.looking, features)


def _taps(upper: nn.ModuleList, features: Tensor) -> list[Tensor]:
    taps = []
    for index, stage in enumerate(upper, UPPER):
        features = stage(features)
        if index in TAPS:
            taps.append(features)
    return taps


class SubjectHead(nn.Module):
    """A feature pyramid of three levels and the convolutions after it."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in TAPS.values())
        self.smooth = nn.ModuleList(separable(width, 5) for _ in TAPS)
        self.read = nn.Sequential(separable(width, 3), separable(width, 3))
        self.out = nn.Conv2d(width, SUBJECT + 1, 1)

    def forward(self, fine: Tensor, medium: Tensor, coarse: Tensor) -> Tensor:
        """Map taps of the trunk to [B, 17, H/8, W/8]: logits and offsets, see `SUBJECT`."""
        return self.predict(self.pyramid(fine, medium, coarse))

    def predict(self, pyramid: Tensor) -> Tensor:
        """Map the pyramid's finest level [B, 64, H/8, W/8] to [B, 17, H/8, W/8]."""
        output: Tensor = self.out(self.read(pyramid))
        return output

    def pyramid(self, fine: Tensor, medium: Tensor, coarse: Tensor) -> Tensor:
        """Map taps of the trunk to the finest level of the pyramid, [B, 64, H/8, W/8]."""
        merged = self.smooth[2](self.lateral[2](coarse))
        for level, tap in ((1, medium), (0, fine)):
            up = functional.interpolate(merged, size=tap.shape[-2:], mode="nearest")
            merged = self.smooth[level](self.lateral[level](tap) + up)
        finest: Tensor = merged
        return finest


def _stages() -> list[nn.Sequential]:
    """Build the trunk's stages after its stem."""
    stages, channels = [], 32
    for kernel, stride, expansion, out, repeats in STAGES:
        blocks = []
        for repeat in range(repeats):
            blocks.append(_Block(channels, out, kernel, stride if not repeat else 1, expansion))
            channels = out
        stages.append(nn.Sequential(*blocks))
    return stages


class _Block(nn.Module):
    """Inverted residual: widen, filter each channel, narrow."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.expand = _convolution(channels, wide, 1, 1) if expansion > 1 else None
        self.depthwise = _convolution(wide, wide, kernel, stride, groups=wide)
        self.project = _convolution(wide, out, 1, 1)
        self.residual = stride == 1 and channels == out

    def forward(self, features: Tensor) -> Tensor:
        wide = features if self.expand is None else functional.relu6(self.expand(features))
        out: Tensor = self.project(functional.relu6(self.depthwise(wide)))
        return out + features if self.residual else out


def _convolution(
    channels: int, out: int, kernel: int, stride: int, groups: int = 1
) -> nn.Sequential:
    """Build a convolution with TensorFlow's "same" padding for even sides.

    With a stride, the odd pixel is right and below. The trunk's weights were trained with it.
    """
    low, high = (kernel - stride) // 2, (kernel - stride + 1) // 2
    return nn.Sequential(
        nn.ZeroPad2d((low, high, low, high)) if kernel > 1 else nn.Identity(),
        nn.Conv2d(channels, out, kernel, stride, groups=groups),
    )


def ltrb_offsets(output: Tensor, first: int) -> Tensor:
    """Return offsets from a cell's centre to left, top, right, bottom edge, in cells: [B, 4, h, w].

    output: of `SubjectNetwork`; first: the first of their channels (`OFFSETS_OF`). Never negative.
    """
    return functional.softplus(output[:, first : first + 4]).clamp(max=1e3)


def fold_lite0(checkpoint: dict[str, Tensor], network: SubjectNetwork) -> None:
    """Copy an EfficientNet-Lite0 state dict into the trunk, its batch-norms folded (eps 1e-3).

    Names as in the `efficientnet_lite_pytorch` package: `_conv_stem`, `_bn0`, and per block
    `_expand_conv`, `_bn0`, `_depthwise_conv`, `_bn1`, `_project_conv`, `_bn2`.
    """

    def fold(target: Any, conv: str, norm: str) -> None:
        scale = checkpoint[f"{norm}.weight"] / (checkpoint[f"{norm}.running_var"] + 1e-3).sqrt()
        layer = target[1]  # after the padding
        layer.weight.copy_(checkpoint[f"{conv}.weight"] * scale[:, None, None, None])
        layer.bias.copy_(checkpoint[f"{norm}.bias"] - checkpoint[f"{norm}.running_mean"] * scale)

    with torch.no_grad():
        fold(network.stem, "_conv_stem", "_bn0")
        blocks = [block for stage in network.stages for block in stage.children()]
        for index, block in enumerate(blocks):
            prefix = f"_blocks.{index}."
            if block.expand is not None:
                fold(block.expand, prefix + "_expand_conv", prefix + "_bn0")
            fold(block.depthwise, prefix + "_depthwise_conv", prefix + "_bn1")
            fold(block.project, prefix + "_project_conv", prefix + "_bn2")
