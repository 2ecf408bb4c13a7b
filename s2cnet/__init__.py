"""S2CNet, the network: tensors in, scores out.

config       the numbers that define a network, and the two published presets
inputs       photos and boxes to the network's input
network      the definition, to be read alongside the paper, trainable
fast         inference: the same scores, several times faster
checkpoints  weights files
aot          networks compiled ahead of time
onnx         networks run by ONNX Runtime
recording    functions recorded and replayed as CUDA graphs
layout       the memory layout in which convolutions are fastest
"""

from collections.abc import Sequence

from torch import Tensor

from s2cnet.checkpoints.files import WeightsError
from s2cnet.checkpoints.published import (
    from_published_state_dict,
    load_model,
    to_published_state_dict,
)
from s2cnet.config import PRESETS, S2CNetConfig
from s2cnet.fast import FastS2CNet, Precision
from s2cnet.inputs import boxes_to_input, prepare_image
from s2cnet.network.s2cnet import S2CNet


def score(
    network: S2CNet,
    images: Tensor,
    crops: Tensor,
    detections: Sequence[Tensor],
    precision: Precision = "float32",
) -> Tensor:
    """Score crops as `forward` does, several times faster and without gradients.

    Copies the weights in every call, which takes about 30 ms. To score many images, keep a
    `FastS2CNet(network)`.
    """
    return FastS2CNet(network, precision).score(images, crops, detections)


# The definition does not import the fast path, so the method is added here, where both are known.
S2CNet.score = score

__all__ = [
    "PRESETS",
    "FastS2CNet",
    "S2CNet",
    "S2CNetConfig",
    "WeightsError",
    "boxes_to_input",
    "from_published_state_dict",
    "load_model",
    "prepare_image",
    "to_published_state_dict",
]
