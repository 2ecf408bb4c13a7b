"""Find indexes that later ones have replaced, and all that hold rows of photos."""

from contextlib import suppress

from pipeline.errors import RecordError
from pipeline.ledger.coverage.covered import CoveredIndex
from pipeline.ledger.indexes import KEPT, PREFIX, numbered, read_verified
from pipeline.ledger.manifest_copies import MANIFESTS
from pipeline.ledger.records import parse, typed
from pipeline.storage.backend import ObjectInfo
from pipeline.storage.store import Store


def old_copies(store: Store) -> list[ObjectInfo]:
    """List copies of manifests that later ones have replaced."""
    return [info for _, _, info in numbered(store, MANIFESTS)[KEPT:]]


def covered_objects(store: Store) -> list[ObjectInfo]:
    """List every object of every kind's index."""
    return list(store.list(f"{PREFIX}covered-"))


def old_objects(store: Store) -> list[ObjectInfo]:
    """List indexes that later ones have replaced, and files that no index names any more.

    A kind whose index this release cannot read is left as it is.
    """
    old: list[ObjectInfo] = []
    for folder in store.folders(PREFIX):
        if folder.startswith("covered-"):
            with suppress(RecordError):
                old += _old_of_kind(store, f"{PREFIX}{folder}/")
    return old


def _old_of_kind(store: Store, prefix: str) -> list[ObjectInfo]:
    known = numbered(store, prefix)
    named: set[str] = set()
    for _, sha256, info in known[:KEPT]:
        data = read_verified(store, info.key, sha256)
        if data is not None:
            index = typed(parse(data, info.key, CoveredIndex.advice), info.key, CoveredIndex)
            named |= {file.sha256 for each in index.segments for file in each.files}
    files = f"{prefix}files/"
    return [info for _, _, info in known[KEPT:]] + [
        info
        for info in store.list(files)
        if info.key.removeprefix(files).removesuffix(".parquet") not in named
    ]
