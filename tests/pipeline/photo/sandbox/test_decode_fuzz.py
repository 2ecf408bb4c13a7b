"""Mutated files: each gives a photo or a DecodeError, and the decoder continues."""

import os
import random
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DecodeError
from pipeline.photo.allocator import glibc
from pipeline.photo.decode import Photo
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.sandbox.child import KEPT_BYTES
from pipeline.photo.sandbox.decoder import Decoder
from tests.support.odd_photos import good_photos, heic_photo

STATUSES = {
    "ok",
    "unsupported_format",
    "too_large",
    "too_many_pixels",
    "too_many_scans",
    "too_much_memory",
    "truncated",
    "corrupt",
    "empty",
}

LONG = int(os.environ.get("CHAOS_DECODER_FILES", "100000"))

# Free memory that a process may keep, MB: the child what it is told, the parent what glibc allows
# by itself: twice the largest buffer (of 32 MiB at most) that it has seen freed, see mallopt(3).
CHILD_KEEPS_MB, PARENT_KEEPS_MB = KEPT_BYTES / 2**20, 64
# What else a process may have more at the end: a leak of 1 kB a file is 20 MB at the least count
# that is run at night, and half of that between the halves of the run.
CHILD_GROWS_MB, PARENT_GROWS_MB, SCATTERED_MB = 5, 10, 16

# Values of sides, lengths and offsets that parsers of headers often get wrong.
EDGES = [b"\0\0", b"\xff\xff", b"\x7f\xff", b"\x80\0", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\1"]


@cache
def originals() -> list[bytes]:
    """The files that are mutated; the first is a small photo. To make them takes memory, too."""
    return [*good_photos().values(), heic_photo()]


def mutated(photo: bytes, other: bytes, rng: random.Random) -> bytes:
    """One to eight random changes, half of them in the first 200 bytes, where headers are."""
    data = bytearray(photo)
    for _ in range(rng.randint(1, 8)):
        if not data:
            break
        at = rng.randrange(min(len(data), 200) if rng.random() < 0.5 else len(data))
        kind = rng.randrange(7)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.randrange(256)
        elif kind == 2:
            edge = rng.choice(EDGES)
            data[at : at + len(edge)] = edge
        elif kind == 3:
            del data[at : at + rng.randint(1, 50)]
        elif kind == 4:
            data[at:at] = rng.randbytes(rng.randint(1, 50))
        elif kind == 5:
            data[at:] = other[rng.randrange(len(other)) :]
        else:
            start = rng.randrange(len(data))
            data[at:at] = data[start : start + rng.randint(1, 400)]
    return bytes(data)


def resident_mb(process: int | str) -> float:
    fields = Path(f"/proc/{process}/status").read_text().split("VmRSS:")[1].split()
    return int(fields[0]) / 1024


def used_mb() -> float:
    """Resident memory of this process, in MB, without what is free in it."""
    if (library := glibc()) is not None:
        library.malloc_trim(0)
    return resident_mb("self")


def fuzz(decoder: Decoder, count: int, seed: int, every: int) -> tuple[Counter[str], list[float]]:
    """Statuses of `count` mutated files, and the child's memory in MB after each `every`.

    It is taken after a small photo, so that it is not that of the file before.
    """
    rng = random.Random(seed)
    photos = originals()
    statuses: Counter[str] = Counter()
    memory = []
    for number in range(1, count + 1):
        data = mutated(rng.choice(photos), rng.choice(photos), rng)
        try:
            photo = decoder.decode(data)
        except DecodeError as error:
            statuses[error.status if error.message else "no message"] += 1
        else:
            assert_sound(photo)
            statuses["ok"] += 1
        if number % every == 0:
            decoder.decode(photos[0])
            assert decoder._child is not None
            memory.append(resident_mb(decoder._child.pid))
    return statuses, memory


def assert_sound(photo: Photo) -> None:
    height_view, width_view, planes = photo.pixels.shape
    assert planes == 3
    assert photo.pixels.dtype == np.uint8
    assert 0 < width_view <= photo.width_px
    assert 0 < height_view <= photo.height_px


def test_each_mutated_file_gives_a_photo_or_a_known_status() -> None:
    with Decoder() as decoder:
        statuses, _ = fuzz(decoder, count=1_500, seed=1, every=1_500)
    assert statuses.total() == 1_500
    assert set(statuses) <= STATUSES, statuses
    assert min(statuses["ok"], statuses["corrupt"], statuses["truncated"]) > 50, statuses


@pytest.mark.chaos
def test_a_hundred_thousand_mutated_files(
    record_property: Callable[[str, object], None],
) -> None:
    """No crash and no timeout: one child decodes all of them, and neither process grows.

    Both keep free memory of the largest photos so far, up to a bound. What is in use stays level.
    """
    count = LONG
    patient = DecodeLimits(timeout_s=60)  # it may run beside much else
    with Decoder(patient) as decoder:
        decoder.decode(originals()[0])
        assert decoder._child is not None
        first, parent_mb = decoder._child.pid, used_mb()
        child_mb = resident_mb(first)
        statuses, memory = fuzz(decoder, count, seed=2, every=count // 100)
        kept_mb, left_mb = resident_mb("self"), used_mb()
        told = ", ".join(f"{number} {status}" for status, number in statuses.most_common())
        least, most = ([pick(part) for part in (memory[:50], memory[50:])] for pick in (min, max))
        record_property(
            "figures",
            f"{count} files: {told}; child {child_mb:.0f} MB before, {least[0]:.0f} to "
            f"{most[0]:.0f} in the first half, {least[1]:.0f} to {most[1]:.0f} in the second; "
            f"parent {parent_mb:.0f} MB before, {kept_mb:.0f} after, {left_mb:.0f} without what "
            f"is free",
        )
        assert decoder._child is not None
        assert decoder._child.pid == first
    assert statuses.total() == count
    assert set(statuses) <= STATUSES, statuses
    assert max(most) < child_mb + CHILD_KEEPS_MB + SCATTERED_MB
    assert least[1] < least[0] + CHILD_GROWS_MB
    assert kept_mb < parent_mb + PARENT_KEEPS_MB + SCATTERED_MB
    assert left_mb < parent_mb + PARENT_GROWS_MB
