"""Settings that ask for what came out before a setting was there."""

from dataclasses import MISSING, fields
from typing import Any

from pipeline.settings import Settings

PARTS = [type(getattr(Settings(), item.name)) for item in fields(Settings)]
BEFORE: dict[str, Any] = {
    item.name: item.metadata["before"]
    for part in PARTS
    for item in fields(part)
    if item.metadata["before"] is not MISSING
}
# Defaults of release 0.1.0 that are others today; its specs have them in their identity.
OLD_DEFAULTS: dict[str, Any] = {
    "max_jpeg_pixels": 100_000_000, "max_side": 16_384, "format": "webp",
}  # fmt: skip
