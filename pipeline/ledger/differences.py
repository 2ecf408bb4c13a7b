"""Compare two committed runs: settings, photos, statuses and boxes."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ledger.identity import spec_differences
from pipeline.ledger.pinned import read_spec
from pipeline.ledger.reader import open_run
from pipeline.schema import EDGES
from pipeline.storage.store import Store

EXAMPLES = 20  # examples that a comparison names of each kind of difference
KEY = ("uri", "ratio", "rank")


def compare_runs(store: Store, old_id: str, new_id: str) -> dict[str, Any]:
    """Return what differs between two committed runs: settings, photos, statuses and boxes."""
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
    """Return boxes by uri, ratio and rank, rounded to 0.01 px to ignore smaller differences."""
    rows = crops.set_column(2, "rank", pc.cast(crops["rank"], pa.int64())).to_pylist()
    return {
        (row["uri"], row["ratio"], row["rank"]): tuple(round(row[side], 2) for side in EDGES)
        for row in rows
    }
