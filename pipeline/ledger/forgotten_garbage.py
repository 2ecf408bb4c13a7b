"""Find what is left of forgotten photos: rows, crops that are objects of their own, galleries."""

from collections.abc import Iterator
from contextlib import suppress

from pipeline.errors import RecordError
from pipeline.ledger.erasing import crop_files_of, find_erasures, shared_crop_files
from pipeline.ledger.forgetting import Forgotten
from pipeline.ledger.layout import run_key
from pipeline.ledger.records import Manifest
from pipeline.ledger.removable import Garbage
from pipeline.ledger.replaced import RESTORE
from pipeline.storage.store import Store


def forgotten_rows(store: Store, manifest: Manifest, forgotten: Forgotten) -> Iterator[Garbage]:
    """Yield the files that hold rows of forgotten photos, then raise RecordError if one is gone."""
    gone = None
    for erasure in find_erasures(store, manifest, forgotten):
        try:
            info = store.head(erasure.key)
        except FileNotFoundError:
            gone = RecordError(erasure.key, "it is gone", RESTORE)
        else:
            yield Garbage(info, manifest.run_id, "forgotten photos", erasure)
    if gone is not None:
        raise gone


def with_crop_files(
    store: Store,
    found: list[Garbage],
    committed: list[Manifest],
    forgotten: Forgotten,
    damaged: dict[str, RecordError],
) -> list[Garbage]:
    """Add the own objects of forgotten photos' crops that no other photo has.

    Where a run is damaged, it is not known which these are. Then they stay, together with the rows
    that name them, since nothing else would find them later. damaged: runs found so are added.
    """
    named: dict[str, set[str]] = {}  # by the file whose rows name them
    for erasure in (one.erase for one in found if one.erase is not None):
        try:
            named[erasure.key] = crop_files_of(store, erasure)
        except RecordError as error:
            damaged[erasure.run_id] = error
    keys = {key for names in named.values() for key in names}
    for manifest in committed if keys else ():
        try:
            keys -= shared_crop_files(store, manifest, keys, forgotten)
        except RecordError as error:
            damaged[manifest.run_id] = error
    if damaged:
        return [one for one in found if one.erase is None or named.get(one.erase.key) == set()]
    found = list(found)
    for key in sorted(keys):
        with suppress(FileNotFoundError):
            found.append(Garbage(store.head(key), "", "crop file"))
    return found


def forgotten_galleries(
    store: Store, found: list[Garbage], committed: list[Manifest]
) -> Iterator[Garbage]:
    """Yield galleries that show forgotten photos: of their runs, and of runs that repair these."""
    shown = {one.run_id for one in found if one.erase is not None}
    parents = {manifest.run_id: manifest.parent for manifest in committed}
    for manifest in committed if shown else ():
        run_id: str | None = manifest.run_id
        while run_id is not None and run_id not in shown:
            run_id = parents.get(run_id)
        if run_id is not None:
            for info in store.list(run_key(manifest.run_id, "gallery/")):
                yield Garbage(info, manifest.run_id, "gallery")
