"""Write the crops of runs as a Hugging Face data set, whose readers show them as pictures.

The product's own files can be shown too, see `ledger.card` and `ledger.pictures`. This is a copy
for distribution, with each photo once: photos that are forgotten later stay in it until it is
written again.
"""

import re
from hashlib import sha256
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import schema
from pipeline.ledger.pictures import FOOTER, as_struct
from pipeline.ledger.reader import Run
from pipeline.storage.store import Store
from pipeline.words import counted

ROW_GROUP_ROWS = 100  # a reader that wants one picture fetches about this many
FILE = re.compile(r"crops/train-(\d{5,})\.parquet")
CARD = """---
configs:
- config_name: crops
  version: 1.0.{version}
  data_files: crops/*.parquet
tags:
- image
---

# Crops

{crops} of {photos}. Each row is a crop; `image` is the picture, `uri` the photo it
was cut from, `x0` to `y1` where, in pixels of the photo.
"""


def write_dataset(run: Run, into: Store) -> dict[str, int]:
    """Write all crops of a run, one file for each of the run's files; return the counts.

    Files of an earlier data set in the same place are overwritten, and surplus ones are removed:
    the card reads all files of the folder. Other files stay.

    The version in the card is a number of the rows' content: `datasets` looks for what it has
    cached by the folder's name and the card alone, and would show earlier rows.
    """
    files = rows = 0
    photos: set[str] = set()
    content = sha256()
    for part in run.batches("crops", _columns(run)):
        if not part.num_rows:
            continue
        data = _file(part)
        content.update(data)
        into.write(f"crops/train-{files:05d}.parquet", data)
        photos.update(part["image_id"].to_pylist())
        files, rows = files + 1, rows + part.num_rows
    for info in list(into.list("crops/train-")):
        if (found := FILE.fullmatch(info.key)) and int(found[1]) >= files:
            into.delete(info.key)
    card = CARD.format(
        version=int(content.hexdigest()[:8], 16),
        crops=counted(rows, "crop"),
        photos=counted(len(photos), "photo"),
    )
    into.write("README.md", card.encode())
    return {"files": files, "rows": rows, "photos": len(photos)}


def _columns(run: Run) -> list[str] | None:
    """Return the columns of several runs, so that all files have the same; None for one run."""
    if len(run.manifests) == 1:
        return None
    extra = schema.pass_through(run.images().schema)
    return [*schema.CROPS.names, *(field.name for field in extra)]


def _file(rows: pa.Table) -> bytes:
    rows = as_struct(rows)
    # All columns are nullable: `datasets` has no non-null columns and would see another type.
    plain: Any = pa.schema(
        [field.with_nullable(True) for field in rows.schema], {"huggingface": FOOTER}
    )
    sink = pa.BufferOutputStream()
    pq.write_table(rows.cast(plain), sink, compression="zstd", row_group_size=ROW_GROUP_ROWS)
    data: bytes = sink.getvalue().to_pybytes()
    return data
