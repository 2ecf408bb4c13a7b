"""Put a PNG's one wrong byte right, by the check sum of its block.

A check sum is linear: that of a block with one wrong byte differs from the right one by a number
that tells the byte and its place. Whether it was that byte is told by the sum of all pixels, which
zlib keeps. Algorithms: PNG third edition, annex D (CRC-32); RFC 1950, section 2.2 (Adler-32).
"""

import zlib
from functools import lru_cache

_MOST_BYTES = 1 << 20  # of a block; a quarter of a second of looking
_REVERSED = 0xEDB88320  # the polynomial of CRC-32, lowest power first


def with_right_byte(data: bytes, name: bytes, start: int, end: int) -> bytes | None:
    """The data with one byte of a block changed so that its check sum is right.

    None where no single byte does that, or where the block is too large to look.
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
        number = by_top[away >> 24]  # one zero byte fewer behind the wrong one
        away = (away ^ _steps()[number]) << 8 & 0xFFFFFFFF | number
    return None


@lru_cache(maxsize=1)
def _steps() -> tuple[int, ...]:
    """The check sum of each byte alone, without inversion."""
    steps = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (_REVERSED if number & 1 else 0)
        steps.append(number)
    return tuple(steps)


@lru_cache(maxsize=1)
def _tables() -> tuple[dict[int, int], tuple[int, ...]]:
    """Which byte has a check sum; and which has one with a given highest byte."""
    by_number = {step: number for number, step in enumerate(_steps()) if number}
    by_top = {step >> 24: number for number, step in enumerate(_steps())}
    return by_number, tuple(by_top[top] for top in range(256))
