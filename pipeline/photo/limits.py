"""What a photo may cost before it is refused, and the size at which it is decoded.

The defaults stand here; this file imports nothing, so that settings can have them at no cost.
"""

from dataclasses import dataclass

VIEW_SIDE = 1024  # px, the long side of a decoded view; several times the network's input


@dataclass(frozen=True)
class DecodeLimits:
    """Which photos are refused. Sides and pixels are those that the file's header states.

    max_bytes:       of the file.
    max_pixels:      width × height, for every format but JPEG; of a JPEG what is decoded after its
                     reduction to 1/2, 1/4 or 1/8.
    max_jpeg_pixels: the same for JPEG; larger, because a reduced one costs 3 ns a pixel and a row
                     of memory.
    max_progressive_pixels: the same for progressive JPEG, and others in several scans: all of it is
                     held in memory, up to 6 bytes a pixel, whatever the reduction.
    max_scan_pixels: of such a JPEG, pixels times scans, each of which costs a pass over all of it.
    max_side:        of the longer side, pixels; 65,535 is the most that a JPEG or GIF can have.
    max_frames, max_animation_pixels: of a moving picture whose every frame is decoded: frames, and
                     pixels of all of them together.
    least_complete:  share of a damaged picture's rows that have to be there; 1 refuses all damaged
                     pictures.
    timeout_s:       seconds of one photo. Only `Decoder` keeps it: a process cannot stop itself.
    memory_bytes:    the child's whole address space, about 150 MiB of libraries included. Only
                     `Decoder` keeps it.
    """

    max_bytes: int = 64 << 20
    max_pixels: int = 50_000_000
    max_jpeg_pixels: int = 250_000_000
    max_progressive_pixels: int = 100_000_000
    max_scan_pixels: int = 2_000_000_000
    max_side: int = 65_535
    max_frames: int = 500
    max_animation_pixels: int = 400_000_000
    least_complete: float = 0.75
    timeout_s: float = 10.0
    memory_bytes: int = 2 << 30
