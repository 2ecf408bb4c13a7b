"""Check that each photo of a run's pinned list has exactly one row of `images`.

The list and the data files are both in the order of the tasks. So the two are counted against each
other as they are read, and only the ids of a few tasks are in memory, and those of photos that do
not have exactly one row. Data files in another order give the same result in more memory.
"""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ledger.layout import data_task
from pipeline.ledger.pinned import input_file_rows, input_rows
from pipeline.ledger.records import PinnedSpec
from pipeline.storage.store import Store


class RowBalance:
    """Counts the photos of a run's list, and takes off those that have a row."""

    def __init__(self, store: Store, spec: PinnedSpec) -> None:
        self._store, self._spec = store, spec
        self._unread = iter(spec.plan.files)
        self._tasks = 0  # of the input files that were read
        self._left: dict[str, int] = {}  # planned minus found, by image_id; none is 0

    @property
    def held(self) -> int:
        """How many ids are in memory."""
        return len(self._left)

    def take_off(self, key: str, ids: Iterable[str]) -> None:
        """Take off photos that have a row in a data file, or had one. Raises RecordError."""
        task = data_task(key)
        while task is not None and self._tasks <= task and self._read_one():
            pass
        self._add(ids, -1)

    def problems(self) -> list[str]:
        """Report photos without exactly one row, once all data files have been read."""
        while self._read_one():
            pass
        found = []
        for text, sign in (("no row", 1), ("too many rows", -1)):
            wrong = [image for image, count in self._left.items() if count * sign > 0]
            if wrong:
                who = "1 photo has" if len(wrong) == 1 else f"{len(wrong)} photos have"
                found.append(f"{who} {text}, the first is {self._first(wrong)}")
        return found

    def _read_one(self) -> bool:
        """Add the photos of the next input file; return False where there is none."""
        entry = next(self._unread, None)
        if entry is None:
            return False
        rows = input_file_rows(self._store, self._spec, entry, ["image_id"])
        self._tasks += self._spec.plan.tasks_per_file
        self._add(rows["image_id"].to_pylist(), 1)
        return True

    def _add(self, ids: Iterable[str], count: int) -> None:
        for image in ids:
            left = self._left.pop(image, 0) + count
            if left:
                self._left[image] = left

    def _first(self, images: list[str]) -> str:
        """Return the address of the first of these photos in the list; an id if it has none."""
        for rows in input_rows(self._store, self._spec, ["image_id", "uri"]):
            found = rows.filter(pc.is_in(rows["image_id"], pa.array(images, pa.string())))
            if found.num_rows:
                return str(found["uri"][0])
        return f"the one with image_id {images[0]}"
