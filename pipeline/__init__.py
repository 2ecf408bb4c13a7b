"""From a bucket of photos to tables of crops. Importing this loads nothing heavy."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.cropping.cropper import Crop, Cropper
    from pipeline.errors import CropError, LedgerError, UsageError
    from pipeline.ledger.reader import Run, open_run

__all__ = ["Crop", "CropError", "Cropper", "LedgerError", "Run", "UsageError", "open_run"]

_HOME = {
    "Crop": "pipeline.cropping.cropper",
    "Cropper": "pipeline.cropping.cropper",
    "CropError": "pipeline.errors",
    "LedgerError": "pipeline.errors",
    "UsageError": "pipeline.errors",
    "Run": "pipeline.ledger.reader",
    "open_run": "pipeline.ledger.reader",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
