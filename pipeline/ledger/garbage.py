"""Find and remove objects that no committed run needs.

Jobs delete nothing but published names of crops that are no longer live (`crop_files`).

What may be removed:
    orphans    data files of a committed run that its manifest does not name, and input lists that
               its plan does not name: the losers of races, the work of killed attempts
    runs       not committed and untouched for a given time. A run is abandoned first: an
               "abandoned" manifest is created where its commit would go, so that a job that wakes
               up later cannot commit what is about to be removed
    temporary  files of killed writers in a folder
    old index  indexes of runs and photos that later ones have replaced; all indexes of photos if
               rows of forgotten photos are removed, since the indexes hold these too
    old crops  objects under names of a template that no live run shows; their bytes stay in the
               tables
    forgotten  the rows of photos that are not to be shown, with their crops' own objects and the
               galleries of their runs; at any age. Their files are rewritten without them
A committed manifest is final: no late job can create a record that names an orphan. So removal is
safe at any age; the age is a margin for clocks and for readers of an open run.

A run whose records are damaged keeps all its objects, and so does one whose manifest is gone though
it was committed: it has figures, or a channel names it. While there is such a run, all crops that
are objects of their own, the rows that name these, and published names stay too; other garbage is
still found.
"""

import time
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from pipeline.errors import LedgerError, RecordError, UsageError
from pipeline.ledger.card import card_key, write_card
from pipeline.ledger.channels.live import standing
from pipeline.ledger.coverage.old_indexes import covered_objects, old_copies, old_objects
from pipeline.ledger.erasing import Erasure, erase
from pipeline.ledger.forgetting import Forgotten, read_forgotten
from pipeline.ledger.forgotten_garbage import (
    forgotten_galleries,
    forgotten_rows,
    with_crop_files,
)
from pipeline.ledger.layout import (
    RUN_ID,
    data_prefix,
    figures_key,
    manifest_key,
    replaced_key,
    run_key,
)
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.manifest import data_files, read_manifest
from pipeline.ledger.pinned import input_key, read_spec
from pipeline.ledger.promotion.crop_files import old_files, run_prefix
from pipeline.ledger.promotion.publishing import unpublish
from pipeline.ledger.records import ABANDONED, FORMAT, Abandoned, Manifest, to_bytes
from pipeline.ledger.removable import AT_ANY_AGE, Garbage, Why
from pipeline.ledger.replaced import RESTORE, current_key, replaced_files
from pipeline.ledger.table_formats.delta import forget_in_delta
from pipeline.ledger.table_formats.iceberg import forget_in_iceberg
from pipeline.ledger.tables import TABLES
from pipeline.storage.backend import ObjectInfo
from pipeline.storage.keys import is_own_key
from pipeline.storage.store import Store

KEPT = ("_MANIFEST.json", "spec.json")  # of an abandoned run, so that it stays abandoned


@dataclass(frozen=True)
class Findings:
    """What may be removed, and the error of each run that could not be checked, by run id."""

    garbage: list[Garbage]
    damaged: Mapping[str, RecordError]


def look_for_garbage(store: Store, older_than_s: float, now_s: float | None = None) -> Findings:
    """Find everything that may be removed and was last written over `older_than_s` ago.

    What is left of forgotten photos, and published names that are not live, may be removed at any
    age. Raises RecordError where the list of forgotten photos cannot be used.
    """
    before = (time.time() if now_s is None else now_s) - older_than_s
    forgotten, stored = read_forgotten(store), standing(store)
    live = {run for channel in stored.channels.values() for run in channel.runs}
    found, committed, damaged = _of_runs(store, forgotten, live, before)
    galleries = list(forgotten_galleries(store, found, committed))
    found = with_crop_files(store, found, committed, forgotten, damaged) + galleries
    known = {one.info.key for one in found}
    if not damaged:
        found += [one for one in old_files(store, stored) if one.info.key not in known]
    found += [Garbage(info, "", "temporary file") for info in store.temporary_files()]
    erases = any(one.erase is not None for one in found)
    indexes = (covered_objects(store) if erases else old_objects(store)) + old_copies(store)
    found += [Garbage(info, "", "old index") for info in indexes]
    at_any_age = (*AT_ANY_AGE, "old index") if erases else AT_ANY_AGE
    kept = [one for one in found if one.why in at_any_age or one.info.modified_s < before]
    # The files of others, such as .DS_Store, stay.
    ours = [one for one in kept if one.why == "temporary file" or is_own_key(one.info.key)]
    return Findings(ours, damaged)


def _of_runs(
    store: Store, forgotten: Forgotten, live: Set[str], before: float
) -> tuple[list[Garbage], list[Manifest], dict[str, RecordError]]:
    """Find what may be removed of each run; return the committed runs and those damaged too."""
    found: list[Garbage] = []
    committed: list[Manifest] = []
    damaged: dict[str, RecordError] = {}
    for run_id in _run_ids(store):
        try:
            manifest = read_manifest(store, run_id)
            if manifest is None:
                _check_not_committed(store, run_id, live)
            found += _of_run(store, run_id, manifest, before)
            if isinstance(manifest, Manifest):
                committed.append(manifest)
                for one in forgotten_rows(store, manifest, forgotten):
                    found.append(one)  # also where a later file of the run is gone
        except RecordError as error:
            damaged[run_id] = error
    return found, committed, damaged


def _check_not_committed(store: Store, run_id: str, live: Set[str]) -> None:
    """Raise RecordError if a run without a manifest had one. live: ids of all live runs."""
    # The manifest is read again: the run may have been committed since.
    if (run_id in live or store.exists(figures_key(run_id))) and not read_manifest(store, run_id):
        raise RecordError(manifest_key(run_id), "it is gone, and the run was committed", RESTORE)


def remove_garbage(store: Store, garbage: list[Garbage]) -> int:
    """Remove what `look_for_garbage` found, abandoning its open runs first; return the bytes freed.

    A run that was committed in the meantime is left as it is. Where forgotten photos cannot be
    removed from a Delta or Iceberg table, all else is removed, but no rows of forgotten photos,
    since the table names their files. Then raises LedgerError where a table refuses, UsageError
    where the package for it is missing; RecordError where a file with such rows is damaged.
    """
    erasures = [one.erase for one in garbage if one.erase is not None]
    refused: list[LedgerError | UsageError] = []
    for forget in (forget_in_delta, forget_in_iceberg):
        try:
            forget(store, {image_id for one in erasures for image_id in one.ids})
        except (LedgerError, UsageError) as error:
            refused.append(error)
    lost = {one.run_id for one in garbage if one.why == "abandoned run"}
    spared = {run_id for run_id in lost if not _abandon(store, run_id)}
    whole = [one for one in garbage if one.erase is None and one.run_id not in spared]
    freed = _delete(store, whole)
    if refused:
        raise refused[0]
    # Last: a crop's own object can be found only until its rows are erased.
    return freed + _erase(store, erasures)


def _delete(store: Store, garbage: list[Garbage]) -> int:
    """Delete objects, published ones with their names in the index; return the bytes freed."""
    unpublish(store, (one.info.key for one in garbage if one.why == "published file"))
    for one in garbage:
        if one.why == "temporary file":
            store.delete_temporary_file(one.info)
        elif one.why != "published file":
            store.delete(one.info.key)
    return sum(one.info.bytes for one in garbage)


def _erase(store: Store, erasures: list[Erasure]) -> int:
    """Rewrite files without rows of forgotten photos; return the bytes freed.

    Raises RecordError at the end if one of them is damaged.
    """
    freed = 0
    damaged: list[RecordError] = []
    for erasure in erasures:
        try:
            freed += erase(store, erasure)
        except RecordError as error:
            damaged.append(error)
    for run_id in sorted({one.run_id for one in erasures}):
        _write_card_again(store, run_id)
    if damaged:
        raise damaged[0]
    return freed


def _write_card_again(store: Store, run_id: str) -> None:
    """Rewrite the card of a run, if it has one, for its current files."""
    manifest = read_manifest(store, run_id)
    if isinstance(manifest, Manifest) and store.exists(card_key(run_id)):
        write_card(store, manifest)


def _of_run(
    store: Store, run_id: str, manifest: Manifest | Abandoned | None, before: float
) -> Iterator[Garbage]:
    data = [o for table in TABLES for o in store.list(data_prefix(run_id, table))]
    own = list(store.list(run_key(run_id, "")))
    if not isinstance(manifest, Manifest):
        data += store.list(run_prefix(run_id))
    if isinstance(manifest, Manifest):
        lists = [o for o in own if o.key.startswith(run_key(run_id, "input/"))]
        yield from _unnamed(store, manifest, [*data, *lists])
        return
    records = [o for o in own if not o.key.endswith(KEPT)]
    touched = max((o.modified_s for o in [*data, *own]), default=0)
    if manifest is not None or touched < before:
        yield from (Garbage(info, run_id, "abandoned run") for info in [*data, *records])


def _unnamed(store: Store, manifest: Manifest, objects: list[ObjectInfo]) -> Iterator[Garbage]:
    """Yield those data files and input lists of a committed run that its records do not name.

    A replaced file stays until its replacement is in the store: it may be the only copy left.
    Raises RecordError at the end if that is gone.
    """
    spec, replaced = read_spec(store, manifest.run_id), replaced_files(store, manifest.run_id)
    committed = [file.key for file in data_files(store, manifest)]
    committed += [input_key(spec.run_id, entry.sha256) for entry in spec.plan.files]
    named = {current_key(key, replaced) for key in committed}
    there = {info.key for info in objects}
    gone = None
    for info in objects:
        if info.key in replaced and (now := current_key(info.key, replaced)) not in there:
            advice = f"Delete {replaced_key(info.key)}: the next collection writes it again."
            gone = RecordError(now, f"it is gone; {info.key} still has its rows", advice)
        elif info.key not in named:
            why: Why = "replaced file" if info.key in replaced else "orphan"
            yield Garbage(info, manifest.run_id, why)
    if gone is not None:
        raise gone


def _abandon(store: Store, run_id: str) -> bool:
    """Create an "abandoned" manifest; return False if the run was committed before."""
    tombstone = {"format": FORMAT, "run_id": run_id, "verdict": ABANDONED}
    store.create_once(manifest_key(run_id), to_bytes({**tombstone, "committed_at": time.time()}))
    return not Ledger(store, run_id).is_committed


def _run_ids(store: Store) -> list[str]:
    """Return the ids of all runs that have records or data."""
    with_data = {
        name.removeprefix("run=")
        for table in TABLES
        for name in store.folders(f"_data/{table}/")
        if name.startswith("run=")
    }
    names = {*store.folders("runs/")} | with_data
    return sorted(name for name in names if RUN_ID.fullmatch(name))  # others are not ours
