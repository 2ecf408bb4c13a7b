"""What travels between the stages: a table of one task, a row per image, pixels included.

A row is a dict with the columns of `schema.IMAGES` and
    task    the task's number
    boxes   objects given with the input list, or None
    requests   storage requests of reading the task, on its first row
    extra   the pass-through columns of the input list, as one dict
    photo   the decoded Photo, or None where the image failed; on the wire its pixels are one
            binary column that Ray shares between processes without a copy
    crops, candidates   what was chosen, once the scoring stage has been there
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import schema
from pipeline.photo.decode import Photo
from pipeline.schema import OK

Row = dict[str, Any]
_LONGEST_MESSAGE = 500

CHOSEN = pa.struct(
    [
        field
        for field in schema.CROPS
        if field.name not in {"image_id", "uri", "width", "height", "format", "image", "sha256"}
    ]
)
PROPOSED = pa.struct([field for field in schema.CANDIDATES if field.name != "image_id"])

_WORK = [
    pa.field("task", pa.int64(), nullable=False),
    *schema.IMAGES,
    schema.INPUT_BOXES,
    pa.field("crops", pa.list_(CHOSEN)),
    pa.field("candidates", pa.list_(PROPOSED)),
    pa.field("requests", pa.map_(pa.string(), pa.int64())),
]
_EXTRA, _PIXELS = "extra", "pixels"
_VIEW = ("view_width", "view_height")


def new_row(task: int, image: Row) -> Row:
    """A row for one image of the input list, nothing done yet."""
    row: Row = dict.fromkeys(field.name for field in _WORK)
    known = {*schema.INPUTS.names, schema.INPUT_BOXES.name}
    row.update({name: value for name, value in image.items() if name in known})
    extra = {name: value for name, value in image.items() if name not in known}
    return {**row, "task": task, "status": OK, "photo": None, _EXTRA: extra}


def fail(row: Row, stage: str, status: str, kind: str, message: str) -> None:
    """Records why an image goes no further; its pixels are dropped."""
    row.update(status=status, error_stage=stage, error_kind=kind)
    row.update(error_message=message[:_LONGEST_MESSAGE], photo=None, crops=None, candidates=None)


def pack(rows: list[Row], extra: Iterable[pa.Field]) -> pa.Table:
    """The rows of one task as a table. extra: the pass-through fields."""
    fields = [*_WORK, pa.field(_EXTRA, pa.struct(list(extra)), nullable=False)]
    columns = [pa.array([row[field.name] for row in rows], field.type) for field in fields]
    photos: list[Photo | None] = [row["photo"] for row in rows]
    for side, name in ((1, _VIEW[0]), (0, _VIEW[1])):
        fields.append(pa.field(name, pa.int32()))
        columns.append(pa.array([p and p.pixels.shape[side] for p in photos], pa.int32()))
    fields.append(pa.field(_PIXELS, pa.large_binary()))  # uint8 RGB [view_height, view_width, 3]
    columns.append(_pixels_column(photos))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _pixels_column(photos: list[Photo | None]) -> pa.Array:
    """The photos' pixels, copied once. `pa.array` of memoryviews never lets go of what they show
    (pyarrow 26), so a worker would keep every photo that it ever saw.
    """
    sizes = [p.pixels.size if p else 0 for p in photos]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    data = np.empty(offsets[-1], np.uint8)
    for photo, start, end in zip(photos, offsets, offsets[1:], strict=False):
        if photo:
            data[start:end].reshape(photo.pixels.shape)[...] = photo.pixels
    valid = pa.array([photo is not None for photo in photos], pa.bool_()).buffers()[1]
    buffers = [valid, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_binary(), len(photos), buffers)


def unpack(table: pa.Table) -> list[Row]:
    """The rows of a table that `pack` made; pixels stay where they are, read only."""
    rows: list[Row] = table.drop_columns([_PIXELS]).to_pylist()
    for row, pixels in zip(rows, table.column(_PIXELS), strict=True):
        width, height = (row.pop(name) for name in _VIEW)
        row["photo"] = (
            None
            if not pixels.is_valid
            else Photo(
                pixels=np.frombuffer(pixels.as_buffer(), np.uint8).reshape(height, width, 3),
                width_px=row["width_px"],
                height_px=row["height_px"],
                format=row["format"],
                orientation=row["orientation"],
            )
        )
    return rows


def extra_fields(table: pa.Table) -> list[pa.Field]:
    """The pass-through fields of a table that `pack` made."""
    return list(table.schema.field(_EXTRA).type)


def images_table(rows: list[Row], extra: Iterable[pa.Field]) -> pa.Table:
    """The task's part of `images`."""
    flat = [{**row[_EXTRA], **row} for row in rows]
    return pa.Table.from_pylist(flat, schema=schema.images_schema(extra))
