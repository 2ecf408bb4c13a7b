"""Read the manifests of many runs of a store."""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.errors import RecordError
from pipeline.ledger.indexes import TAIL
from pipeline.ledger.layout import manifest_key
from pipeline.ledger.manifest import manifest_of, read_manifest
from pipeline.ledger.manifest_copies import copied_manifests
from pipeline.ledger.records import Abandoned, Manifest
from pipeline.ledger.replaced import RESTORE
from pipeline.storage.store import Store

READERS = 32  # manifests fetched at a time
TICK_S = 0.001  # between two commits, or versions, if the earlier one is in the clock's future


@dataclass(frozen=True)
class StoredRuns:
    """The runs of a store.

    committed: the committed runs, the latest first
    damaged:   errors of the manifests that cannot be read, by run id
    open_ids:  ids of runs without a manifest, so neither committed nor given up
    abandoned_ids: ids of runs that `runs.py gc` gave up
    """

    committed: list[Manifest]
    damaged: Mapping[str, RecordError]
    open_ids: tuple[str, ...] = ()
    abandoned_ids: tuple[str, ...] = ()


def run_ids(store: Store) -> list[str]:
    """Return the ids of all runs that have records; other folders of `runs/` are left out."""
    return [name for name in store.folders("runs/") if not name.startswith("_")]


def stored_runs(store: Store) -> StoredRuns:
    """Return every run; a damaged manifest does not prevent reading the others."""
    return read_runs(store, run_ids(store))


def read_runs(store: Store, ids: Iterable[str]) -> StoredRuns:
    """Return these runs; a damaged manifest does not prevent reading the others."""
    found = _read_each(store, ids)
    committed = [one for one in found.values() if isinstance(one, Manifest)]
    committed.sort(key=lambda m: (m.committed_at, m.run_id), reverse=True)
    damaged = {run_id: one for run_id, one in found.items() if isinstance(one, RecordError)}
    open_ids = tuple(run_id for run_id, one in found.items() if one is None)
    abandoned_ids = tuple(run_id for run_id, one in found.items() if isinstance(one, Abandoned))
    return StoredRuns(committed, damaged, open_ids, abandoned_ids)


def live_manifests(store: Store, ids: Iterable[str]) -> list[Manifest]:
    """Return the manifests of live runs. Raises RecordError if one is damaged or missing."""
    manifests = []
    for run_id, found in _read_each(store, ids).items():
        if isinstance(found, RecordError):
            raise found
        if not isinstance(found, Manifest):
            raise gone_live_run(run_id)
        manifests.append(found)
    return manifests


def gone_live_run(run_id: str) -> RecordError:
    """Return the error of a live run whose manifest is missing."""
    return RecordError(manifest_key(run_id), "it is gone, and the run is live", RESTORE)


def next_commit_s(committed: Iterable[Manifest]) -> float:
    """Return the time of the next commit in Unix seconds: now, but always after the latest commit.

    Another machine's clock may be ahead, so that its commit is in this machine's future. The run
    that is committed next must still count as the later one.
    """
    return max(time.time(), latest_commit_s(committed) + TICK_S)


def latest_commit_s(committed: Iterable[Manifest]) -> float:
    """Return when the latest of these runs was committed, in Unix seconds; 0 if there is none."""
    return max((manifest.committed_at for manifest in committed), default=0.0)


def _read_each(
    store: Store, ids: Iterable[str]
) -> dict[str, Manifest | Abandoned | RecordError | None]:
    """Read the manifest of each run, None where there is none; the error where it is damaged."""
    names = list(ids)
    copies = copied_manifests(store) if len(names) > TAIL else {}

    def read(run_id: str) -> Manifest | Abandoned | RecordError | None:
        try:
            if run_id in copies:
                return manifest_of(copies[run_id], run_id)
            return read_manifest(store, run_id)
        except RecordError as error:
            return error

    with ThreadPoolExecutor(READERS) as pool:
        return dict(zip(names, pool.map(read, names), strict=True))
