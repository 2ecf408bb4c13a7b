"""Runs with crops of given shapes, and runs with other shapes of the same photos."""

from typing import Any

import pyarrow as pa
from msgspec.structs import replace

from pipeline.ledger.records import Manifest
from pipeline.ledger.table_formats.published_rows import RunPhotos
from pipeline.storage.store import Store
from tests.support.tasks import done, make_inputs, open_ledger

IDS = make_inputs(9)["image_id"].to_pylist()
HOUR_S = 3600


def of_shapes(store: Store, ratios: str, count: int, start: int = 0, **changes: Any) -> Manifest:
    """Commit a run with a crop of each of these shapes."""
    spec = {"settings": {"ratios": ratios, "top_k": 1}, **changes}
    ledger = open_ledger(store, make_inputs(count, start=start), **spec)
    for n in ledger.pending():
        tables = done(ledger.task_inputs(n))
        crops = tables["crops"]
        place, field = crops.schema.get_field_index("ratio"), crops.schema.field("ratio")
        tables["crops"] = pa.concat_tables(
            crops.set_column(place, field, pa.array([ratio] * len(crops)))
            for ratio in ratios.split(",")
        )
        ledger.commit_task(n, tables)
    return ledger.finish({"job": {"channel": ratios.replace(":", "x").replace(",", "_")}})


def run_photos(run: Manifest, ratios: str, channel: str, *numbers: int) -> RunPhotos:
    """Return a run as if it had these shapes, channel and photos."""
    ids = frozenset(IDS[n] for n in numbers)
    made = replace(run, settings={"ratios": ratios}, job={"channel": channel})
    return RunPhotos(made, {0: ids}, ids)


def ids(*numbers: int) -> frozenset[str]:
    return frozenset(IDS[n] for n in numbers)
