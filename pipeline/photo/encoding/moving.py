"""Encode the frames of a moving thumbnail as one file: WebP, PNG (APNG) or AVIF."""

from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import EncodeError, UsageError
from pipeline.photo.animations.animation import LONGEST_MS
from pipeline.photo.encoding.thumbnail import DEFAULT_QUALITY, EFFORT, encoded_image

MOVING_FORMATS = ("webp", "png", "avif")
MOST_MS = (1 << 24) - 1  # of a frame in WebP (RFC 9649, 2.7.1.1), some five hours
COUNTS_PLAYS = ("webp", "png")  # for AVIF, Pillow always writes: forever


def without_repeats(
    frames: Iterable[NDArray[np.uint8]], durations_ms: Iterable[int]
) -> tuple[list[NDArray[np.uint8]], list[int]]:
    """Show each frame that equals the one before it as a longer duration of that one.

    The encoders of WebP and PNG do the same, so that a file has as many frames as are left here.
    """
    left: list[NDArray[np.uint8]] = []
    times: list[int] = []
    for frame, time in zip(frames, durations_ms, strict=True):
        if left and np.array_equal(left[-1], frame):
            times[-1] = min(times[-1] + time, MOST_MS)
        else:
            left.append(frame)
            times.append(time)
    return left, times


def encode_moving(
    frames: Sequence[NDArray[np.uint8]],
    durations_ms: Sequence[int],
    plays: int = 0,
    format: str = "webp",
    quality: int = DEFAULT_QUALITY,
    circle: bool = False,
) -> bytes:
    """Encode frames, uint8 [h, w, 3] or [h, w, 4] of one size, each shown for its duration.

    plays: how many times the animation is played, 0: forever; an AVIF always plays forever. Other
    arguments as of `thumbnail.encode`.
    Raises UsageError for a format without animation, EncodeError if the encoder fails.
    """
    if format not in MOVING_FORMATS:
        raise UsageError(f"{format!r} can't move: one of {', '.join(MOVING_FORMATS)}")
    images = [encoded_image(frame, circle, transparent=True) for frame in frames]
    if any(image.mode == "RGBA" for image in images):
        images = [image.convert("RGBA") for image in images]
    times = [_png_ms(time) for time in durations_ms] if format == "png" else list(durations_ms)
    options: dict[str, Any] = {**EFFORT[format], "duration": times}
    if format in COUNTS_PLAYS:
        options["loop"] = plays
    stream = BytesIO()
    try:
        images[0].save(
            stream, format, save_all=True, append_images=images[1:], quality=quality, **options
        )
    except (OSError, ValueError, MemoryError) as error:
        raise EncodeError("encoder_failed", f"{format}: {error}") from error
    return stream.getvalue()


def _png_ms(time: int) -> int:
    """Round a long time to whole seconds: a PNG has a fraction of two numbers of 16 bits."""
    return time if time <= LONGEST_MS else 1000 * round(time / 1000)
