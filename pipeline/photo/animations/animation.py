"""Decode every frame of a moving picture, within limits, with its timing.

`decoder.Decoder.decode_frames` does this in the child process; use that for untrusted files.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import DecodeError
from pipeline.photo.animations.apng_layers import apng_layers
from pipeline.photo.animations.canvas import composed
from pipeline.photo.animations.gif_layers import gif_layers
from pipeline.photo.decode import check_bytes
from pipeline.photo.decode_errors import MALFORMED, as_decode_errors
from pipeline.photo.decoded import Photo
from pipeline.photo.files.formats import sniff
from pipeline.photo.files.frames import frame_count
from pipeline.photo.files.strip import stripped
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.opening import Opened, opened_picture
from pipeline.photo.planes import upright
from pipeline.photo.view import view_size

LONGEST_MS, MOST_PLAYS = 65_535, 65_535  # of a frame, of an animation: 2 bytes in most formats
LAYERED = ("gif", "png")  # formats whose frames are read here one by one
MOST_VIEW_PIXELS = 48_000_000  # of all frames together; larger views are reduced further


@dataclass(frozen=True, eq=False)
class Animation:
    """The frames of a moving picture.

    views:        uint8 [F, h, w, 3], sRGB, upright, perhaps reduced; blended with white.
    alphas:       uint8 [F, h, w]; None: all frames are opaque.
    durations_ms: how long each frame is shown. [F]
    plays:        how many times the animation is played; 0: forever.
    """

    views: NDArray[np.uint8]
    alphas: NDArray[np.uint8] | None
    durations_ms: tuple[int, ...]
    plays: int

    def photos(self, photo: Photo) -> list[Photo]:
        """Return each frame as a photo. photo: the first frame, as it was decoded before."""
        alphas = [None] * len(self.views) if self.alphas is None else list(self.alphas)
        return [
            replace(photo, pixels=view, alpha=alpha, wide=None, wide_space=None)
            for view, alpha in zip(self.views, alphas, strict=True)
        ]


@dataclass(frozen=True)
class RenderedFrames:
    """An `Animation` as Pillow images: RGB, and L for opacity."""

    images: list[Image.Image]
    alphas: list[Image.Image] | None
    durations_ms: list[int]
    plays: int


def decode_frames(data: bytes, limits: DecodeLimits, view_side: int) -> Animation:
    """Decode all frames in this process. Arguments and errors are those of `decode.decode`.

    Raises DecodeError("too_many_frames") too.
    """
    found = render_frames(data, limits, view_side)
    return Animation(
        np.stack([np.asarray(image) for image in found.images]),
        None if found.alphas is None else np.stack([np.asarray(one) for one in found.alphas]),
        tuple(found.durations_ms),
        found.plays,
    )


def render_frames(data: bytes, limits: DecodeLimits, view_side: int) -> RenderedFrames:
    """Decode all frames to Pillow images, which saves a copy in the child process.

    Of a damaged GIF or PNG those before the damage are taken.
    """
    check_bytes(data, limits)
    name = sniff(data)
    with as_decode_errors(data, name):
        opened = opened_picture(data, name, limits)
        file = opened.image
        count = frame_count(file, data, name)
        check_frames(count, file.size, limits)
        side = min(view_side, _side_within(file.size, count))
        view_wh = view_size(file.size, side, MOST_VIEW_PIXELS / count)
        images, alphas, durations = [], [], []
        frames = _frames(opened, data, count, limits)
        for frame, duration in _before_damage(frames) if name in LAYERED else frames:
            planes = upright(opened, view_wh, shown=frame)
            image = planes.image
            images.append(image.copy() if image is frame else image)
            alphas.append(planes.alpha or Image.new("L", image.size, 255))
            durations.append(min(LONGEST_MS, duration))
        if len(images) < (1 if name in LAYERED else count):
            raise DecodeError("corrupt", f"{name}: {len(images)} of its {count} frames are there")
    is_opaque = all(alpha.getextrema() == (255, 255) for alpha in alphas)
    return RenderedFrames(images, None if is_opaque else alphas, durations, _plays(file, name))


def _frames(
    opened: Opened, data: bytes, count: int, limits: DecodeLimits
) -> Iterator[tuple[Image.Image, int]]:
    """Yield each frame as it is shown, and for how long; the next iteration may overwrite it."""
    file = opened.image
    if opened.format == "gif":
        yield from islice(composed(gif_layers(data, limits), file.size), count)
    elif opened.format == "png" and count > 1:
        yield from islice(
            composed(apng_layers(stripped(data, "png").data, limits), file.size), count
        )
    else:
        for index in range(count):
            file.seek(index)
            file.load()
            yield file, _duration_ms(file)


def _before_damage(
    frames: Iterator[tuple[Image.Image, int]],
) -> Iterator[tuple[Image.Image, int]]:
    """Yield the frames before the first damaged one, as browsers do; raise if that is the first."""
    is_first = True
    try:
        for one in frames:
            yield one
            is_first = False
    except MALFORMED:
        if is_first:
            raise


def check_frames(count: int, size: tuple[int, int], limits: DecodeLimits) -> None:
    """Raise DecodeError for more frames, or more pixels in all frames, than the limits allow."""
    if count > limits.max_frames:
        raise DecodeError("too_many_frames", f"{count} frames, more than {limits.max_frames}")
    pixels = count * size[0] * size[1]
    if pixels > limits.max_animation_pixels:
        message = f"{pixels} pixels in all frames, more than {limits.max_animation_pixels}"
        raise DecodeError("too_many_frames", message)


def _side_within(size: tuple[int, int], count: int) -> int:
    """Return the long side with which all views together have about MOST_VIEW_PIXELS."""
    reduction = ceil(sqrt(count * size[0] * size[1] / MOST_VIEW_PIXELS))
    return max(1, max(size) // max(1, reduction))


def _duration_ms(opened: Image.Image) -> int:
    """Return how long the current frame is shown, 0 to LONGEST_MS; 100 if not stated."""
    duration = opened.info.get("duration", 100)
    return int(max(0, min(LONGEST_MS, round(float(duration)))))


def _plays(opened: Image.Image, name: str) -> int:
    """Return how many times all frames are played; 0: forever.

    A GIF states how often it is repeated, the other formats how often it is played. For AVIF,
    Pillow does not report it.
    """
    if name == "gif":
        repeats = opened.info.get("loop")
        plays = 1 if repeats is None else int(repeats) + 1 if repeats else 0
    else:
        plays = int(opened.info.get("loop") or 0)
    return int(max(0, min(MOST_PLAYS, plays)))
