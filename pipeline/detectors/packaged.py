"""The weights inside the package, as bytes: to name them, nothing heavy need be imported."""

import hashlib
from functools import cache
from importlib.resources import files

FEATURES_OF = "68de5b4d2465939d8bcd77abd73d059adf93f3773f626713c613857eac049896"
"""sha256 of the S2CNet weights whose feature map the packaged branch tells."""


def embedded_weights() -> bytes:
    """The file of the embedded detector's weights, safetensors in half precision."""
    return files("pipeline.detectors").joinpath("weights/subjects.safetensors").read_bytes()


def feature_weights() -> bytes:
    """The file of the branch that tells S2CNet's feature map, safetensors in half precision."""
    return files("pipeline.detectors").joinpath("weights/features.safetensors").read_bytes()


@cache
def embedded_identity(with_features: bool = False) -> str:
    """The identity of the embedded detector. with_features: with the branch for S2CNet."""
    name = f"embedded-{hashlib.sha256(embedded_weights()).hexdigest()}"
    if with_features:
        name += f"-features-{hashlib.sha256(feature_weights()).hexdigest()}"
    return name
