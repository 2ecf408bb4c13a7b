"""S2CNet, the network: tensors in, scores out."""

from s2cnet.config import PRESETS, S2CNetConfig
from s2cnet.model import S2CNet
from s2cnet.preprocess import boxes_to_input, prepare_image

__all__ = [
    "PRESETS",
    "S2CNet",
    "S2CNetConfig",
    "boxes_to_input",
    "prepare_image",
]
