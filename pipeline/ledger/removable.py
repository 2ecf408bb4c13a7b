"""What may be removed from a store: one object, and why."""

from dataclasses import dataclass
from typing import Literal

from pipeline.ledger.erasing import Erasure
from pipeline.storage.backend import ObjectInfo

Why = Literal[
    "orphan", "abandoned run", "temporary file", "old crop file", "old index",
    "forgotten photos", "replaced file", "gallery", "crop file", "published file",
]  # fmt: skip
AT_ANY_AGE: tuple[Why, ...] = (
    "forgotten photos", "replaced file", "gallery", "crop file", "published file",
)  # fmt: skip


@dataclass(frozen=True)
class Garbage:
    """An object that may be removed. erase: what to remove from it if it is to be rewritten."""

    info: ObjectInfo
    run_id: str
    why: Why
    erase: Erasure | None = None
