"""The settings for decoding photos. They are part of a run's identity, see `result.py`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.options import LONGEST_S, MOST_SIDE, check, option
from pipeline.photo.limits import LEAST_MEMORY_BYTES, VIEW_SIDE, DecodeLimits

_LIMITS = DecodeLimits()


@dataclass(frozen=True)
class DecodingSettings:
    """Limits on the photos that are decoded, and the size of the decoded view."""

    max_bytes: int = option(_LIMITS.max_bytes, "larger files are refused", "bytes", least=1)
    max_pixels: int = option(_LIMITS.max_pixels, "photos of more pixels are refused", "px", least=1)
    max_jpeg_pixels: int = option(
        _LIMITS.max_jpeg_pixels, "the same for JPEG, which is decoded reduced", "px", least=1
    )
    max_progressive_pixels: int = option(
        _LIMITS.max_progressive_pixels,
        "the same for progressive JPEG, which has to be in memory as a whole",
        "px",
        least=1,
        before=100_000_000,
    )
    max_scan_pixels: int = option(
        _LIMITS.max_scan_pixels,
        "progressive JPEGs with more pixels times scans are refused",
        "px",
        least=1,
        before=1 << 62,
    )
    max_side: int = option(_LIMITS.max_side, "photos with a longer side are refused", "px", least=1)
    max_frames: int = option(
        _LIMITS.max_frames,
        "with `animated` all, animations with more frames are refused",
        placeholder="FRAMES",
        least=1,
        before=_LIMITS.max_frames,
    )
    max_animation_pixels: int = option(
        _LIMITS.max_animation_pixels,
        "the same for the total pixels of all frames",
        "px",
        least=1,
        before=_LIMITS.max_animation_pixels,
    )
    least_complete: float = option(
        _LIMITS.least_complete,
        "share of a damaged photo's rows that must be decodable for it to be cropped; 1 refuses "
        "all damaged photos",
        placeholder="SHARE",
        least=0.05,
        most=1,
        before=1.0,
    )
    decode_timeout_s: float = option(
        _LIMITS.timeout_s, "time limit for decoding one photo", "s", least=1, most=LONGEST_S
    )
    decode_memory_bytes: int = option(
        _LIMITS.memory_bytes,
        "memory limit of the process that decodes photos, of which its libraries take about "
        "200 MiB",
        "bytes",
        least=LEAST_MEMORY_BYTES,
    )
    view_side: int = option(
        VIEW_SIDE,
        "photos are scored and cut at about this long side, or at twice `thumbnail_size` if that "
        "is larger",
        "px",
        least=1,
        most=MOST_SIDE,
    )
    borders: Literal["trim", "keep"] = option(
        "trim",
        "trim uniform black or white bars around a photo, or keep them as part of it; see "
        "docs/KINDS.md",
        before="keep",
    )
    animated: Literal["first", "all", "skip"] = option(
        "first",
        "for animations, crop the first frame, or all frames (webp, png and avif crops), or make "
        "no crops",
        before="first",
    )

    def __post_init__(self) -> None:
        check(self)

    @property
    def limits(self) -> DecodeLimits:
        """The limits in the decoder's own type."""
        return DecodeLimits(
            max_bytes=self.max_bytes,
            max_pixels=self.max_pixels,
            max_jpeg_pixels=self.max_jpeg_pixels,
            max_progressive_pixels=self.max_progressive_pixels,
            max_scan_pixels=self.max_scan_pixels,
            max_side=self.max_side,
            max_frames=self.max_frames,
            max_animation_pixels=self.max_animation_pixels,
            least_complete=self.least_complete,
            timeout_s=self.decode_timeout_s,
            memory_bytes=self.decode_memory_bytes,
        )


def with_enough_memory(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an earlier version's run, by name, with the memory needed now."""
    name = "decode_memory_bytes"
    raised = {name: max(LEAST_MEMORY_BYTES, values[name])} if name in values else {}
    return {**values, **raised}
