"""The fast path of `S2CNet`: the numbers of `forward` with a third of its multiplications.

What is the same for every candidate of a picture is computed once by `encode` and kept in an
`ImageContext`; `score_crops` does the rest, a chunk of candidates at a time. In gaicv1 (D = 10) a
candidate's 20.7 M multiply-adds become 7.5 M, of which the first layer's feed-forward is 5.8 M:

- The object nodes, their relations to each other and their part of the first layer are shared.
- The objects' keys and values are folded with the query and output projections, so a query row
  costs heads * D * C instead of C * C.
- RoDAlign and its half of the embedding are linear in the map, and candidates differ only by which
  grid points lie inside their box: a rectangle, so four reads of an integral image.
- The last layer of a crop-node head is computed for node 0 alone.

Shapes: N = 1 + D nodes of width C, h heads of d channels, R the relations' width, k candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from cuda_ops import roi_align
from s2cnet import folding
from s2cnet.backbone import STRIDE
from s2cnet.graph import SQUARED_DISTANCE_FLOOR, Layer, box_centres, distance

if TYPE_CHECKING:
    from s2cnet.model import S2CNet

CHUNK = 128  # candidates at a time: 128 x 11 nodes x 1024 hidden values of 4 bytes are 6 MB


@dataclass(frozen=True)
class PictureContext:
    """What one picture's candidates share."""

    features: Tensor  # [1, channels, H / 16, W / 16]
    discard: Tensor  # [A + 2, A + 2, C] integral image of the RoD half of the embedding
    objects: Tensor  # [D, C] nodes
    centres: Tensor  # [D, 2]
    spatial: Tensor  # [D, D] distances among the objects
    semantic: Tensor  # [D, D] products among the objects
    theta: Tensor  # [D, R]
    phi: Tensor  # [D, R]
    mixed: Tensor  # [D, C] after the aggregation's projection
    keys: Tensor  # [h * D, C] of the first layer, folded
    values: Tensor  # [h * D, C] of the first layer, folded


@dataclass(frozen=True)
class ImageContext:
    """What `S2CNet.encode` keeps of B pictures of one size, for any number of candidates."""

    height: int
    width: int
    pictures: list[PictureContext]


def encode(network: S2CNet, images: Tensor, detections: Sequence[Tensor]) -> ImageContext:
    """Everything about the pictures that no candidate changes. Arguments of `S2CNet.forward`."""
    height, width = images.shape[-2:]
    features = network.backbone(images)
    boxes = network.object_boxes(detections, height, width)  # [B, D, 4]
    nodes = network.embedding(network.sample(features, network.object_rois(boxes)))
    discard = folding.discard_table(network.embedding, features, network.config)
    pictures = [
        _picture(network, *shares)
        for shares in zip(
            features.split(1),
            discard,
            nodes.view(*boxes.shape[:2], -1),
            box_centres(boxes, height, width),
            strict=True,
        )
    ]
    return ImageContext(height, width, pictures)


def _picture(
    network: S2CNet, features: Tensor, discard: Tensor, objects: Tensor, centres: Tensor
) -> PictureContext:
    relations, first = network.relations, layer_at(network, 0).attention
    theta, phi = relations.semantic_theta(objects), relations.semantic_phi(objects)
    key, value = first.key_value(first.norm(objects)).chunk(2, dim=-1)
    return PictureContext(
        features=features,
        discard=discard,
        objects=objects,
        centres=centres,
        spatial=distance(relations.spatial_theta(centres), relations.spatial_phi(centres)),
        semantic=theta @ phi.T,
        theta=theta,
        phi=phi,
        mixed=network.graph.aggregate(objects),
        keys=folding.fold_keys(first, key).transpose(0, 1).flatten(0, 1),
        values=folding.fold_values(first, value).transpose(0, 1).flatten(0, 1),
    )


def layer_at(network: S2CNet, index: int) -> Layer:
    layer = network.graph.layers[index]
    assert isinstance(layer, Layer)  # for the type checker
    return layer


def score_crops(network: S2CNet, context: ImageContext, crops: Tensor) -> Tensor:
    """Scores [K] of crops [K, 5] as in `S2CNet.forward`, for the pictures of `context`."""
    scores = crops.new_empty(len(crops))
    for index, picture in enumerate(context.pictures):
        rows = (crops[:, 0] == index).nonzero().flatten()
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            boxes = crops[chunk, 1:]
            centres = box_centres(boxes, context.height, context.width)
            scores[chunk] = _score_chunk(network, picture, boxes, centres)
    return scores


def _score_chunk(
    network: S2CNet, picture: PictureContext, boxes: Tensor, centres: Tensor
) -> Tensor:
    """Scores [k] of boxes [k, 4] of one picture, input pixels."""
    crop = _embed(network, picture, boxes)  # [k, C]
    adjacency, bias = _relate(network, picture, crop, centres)
    graph = network.graph
    nodes = _first_layer(network, picture, crop, adjacency, bias)
    last = len(graph.layers) - 1
    crop_only = network.config.head == "crop_node" and last > 0
    for index in range(1, last + 1 - crop_only):
        aggregated = graph.aggregated(graph.aggregate(adjacency @ nodes))
        nodes = layer_at(network, index)(nodes, aggregated, bias)
    if crop_only:
        nodes = _last_layer_of_crop(network, nodes, adjacency[:, :1], bias[:, 0])[:, None]
    scores: Tensor = network.head(nodes)
    return scores


def _embed(network: S2CNet, picture: PictureContext, boxes: Tensor) -> Tensor:
    """The crops' nodes [k, C]."""
    size = network.config.align_size
    rois = functional.pad(boxes, (1, 0))  # picture 0 of one
    kept = roi_align(picture.features, rois, size, 1 / STRIDE).flatten(1)
    weight = folding.roi_weight(network.embedding, network.config)
    lost = folding.discard(picture.discard, boxes / STRIDE, picture.features.shape[-2:])
    kept = functional.linear(kept, weight, network.embedding.linear.bias)
    return network.embedding.finish(kept + lost)


def _relate(
    network: S2CNet, picture: PictureContext, crop: Tensor, centres: Tensor
) -> tuple[Tensor, Tensor]:
    """Adjacency [k, N, N] and the attention's bias [k, N, h, N]."""
    relations = network.relations
    theta, phi = relations.semantic_theta(crop), relations.semantic_phi(crop)
    semantic = folding.bordered(
        (theta * phi).sum(dim=1), theta @ picture.phi.T, phi @ picture.theta.T, picture.semantic
    )
    theta, phi = relations.spatial_theta(centres), relations.spatial_phi(centres)
    spatial = folding.bordered(
        (theta - phi).square().sum(dim=1).clamp(min=SQUARED_DISTANCE_FLOOR).sqrt(),
        distance(theta, relations.spatial_phi(picture.centres)),
        distance(relations.spatial_theta(picture.centres), phi).T,
        picture.spatial,
    )
    return relations.maps(relations.scale * spatial, relations.scale * semantic)


def _first_layer(
    network: S2CNet, picture: PictureContext, crop: Tensor, adjacency: Tensor, bias: Tensor
) -> Tensor:
    """Nodes [k, N, C] after the first layer, from the crops' nodes [k, C] before it."""
    graph, layer = network.graph, layer_at(network, 0)
    attention = layer.attention
    shared = adjacency[:, :, 1:] @ picture.mixed
    mixed = torch.addcmul(shared, adjacency[:, :, :1], graph.aggregate(crop)[:, None])
    aggregated = graph.aggregated(mixed)  # [k, N, C]
    key, value = attention.key_value(attention.norm(crop)).chunk(2, dim=1)
    to_crop = aggregated @ folding.fold_keys(attention, key).transpose(1, 2)  # [k, N, h]
    to_objects = (aggregated @ picture.keys.T).view(*to_crop.shape, -1)
    logits = torch.cat([to_crop[..., None], to_objects], dim=3) + bias  # [k, N, h, N]
    weights = logits.softmax(dim=3)
    read = weights[..., 1:].flatten(2) @ picture.values + attention.out.bias
    read += weights[..., 0] @ folding.fold_values(attention, value)
    read[:, 0] += crop
    read[:, 1:] += picture.objects
    out: Tensor = read + layer.feed_forward(read)
    return out


def _last_layer_of_crop(network: S2CNet, nodes: Tensor, adjacency: Tensor, bias: Tensor) -> Tensor:
    """Node 0 [k, C] after the last layer; adjacency [k, 1, N] and bias [k, h, N] are its rows."""
    graph, layer = network.graph, layer_at(network, -1)
    attention = layer.attention
    mixed = graph.aggregate((adjacency @ nodes)[:, 0])
    aggregated = graph.aggregated(mixed)  # [k, C]
    normed = attention.norm(nodes)
    key_weight, value_weight = attention.key_value.weight.chunk(2)  # rows of heads
    heads, width = attention.heads, nodes.shape[2]
    query = attention.scale * attention.query(aggregated).view(len(nodes), heads, -1)
    query = torch.einsum("khd,hdc->khc", query, key_weight.view(heads, -1, width))
    weights = (query @ normed.transpose(1, 2) + bias).softmax(dim=2)  # [k, h, N]
    value = torch.einsum("khc,hdc->khd", weights @ normed, value_weight.view(heads, -1, width))
    crop = nodes[:, 0] + attention.out(value.flatten(1))
    out: Tensor = crop + layer.feed_forward(crop)
    return out
