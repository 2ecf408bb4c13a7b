"""The fast path of `S2CNet`: the numbers of `forward` with a fraction of its multiplications.

`encode` computes once what the candidates of a picture share; `score_crops` does the rest, a chunk
of candidates at a time. All of it is exact rearrangement. In gaicv1 with 10 objects a candidate's
20.8 M multiply-adds become 5.6 M, of which 2.9 M are the first layer's `narrow`:

- The objects' nodes, their relations and their part of the first layer are computed once; objects
  that stand in the graph several times are one node whose logits grow by log(count).
- The objects' keys and values are folded with the query and output projections, so a query row
  costs heads * n * C instead of C * C.
- After that, a node is a sum of some 50 vectors that candidates share and 5 of their own; the
  feed-forward's first matrix is applied to those vectors instead of to every node.
- RoDAlign and its half of the embedding are linear in the map, and candidates differ only by which
  grid points lie inside their box: a rectangle, so four reads of an integral image.
- The last layer of a crop-node head is computed for node 0 alone.

Shapes as in `s2cnet.context`, and k candidates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from s2cnet import folding
from s2cnet.backbone import STRIDE
from s2cnet.context import ImageContext, PictureContext
from s2cnet.folded_weights import FoldedWeights
from s2cnet.graph import SQUARED_DISTANCE_FLOOR, FeedForward, box_centres, distance

if TYPE_CHECKING:
    from s2cnet.model import S2CNet

CHUNK = 256  # candidates at a time: 256 x 11 nodes x 1024 hidden values of 4 bytes are 12 MB


# The two feed-forwards are most of the work and the least sensitive to rounding: they alone are
# computed in the precision that is asked for.
Precision = Literal["float32", "bfloat16", "float16"]
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def score_crops(
    network: S2CNet, context: ImageContext, crops: Tensor, precision: Precision
) -> Tensor:
    """Scores [K] of crops [K, 5] as in `S2CNet.forward`, for the pictures of `context`."""
    if precision not in TYPES:
        raise ValueError(f"no precision {precision!r}; there are {', '.join(TYPES)}")
    kind = TYPES[precision]
    scores = crops.new_empty(len(crops))
    pictures = crops[:, 0].long()
    for index, picture in enumerate(context.pictures):
        rows = (pictures == index).nonzero().flatten()
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            boxes = crops[chunk, 1:]
            centres = box_centres(boxes, context.height, context.width)
            scores[chunk] = score_chunk(network, context.weights, picture, boxes, centres, kind)
    return scores


def score_chunk(
    network: S2CNet,
    weights: FoldedWeights,
    picture: PictureContext,
    boxes: Tensor,
    centres: Tensor,
    kind: torch.dtype,
) -> Tensor:
    """Scores [k] of boxes [k, 4] of one picture, input pixels."""
    crop = _embed(network, weights, picture, boxes)  # [k, C]
    adjacency, bias = _relate(network, picture, crop, centres)
    transformer, last = network.transformer, len(network.transformer.layers) - 1
    nodes = _first_layer(network, weights, picture, crop, adjacency, bias, kind)
    crop_only = network.config.head == "crop_node" and last > 0
    for index in range(1, last + 1 - crop_only):
        aggregated = transformer.aggregated(transformer.aggregate(adjacency @ nodes))
        nodes = transformer.layer(index)(nodes, aggregated, bias)
    if crop_only:
        nodes = _last_layer_of_crop(network, nodes, adjacency[:, 0], bias[:, 0], kind)[:, None]
    else:
        nodes = nodes[:, picture.copies]
    return weights.head(nodes)


def _embed(
    network: S2CNet, weights: FoldedWeights, picture: PictureContext, boxes: Tensor
) -> Tensor:
    """The crops' nodes [k, C]."""
    boxes = boxes / STRIDE
    kept = folding.roi_samples(picture.features, boxes, network.config.align_size).flatten(1)
    kept = functional.linear(kept, weights.roi, network.embedding.linear.bias)
    lost = folding.discard(picture.discard, boxes, picture.features.shape[-2:])
    return network.embedding.finish(kept + lost)


def _relate(
    network: S2CNet, picture: PictureContext, crop: Tensor, centres: Tensor
) -> tuple[Tensor, Tensor]:
    """Adjacency [k, N, N] and the attention's bias [k, N, h, N]."""
    relations = network.relations
    theta, phi = relations.semantic_theta(crop), relations.semantic_phi(crop)
    semantic = relations.scale * folding.bordered(
        (theta * phi).sum(dim=1), theta @ picture.phi.T, phi @ picture.theta.T, picture.semantic
    )
    theta, phi = relations.spatial_theta(centres), relations.spatial_phi(centres)
    spatial = relations.scale * folding.bordered(
        (theta - phi).square().sum(dim=1).clamp(min=SQUARED_DISTANCE_FLOOR).sqrt(),
        distance(theta, relations.spatial_phi(picture.centres)),
        distance(relations.spatial_theta(picture.centres), phi).T,
        picture.spatial,
    )
    to_heads = [relations.spatial_heads, relations.semantic_heads]
    slopes, shifts = [m.weight for m in to_heads], [m.bias for m in to_heads]  # [h, 1], [h]
    affinity = spatial * slopes[0].mean() + shifts[0].mean()
    affinity *= semantic * slopes[1].mean() + shifts[1].mean()
    bias = spatial[:, :, None] * slopes[0] + semantic[:, :, None] * slopes[1]
    bias += (shifts[0] + shifts[1])[:, None] + picture.log_counts
    return folding.softmax(affinity + picture.log_counts), bias


def _first_layer(
    network: S2CNet,
    weights: FoldedWeights,
    picture: PictureContext,
    crop: Tensor,
    adjacency: Tensor,
    bias: Tensor,
    kind: torch.dtype,
) -> Tensor:
    """Nodes [k, N, C] after the first layer, from the crops' nodes [k, C] before it."""
    attention, feed_forward = (
        network.transformer.layer(0).attention,
        network.transformer.layer(0).feed_forward,
    )
    key, value = attention.key_value(attention.norm(crop)).chunk(2, dim=1)
    aggregated = _aggregate(network, picture, crop, adjacency)
    mixture = _attend(picture, aggregated, folding.fold_keys(attention, key), bias)
    heads = folding.fold_values(attention, value)  # [k, h, C]
    nodes = _mix(mixture, picture.shared, torch.cat([heads, crop[:, None]], dim=1))

    # The feed-forward reads the nodes over their deviation; the norm's mean is in the weights.
    norm = feed_forward.norm
    _, _, inverse = torch.native_layer_norm(nodes, norm.normalized_shape, None, None, norm.eps)
    shared = functional.pad(mixture.shared * inverse, (0, 1), value=1)
    scaled = Mixture(shared.to(kind), (mixture.own * inverse).to(kind))
    own = _own_hidden(weights, crop.to(kind), folding.by_head(value, attention.heads).to(kind))
    hidden = torch.ops.aten.gelu_(_mix(scaled, picture.hidden.to(kind), own))
    nodes += feed_forward.narrow.bias
    nodes += hidden @ weights.narrow.to(kind)
    return nodes


def _own_hidden(weights: FoldedWeights, crop: Tensor, value: Tensor) -> Tensor:
    """The candidate's own vectors after `widen` [k, h + 1, F]; crop [k, C], value [k, h, d]."""
    heads = weights.widen_heads.to(crop.dtype)
    # One row block a vector, so that both products write where they are read.
    own = crop.new_empty(len(heads) + 1, len(crop), heads.shape[2])
    torch.bmm(value.transpose(0, 1), heads, out=own[:-1])
    torch.mm(crop, weights.widen.T.to(crop.dtype), out=own[-1])
    return own.transpose(0, 1)


def _aggregate(network: S2CNet, picture: PictureContext, crop: Tensor, adjacency: Tensor) -> Tensor:
    """Aggregated graph [k, N, C] of the first layer."""
    shared = adjacency[:, :, 1:] @ picture.mixed
    own = network.transformer.aggregate(crop)[:, None]
    return network.transformer.aggregated(shared.addcmul_(adjacency[:, :, :1], own))


class Mixture(NamedTuple):
    """Weights that make nodes out of vectors: the picture's, and each candidate's own."""

    shared: Tensor  # [k, N, h * n + n + 1]
    own: Tensor  # [k, N, h + 1]


def _mix(mixture: Mixture, shared: Tensor, own: Tensor) -> Tensor:
    """shared [.., C], own [k, h + 1, C] -> [k, N, C]."""
    return (mixture.shared @ shared).baddbmm_(mixture.own, own)


def _attend(
    picture: PictureContext, aggregated: Tensor, crop_keys: Tensor, bias: Tensor
) -> Mixture:
    """The nodes after the first attention and its shortcut; crop_keys [k, h, C] are folded."""
    to_crop = aggregated @ crop_keys.transpose(1, 2)  # [k, N, h]
    to_objects = (aggregated @ picture.keys).view(*to_crop.shape, -1)
    weights = folding.softmax(torch.cat([to_crop[..., None], to_objects], dim=3) + bias)
    origins = picture.origins.expand(len(weights), -1, -1)
    is_crop = functional.pad(weights.new_ones(len(weights), 1, 1), (0, 0, 0, origins.shape[1] - 1))
    return Mixture(
        shared=torch.cat([weights[..., 1:].flatten(2), origins], dim=2),
        own=torch.cat([weights[..., 0], is_crop], dim=2),
    )


def _last_layer_of_crop(
    network: S2CNet, nodes: Tensor, adjacency: Tensor, bias: Tensor, kind: torch.dtype
) -> Tensor:
    """Node 0 [k, C] after the last layer; adjacency [k, N] and bias [k, h, N] are its rows."""
    transformer, layer = network.transformer, network.transformer.layer(-1)
    attention, heads = layer.attention, layer.attention.heads
    aggregated = transformer.aggregated(
        transformer.aggregate((adjacency[:, None] @ nodes)[:, 0])
    )  # [k, C]
    normed = attention.norm(nodes)
    key_weight, value_weight = (
        folding.by_head(weight.T, heads) for weight in attention.key_value.weight.chunk(2)
    )  # [C, h, d]
    query = attention.scale * folding.by_head(attention.query(aggregated), heads)  # [k, h, d]
    query = torch.einsum("khd,chd->khc", query, key_weight)
    weights = folding.softmax(query @ normed.transpose(1, 2) + bias)  # [k, h, N]
    value = torch.einsum("khc,chd->khd", weights @ normed, value_weight)
    crop: Tensor = nodes[:, 0] + attention.out(value.flatten(1))
    return crop + _feed_forward(layer.feed_forward, crop, kind)


def _feed_forward(network: FeedForward, x: Tensor, kind: torch.dtype) -> Tensor:
    """`FeedForward.forward` with its matrices in another precision."""
    widen, narrow = network.widen.weight.to(kind), network.narrow.weight.to(kind)
    hidden = functional.gelu(network.norm(x).to(kind) @ widen.T + network.widen.bias.to(kind))
    out: Tensor = (hidden @ narrow.T).to(x.dtype) + network.narrow.bias
    return out
