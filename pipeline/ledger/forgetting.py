"""Record which photos are not to be shown: forgotten by a person, or gone from the input.

forgotten/<n>.json          version n of the list; the highest number counts
forgotten/list-<sha>.json   earlier entries

Readers and the planning of later runs leave these photos out at once, whichever runs hold them;
`erasing` removes their bytes. Only a one-way hash of the photo's uri is kept here, with the time,
the author and the reason.
"""

import secrets
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from pipeline.errors import LedgerError, RecordError
from pipeline.ledger.author import whoami
from pipeline.ledger.records import FORMAT, Count, StoredList
from pipeline.ledger.replaced import RESTORE
from pipeline.ledger.stored_runs import latest_commit_s, stored_runs
from pipeline.ledger.versions import Versions
from pipeline.storage.store import Store

PREFIX = "forgotten/"
RECENT = 256  # entries stored in the version itself
ATTEMPTS = 100

EntryKind = Literal["forgotten", "pruned", "back"]
HIDDEN: tuple[EntryKind, ...] = ("forgotten", "pruned")


class Entry(Struct, frozen=True):
    """The latest decision about one photo.

    at: Unix time, seconds; of "back", that of the latest commit before it. Earlier releases gave
        the time of the decision itself there, if that was later.
    """

    image_id: str
    kind: EntryKind
    at: float


class ForgottenVersion(Struct, frozen=True, kw_only=True):
    """forgotten/<n>.json: the latest entry of each photo, those of this version first."""

    advice: ClassVar[str] = RESTORE
    format: int = FORMAT
    number: Count
    kind: EntryKind
    photos: Count
    recent: tuple[Entry, ...] = ()
    earlier: StoredList | None = None
    who: str = ""
    why: str = ""
    at: float = 0.0
    nonce: str = ""


@dataclass(frozen=True)
class Forgotten:
    """The list of forgotten photos. number: of the version read, 0 where there is none."""

    number: int = 0
    entries: Mapping[str, Entry] = field(default_factory=dict)

    def ids(self, *kinds: EntryKind) -> list[str]:
        """Return the ids of the photos whose latest entry is of one of these kinds, sorted."""
        return sorted(i for i, entry in self.entries.items() if entry.kind in kinds)

    @property
    def hidden(self) -> pa.Array:
        """Ids of the photos that readers leave out."""
        return pa.array(self.ids(*HIDDEN), pa.string())

    @property
    def returned(self) -> dict[str, float]:
        """After which commit photos were taken back, by id: only later runs cover them."""
        return {i: entry.at for i, entry in self.entries.items() if entry.kind == "back"}


def read_forgotten(store: Store) -> Forgotten:
    """Read which photos are not to be shown now; costs one listing where there are none.

    Raises RecordError where the list cannot be used, so that no forgotten photo is shown.
    """
    versions = Versions(store, PREFIX)
    numbers = versions.numbers()
    return _read(versions, numbers[-1]) if numbers else Forgotten()


def forgotten_number(store: Store) -> int:
    """Return the version number of the list of forgotten photos; costs one listing."""
    return Versions(store, PREFIX).latest()


def forget(store: Store, image_ids: Iterable[str], who: str = "", why: str = "") -> int:
    """Hide these photos from readers and later runs; return how many were not forgotten yet.

    Their bytes stay until `runs.py gc --delete`. Raises LedgerError where the store refuses.
    """
    return _add_entries(store, "forgotten", image_ids, who, why)


def prune(store: Store, image_ids: Iterable[str], who: str = "", why: str = "") -> int:
    """Hide photos that are gone from the input; they return when they are listed again."""
    return _add_entries(store, "pruned", image_ids, who, why)


def take_back(
    store: Store, image_ids: Iterable[str], who: str = "", why: str = "",
    of: Collection[EntryKind] = HIDDEN,
) -> int:  # fmt: skip
    """Show these photos again, and let the next run do them; return how many that changes.

    of: kinds of entries that this undoes; photos with another one stay as they are
    """
    return _add_entries(store, "back", image_ids, who, why, of)


def without(rows: pa.Table, hidden: pa.Array | None) -> pa.Table:
    """Return a table with `image_id` without the rows of the photos `hidden`."""
    if hidden is None or len(hidden) == 0:
        return rows
    return rows.filter(pc.invert(pc.is_in(rows["image_id"], hidden)))


def _add_entries(
    store: Store, kind: EntryKind, image_ids: Iterable[str], who: str, why: str,
    undone: Collection[EntryKind] = (),
) -> int:  # fmt: skip
    wanted = sorted(set(image_ids))
    versions = Versions(store, PREFIX)
    for _ in range(ATTEMPTS):
        now = read_forgotten(store)
        new = [image_id for image_id in wanted if _changes(now, image_id, kind, undone)]
        if not new:
            return 0
        now_s = time.time()
        # A committed run may have lost the bytes of a photo that is taken back, and only the next
        # one is to cover it. Whose clock is ahead does not matter if commits alone are compared.
        at = latest_commit_s(stored_runs(store).committed) if kind == "back" else now_s
        fresh = {image_id: Entry(image_id, kind, at) for image_id in new}
        recent, earlier = _folded(versions, now, fresh)
        version = ForgottenVersion(
            number=now.number + 1, kind=kind, photos=len(new), recent=recent, earlier=earlier,
            who=who or whoami(), why=why, at=now_s, nonce=secrets.token_hex(8),
        )  # fmt: skip
        if versions.create(version.number, version):
            return len(new)
    raise LedgerError("the list of forgotten photos is being changed by others; try again later")


def _changes(now: Forgotten, image_id: str, kind: EntryKind, undone: Collection[EntryKind]) -> bool:
    """Return whether an entry changes anything. A forgotten photo never becomes only pruned.

    undone: kinds of entries that one of the kind "back" undoes
    """
    entry = now.entries.get(image_id)
    was = None if entry is None else entry.kind
    if kind == "back":
        return was in undone
    if kind == "pruned":
        return was not in HIDDEN
    return was != "forgotten"


def _folded(
    versions: Versions, now: Forgotten, fresh: Mapping[str, Entry]
) -> tuple[tuple[Entry, ...], StoredList | None]:
    """Split all entries into a version's own and a stored list, which is rarely rewritten."""
    if now.number:
        before = versions.read(now.number, ForgottenVersion)
        recent = [e for e in before.recent if e.image_id not in fresh]
        if len(fresh) + len(recent) <= RECENT:
            return (*fresh.values(), *recent), before.earlier
    elif len(fresh) <= RECENT:
        return tuple(fresh.values()), None
    entries = {**now.entries, **fresh}
    stored = versions.write_list([msgspec.to_builtins(entries[i]) for i in sorted(entries)])
    return (), stored


def _read(versions: Versions, number: int) -> Forgotten:
    version = versions.read(number, ForgottenVersion)
    entries = {entry.image_id: entry for entry in _stored(versions, version.earlier)}
    entries.update({entry.image_id: entry for entry in reversed(version.recent)})
    return Forgotten(number, entries)


def _stored(versions: Versions, entry: StoredList | None) -> list[Entry]:
    items: list[Any] = versions.read_list(entry)
    try:
        return msgspec.convert(items, list[Entry])
    except msgspec.ValidationError as error:
        key = entry.key if entry else PREFIX
        raise RecordError(key, str(error), RESTORE) from error
