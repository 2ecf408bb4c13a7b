"""Report crops stored as objects that are gone or were changed, except those that `gc` may remove.

Of a run that others have replaced, `gc` removes nearly all named crops. So their keys are compared
with what live runs need in parts, and only those of one part are in memory.
"""

from pipeline.errors import RecordError
from pipeline.ledger.checked_files import GONE
from pipeline.ledger.promotion.crop_files import removable_crops
from pipeline.ledger.records import Manifest
from pipeline.storage.store import Store
from pipeline.words import counted

MOST_HELD = 500_000
"""Keys in memory, some 100 MB. Each comparison reads the table of named crops of all live runs."""
NAMED_CROPS = 20  # crops with a problem that are named; the rest are counted
RESTORE_CROP = "Restore it from a copy, or from the column `image` of the run's table `crops`."


class WrongCrops:
    """Collects the crops of a run that are not as committed.

    collected: how many of the missing ones `gc` may have removed, since no live run needs them
    """

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store, self._manifest = store, manifest
        self._held: dict[str, str] = {}  # problem, by key
        self._named: list[str] = []
        self._more = 0
        self.collected = 0

    @property
    def held(self) -> int:
        """How many keys are in memory."""
        return len(self._held)

    def add(self, key: str, problem: str) -> None:
        """Add one crop. A key of several tasks counts once in each part that has it."""
        self._held[key] = problem
        if len(self._held) >= MOST_HELD:
            self._compare()

    def problems(self) -> list[str]:
        """Report the crops that live runs need, once all have been added."""
        self._compare()
        if not self._more:
            return self._named
        one, several = "crop file is gone or was changed", "crop files are gone or were changed"
        return [*self._named, counted(self._more, f"more {one}", f"more {several}")]

    def _compare(self) -> None:
        """Sort the keys in memory into those that `gc` may remove and problems."""
        gone = {key for key, problem in self._held.items() if problem == GONE}
        try:
            removable = removable_crops(self._store, self._manifest, gone) if gone else set()
        except RecordError:  # it is unknown which crops live runs need
            removable = set()
        self.collected += len(removable)
        wrong = [f"{k} {problem}" for k, problem in self._held.items() if k not in removable]
        room = NAMED_CROPS - len(self._named)
        self._named += [f"{line}. {RESTORE_CROP}" for line in wrong[:room]]
        self._more += len(wrong[room:])
        self._held.clear()
