"""The order of testing mutants: whenever it stops, the tested ones are an even sample."""

import random
from collections.abc import Sequence
from typing import TypeVar

STEP = (5**0.5 - 1) / 2  # the golden ratio: multiples of it, modulo 1, are spread evenly

Item = TypeVar("Item")


def evenly(items: Sequence[Item], seed: int) -> list[Item]:
    """Order all items so that any beginning is spread evenly over the sequence."""
    start = random.Random(seed).random()
    order: dict[int, None] = {}
    step = 0
    while len(order) < len(items) and step < 20 * len(items):
        order[int(len(items) * ((start + step * STEP) % 1))] = None
        step += 1
    order.update(dict.fromkeys(range(len(items))))
    return [items[place] for place in order]
