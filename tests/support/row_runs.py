"""Committed runs made of rows that a test defines; nothing is decoded or scored."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from pipeline import open_run, schema
from pipeline.inputs.listing import image_id
from pipeline.ledger.figures import Figures
from pipeline.ledger.identity import input_sha256
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.plan import cut_tasks
from pipeline.ledger.reader import Run
from pipeline.photo.encoding.thumbnail import encode
from pipeline.storage.store import open_store
from tests.support.tasks import SPEC

Row = dict[str, Any]
Colour = tuple[int, int, int]
UNTRAINED = {"kind": "untrained", "sha256": "-", "preset": "gaicv1", "seed": 7}


def flat_picture(colour: Colour, size_wh: tuple[int, int], format: str = "png") -> bytes:
    width, height = size_wh
    return encode(np.full((height, width, 3), colour, np.uint8), format, 90)


def image_row(uri: str, size_wh: tuple[int, int] | None = (400, 300), **more: Any) -> Row:
    """Make a row of `images`; without a size, for a photo that was not decoded."""
    sides = {} if size_wh is None else {"width_px": size_wh[0], "height_px": size_wh[1]}
    known = {"image_id": image_id(uri), "uri": uri, "status": "ok", "format": "jpeg", **sides}
    return {**dict.fromkeys(schema.IMAGES.names), **known, **more}


def crop_row(
    uri: str, ratio: str, box: Sequence[float], colour: Colour = (200, 30, 40), **more: Any
) -> Row:
    """Make a row of `crops`; its picture has one colour and the size of the box."""
    x0, y0, x1, y1 = map(float, box)
    size_wh = (round(x1 - x0), round(y1 - y0))
    known = {
        "image_id": image_id(uri), "uri": uri, "ratio": ratio, "rank": 0, "score": 0.5,
        "x0": x0, "y0": y0, "x1": x1, "y1": y1, "width": size_wh[0], "height": size_wh[1],
        "format": "png", "image": flat_picture(colour, size_wh), "sha256": str(colour),
    }  # fmt: skip
    return {**dict.fromkeys(schema.CROPS.names), **known, **more}


def preview_row(uri: str, colour: Colour, size_wh: tuple[int, int] = (200, 150)) -> Row:
    gaze = bytes([0] * 255 + [255])  # all gaze falls into the lower right corner
    return {
        "image_id": image_id(uri), "width": size_wh[0], "height": size_wh[1], "format": "png",
        "image": flat_picture(colour, size_wh), "gaze": gaze,
    }  # fmt: skip


def commit_rows(
    output: str | Path,
    images: Sequence[Row],
    crops: Sequence[Row],
    previews: Sequence[Row] = (),
    candidates: Sequence[Row] = (),
    extra: Sequence[pa.Field] = (),
    about: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Run:
    """Commit the rows as one run with one task in `output`, and open it.

    extra: columns passed through from the input list; about: more entries of the manifest.
    """
    inputs = pa.Table.from_pylist(
        [{name: row.get(name) for name in schema.INPUTS.names} for row in images],
        schema=schema.INPUTS,
    )
    tables = {
        "images": pa.Table.from_pylist(list(images), schema=schema.images_schema(extra)),
        "crops": pa.Table.from_pylist(list(crops), schema=schema.CROPS),
    }
    if previews:
        tables["previews"] = pa.Table.from_pylist(list(previews), schema=schema.PREVIEWS)
    if candidates:
        tables["candidates"] = pa.Table.from_pylist(list(candidates), schema=schema.CANDIDATES)
    store = open_store(str(output))
    identity = replace(SPEC, input_sha256=input_sha256(inputs), **spec)
    ledger = Ledger.open(store, identity, inputs, cut_tasks(inputs, max(1, len(images))))
    crop_bytes = sum(len(row["image"] or b"") for row in crops)
    ledger.commit_task(0, tables, Figures(crops=len(crops), crop_bytes=crop_bytes))
    ledger.finish({"weights": UNTRAINED, **(about or {})})
    return open_run(str(output), ledger.run_id)
