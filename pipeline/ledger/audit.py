"""List the runs of a store, verify one byte by byte, compare two."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import LedgerError, RecordError
from pipeline.ledger.identity import spec_differences
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.manifest import data_files, read_manifest
from pipeline.ledger.pinned import input_rows, read_spec
from pipeline.ledger.reader import open_run
from pipeline.ledger.records import ABANDONED, Abandoned, DataFile
from pipeline.ledger.tables import decode_table
from pipeline.storage.store import Store

READERS = 8  # data files fetched and hashed at a time
EXAMPLES = 20  # photos that a comparison names of each sort
BOX = ("x0", "y0", "x1", "y1")


def list_runs(store: Store) -> Iterator[dict[str, Any]]:
    """Describe every run of a store: committed, open, abandoned or damaged."""
    for run_id in store.folders("runs/"):
        if run_id.startswith("_"):
            continue
        try:
            yield describe_run(store, run_id)
        except RecordError as error:
            yield {"run_id": run_id, "state": "damaged", "problem": str(error)}


def describe_run(store: Store, run_id: str) -> dict[str, Any]:
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
        "verdict": manifest.verdict,
        "committed_at": manifest.committed_at,
        "tables": msgspec.to_builtins(manifest.tables),
        "statuses": manifest.metrics.statuses,
        "unsettled": manifest.unsettled.rows,
    }


@dataclass
class Verification:
    """What `verify_run` found. Without problems every byte is as it was committed."""

    run_id: str
    files: int = 0
    bytes: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def verify_run(store: Store, run_id: str) -> Verification:
    """Hash every file of a committed run again, and check that rows out are rows in.

    Raises LedgerError if the run is not committed or its records cannot be read.
    """
    manifest = Ledger(store, run_id).manifest
    if manifest is None:
        raise LedgerError(f"run {run_id} is not committed; only committed runs can be verified")
    found = Verification(run_id)
    rows: Counter[str] = Counter()
    images: list[pa.ChunkedArray] = []
    with ThreadPoolExecutor(READERS) as pool:
        files = data_files(store, manifest)
        for file, problem, ids in pool.map(lambda f: (f, *_check_file(store, f)), files):
            found.files += 1
            found.bytes += file.bytes
            rows[file.table] += file.rows
            found.problems += [problem] if problem else []
            images += [ids] if file.table == "images" and ids is not None else []
    found.rows = dict(rows)
    for table, totals in manifest.tables.items():
        if rows[table] != totals.rows:
            found.problems.append(f"{table}: {rows[table]} rows, not {totals.rows} as committed")
    found.problems += _check_images(store, run_id, images)
    return found


def _check_file(store: Store, file: DataFile) -> tuple[str | None, pa.ChunkedArray | None]:
    try:
        data = store.read(file.key)
        if len(data) != file.bytes or hashlib.sha256(data).hexdigest() != file.sha256:
            return f"{file.key} was changed: its hash is not the committed one", None
        ids = decode_table(data, ["image_id"])["image_id"]
    except (FileNotFoundError, LedgerError) as error:
        return f"{file.key}: {error}", None
    if len(ids) != file.rows:
        return f"{file.key} has {len(ids)} rows, not {file.rows} as committed", None
    return None, ids


def _check_images(store: Store, run_id: str, images: list[pa.ChunkedArray]) -> list[str]:
    """Name the photos of the pinned list that do not have exactly one row."""
    planned: Counter[str] = Counter()
    for rows in input_rows(store, read_spec(store, run_id), ["image_id"]):
        planned.update(rows["image_id"].to_pylist())
    for ids in images:
        planned.subtract(ids.to_pylist())
    missing = [image for image, count in planned.items() if count > 0]
    extra = [image for image, count in planned.items() if count < 0]
    problems = [f"{len(missing)} photos have no row, the first is {missing[0]}"] if missing else []
    return problems + ([f"{len(extra)} photos have too many rows: {extra[0]}"] if extra else [])


def compare_runs(store: Store, old_id: str, new_id: str) -> dict[str, Any]:
    """Say what differs between two committed runs: settings, photos, statuses and boxes."""
    old, new = (open_run(store.uri, run_id) for run_id in (old_id, new_id))
    was, now = (dict(_pairs(run.images(["uri", "status"]))) for run in (old, new))
    changed = sorted(uri for uri in was.keys() & now.keys() if was[uri] != now[uri])
    boxes_was, boxes_now = (_boxes(run.crops(["uri", "ratio", "rank", *BOX])) for run in (old, new))
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
            {"uri": key[0], "ratio": key[1], "rank": key[2], "old": boxes_was[key],
             "new": boxes_now[key]}
            for key in moved[:EXAMPLES]
        ],
    }  # fmt: skip


def _pairs(table: pa.Table) -> Iterator[tuple[str, str]]:
    return zip(*(table[name].to_pylist() for name in table.column_names), strict=True)


def _boxes(crops: pa.Table) -> dict[tuple[str, str, int], tuple[float, ...]]:
    """Boxes by uri, ratio and rank, rounded to 0.01 px, below which no difference counts."""
    rows = crops.set_column(2, "rank", pc.cast(crops["rank"], pa.int64())).to_pylist()
    return {
        (row["uri"], row["ratio"], row["rank"]): tuple(round(row[side], 2) for side in BOX)
        for row in rows
    }
