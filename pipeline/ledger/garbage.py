"""Find and remove what no committed run needs. Jobs never delete; only this module does.

What may be removed:
    orphans    data files of a committed run that its manifest does not name: the losers of races,
               the work of killed attempts
    runs       not committed and untouched for a given time. A run is abandoned first: a manifest
               that says so is created where its commit would go, so that a job which wakes up
               later cannot commit what is about to be removed
    remains    temporary files of killed writers in a folder
A committed manifest is final: no late job can make a record that names an orphan. So removing is
safe at any age; the age is a margin for clocks and for readers of an open run.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.ledger.layout import data_prefix, manifest_key, run_key
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.manifest import data_files, read_manifest
from pipeline.ledger.records import ABANDONED, FORMAT, Manifest, to_bytes
from pipeline.ledger.tables import TABLES
from pipeline.storage.backend import ObjectInfo
from pipeline.storage.store import Store

KEPT = ("_MANIFEST.json", "spec.json")  # of an abandoned run, so that it stays abandoned


@dataclass(frozen=True)
class Garbage:
    """An object that may be removed. why: "orphan", "abandoned run" or "temporary file"."""

    info: ObjectInfo
    run_id: str
    why: str


def find_garbage(store: Store, older_than_s: float, now_s: float | None = None) -> list[Garbage]:
    """Find everything that may be removed and was last written over `older_than_s` ago."""
    before = (time.time() if now_s is None else now_s) - older_than_s
    found: list[Garbage] = []
    for run_id in _run_ids(store):
        found += _of_run(store, run_id, before)
    found += [Garbage(info, "", "temporary file") for info in store.remains()]
    return [garbage for garbage in found if garbage.info.modified_s < before]


def remove_garbage(store: Store, garbage: list[Garbage]) -> int:
    """Remove what `find_garbage` found, abandoning its open runs first; return the bytes freed.

    A run that was committed in the meantime is left as it is.
    """
    lost = {g.run_id for g in garbage if g.why == "abandoned run"}
    spared = {run_id for run_id in lost if not _abandon(store, run_id)}
    freed = 0
    for one in garbage:
        if one.run_id in spared:
            continue
        if one.why == "temporary file":
            store.delete_remains(one.info)
        else:
            store.delete(one.info.key)
        freed += one.info.bytes
    return freed


def _of_run(store: Store, run_id: str, before: float) -> Iterator[Garbage]:
    manifest = read_manifest(store, run_id)
    data = [o for table in TABLES for o in store.list(data_prefix(run_id, table))]
    if isinstance(manifest, Manifest):
        named = {file.key for file in data_files(store, manifest)}
        yield from (Garbage(info, run_id, "orphan") for info in data if info.key not in named)
        return
    records = [o for o in store.list(run_key(run_id, "")) if not o.key.endswith(KEPT)]
    touched = max((o.modified_s for o in [*data, *store.list(run_key(run_id, ""))]), default=0)
    if manifest is not None or touched < before:
        yield from (Garbage(info, run_id, "abandoned run") for info in [*data, *records])


def _abandon(store: Store, run_id: str) -> bool:
    """Create an "abandoned" manifest; return False if the run was committed before."""
    tombstone = {"format": FORMAT, "run_id": run_id, "verdict": ABANDONED}
    store.create_once(manifest_key(run_id), to_bytes({**tombstone, "committed_at": time.time()}))
    return not Ledger(store, run_id).is_committed


def _run_ids(store: Store) -> list[str]:
    """Every run that has records or data."""
    with_data = {
        name.removeprefix("run=")
        for table in TABLES
        for name in store.folders(f"_data/{table}/")
        if name.startswith("run=")
    }
    return sorted({r for r in store.folders("runs/") if not r.startswith("_")} | with_data)
