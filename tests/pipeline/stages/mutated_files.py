"""Files damaged on purpose: each mutation is named, drawn from a seed, and does one kind of damage.

They are flipped bits, truncated uploads, blocks of another file in the middle, headers with a wrong
size, and blocks in the wrong order.
"""

import random
import struct
from collections.abc import Callable, Iterator

from tests.support.odd_photos import bad_photos, good_photos, heic_photo

Mutation = Callable[[bytes, bytes, random.Random], bytes]
SIZES = (0, 1, 7, 255, 256, 4_096, 20_000, 65_535, 2**31 - 1)


def flip_bits(data: bytes, _: bytes, draw: random.Random) -> bytes:
    """Flip one to twenty bits anywhere."""
    changed = bytearray(data)
    for _number in range(draw.choice((1, 1, 3, 20))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def cut(data: bytes, _: bytes, draw: random.Random) -> bytes:
    """Cut off the end, often little of it."""
    lost = draw.choice((1, 2, draw.randrange(1, len(data)), draw.randrange(1, 1 + len(data) // 10)))
    return data[: len(data) - min(lost, len(data) - 1)]


def insert_block(data: bytes, other: bytes, draw: random.Random) -> bytes:
    """Put bytes of another file, zeros or noise in the middle, half of the time over its own."""
    length = draw.choice((1, 16, 512, 4096))
    start = draw.randrange(len(other))
    block = draw.choice((other[start : start + length], bytes(length), draw.randbytes(length)))
    at = draw.randrange(len(data))
    return data[:at] + block + data[at + (len(block) if draw.random() < 0.5 else 0) :]


def wrong_size(data: bytes, _: bytes, draw: random.Random) -> bytes:
    """Change a two-byte or four-byte number near the start, where sizes and lengths are."""
    form = draw.choice((">H", "<H", ">I", "<I"))
    value = draw.choice(SIZES) % (1 << 8 * struct.calcsize(form))
    at = draw.randrange(min(len(data), 400))
    return data[:at] + struct.pack(form, value) + data[at + struct.calcsize(form) :]


def swap_chunks(data: bytes, _: bytes, draw: random.Random) -> bytes:
    """Swap two neighbouring pieces."""
    one, two, three = sorted(draw.randrange(len(data)) for _number in range(3))
    return data[:one] + data[two:three] + data[one:two] + data[three:]


MUTATIONS: tuple[Mutation, ...] = (flip_bits, cut, insert_block, wrong_size, swap_chunks)


def mutated_files(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield `count` names and files; a name has the number, the mutation and the format."""
    draw = random.Random(seed)
    photos = {**good_photos(), "phone.heic": heic_photo()}
    photos |= {name: data for name, (data, status) in bad_photos().items() if status == "truncated"}
    names = sorted(name for name, data in photos.items() if len(data) > 3)
    for number in range(count):
        mutation = MUTATIONS[number % len(MUTATIONS)]
        name, other = names[number // len(MUTATIONS) % len(names)], draw.choice(names)
        kind = name.rpartition(".")[2] if "." in name else "webp"
        yield f"{number:05}-{mutation.__name__}.{kind}", mutation(photos[name], photos[other], draw)
