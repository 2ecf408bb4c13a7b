"""Thumbnails for user photos: crops of one photo, and tables of crops of a whole bucket.

    Cropper, Crop          crops one photo, without a cluster
    decode, Photo          decodes one photo to upright sRGB pixels, in this process
    open_run, Run          reads the tables of committed runs
    DecodeError, …         errors, see `pipeline.errors`

Each name is imported on first use: `import pipeline` loads no library, and
`from pipeline import Cropper` loads numpy and Pillow. torch is loaded when a `Cropper` is built.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeline.code_version import RELEASE

if TYPE_CHECKING:
    from pipeline.cropping.cropper import Crop, Cropper
    from pipeline.errors import CropError, DecodeError, LedgerError, UsageError
    from pipeline.ledger.reader import Run, open_run
    from pipeline.photo.decode import Photo, decode

__all__ = [
    "Crop",
    "CropError",
    "Cropper",
    "DecodeError",
    "LedgerError",
    "Photo",
    "Run",
    "UsageError",
    "decode",
    "open_run",
]

__version__ = RELEASE

_HOME = {
    "Crop": "pipeline.cropping.cropper",
    "CropError": "pipeline.errors",
    "Cropper": "pipeline.cropping.cropper",
    "DecodeError": "pipeline.errors",
    "LedgerError": "pipeline.errors",
    "Photo": "pipeline.photo.decode",
    "Run": "pipeline.ledger.reader",
    "UsageError": "pipeline.errors",
    "decode": "pipeline.photo.decode",
    "open_run": "pipeline.ledger.reader",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
