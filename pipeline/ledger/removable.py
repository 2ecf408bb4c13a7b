"""What may be removed from a store: one object, and why."""

from dataclasses import dataclass

from pipeline.ledger.erasing import Erasure
from pipeline.ledger.promotion.crop_files import PUBLISHED_FILE
from pipeline.storage.backend import ObjectInfo

AT_ANY_AGE = ("forgotten photos", "replaced file", "gallery", "crop file", PUBLISHED_FILE)
OLD_INDEX = "old index"


@dataclass(frozen=True)
class Garbage:
    """An object that may be removed.

    why:   "orphan", "abandoned run", "temporary file", "old crop file", OLD_INDEX, or one of
           AT_ANY_AGE
    erase: what to remove from it, if it is rewritten instead of deleted
    """

    info: ObjectInfo
    run_id: str
    why: str
    erase: Erasure | None = None
