"""Decode one photo to sRGB pixels in this process.

`decoder.Decoder` does the same in a child process with limits on memory and time; use that for
untrusted files. Decoding finds the format from the first bytes, reads the header, checks the
limits, and only then decodes pixels.
"""

from dataclasses import dataclass
from typing import get_args

import numpy as np

from pipeline.errors import DecodeError, UsageError
from pipeline.photo.decode_errors import as_decode_errors
from pipeline.photo.decoded import Photo, described
from pipeline.photo.files.damaged import (
    RECOVERED,
    check_whole,
    decoded_box,
    equal_rows,
    recover_file,
    repeat_last_row,
)
from pipeline.photo.files.formats import sniff
from pipeline.photo.files.frames import frame_count
from pipeline.photo.limits import VIEW_SIDE, DecodeLimits
from pipeline.photo.opening import frame_box, opened_picture
from pipeline.photo.planes import Colour, Planes, upright, upright_size
from pipeline.photo.view import view_size

__all__ = ["Photo", "Rendered", "check_bytes", "decode", "render"]

_DAMAGED = ("truncated", "corrupt")  # statuses after which a second, lenient attempt is made


@dataclass(frozen=True)
class Rendered:
    """A decoded photo as planes, with the other fields of `Photo`."""

    planes: Planes
    width_px: int
    height_px: int
    format: str
    orientation: int
    frames: int = 1
    complete: float = 1.0
    there_px: tuple[int, int, int, int] | None = None


def decode(
    data: bytes,
    limits: DecodeLimits | None = None,
    view_side: int = VIEW_SIDE,
    colour: Colour = "srgb",
) -> Photo:
    """Decode one photo in this process: the bytes of a file in, upright sRGB pixels out.

    data:      a whole JPEG, PNG, WebP, GIF (its first frame) or AVIF file, or HEIC where
               pillow-heif is installed. The format is found from the bytes.
    limits:    what is refused; None means `DecodeLimits()`: 64 MiB, 50 million pixels (JPEG 250
               million, progressive 100 million). Its limits on time and memory do NOT hold here,
               because a process cannot stop itself. For untrusted files use
               `pipeline.photo.sandbox.decoder.Decoder`: it decodes in a child process without
               credentials, where all limits hold, as the crop jobs do.
    view_side: the long side in pixels that `Photo.pixels` needs. A larger photo is reduced by a
               whole factor as long as its long side stays at least .95 × view_side; JPEG by 2, 4 or
               8 while decoding, at a fraction of the cost. A smaller photo keeps its size. A photo
               longer than 1:1.9 keeps .794 × view_side on the short side, up to 1:34, see `view`.
    colour:    "keep" gives a photo with colours outside sRGB a second view that has them,
               `Photo.wide`.

    Raises DecodeError, whose `status` says why: `pipeline.errors.DecodeError` lists them;
    UsageError for arguments of other types or values.
    """
    _check_arguments(data, view_side, colour)
    rendered = render(data, limits or DecodeLimits(), view_side, colour)
    planes = rendered.planes
    return described(
        Photo(
            np.array(planes.image),
            rendered.width_px,
            rendered.height_px,
            rendered.format,
            rendered.orientation,
            rendered.frames,
            alpha=None if planes.alpha is None else np.array(planes.alpha),
            complete=rendered.complete,
            there_px=rendered.there_px,
            wide=None if planes.wide is None else np.array(planes.wide),
            wide_space=planes.wide_space,
        )
    )


def _check_arguments(data: object, view_side: object, colour: object) -> None:
    """Raise UsageError for what would be reported as a fault of the photo."""
    if not isinstance(data, bytes | bytearray):
        raise UsageError(f"decode takes the bytes of a file, not {type(data).__name__}")
    if not isinstance(view_side, int | np.integer) or view_side < 1:
        raise UsageError(f"view_side must be a whole number, at least 1, not {view_side!r}")
    if colour not in get_args(Colour):
        raise UsageError(f"colour must be one of {', '.join(get_args(Colour))}, not {colour!r}")


def render(data: bytes, limits: DecodeLimits, view_side: int, colour: Colour = "srgb") -> Rendered:
    """Decode to a Pillow image, which saves the child process a copy into an array.

    Arguments and errors as of `decode`.
    """
    check_bytes(data, limits)
    name = sniff(data)
    try:
        with as_decode_errors(data, name):
            return _render(data, name, limits, view_side, colour)
    except DecodeError as error:
        is_tried_again = error.status in _DAMAGED and name in RECOVERED
        if limits.least_complete >= 1 or not is_tried_again:
            raise
        status, message = error.status, error.message
    # Not in the handler, which would still reference what the first attempt has decoded.
    share = 0.0
    try:
        with as_decode_errors(data, name):
            share, rendered = _render_recovered(data, name, limits, view_side, colour)
            if rendered is not None:
                return rendered
    except DecodeError as error:
        if error.status not in _DAMAGED:
            raise
    raise DecodeError(status, f"{message}; {int(100 * share)} % of its rows are there")


def check_bytes(data: bytes, limits: DecodeLimits) -> None:
    """Check the file's size. Raises DecodeError if it is empty or too large."""
    if not data:
        raise DecodeError("empty", "the object has 0 bytes")
    if len(data) > limits.max_bytes:
        raise DecodeError("too_large", f"{len(data)} bytes, more than {limits.max_bytes}")


def _render(
    data: bytes, name: str, limits: DecodeLimits, view_side: int, colour: Colour
) -> Rendered:
    opened = opened_picture(data, name, limits)
    size = opened.image.size
    filled = frame_box(opened.image)
    opened.load(view_side)
    check_whole(data, name, opened.image)
    planes = upright(opened, view_size(size, view_side), colour, filled)
    width, height = upright_size(opened, size)
    frames = frame_count(opened.image, data, name)
    return Rendered(planes, width, height, name, opened.orientation, frames)


def _render_recovered(
    data: bytes, name: str, limits: DecodeLimits, view_side: int, colour: Colour
) -> tuple[float, Rendered | None]:
    """Return the share of a damaged picture's rows that exist, and the picture if that is enough.

    Missing rows repeat the last row that exists, so that no gap shows in a thumbnail.
    """
    recovered = recover_file(data, name, limits)
    if recovered is None:
        return 0.0, None
    opened = opened_picture(recovered.data, name, limits)
    size = opened.image.size
    filled = frame_box(opened.image)
    if recovered.rows is not None and recovered.rows / size[1] < limits.least_complete:
        return recovered.rows / size[1], None
    opened.load(view_side)
    stored_rows = opened.image.height
    if recovered.rows is not None:
        rows = recovered.rows * stored_rows // size[1]
    elif recovered.other:
        other = opened_picture(recovered.other, name, limits)
        other.load(view_side)
        rows = equal_rows(opened.image, other.image)
        if rows == stored_rows and recovered.better:
            opened = opened_picture(recovered.better, name, limits)
            opened.load(view_side)
    else:
        rows = stored_rows
    complete = rows / stored_rows
    if not rows or complete < limits.least_complete:
        return complete, None
    if rows < stored_rows:
        repeat_last_row(opened.image, rows)
    planes = upright(opened, view_size(size, view_side), colour, filled)
    width, height = upright_size(opened, size)
    there_px, orientation = None, opened.orientation
    if rows < stored_rows:
        view_rows = planes.image.height if orientation < 5 else planes.image.width
        decoded_rows = rows * view_rows // stored_rows
        there_px = decoded_box((width, height), view_rows, decoded_rows, orientation)
    facts = (width, height, name, orientation)
    return complete, Rendered(planes, *facts, complete=complete, there_px=there_px)
