"""S2CNet, the network: tensors in, scores out."""

from s2cnet.checkpoint import (
    WeightsError,
    from_published_state_dict,
    load_model,
    to_published_state_dict,
)
from s2cnet.config import PRESETS, S2CNetConfig
from s2cnet.inputs import boxes_to_input, prepare_image
from s2cnet.model import S2CNet

__all__ = [
    "PRESETS",
    "S2CNet",
    "S2CNetConfig",
    "WeightsError",
    "boxes_to_input",
    "from_published_state_dict",
    "load_model",
    "prepare_image",
    "to_published_state_dict",
]
