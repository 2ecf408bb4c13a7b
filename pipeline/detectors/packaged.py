"""The weights inside the package, as bytes: to name them, nothing heavy need be imported."""

import hashlib
from importlib.resources import files


def embedded_weights() -> bytes:
    """The file of the embedded detector's weights, safetensors in half precision."""
    return files("pipeline.detectors").joinpath("weights/subjects.safetensors").read_bytes()


def embedded_identity(weights: bytes | None = None) -> str:
    """The identity of the embedded detector. weights: the file, where it is read already."""
    data = embedded_weights() if weights is None else weights
    return f"embedded-{hashlib.sha256(data).hexdigest()}"
