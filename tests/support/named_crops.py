"""Committed runs whose crops are stored as named objects; nothing is decoded or scored."""

import pyarrow as pa

from pipeline.ledger.promotion.crop_files import run_prefix
from pipeline.schema import CROP_FILES
from pipeline.storage.store import Store
from tests.support.tasks import done, open_ledger


def run_with_named_crops(
    store: Store,
    inputs: pa.Table,
    mark: str,
    pictures: bool = True,
    task_images: int = 9,
    ending: str = ".webp",
) -> str:
    """Commit a run of one task with an object for each crop: the photo's uri and a mark.

    pictures: whether the table contains them too. ending: of the names.
    """
    ledger = open_ledger(store, inputs, task_images)
    tables = done(ledger.task_inputs(0), mark=mark)
    crops, rows = tables["crops"], []
    for crop in crops.to_pylist():
        name = f"{crop['uri'][-10:-4]}{ending}"
        key = f"{run_prefix(ledger.run_id)}{name}"
        store.write(key, crop["image"])
        rows.append({"image_id": crop["image_id"], "ratio": "1:1", "rank": 0, "name": name,
                     "key": key, "sha256": crop["sha256"]})  # fmt: skip
    changes = {"file": pa.array([row["key"] for row in rows])}
    if not pictures:
        changes["image"] = pa.nulls(len(rows))
    for column, values in changes.items():
        place, field = crops.schema.get_field_index(column), crops.schema.field(column)
        crops = crops.set_column(place, field, values.cast(field.type))
    named = pa.Table.from_pylist(rows, CROP_FILES)
    ledger.commit_task(0, {**tables, "crops": crops, "crop_files": named})
    about = {"channel": "web", "promote": "manual", "trial": False}
    return ledger.finish({"job": about}).run_id
