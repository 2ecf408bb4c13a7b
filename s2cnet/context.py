"""What all candidates of a picture share, computed once by `S2CNet.encode`.

Shapes: n object nodes of width C (repeated boxes are one node, counted), N = 1 + n, h heads of
d = C / h channels, R the relations' width, F the feed-forward's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from s2cnet import folding
from s2cnet.folded_weights import FoldedWeights
from s2cnet.graph import box_centres, distance, used_detections

if TYPE_CHECKING:
    from s2cnet.model import S2CNet


@dataclass(frozen=True)
class PictureContext:
    """One picture. After the first layer's attention every node is a weighted sum of vectors that
    the picture's candidates share (`shared`) and of h + 1 vectors of the candidate's own."""

    features: Tensor  # [1, channels, H / 16, W / 16]
    discard: Tensor  # [A + 2, A + 2, C] integral image of the RoD half of the embedding
    log_counts: Tensor  # [N] how often each node stands in the graph: 0 for the crop
    copies: Tensor  # [1 + D] the node that each place of the graph holds
    centres: Tensor  # [n, 2]
    spatial: Tensor  # [n, n] distances among the objects
    semantic: Tensor  # [n, n] products among the objects
    theta: Tensor  # [n, R]
    phi: Tensor  # [n, R]
    mixed: Tensor  # [n, C] after the aggregation's projection
    keys: Tensor  # [C, h * n] folded with the query projection
    shared: Tensor  # [h * n + n + 1, C] folded values, objects, the output's bias
    origins: Tensor  # [N, n + 1] which object a node was, and 1 for the bias
    hidden: Tensor  # [h * n + n + 2, F] `shared` after `widen`, and its bias


@dataclass(frozen=True)
class ImageContext:
    """What `S2CNet.encode` keeps of B pictures of one size, for any number of candidates."""

    height: int
    width: int
    weights: FoldedWeights
    pictures: list[PictureContext]


def encode(
    network: S2CNet, weights: FoldedWeights, images: Tensor, detections: Sequence[Tensor]
) -> ImageContext:
    """Everything about the pictures that no candidate changes. Arguments of `S2CNet.forward`."""
    height, width = images.shape[-2:]
    features = weights.backbone(images.contiguous(memory_format=torch.channels_last))
    most = network.config.detections
    boxes = [used_detections(found, most, height, width) for found in detections]
    rois = [functional.pad(one, (1, 0), value=index) for index, one in enumerate(boxes)]
    objects = network.embedding(network.sample(features, torch.cat(rois)))
    discard = folding.discard_table(weights.discard, features)
    pictures = [
        _picture(network, weights, features[i : i + 1], discard[i], nodes, centres)
        for i, (nodes, centres) in enumerate(
            zip(
                torch.split(objects, [len(one) for one in boxes]),
                [box_centres(one, height, width) for one in boxes],
                strict=True,
            )
        )
    ]
    return ImageContext(height, width, weights, pictures)


def _picture(
    network: S2CNet,
    weights: FoldedWeights,
    features: Tensor,
    discard: Tensor,
    objects: Tensor,
    centres: Tensor,
) -> PictureContext:
    relations, attention = network.relations, network.transformer.layer(0).attention
    theta, phi = relations.semantic_theta(objects), relations.semantic_phi(objects)
    key, value = attention.key_value(attention.norm(objects)).chunk(2, dim=-1)
    values = folding.fold_values(attention, value).transpose(0, 1).flatten(0, 1)  # [h * n, C]
    shared = torch.cat([values, objects, attention.out.bias[None]])
    places, count = network.config.detections, len(objects)
    node = torch.arange(count, device=objects.device)
    counts = places // count + (node < places % count).to(objects.dtype)
    return PictureContext(
        features=features,
        discard=discard,
        log_counts=functional.pad(counts.log(), (1, 0)),
        copies=functional.pad(1 + torch.arange(places, device=node.device) % count, (1, 0)),
        centres=centres,
        spatial=distance(relations.spatial_theta(centres), relations.spatial_phi(centres)),
        semantic=theta @ phi.T,
        theta=theta,
        phi=phi,
        mixed=network.transformer.aggregate(objects),
        keys=folding.fold_keys(attention, key).transpose(0, 1).flatten(0, 1).T.contiguous(),
        shared=shared,
        origins=_origins(node).to(objects.dtype),
        hidden=torch.cat([shared @ weights.widen.T, weights.widen_bias[None]]),
    )


def _origins(node: Tensor) -> Tensor:
    # The crop was none of them. The count is given because looking for it would make a GPU wait.
    objects = functional.pad(functional.one_hot(node, len(node)), (0, 0, 1, 0))
    return functional.pad(objects, (0, 1), value=1)
