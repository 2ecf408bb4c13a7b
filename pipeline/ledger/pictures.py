"""Convert the column `image` of `crops` between plain bytes and the struct that `datasets` wants.

Hugging Face `datasets` shows a column as pictures if it is a struct of bytes and path and the
file's footer declares it. Other engines want plain bytes, which are the default.
"""

import json

import pyarrow as pa
import pyarrow.compute as pc

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
# Stored under "huggingface" in a file's footer. `datasets` ignores it for plain bytes.
FOOTER = json.dumps({"info": {"features": {"image": {"_type": "Image"}}}})


def as_struct(rows: pa.Table) -> pa.Table:
    """Convert the pictures of `crops` to structs for `datasets`; null where none was encoded.

    The path is a name made of image_id, shape and rank, with the format's extension.
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
    """Convert the pictures of any table to plain bytes, whichever form the file has."""
    place = rows.schema.get_field_index("image")
    if place < 0 or not pa.types.is_struct(rows.schema.field(place).type):
        return rows
    data = pc.cast(pc.struct_field(rows["image"], "bytes"), pa.large_binary())
    return _with_image(rows, pa.field("image", pa.large_binary()), data)


def _with_image(rows: pa.Table, field: pa.Field, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index("image"), field, column)
