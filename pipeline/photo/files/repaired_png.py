"""Correct a single wrong byte of a PNG, by the check sum of its chunk.

A CRC is linear: that of a chunk with one wrong byte differs from the right one by a number that
identifies the byte and its position. Whether this was really the error is checked by zlib's check
sum of all pixels. Algorithms: PNG third edition, annex D (CRC-32); RFC 1950, section 2.2
(Adler-32).
"""

import zlib
from functools import lru_cache

_MOST_BYTES = 1 << 20  # of a chunk; searching it takes a quarter of a second
_REVERSED = 0xEDB88320  # the polynomial of CRC-32, lowest power first


def with_byte_corrected(data: bytes, name: bytes, start: int, end: int) -> bytes | None:
    """Return the data with one byte of a chunk changed so that its check sum is right.

    None if no single byte does that, or the chunk is too large to search.
    """
    if end + 4 > len(data) or end - start > _MOST_BYTES:
        return None
    stored = int.from_bytes(data[end : end + 4], "big")
    away = stored ^ zlib.crc32(memoryview(data)[start:end], zlib.crc32(name))
    by_number, by_top = _tables()
    for at in range(end - 1, start - 1, -1):
        changed = by_number.get(away)
        if changed is not None:
            return data[:at] + bytes([data[at] ^ changed]) + data[at + 1 :]
        number = by_top[away >> 24]  # undo one zero byte after the wrong byte
        away = (away ^ _steps()[number]) << 8 & 0xFFFFFFFF | number
    return None


@lru_cache(maxsize=1)
def _steps() -> tuple[int, ...]:
    """Return the CRC of each single byte, without inversion."""
    steps = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (_REVERSED if number & 1 else 0)
        steps.append(number)
    return tuple(steps)


@lru_cache(maxsize=1)
def _tables() -> tuple[dict[int, int], tuple[int, ...]]:
    """Return the byte with a given CRC, and the byte whose CRC has a given highest byte."""
    by_number = {step: number for number, step in enumerate(_steps()) if number}
    by_top = {step >> 24: number for number, step in enumerate(_steps())}
    return by_number, tuple(by_top[top] for top in range(256))
