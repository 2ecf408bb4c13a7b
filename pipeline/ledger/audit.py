"""List the runs of a store, verify one byte by byte, compare two."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import LedgerError, RecordError
from pipeline.ledger.channels import channel_of
from pipeline.ledger.forgetting import read_forgotten
from pipeline.ledger.identity import spec_differences
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.live import Standing, standing
from pipeline.ledger.manifest import data_files, failed_photos, read_manifest, unsettled_ids
from pipeline.ledger.pinned import input_rows, read_spec
from pipeline.ledger.reader import open_run
from pipeline.ledger.records import ABANDONED, Abandoned, DataFile, Manifest, StoredList
from pipeline.ledger.replaced import chain_of
from pipeline.ledger.tables import decode_table
from pipeline.schema import EDGES
from pipeline.storage.store import Store

READERS = 8  # data files fetched and hashed at a time
EXAMPLES = 20  # photos that a comparison names of each sort
KEY = ("uri", "ratio", "rank")


def list_runs(store: Store, known: Standing | None = None) -> Iterator[dict[str, Any]]:
    """Describe every run of a store: committed, open, abandoned or damaged.

    known: what is live, where it was looked up before
    """
    known = standing(store) if known is None else known
    for run_id in store.folders("runs/"):
        if run_id.startswith("_"):
            continue
        try:
            yield describe_run(store, run_id, known)
        except RecordError as error:
            yield {"run_id": run_id, "state": "damaged", "problem": str(error)}


def describe_run(store: Store, run_id: str, known: Standing) -> dict[str, Any]:
    """Describe one run without reading its data. Raises RecordError."""
    manifest = read_manifest(store, run_id)
    if isinstance(manifest, Abandoned):
        return {"run_id": run_id, "state": ABANDONED, "since": manifest.committed_at}
    ledger = Ledger(store, run_id)
    line = {
        "run_id": run_id,
        "images": ledger.rows,
        "tasks": ledger.task_count,
        "parent": ledger.spec.parent,
    }
    if manifest is None:
        return {**line, "state": "open", "tasks_done": ledger.task_count - len(ledger.pending())}
    return {
        **line,
        "state": "committed",
        "standing": known.state(manifest),
        "channel": channel_of(manifest),
        "live": known.places(run_id),
        "verdict": manifest.verdict,
        "committed_at": manifest.committed_at,
        "tables": msgspec.to_builtins(manifest.tables),
        "statuses": manifest.metrics.statuses,
        "unsettled": manifest.unsettled.rows,
        **_columns_told(manifest),
        "input": manifest.job.get("input"),
        "settings": dict(manifest.settings),
        "wall_s": manifest.session.get("wall_s"),
    }


def _columns_told(manifest: Manifest) -> dict[str, Any]:
    """What a run was committed with about the columns of its list; nothing in old runs."""
    names = ("columns", "unified")
    return {name: manifest.document[name] for name in names if manifest.document.get(name)}


@dataclass
class Verification:
    """What `verify_run` found. Without problems every byte is as it was committed.

    erased: photos whose rows were removed as they are forgotten
    """

    run_id: str
    files: int = 0
    bytes: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    erased: int = 0
    problems: list[str] = field(default_factory=list)


def verify_run(store: Store, run_id: str) -> Verification:
    """Hash every file of a committed run again, and check that rows out are rows in.

    Rows that were erased with a forgotten photo are accounted for by the records of that. Raises
    LedgerError if the run is not committed or its records cannot be read.
    """
    manifest = Ledger(store, run_id).manifest
    if manifest is None:
        raise LedgerError(f"run {run_id} is not committed; only committed runs can be verified")
    found = Verification(run_id)
    rows: Counter[str] = Counter()
    images: list[pa.ChunkedArray] = []
    erased: set[str] = set()
    images_erased: set[str] = set()
    with ThreadPoolExecutor(READERS) as pool:
        files = data_files(store, manifest)
        for file, checked in pool.map(lambda f: (f, _check_file(store, f)), files):
            found.files += 1
            found.bytes += file.bytes
            rows[file.table] += file.rows
            erased |= checked.erased
            images_erased |= checked.erased if file.table == "images" else set()
            found.problems += [checked.problem] if checked.problem else []
            if file.table == "images" and checked.ids is not None:
                images.append(checked.ids)
    found.rows, found.erased = dict(rows), len(erased)
    for table, totals in manifest.tables.items():
        if rows[table] != totals.rows:
            found.problems.append(f"{table}: {rows[table]} rows, not {totals.rows} as committed")
    found.problems += _check_images(store, run_id, images, images_erased)
    found.problems += _check_lists(store, manifest, erased)
    return found


@dataclass(frozen=True)
class _CheckedFile:
    """What a data file was found to be. erased: photos whose rows were removed from it."""

    problem: str | None = None
    ids: pa.ChunkedArray | None = None
    erased: frozenset[str] = frozenset()


def _check_file(store: Store, file: DataFile) -> _CheckedFile:
    now, erased = file, frozenset[str]()
    try:
        try:
            data = store.read(file.key)
        except FileNotFoundError:
            chain = chain_of(store, file.key)
            if not chain:
                raise
            last = chain[-1]
            now = DataFile(file.table, last.key, last.rows, last.bytes, last.sha256)
            erased = frozenset(image_id for one in chain for image_id in one.removed)
            data = store.read(now.key)
        if len(data) != now.bytes or hashlib.sha256(data).hexdigest() != now.sha256:
            return _CheckedFile(f"{now.key} was changed: its hash is not the committed one")
        ids = decode_table(data, ["image_id"])["image_id"]
    except (FileNotFoundError, LedgerError) as error:
        return _CheckedFile(f"{now.key}: {error}")
    if len(ids) != now.rows:
        return _CheckedFile(f"{now.key} has {len(ids)} rows, not {now.rows} as committed")
    return _CheckedFile(None, ids, erased)


def _check_images(
    store: Store, run_id: str, images: list[pa.ChunkedArray], erased: set[str]
) -> list[str]:
    """Name the photos of the pinned list that do not have exactly one row, or one erased."""
    planned: Counter[str] = Counter()
    for rows in input_rows(store, read_spec(store, run_id), ["image_id"]):
        planned.update(rows["image_id"].to_pylist())
    planned.subtract(erased)
    for ids in images:
        planned.subtract(ids.to_pylist())
    missing = [image for image, count in planned.items() if count > 0]
    extra = [image for image, count in planned.items() if count < 0]
    problems = [f"{len(missing)} photos have no row, the first is {missing[0]}"] if missing else []
    return problems + ([f"{len(extra)} photos have too many rows: {extra[0]}"] if extra else [])


def _check_lists(store: Store, manifest: Manifest, erased: set[str]) -> list[str]:
    """Read the lists of failed photos again; say which rows nobody asked to erase."""
    problems = []
    lists: list[tuple[StoredList, Callable[[], Sized]]] = [
        (manifest.unsettled, partial(unsettled_ids, store, manifest))
    ]
    if manifest.failures is not None:
        lists.append((manifest.failures, partial(failed_photos, store, manifest.failures)))
    for entry, read in lists:
        try:
            found = len(read())
        except RecordError as error:
            problems.append(str(error))
            continue
        if found != entry.rows:
            problems.append(f"{entry.key} has {found} photos, not {entry.rows} as committed")
    unasked = erased - read_forgotten(store).entries.keys()
    if unasked:
        problems.append(f"rows of {len(unasked)} photos were removed that nobody forgot")
    return problems


def compare_runs(store: Store, old_id: str, new_id: str) -> dict[str, Any]:
    """Say what differs between two committed runs: settings, photos, statuses and boxes."""
    old, new = (open_run(store.uri, run_id) for run_id in (old_id, new_id))
    was, now = (dict(_pairs(run.images(["uri", "status"]))) for run in (old, new))
    changed = sorted(uri for uri in was.keys() & now.keys() if was[uri] != now[uri])
    boxes_was, boxes_now = (_boxes(run.crops([*KEY, *EDGES])) for run in (old, new))
    shared = boxes_was.keys() & boxes_now.keys()
    moved = sorted(key for key in shared if boxes_was[key] != boxes_now[key])
    return {
        "old": old_id,
        "new": new_id,
        "settings": spec_differences(read_spec(store, old_id), read_spec(store, new_id)),
        "images": {
            "both": len(was.keys() & now.keys()),
            "only_old": len(was.keys() - now.keys()),
            "only_new": len(now.keys() - was.keys()),
            "status_changed": len(changed),
        },
        "status_examples": [
            {"uri": uri, "old": was[uri], "new": now[uri]} for uri in changed[:EXAMPLES]
        ],
        "crops": {
            "both": len(shared),
            "only_old": len(boxes_was.keys() - shared),
            "only_new": len(boxes_now.keys() - shared),
            "moved": len(moved),
        },
        "moved_examples": [
            {**dict(zip(KEY, key, strict=True)), "old": boxes_was[key], "new": boxes_now[key]}
            for key in moved[:EXAMPLES]
        ],
    }  # fmt: skip


def _pairs(table: pa.Table) -> Iterator[tuple[str, str]]:
    return zip(*(table[name].to_pylist() for name in table.column_names), strict=True)


def _boxes(crops: pa.Table) -> dict[tuple[str, str, int], tuple[float, ...]]:
    """Boxes by uri, ratio and rank, rounded to 0.01 px, below which no difference counts."""
    rows = crops.set_column(2, "rank", pc.cast(crops["rank"], pa.int64())).to_pylist()
    return {
        (row["uri"], row["ratio"], row["rank"]): tuple(round(row[side], 2) for side in EDGES)
        for row in rows
    }
