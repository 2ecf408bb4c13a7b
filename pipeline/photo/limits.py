"""Limits on what a photo may cost before it is refused, and the size at which it is decoded.

This file has the defaults and imports nothing of the project, so settings can import it cheaply.
"""

from dataclasses import dataclass

VIEW_SIDE = 1024  # px, the long side of a decoded view; several times the network's input
LEAST_MEMORY_BYTES = 256 << 20  # below about 200 MiB, the process that decodes does not start


@dataclass(frozen=True)
class DecodeLimits:
    """Which photos are refused. Sides and pixels are those that the file's header states.

    max_bytes:       size of the file.
    max_pixels:      width × height, for every format but JPEG; for a JPEG, the pixels that are
                     decoded after its reduction to 1/2, 1/4 or 1/8.
    max_jpeg_pixels: width × height of a JPEG; larger, because a reduced one costs 3 ns per pixel
                     and a row of memory.
    max_progressive_pixels: width × height of a progressive JPEG, or another with several scans: all
                     of it is kept in memory, up to 6 bytes per pixel, whatever the reduction.
    max_scan_pixels: pixels times scans of such a JPEG, since each scan costs a pass over all of it.
    max_side:        the longer side, pixels; 65,535 is the most that a JPEG or GIF can have.
    max_frames, max_animation_pixels: number of frames, and pixels of all frames together, of a
                     moving picture whose every frame is decoded.
    least_complete:  share of a damaged picture's rows that have to be decodable; 1 refuses all
                     damaged pictures.
    timeout_s:       seconds per photo. Only `Decoder` enforces it: a process cannot stop itself.
    memory_bytes:    the child's whole address space, including about 200 MiB of libraries. Only
                     `Decoder` enforces it.
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
