"""Runs whose crops are real pictures, for readers that show them; nothing is decoded or scored."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec.structs import replace
from PIL import Image

from pipeline import schema
from pipeline.ledger.identity import input_sha256
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.plan import cut_tasks
from pipeline.ledger.records import Manifest
from pipeline.storage.store import Store
from tests.support.tasks import SPEC, done

SIZE_WH = (6, 4)


def commit_pictures(store: Store, inputs: pa.Table, shade: int, **settings: Any) -> Manifest:
    """Commit a run whose crops have SIZE_WH and one shade. settings: part of its identity."""
    sink = io.BytesIO()
    Image.fromarray(np.full((*SIZE_WH[::-1], 3), shade, np.uint8)).save(sink, "PNG")
    spec = replace(SPEC, input_sha256=input_sha256(inputs), settings={**SPEC.settings, **settings})
    ledger = Ledger.open(store, spec, inputs, cut_tasks(inputs, 3))
    for n in ledger.pending():
        tables = done(ledger.task_inputs(n))
        crops = tables["crops"]
        place = crops.schema.get_field_index("image")
        pictures = pa.array([sink.getvalue()] * len(crops), pa.large_binary())
        crops = crops.set_column(place, crops.schema.field(place), pictures)
        for field in schema.pass_through(inputs.schema):  # as a stage does
            crops = crops.append_column(field, ledger.task_inputs(n)[field.name])
        ledger.commit_task(n, {**tables, "crops": crops})
    return ledger.finish({"job": {"promote": "manual"}})
