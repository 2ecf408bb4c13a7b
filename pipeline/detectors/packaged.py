"""Read the packaged weights as bytes, so that identifying them needs no heavy import."""

import hashlib
from functools import cache
from importlib.resources import files

FEATURES_OF = "68de5b4d2465939d8bcd77abd73d059adf93f3773f626713c613857eac049896"
"""sha256 of the S2CNet weights whose feature map the packaged branch predicts."""


def embedded_weights() -> bytes:
    """Read the embedded detector's weights, a safetensors file in half precision."""
    return files("pipeline.detectors").joinpath("weights/subjects.safetensors").read_bytes()


def feature_weights() -> bytes:
    """Read the weights of the S2CNet feature branch, a safetensors file in half precision."""
    return files("pipeline.detectors").joinpath("weights/features.safetensors").read_bytes()


@cache
def embedded_identity(with_features: bool = False) -> str:
    """Return the embedded detector's identity. with_features: with the branch for S2CNet."""
    name = f"embedded-{hashlib.sha256(embedded_weights()).hexdigest()}"
    if with_features:
        name += f"-features-{hashlib.sha256(feature_weights()).hexdigest()}"
    return name
