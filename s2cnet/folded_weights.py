"""What the fast path derives from a network's weights, once, for all pictures.

Shapes: node width C, h heads of d = C / h channels, F the feed-forward's width, A the align size,
c channels of the feature map.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from s2cnet import folding
from s2cnet.backbone import Backbone
from s2cnet.heads import AllNodesHead, CropNodeHead

if TYPE_CHECKING:
    from s2cnet.model import S2CNet


@dataclass(frozen=True)
class FoldedWeights:
    """`widen` and `narrow` are those of the first layer's feed-forward."""

    backbone: Callable[[Tensor], Tensor]  # norms folded into convolutions, channels last
    roi: Tensor  # [C, c * A * A] the half of the embedding that reads RoIAlign
    discard: Tensor  # [A + 1, A + 1, c, C] the half that reads RoDAlign, by grid point
    widen: Tensor  # [F, C] after the norm's centring and scale
    widen_heads: Tensor  # [h, d, F] values of a head, output projection, then `widen`
    widen_bias: Tensor  # [F]
    narrow: Tensor  # [F, C]
    head: Callable[[Tensor], Tensor]  # nodes [k, N, C] -> scores [k]


def fold_weights(network: S2CNet) -> FoldedWeights:
    """Derive them; the result shares no changing state with the network."""
    layer = network.transformer.layer(0)
    widen, bias = folding.fold_norm(layer.feed_forward.norm, layer.feed_forward.widen)
    out = folding.by_head(layer.attention.out.weight, layer.attention.heads)  # [C, h, d]
    return FoldedWeights(
        backbone=fold_backbone(network.backbone),
        roi=folding.roi_weight(network.embedding, network.config),
        discard=folding.discard_weight(network.embedding, network.config),
        widen=widen,
        widen_heads=torch.einsum("fc,chd->hdf", widen, out).contiguous(),
        widen_bias=bias,
        narrow=layer.feed_forward.narrow.weight.T.clone(),
        head=fold_head(network.head),
    )


def fold_backbone(backbone: Backbone) -> Backbone:
    """A copy with batch norms folded away, channels last; itself while it trains.

    On one core of a CPU, 256 x 384 pixels take 24 ms instead of 40; neither change helps alone.
    """
    if backbone.training:
        return backbone
    folded = copy.deepcopy(backbone).to(memory_format=torch.channels_last)
    for block in list(folded.modules()):
        if isinstance(block, nn.Sequential):
            _fold_batch_norms(block)
    return folded


def fold_head(head: CropNodeHead | AllNodesHead) -> Callable[[Tensor], Tensor]:
    """The head of all nodes as three matrices: its kernels cover all they see. A copy."""
    if isinstance(head, CropNodeHead) or head.training:
        return head
    layers: Any = copy.deepcopy(head.layers)
    _fold_batch_norms(layers[0])
    _fold_batch_norms(layers[1])
    first, second, last = (_as_matrix(conv) for conv in (layers[0][0], layers[1][0], layers[3]))
    return nn.Sequential(
        nn.Flatten(), first, nn.ReLU(), second, nn.ReLU(), last, nn.Flatten(start_dim=0)
    )


def _as_matrix(convolution: nn.Conv2d) -> nn.Linear:
    """A convolution whose kernel covers its whole input, without the picture."""
    weight = convolution.weight.flatten(1)
    matrix = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device)
    matrix.weight = nn.Parameter(weight)
    matrix.bias = nn.Parameter(torch.as_tensor(convolution.bias))
    return matrix


def _fold_batch_norms(block: nn.Sequential) -> None:
    for index in range(len(block) - 1):
        convolution, norm = block[index], block[index + 1]
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            block[index] = fuse_conv_bn_eval(convolution, norm)
            block[index + 1] = nn.Identity()
