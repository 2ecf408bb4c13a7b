"""Make tables of a few rows be handled like tables of millions: on disk, and in pieces."""

import pytest

from pipeline.inputs import overrides
from pipeline.ledger import contents, identity
from pipeline.ledger.coverage import compare, key_ranges, nearness
from pipeline.storage import partitions, spool


def in_small_pieces(patch: pytest.MonkeyPatch) -> None:
    """Limit rows to 5 in memory, 3 in a piece, 4 in a part of a sort and 2 in a key range."""
    for module in (spool, partitions):
        patch.setattr(module, "HELD_ROWS", 5)
    patch.setattr(partitions, "PART_ROWS", 4)
    patch.setattr(partitions, "SAMPLED", 2)
    patch.setattr(key_ranges, "RANGE_ROWS", 2)
    for module in (compare, nearness, spool):
        patch.setattr(module, "PIECE_ROWS", 3)
    patch.setattr(overrides, "DECIDED_ROWS", 3)
    patch.setattr(identity, "HASH_ROWS", 3)
    patch.setattr(contents, "CHUNK_ROWS", 2)
