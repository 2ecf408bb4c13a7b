"""Hash the values of a list that decide a photo's crops, so that runs can be compared by them.

These are its boxes, for a detector that takes them from the list, and the columns in a template of
crop names (`Identity.list_columns`). Other columns that pass through do not matter. People's
decisions are compared as they are (`schema.INPUT_OVERRIDE`).
"""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ledger.identity import Identity
from pipeline.ledger.tables import one_array
from pipeline.schema import INPUT_BOXES, INPUT_OVERRIDE
from pipeline.storage.spool import pieces, spooled

LISTED = pa.field("listed", pa.string())  # the hash; null where the list gives none of the values
LISTED_DIGITS = 32  # hex digits; the chance that a change goes unnoticed is 1 in 2¹²⁸

_Values = list[bytes | None]  # of one column, by row


def with_listed(rows: pa.Table, identity: Identity) -> pa.Table:
    """Replace a list's deciding columns by `LISTED`; a list without any is returned as it is.

    identity: of a run, whose settings and detector say which columns decide
    """
    names = [name for name in identity.list_columns if name in rows.column_names]
    if not names:
        return rows
    columns = [_boxes(rows[n]) if n == INPUT_BOXES.name else _texts(rows[n]) for n in names]
    hashes = [_hash_of(names, values) for values in zip(*columns, strict=True)]
    return rows.drop_columns(names).append_column(LISTED, pa.array(hashes, LISTED.type))


def compared_columns(inputs: pa.Table, identity: Identity) -> pa.Table:
    """Return the columns of a list that are compared with those of runs; `LISTED` where needed."""
    known = ("image_id", "uri", "etag", INPUT_OVERRIDE.name)
    columns = {*known, *identity.list_columns}
    selected = inputs.select([name for name in inputs.column_names if name in columns])
    if not any(name in selected.column_names for name in identity.list_columns):
        return selected
    return spooled(with_listed(piece, identity) for piece in pieces(selected))


def _boxes(column: pa.ChunkedArray) -> _Values:
    """Return each row's boxes as the bytes of their numbers, NaN where null; null without boxes."""
    lists = one_array(column)
    boxes = lists.flatten()
    numbers = boxes.values.slice(4 * boxes.offset, 4 * len(boxes))
    filled = pc.fill_null(numbers, np.nan).to_numpy().reshape(-1, 4)  # [boxes, 4]
    known = boxes.is_valid().to_numpy(zero_copy_only=False)
    data = memoryview(np.where(known[:, None], filled, np.float32(np.nan)).tobytes())
    counts = pc.list_value_length(lists).to_pylist()
    ends = 16 * np.cumsum([count or 0 for count in counts])
    return [
        None if count is None else bytes(data[end - 16 * count : end])
        for count, end in zip(counts, ends.tolist(), strict=True)
    ]


def _texts(column: pa.ChunkedArray) -> _Values:
    """Return each value as the text that names have, null where it is empty."""
    return [None if v is None or not str(v) else str(v).encode() for v in column.to_pylist()]


def _hash_of(names: list[str], values: tuple[bytes | None, ...]) -> str | None:
    digest = None
    for name, value in zip(names, values, strict=True):
        if value is not None:
            digest = digest or hashlib.sha256()
            digest.update(b"%b %d:%b" % (name.encode(), len(value), value))
    return None if digest is None else digest.hexdigest()[:LISTED_DIGITS]
