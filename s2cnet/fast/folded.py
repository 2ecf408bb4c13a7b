"""Fold a network's weights for the fast path: copy and rearrange them once for all images.

Shapes: node width C, h heads of d = C / h channels, F the feed-forward's width, A the align size,
c channels of the feature map.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from s2cnet.aot import DynamicDim, load_or_compile
from s2cnet.config import S2CNetConfig
from s2cnet.fast import folding
from s2cnet.fast.products import pack_layer, packed
from s2cnet.inputs import LONG_SIDE, MULTIPLE, SHORT_SIDE
from s2cnet.layout import layout_for
from s2cnet.network.backbone import Backbone
from s2cnet.network.graph import GraphTransformer, Relations
from s2cnet.network.heads import AllNodesHead, CropNodeHead
from s2cnet.network.nodes import Embedding
from s2cnet.network.s2cnet import S2CNet
from s2cnet.onnx import OnnxModule, Runtime

# The feed-forwards are most of the work and the least sensitive to rounding: on a CPU only they are
# computed in the precision that is asked for.
Precision = Literal["float32", "bfloat16", "float16"]
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class FoldedNetwork:
    """A network for inference. `widen` belongs to the first layer's feed-forward."""

    config: S2CNetConfig
    kind: torch.dtype  # in which the feed-forwards are computed
    # Norms folded into convolutions, any layout; None if feature maps come from elsewhere.
    backbone: Callable[[Tensor], Tensor] | None
    embedding: Embedding
    relations: Relations
    transformer: GraphTransformer
    first: folding.AttentionMaps
    last: folding.AttentionMaps
    head: Callable[[Tensor], Tensor]  # nodes [k, N, C] -> scores [k]
    roi: Tensor  # [C, c * A * A] the half of the embedding that reads RoIAlign
    rod: Tensor  # [A + 1, A + 1, c, C] the half that reads RoDAlign, by grid point
    widen: Tensor  # [F, C] after the norm's centring and scale
    # [h, F, d] values of a head, output projection, then `widen`; of type `kind`
    widen_heads: Tensor | Sequence[Tensor]
    widen_bias: Tensor  # [F]


def fold(
    network: S2CNet,
    precision: Precision = "float32",
    cache: Path | None = None,
    runtime: Runtime = "torch",
    with_backbone: bool = True,
) -> FoldedNetwork:
    """Copy and rearrange a network's weights. Arguments and errors are those of `FastS2CNet`."""
    if precision not in TYPES:
        raise ValueError(f"no precision {precision!r}; there are {', '.join(TYPES)}")
    if runtime not in get_args(Runtime):
        raise ValueError(f"no runtime {runtime!r}; there are {', '.join(get_args(Runtime))}")
    with torch.inference_mode(False), torch.no_grad():  # or the copy would have its caller's mode
        embedding, transformer = copy.deepcopy((network.embedding, network.transformer))
        layer = transformer.layer(0)
        widen, bias = folding.fold_norm(layer.feed_forward.norm, layer.feed_forward.widen)
        out = folding.by_head(layer.attention.out.weight, layer.attention.heads)  # [C, h, d]
        widen_heads = torch.einsum("fc,chd->hfd", widen, out).contiguous().to(TYPES[precision])
        folded = FoldedNetwork(
            config=network.config,
            kind=TYPES[precision],
            backbone=_inference_backbone(network.backbone, TYPES[precision], cache, runtime)
            if with_backbone
            else None,
            embedding=embedding,
            relations=copy.deepcopy(network.relations),
            transformer=transformer,
            first=folding.AttentionMaps.of(layer.attention),
            last=folding.AttentionMaps.of(transformer.layer(-1).attention),
            head=fold_head(network.head),
            roi=folding.roi_weight(embedding, network.config),
            rod=folding.rod_weight(embedding, network.config),
            widen=widen,
            widen_heads=widen_heads,
            widen_bias=bias,
        )
        return _packed(folded) if precision == "float32" else folded


def _packed(folded: FoldedNetwork) -> FoldedNetwork:
    """Arrange for oneDNN the weights that `products` computes with."""
    transformer, relations = folded.transformer, folded.relations
    first, last = transformer.layer(0), transformer.layer(-1)
    layers = [relations.semantic_theta, relations.semantic_phi, transformer.aggregate]
    layers += [first.attention.key_value, first.feed_forward.narrow]
    if folded.config.head == "crop_node" and last is not first:  # other layers are called as usual
        layers += [last.attention.query, last.attention.out]
        layers += [last.feed_forward.widen, last.feed_forward.narrow]
    for layer in layers:
        pack_layer(layer)
    heads = folded.widen_heads
    return replace(
        folded,
        roi=packed(folded.roi),
        widen=packed(folded.widen),
        widen_heads=[packed(head) for head in heads] if packed(heads[0]).is_mkldnn else heads,
    )


def _inference_backbone(
    backbone: Backbone, kind: torch.dtype, cache: Path | None, runtime: Runtime
) -> Callable[[Tensor], Tensor]:
    device = backbone.reduce.weight.device
    folded: nn.Module = fold_backbone(backbone)
    if runtime == "onnxruntime":
        if device.type != "cpu":
            raise ValueError(f"onnxruntime is for CPUs, and the network is on {device}")
        return OnnxModule(folded)
    if device.type == "cuda" and kind != torch.float32:
        folded = HalfPrecision(folded, kind)
    network = folded if cache is None else compile_backbone(folded, device, cache)
    return lambda images: network(images.contiguous(memory_format=layout_for(device)))


def fold_backbone(backbone: Backbone) -> Backbone:
    """Copy the backbone in its device's layout, with its batch norms folded away unless it trains.

    On one core of a CPU, 256 x 384 pixels take 24 ms instead of 40; one change without the other
    does not help.
    """
    folded = copy.deepcopy(backbone)
    if backbone.training:
        return folded
    for block in list(folded.modules()):
        if isinstance(block, nn.Sequential):
            _fold_batch_norms(block)
    return folded.to(memory_format=layout_for(backbone.reduce.weight.device))


def fold_head(head: CropNodeHead | AllNodesHead) -> Callable[[Tensor], Tensor]:
    """Copy the head. Convolutions over all nodes become matrices: each kernel covers its input."""
    head = copy.deepcopy(head)
    if isinstance(head, CropNodeHead) or head.training:
        return head
    layers: Any = head.layers
    _fold_batch_norms(layers[0])
    _fold_batch_norms(layers[1])
    first, second, last = (_as_matrix(conv) for conv in (layers[0][0], layers[1][0], layers[3]))
    return nn.Sequential(
        nn.Flatten(), first, nn.ReLU(), second, nn.ReLU(), last, nn.Flatten(start_dim=0)
    )


def _as_matrix(convolution: nn.Conv2d) -> nn.Linear:
    """Convert a convolution whose kernel covers its whole input to a map of the flat input."""
    weight = convolution.weight.flatten(1)
    matrix = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device)
    matrix.weight = nn.Parameter(weight)
    matrix.bias = nn.Parameter(torch.as_tensor(convolution.bias))
    return matrix


def _fold_batch_norms(block: nn.Sequential) -> None:
    for index in range(len(block) - 1):
        conv, norm = block[index], block[index + 1]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            of_norm: tuple[Any, ...] = (norm.running_mean, norm.running_var, norm.eps)
            of_norm += (norm.weight, norm.bias)
            conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, *of_norm)
            block[index + 1] = nn.Identity()


class HalfPrecision(nn.Module):
    """A module that computes in half precision; float32 in and out."""

    def __init__(self, module: nn.Module, kind: torch.dtype) -> None:
        super().__init__()
        self.module = module.to(kind)
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        """Apply the module to float32 x in half precision."""
        out: Tensor = self.module(x.to(self.kind))
        return out.float()


def compile_backbone(
    backbone: nn.Module, device: torch.device, cache: Path
) -> Callable[[Tensor], Tensor]:
    """Compile a backbone once for single images of every size that `prepare_image` returns.

    Only the backbone: on one core of a CPU it takes 15 ms instead of 20 for 256 x 384 pixels, while
    the matrix products of the candidates run at the processor's peak as they are.
    """
    example = torch.zeros(1, 3, SHORT_SIDE, SHORT_SIDE + 4 * MULTIPLE, device=device)
    example = example.contiguous(memory_format=torch.channels_last)
    most = LONG_SIDE // MULTIPLE
    dims = {i: DynamicDim(name, MULTIPLE, 2, most) for i, name in ((2, "rows"), (3, "columns"))}
    compiled = load_or_compile(backbone, example, dims, cache)
    return lambda images: torch.cat([compiled(image[None]) for image in images])
