"""Settings that reproduce the results from before a setting existed."""

from dataclasses import fields
from typing import Any

from pipeline.settings import Settings

PARTS = [type(getattr(Settings(), item.name)) for item in fields(Settings)]
# Repeated here on purpose: with other values, runs of earlier releases would not be found.
BEFORE: dict[str, Any] = {
    "max_progressive_pixels": 100_000_000, "max_scan_pixels": 2**62, "max_frames": 500,
    "max_animation_pixels": 400_000_000, "least_complete": 1.0, "borders": "keep",
    "animated": "first", "backbone": "own", "long_photos": "look", "text_heavy": "crop",
    "guards": "off", "fallback": "next,largest", "safe_areas": "", "review_below": 0.0,
    "jpeg_encoder": "pillow", "colour": "srgb", "picture_column": "bytes", "boxes_only": False,
}  # fmt: skip
# Defaults of release 0.1.0 that have changed since; its specs have them in their identity.
OLD_DEFAULTS: dict[str, Any] = {
    "max_jpeg_pixels": 100_000_000, "max_side": 16_384, "format": "webp",
}  # fmt: skip
