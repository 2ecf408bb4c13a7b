"""Public import path of the crop candidates, defined in `pipeline.cropping.candidates`."""

from pipeline.cropping.candidates import for_free, for_ratio, grid, largest, published_ratio

__all__ = ["for_free", "for_ratio", "grid", "largest", "published_ratio"]
