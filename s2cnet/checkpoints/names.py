"""Map tensors' names to those in weights files, and derive the configuration from their shapes.

Files always have the published names; inside the network, tensors have different names.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from s2cnet.config import S2CNetConfig

# Own prefix -> published prefix.
_PREFIXES = {
    "backbone.stage3.": "Feat_ext.feature3.0.",
    "backbone.stage4.": "Feat_ext.feature4.0.",
    "backbone.stage5.": "Feat_ext.feature5.0.",
    "backbone.reduce.": "DimRed.",
    "embedding.linear.": "node_emb.0.",
    "embedding.norm.": "node_emb.1.",
    "relations.spatial_theta.": "GraphConstructor.pos_ascension_theta.",
    "relations.spatial_phi.": "GraphConstructor.pos_ascension_phi.",
    "relations.semantic_theta.": "GraphConstructor.fc_rn_theta.",
    "relations.semantic_phi.": "GraphConstructor.fc_rn_phi.",
    "relations.spatial_heads.": "GraphConstructor.pos_to_head.",
    "relations.semantic_heads.": "GraphConstructor.app_to_head.",
    "transformer.aggregate.": "GraphTransformer.fc_gcn.",
    "transformer.aggregate_norm.": "GraphTransformer.nl_gcn.",
    "head.score.": "FC_layers.",
    "head.layers.": "FC_layers.",
}
# Inside layer i of the transformer; its two halves are numbered 0 and 1.
_ATTENTION = {
    "norm.": "norm.",
    "query.": "fn.to_q.",
    "key_value.": "fn.to_kv.",
    "out.": "fn.to_out.0.",
}
_FEED_FORWARD = {"norm.": "norm.", "widen.": "fn.net.0.", "narrow.": "fn.net.3."}
# torchvision nests convolution, norm and activation of an inverted residual; the files do not.
_EXPANDING_BLOCK = {"0.0": "0", "0.1": "1", "1.0": "3", "1.1": "4", "2": "6", "3": "7"}
_FIRST_BLOCK = {"0.0": "0", "0.1": "1", "1": "3", "2": "4"}  # block 1 does not expand


def published_name(name: str, config: S2CNetConfig) -> str:
    """Return the published name of the network's tensor `name`.

    No layout of the EfficientNet-B1 variant is published: its stages keep torchvision's names.
    """
    layer = re.fullmatch(
        r"transformer\.layers\.(\d+)\.(attention|feed_forward)\.(\w+\.)(\w+)", name
    )
    if layer:
        index, half, part, leaf = layer.groups()
        number, parts = (0, _ATTENTION) if half == "attention" else (1, _FEED_FORWARD)
        return f"GraphTransformer.layers.{index}.{number}.fn.{parts[part]}{leaf}"
    if config.backbone == "mobilenet_v2":
        name = _flat_block(name)
    own = next(prefix for prefix in _PREFIXES if name.startswith(prefix))
    return _PREFIXES[own] + name.removeprefix(own)


def _flat_block(name: str) -> str:
    block = re.fullmatch(r"(backbone\.stage\d\.(\d+)\.conv)\.([\d.]+)\.(\w+)", name)
    if not block:
        return name
    stem, number, position, leaf = block.groups()
    positions = _FIRST_BLOCK if number == "1" else _EXPANDING_BLOCK
    return f"{stem}.{positions[position]}.{leaf}"


def config_of(tensors: Mapping[str, Tensor]) -> S2CNetConfig:
    """Derive the configuration from the names and shapes of a published layout.

    A crop-node head has no tensor that depends on the number of detections: 10, as published.

    Raises KeyError if a name it reads is missing, ValueError if a tensor is empty.
    """
    empty = [name for name, tensor in tensors.items() if tensor.numel() == 0]
    if empty:
        raise ValueError(f"{empty[0]} has no elements")
    reduced_dim, channels = tensors["DimRed.weight"].shape[:2]
    node_dim, sampled = tensors["node_emb.0.weight"].shape
    all_nodes = "FC_layers.0.0.weight" in tensors
    layers = {name.split(".")[2] for name in tensors if name.startswith("GraphTransformer.layers.")}
    return S2CNetConfig(
        backbone="efficientnet_b1" if channels == 1432 else "mobilenet_v2",
        align_size=round((sampled / (2 * reduced_dim)) ** 0.5),
        detections=tensors["FC_layers.0.0.weight"].shape[1] - 1 if all_nodes else 10,
        head="all_nodes" if all_nodes else "crop_node",
        reduced_dim=reduced_dim,
        node_dim=node_dim,
        relation_dim=tensors["GraphConstructor.fc_rn_theta.weight"].shape[0],
        layers=len(layers),
        heads=tensors["GraphConstructor.pos_to_head.weight"].shape[0],
        mlp_dim=tensors["GraphTransformer.layers.0.1.fn.fn.net.0.weight"].shape[0],
    )


# In a GAIC file the stages keep torchvision's block numbers, and the names inside a block.
_GAIC_PREFIXES = {
    "backbone.stage3.": "Feat_ext.feature3.",
    "backbone.stage4.": "Feat_ext.feature4.",
    "backbone.stage5.": "Feat_ext.feature5.",
    "backbone.reduce.": "DimRed.",
    "head.": "FC_layers.",
}


def gaic_name(name: str) -> str:
    """Return the name in a weights file of GAIC's tensor `name`.

    Feat_ext.feature3|4|5.<block>…   backbone stages of stride 8, 16 and 32
    DimRed.weight, .bias             1×1 convolution to 8 channels
    FC_layers.0.0|0.1                align_size² × 16 → 768 convolution, its batch norm
    FC_layers.1.0|1.1, FC_layers.3   768 → 128 with batch norm, 128 → 1
    """
    prefix = next(prefix for prefix in _GAIC_PREFIXES if name.startswith(prefix))
    return _GAIC_PREFIXES[prefix] + name.removeprefix(prefix)
