"""Write the crops of runs as a data set of Hugging Face, whose readers show them as pictures.

The product's own files show them too, see `ledger.card` and `ledger.pictures`. This is a copy with
each photo once, to be given away: photos that are forgotten later stay in it.
"""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import schema
from pipeline.ledger.pictures import FOOTER, as_struct
from pipeline.ledger.reader import Run
from pipeline.storage.store import Store

ROW_GROUP_ROWS = 100  # a reader that wants one picture fetches about this many
CARD = """---
configs:
- config_name: crops
  data_files: crops/*.parquet
tags:
- image
---

# Crops

{rows:,} crops of {photos:,} photos. Each row is a crop; `image` is the picture, `uri` the photo it
was cut from, `x0` to `y1` where, in pixels of the photo.
"""


def write_dataset(run: Run, into: Store) -> dict[str, int]:
    """Write all crops of a run, a file for each of its own; return how many files and rows.

    Files of an earlier data set of the same place are overwritten, as far as there are as many.
    """
    files = rows = 0
    photos: set[str] = set()
    for part in run.batches("crops", _columns(run)):
        if not part.num_rows:
            continue
        into.write(f"crops/train-{files:05d}.parquet", _file(part))
        photos.update(part["image_id"].to_pylist())
        files, rows = files + 1, rows + part.num_rows
    into.write("README.md", CARD.format(rows=rows, photos=len(photos)).encode())
    return {"files": files, "rows": rows, "photos": len(photos)}


def _columns(run: Run) -> list[str] | None:
    """All columns of several runs, so that each file has the same; None for those of one run."""
    if len(run.manifests) == 1:
        return None
    extra = schema.pass_through(run.images().schema)
    return [*schema.CROPS.names, *(field.name for field in extra)]


def _file(rows: pa.Table) -> bytes:
    rows = as_struct(rows)
    # No column promises a value here: `datasets` has no such promise, and would see another type.
    plain: Any = pa.schema(
        [field.with_nullable(True) for field in rows.schema], {"huggingface": FOOTER}
    )
    sink = pa.BufferOutputStream()
    pq.write_table(rows.cast(plain), sink, compression="zstd", row_group_size=ROW_GROUP_ROWS)
    data: bytes = sink.getvalue().to_pybytes()
    return data
