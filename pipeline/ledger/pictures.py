"""The column `image` of `crops` as a file has it: plain bytes, or a struct as `datasets` wants it.

`datasets` of Hugging Face shows a column as pictures by itself where it is a struct of bytes and
path and the file's footer says so. Other engines want plain bytes, which are the default.
"""

import json

import pyarrow as pa
import pyarrow.compute as pc

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
# Under "huggingface" in a file's footer. Of plain bytes `datasets` takes no notice of it.
FOOTER = json.dumps({"info": {"features": {"image": {"_type": "Image"}}}})


def as_struct(rows: pa.Table) -> pa.Table:
    """Rows of `crops` with pictures as `datasets` wants them; null where nothing was encoded.

    path is a name for each: image_id, shape and rank, and the format's ending.
    """
    data = pc.cast(rows["image"], pa.binary()).combine_chunks()
    ratios = pc.replace_substring(rows["ratio"], ":", "x")
    ranks = pc.cast(rows["rank"], pa.string())
    ends = pc.fill_null(rows["format"], "")
    names = pc.binary_join_element_wise(rows["image_id"], ratios, ranks, "-")
    paths = pc.binary_join_element_wise(names, ends, ".").combine_chunks()
    pictures = pa.StructArray.from_arrays([data, paths], fields=list(PICTURE), mask=data.is_null())
    return _with_image(rows, pa.field("image", PICTURE), pictures)


def as_bytes(rows: pa.Table) -> pa.Table:
    """Rows of any table with pictures as plain bytes, however the file has them."""
    place = rows.schema.get_field_index("image")
    if place < 0 or not pa.types.is_struct(rows.schema.field(place).type):
        return rows
    data = pc.cast(pc.struct_field(rows["image"], "bytes"), pa.large_binary())
    return _with_image(rows, pa.field("image", pa.large_binary()), data)


def _with_image(rows: pa.Table, field: pa.Field, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index("image"), field, column)
