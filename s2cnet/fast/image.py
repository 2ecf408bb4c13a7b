"""Encode images: compute once for each image what all its candidates share.

Shapes: n object nodes of width C (repeated boxes are one node with a count), N = 1 + n, h heads of
d = C / h channels, R the relations' width, F the feed-forward's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from s2cnet.config import STRIDE
from s2cnet.fast import folding
from s2cnet.fast.folded import FoldedNetwork
from s2cnet.fast.products import apply, linear, linear_by_head
from s2cnet.network.graph import distance
from s2cnet.network.nodes import box_centres, used_detections


@dataclass(frozen=True)
class EncodedImage:
    """One encoded image.

    After the attention of the first layer, every node is a weighted sum of vectors that the image's
    candidates share (`shared`) and of the candidate's own h + 1 vectors.
    """

    size_wh: Tensor  # [2] width and height of the input
    features: Tensor  # [1, channels, H / 16, W / 16]
    rod_table: Tensor  # [A + 2, A + 2, C] integral image of the RoD half of the embedding
    log_counts: Tensor  # [N] log of how often each node is in the graph: 0 for the crop
    copies: Tensor  # [1 + D] the node at each place of the graph
    centres: Tensor  # [n, 2]
    spatial: Tensor  # [n, n] distances among the objects
    semantic: Tensor  # [n, n] products among the objects
    theta: Tensor  # [n, R]
    phi: Tensor  # [n, R]
    aggregate: Tensor  # [n, C] after the linear map of the aggregation
    keys: Tensor  # [h * n, C] folded with the query projection
    shared: Tensor  # [h * n + n + 1, C] folded values, objects, the bias of the attention's output
    origins: Tensor  # [N, n + 1] which object a node was before the layer, and 1 for the bias
    hidden: Tensor  # [h * n + n + 2, F] `shared` after `widen`, and the bias of `widen`


def encode_images(
    folded: FoldedNetwork, images: Tensor, detections: Sequence[Tensor]
) -> list[EncodedImage]:
    """Encode images [B, 3, H, W] of one size, with the object boxes of each [D_b, 4].

    Raises ValueError if the network was folded without its backbone.
    """
    if folded.backbone is None:
        raise ValueError("this network has no backbone: give it feature maps")
    features = folded.backbone(images)
    return encode_features(folded, features, detections, images.shape[-2:])


def encode_features(
    folded: FoldedNetwork,
    features: Tensor,
    detections: Sequence[Tensor],
    size: Sequence[int] | None = None,
) -> list[EncodedImage]:
    """Encode images from their feature maps [B, c, h, w], wherever those come from.

    size: (height, width) of the images; None: that of the maps in pixels.
    """
    height, width = size or [STRIDE * side for side in features.shape[-2:]]
    most = folded.config.detections
    boxes = [used_detections(found, most, height, width) for found in detections]
    rod_table = folding.rod_table(folded.rod, features)
    # Filled on the device: a tensor built from Python numbers is a copy that a GPU waits for.
    size_wh = torch.stack([features.new_full((), width), features.new_full((), height)])
    return [
        _encode_image(
            folded,
            size_wh,
            features[i : i + 1],
            rod_table[i],
            embed(folded, features[i : i + 1], rod_table[i], boxes[i]),
            box_centres(boxes[i], height, width),
        )
        for i in range(len(features))
    ]


def embed(folded: FoldedNetwork, features: Tensor, rod_table: Tensor, boxes: Tensor) -> Tensor:
    """Compute nodes [k, C] of boxes [k, 4] from an image's features [1, c, H, W], `rod_table`."""
    boxes = boxes / STRIDE
    samples = folding.roi_samples(features, boxes, folded.config.align_size).flatten(1)
    inside = linear(samples, folded.roi, folded.embedding.linear.bias)
    outside = folding.rod_outside(rod_table, boxes, features.shape[-2:])
    return folded.embedding.finish(inside + outside)


def _encode_image(
    folded: FoldedNetwork,
    size_wh: Tensor,
    features: Tensor,
    rod_table: Tensor,
    objects: Tensor,
    centres: Tensor,
) -> EncodedImage:
    relations, attention = folded.relations, folded.transformer.layer(0).attention
    theta, phi = apply(relations.semantic_theta, objects), apply(relations.semantic_phi, objects)
    keys, values = (
        linear_by_head(folding.by_head(part, attention.heads), maps).transpose(0, 1).flatten(0, 1)
        for part, maps in zip(
            apply(attention.key_value, attention.norm(objects)).chunk(2, dim=-1),
            (folded.first.keys, folded.first.values),
            strict=True,
        )
    )  # [h * n, C]
    shared = torch.cat([values, objects, attention.out.bias[None]])
    places, count = folded.config.detections, len(objects)
    node = torch.arange(count, device=objects.device)
    counts = places // count + (node < places % count).to(objects.dtype)
    return EncodedImage(
        size_wh=size_wh,
        features=features,
        rod_table=rod_table,
        log_counts=functional.pad(counts.log(), (1, 0)),
        copies=functional.pad(1 + torch.arange(places, device=node.device) % count, (1, 0)),
        centres=centres,
        spatial=distance(relations.spatial_theta(centres), relations.spatial_phi(centres)),
        semantic=theta @ phi.T,
        theta=theta,
        phi=phi,
        aggregate=apply(folded.transformer.aggregate, objects),
        keys=keys,
        shared=shared,
        origins=_origins(node).to(objects.dtype),
        hidden=torch.cat([linear(shared, folded.widen), folded.widen_bias[None]]),
    )


def _origins(node: Tensor) -> Tensor:
    # The crop was no object. one_hot is given the count, since finding it would make a GPU wait.
    objects = functional.pad(functional.one_hot(node, len(node)), (0, 0, 1, 0))
    return functional.pad(objects, (0, 1), value=1)
