"""Convert a decoding child's answers to photos and animations, with every field checked.

A crafted file may have written the answer, so one with any invalid field is rejected.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DecodeError
from pipeline.photo.animations.animation import LONGEST_MS, MOST_PLAYS, Animation
from pipeline.photo.colour import WIDE, WideName
from pipeline.photo.decoded import Photo, described
from pipeline.photo.files.formats import DECODED
from pipeline.photo.files.frames import MOST_FRAMES
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.sandbox.child import STATUSES
from pipeline.photo.sandbox.pipes import DiedError

# Defaults of fields that an answer may omit.
_DEFAULTS: dict[str, object] = {
    "frames": 1, "alpha": False, "complete": 1.0, "there_px": None, "wide_space": None,
}  # fmt: skip


def plain_text(text: str) -> str:
    """Return a text from a child without characters that a terminal or a page could act on.

    Control characters and characters that change the direction of writing become `?`.
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _split(pixels: bytearray, size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the first `size` bytes and the rest, without a copy."""
    array = np.frombuffer(pixels, dtype=np.uint8)
    return array[:size], array[size:]


def _check_status(header: dict[str, object]) -> None:
    """Raise the DecodeError that an answer reports, if any, or DiedError for a bad status."""
    status = header.get("status")
    if not isinstance(status, str) or status not in STATUSES:
        raise DiedError
    if status != "ok":
        raise DecodeError(status, plain_text(str(header.get("message")))[:200])


def photo_from(limits: DecodeLimits, header: dict[str, object], pixels: bytearray) -> Photo:
    """Convert an answer to a Photo. Raises a DecodeError that it reports, DiedError if invalid."""
    _check_status(header)
    match _DEFAULTS | header:
        case {
            "view_wh": [int(width_view), int(height_view)],
            "width_px": int(width_px),
            "height_px": int(height_px),
            "format": str(name),
            "orientation": int(orientation),
            "frames": int(frames),
            "alpha": bool(has_alpha),
            "complete": float(complete),
            "there_px": edges,
            "wide_space": wide_space,
        } if (
            not _has_bools(width_view, height_view, width_px, height_px, orientation, frames)
            and 0 < width_view <= width_px <= limits.max_side
            and 0 < height_view <= height_px <= limits.max_side
            and name in DECODED
            and (wide_space is None or _is_wide(wide_space))
            and width_view * height_view * (3 + has_alpha + 3 * bool(wide_space)) == len(pixels)
            and 1 <= orientation <= 8
            and 1 <= frames <= MOST_FRAMES
            and 0 < complete <= 1
            and _is_part(edges, width_px, height_px)
        ):
            shape = (height_view, width_view)
            area = width_view * height_view
            colours, rest = _split(pixels, area * 3)
            plane, rest = rest[: area * has_alpha], rest[area * has_alpha :]
            alpha = plane.reshape(shape) if has_alpha else None
            wide = rest.reshape(*shape, 3) if wide_space else None
            view = colours.reshape(*shape, 3)
            there_px = None if edges is None else (edges[0], edges[1], edges[2], edges[3])
            facts = (width_px, height_px, name, orientation, frames)
            photo = Photo(view, *facts, alpha=alpha, complete=complete, there_px=there_px)
            if not photo.with_borders().content.pixels.size:
                raise DiedError  # a part of less than a pixel of the view
            return described(replace(photo, wide=wide, wide_space=wide_space))
    raise DiedError


def _is_wide(name: object) -> TypeGuard[WideName]:
    """Return whether a name is that of a wide space that pictures can be kept in."""
    return isinstance(name, str) and name in WIDE


def _is_part(edges: object, width_px: int, height_px: int) -> TypeGuard[list[int] | None]:
    """Return whether edges are None or those of a part of a photo, xyxy."""
    match edges:
        case None:
            return True
        case [int(x0), int(y0), int(x1), int(y1)]:
            inside = 0 <= x0 < x1 <= width_px and 0 <= y0 < y1 <= height_px
            return inside and not _has_bools(x0, y0, x1, y1)
    return False


def _has_bools(*values: object) -> bool:
    """Return whether any value is a bool, which Python accepts as a number and Arrow does not."""
    return any(isinstance(value, bool) for value in values)


def whole_numbers(values: Iterable[object], most: int) -> tuple[int, ...]:
    """Return the values that are whole numbers from 0 to `most`."""
    return tuple(
        value
        for value in values
        if isinstance(value, int) and not _has_bools(value) and 0 <= value <= most
    )


def animation_from(limits: DecodeLimits, header: dict[str, object], pixels: bytearray) -> Animation:
    """Convert an answer to an Animation. Raises as `photo_from` does."""
    _check_status(header)
    match header:
        case {
            "view_wh": [int(width), int(height)],
            "durations_ms": [*stated],
            "plays": int(plays),
            "alpha": bool(has_alpha),
        } if (
            not _has_bools(width, height, plays)
            and 0 < width <= limits.max_side
            and 0 < height <= limits.max_side
            and 0 < len(durations := whole_numbers(stated, LONGEST_MS)) <= limits.max_frames
            and len(durations) == len(stated)
            and 0 <= plays <= MOST_PLAYS
            and len(durations) * width * height * (3 + has_alpha) == len(pixels)
        ):
            shape = (len(durations), height, width)
            colours, rest = _split(pixels, len(durations) * width * height * 3)
            alphas = rest.reshape(shape) if has_alpha else None
            return Animation(colours.reshape(*shape, 3), alphas, durations, plays)
    raise DiedError
