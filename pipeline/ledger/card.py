"""Describe a run's files to Hugging Face `datasets`, so that `load_dataset` shows pictures.

runs/<run_id>/README.md is a dataset card. It lists the run's data files and the type of each
column of `crops`, so that `datasets` casts the plain bytes of `image` to pictures. The product
never reads it. It is rewritten when data files are, because photos were forgotten.
"""

import json
from posixpath import relpath
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from pipeline import schema
from pipeline.ledger.layout import run_key
from pipeline.ledger.manifest import data_files
from pipeline.ledger.pinned import read_spec, task_rows
from pipeline.ledger.records import Manifest
from pipeline.ledger.replaced import current_key, replaced_files
from pipeline.storage.store import Store
from pipeline.words import counted

MAX_FILES = 4_000  # of a table; `datasets` takes a second for a card of this length
SHOWN = ("crops", "images")  # `load_dataset` opens the first unless another is named
# Types that `datasets` names differently from Arrow.
DTYPES = {"float": "float32", "double": "float64", "halffloat": "float16"}
CARD = """---
configs: {configs}
dataset_info: {infos}
---

# Run {run_id}

{crops} of {photos}. `datasets.load_dataset` of this folder opens them as pictures;
it knows the tables {tables}.
"""


def card_key(run_id: str) -> str:
    """Return the key of a run's card."""
    return run_key(run_id, "README.md")


def write_card(store: Store, manifest: Manifest) -> bool:
    """Write the card of a committed run; return False where there can be none.

    There can be none for a run without crops, with more than MAX_FILES files of crops, or with a
    list column whose type `datasets` has no name for. Raises RecordError.
    """
    spec, replaced = read_spec(store, manifest.run_id), replaced_files(store, manifest.run_id)
    keys: dict[str, list[str]] = {}
    for file in data_files(store, manifest):
        keys.setdefault(file.table, []).append(current_key(file.key, replaced))
    if not keys.get("crops") or len(keys["crops"]) > MAX_FILES:
        return False
    extra = schema.pass_through(task_rows(store, spec, 0).schema)
    features = dataset_features(schema.crops_schema(extra))
    if features is None:
        return False
    folder = run_key(manifest.run_id, "")
    configs = [
        {
            "config_name": table,
            "default": table == SHOWN[0],
            "data_files": [{"split": "train", "path": [relpath(k, folder) for k in keys[table]]}],
        }
        for table in SHOWN
    ]
    text = CARD.format(
        configs=json.dumps(configs),  # JSON is YAML
        infos=json.dumps([{"config_name": SHOWN[0], "features": features}]),
        run_id=manifest.run_id,
        crops=counted(manifest.metrics.crops, "crop"),
        photos=counted(manifest.rows, "photo"),
        tables=" and ".join(f"`{table}`" for table in SHOWN),
    )
    store.write(card_key(manifest.run_id), text.encode())
    return True


def dataset_features(columns: pa.Schema) -> list[dict[str, Any]] | None:
    """Describe the columns of `crops` to `datasets`; None if it has no name for a type."""
    found = [
        {"name": field.name, "dtype": "image"} if field.name == "image" else _feature(field)
        for field in columns
    ]
    return None if None in found else [one for one in found if one is not None]


def _feature(field: pa.Field) -> dict[str, Any] | None:
    kind = field.type
    if pt.is_list(kind) or pt.is_large_list(kind):
        inner = _feature(pa.field("item", kind.value_type))
        if inner is None or "dtype" not in inner:
            return None
        word = "large_list" if pt.is_large_list(kind) else "list"
        return {"name": field.name, word: inner["dtype"]}
    if pt.is_nested(kind) or pt.is_dictionary(kind):
        return None
    if pt.is_date(kind):
        return {"name": field.name, "dtype": str(kind).partition("[")[0]}
    return {"name": field.name, "dtype": DTYPES.get(str(kind), str(kind))}
