"""Walk the segments of a JPEG before its first scan (ITU-T T.81, annex B)."""

from collections.abc import Iterator
from typing import TypeAlias

START_OF_SCAN, _END = 0xDA, 0xD9
# Markers of frame headers (T.81, table B.1), and those of progressive ones.
FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xDA)})  # markers without a length

Part: TypeAlias = tuple[int, int, int]  # start, end of a part and a JPEG marker


def jpeg_segments(data: bytes) -> Iterator[Part]:
    """Yield start, end and marker of each segment of a JPEG before its first scan.

    A segment with an impossible length extends to the next marker that starts a segment. Bytes
    between segments belong to the previous one.
    """
    at = _next_marker(data, 2)
    while at is not None and data[at + 1] not in (START_OF_SCAN, _END):
        following = _next_marker(data, _true_end(data, at) or at + 2)
        yield at, len(data) if following is None else following, data[at + 1]
        at = following


def stated_end(data: bytes, start: int, end: int) -> int:
    """Return where a segment ends by its own length, or `end` if that is impossible."""
    return _true_end(data, start) or end


def _true_end(data: bytes, at: int) -> int | None:
    """Return where the segment at `at` ends by its length; None if its length is impossible."""
    if data[at + 1] in _NO_LENGTH:
        return at + 2
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    return at + 2 + length if length >= 2 and at + 2 + length < len(data) else None


def _next_marker(data: bytes, at: int) -> int | None:
    """Return where the next marker is from `at` on; None if the data end before one."""
    while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        if data[at + 1] >= 0xC0 and data[at + 1] != 0xFF:
            return at
        at += 1
    return None
