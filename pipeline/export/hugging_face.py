"""Write the crops of runs as a data set of Hugging Face, whose readers show them as pictures.

`datasets` takes a column for pictures where it is a struct of bytes and path and the file's footer
says so; in the product's own files `image` is plain bytes, as every other engine wants it. So this
is a copy: photos that are forgotten later stay in it.
"""

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import schema
from pipeline.ledger.reader import Run
from pipeline.storage.store import Store

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FOOTER = {"huggingface": json.dumps({"info": {"features": {"image": {"_type": "Image"}}}})}
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


def pictures(rows: pa.Table) -> pa.Array:
    """The column `image` as `datasets` wants it; null where nothing was encoded."""
    data = rows["image"].cast(pa.binary()).combine_chunks()
    ratios = pc.replace_substring(rows["ratio"], ":", "x")
    ranks = rows["rank"].cast(pa.string())
    ends = pc.fill_null(rows["format"], "")
    names = pc.binary_join_element_wise(rows["image_id"], ratios, ranks, "-")
    paths = pc.binary_join_element_wise(names, ends, ".").combine_chunks()
    return pa.StructArray.from_arrays([data, paths], fields=list(PICTURE), mask=pc.is_null(data))


def _columns(run: Run) -> list[str] | None:
    """All columns of several runs, so that each file has the same; None for those of one run."""
    if len(run.manifests) == 1:
        return None
    extra = schema.pass_through(run.images().schema)
    return [*schema.CROPS.names, *(field.name for field in extra)]


def _file(rows: pa.Table) -> bytes:
    place = rows.schema.get_field_index("image")
    rows = rows.set_column(place, pa.field("image", PICTURE), pictures(rows))
    # No column promises a value here: `datasets` has no such promise, and would see another type.
    plain: Any = pa.schema([field.with_nullable(True) for field in rows.schema], FOOTER)
    sink = pa.BufferOutputStream()
    pq.write_table(rows.cast(plain), sink, compression="zstd", row_group_size=ROW_GROUP_ROWS)
    data: bytes = sink.getvalue().to_pybytes()
    return data
