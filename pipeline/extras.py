"""List the optional packages and the extra of this project that installs each."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import UsageError

EXTRA_OF = {
    "aiobotocore": "s3",
    "aiohttp": "s3",
    "botocore": "s3",
    "deltalake": "delta",
    "jinja2": "eval",
    "matplotlib": "eval",
    "moto": "demo",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "openlineage": "lineage",
    "pandas": "eval",
    "prometheus_client": "cluster",
    "psutil": "demo",
    "pyiceberg": "iceberg",
    "pyjpegli": "jpegli",
    "pyvips": "eval",
    "ray": "cluster",
    "s3fs": "s3",
    "scipy": "eval",
    "skimage": "demo",
    "sklearn": "demo",
}


class MissingExtraError(UsageError, ImportError):
    """A package that only some uses need is not installed; the message says how to install it."""


@contextmanager
def extra_needed() -> Iterator[None]:
    """Turn a failed import of an optional package into a MissingExtraError that names its extra."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRA_OF:
            raise
        raise MissingExtraError(
            f"this needs the package {package}, which is not installed: "
            f"pip install 's2cnet-thumbnails[{EXTRA_OF[package]}]'"
        ) from error
