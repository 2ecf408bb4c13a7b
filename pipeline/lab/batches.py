"""Batches of photos or views of the same input size, which a network takes in one pass."""

from collections.abc import Hashable, Sequence

import numpy as np


def batches_of(
    sizes: Sequence[Hashable], batch_size: int, random: np.random.Generator
) -> list[list[int]]:
    """Group the indices of all items into batches of one size, in random order.

    sizes: the size of each item
    batch_size: the most items of a batch
    """
    alike: dict[Hashable, list[int]] = {}
    for index in random.permutation(len(sizes)).tolist():
        alike.setdefault(sizes[index], []).append(index)
    together = [
        members[first : first + batch_size]
        for members in alike.values()
        for first in range(0, len(members), batch_size)
    ]
    return [together[index] for index in random.permutation(len(together))]


def batches_of_epochs(
    sizes: Sequence[Hashable], batch_size: int, epochs: int, random: np.random.Generator
) -> list[list[int]]:
    """Return the batches of `batches_of` for several epochs, one epoch after the other."""
    return [batch for _ in range(epochs) for batch in batches_of(sizes, batch_size, random)]
