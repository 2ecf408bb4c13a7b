"""Turn tasks into the Arrow tables that Ray moves between stages, and back; Arrow stays in here.

A task is one table with a row per photo: the columns of `schema.IMAGES`, what the list gave, what
was chosen so far, and the decoded pixels as one binary column that Ray shares between processes
without a copy.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa

from pipeline import schema
from pipeline.cropping.results import ScoredCandidates, ScoredCrop
from pipeline.detectors import Detections
from pipeline.ledger.figures import Figures
from pipeline.photo.decode import Photo
from pipeline.schema import OK
from pipeline.stages.task import STAGES, EncodedCrop, Failure, PhotoRow, Task, TaskSummary

Block: TypeAlias = pa.Table  # what Ray calls the table that is a stage's input or output
RowValues = dict[str, Any]  # one row or struct, by column name

_EDGES = ("x0", "y0", "x1", "y1")
_OF_PHOTO = ("width_px", "height_px", "format", "orientation")
_PLAIN = ("image_id", "uri", "etag", "bytes", "content_sha256", *_OF_PHOTO)
_OF_ENCODED = ("image_id", "uri", "width", "height", "format", "image", "sha256", "file")
_CHOSEN = pa.struct([field for field in schema.CROPS if field.name not in _OF_ENCODED])
_PROPOSED = pa.struct([field for field in schema.CANDIDATES if field.name != "image_id"])
_FIELDS = [
    pa.field("task", pa.int64(), nullable=False),
    *schema.IMAGES,
    schema.INPUT_BOXES,
    pa.field("crops", pa.list_(_CHOSEN), nullable=False),
    pa.field("candidates", pa.list_(_PROPOSED), nullable=False),
    pa.field("requests", pa.map_(pa.string(), pa.int64())),  # of the task, in its first row
    pa.field("view_width", pa.int32()),
    pa.field("view_height", pa.int32()),
]
_PASS_THROUGH, _PIXELS = "pass_through", "pixels"


def task_number(block: Block) -> int:
    """The number of the task that a block of the first stage names."""
    (number,) = block.column("task").to_pylist()
    return int(number)


def new_task(number: int, inputs: pa.Table) -> Task:
    """Make a task with nothing done yet. inputs: its rows of the pinned list."""
    types = {field.name: field.type for field in schema.pass_through(inputs.schema)}
    rows = [
        PhotoRow(
            **{name: values[name] for name in schema.INPUTS.names},
            given_boxes=values.get(schema.INPUT_BOXES.name),
            pass_through={name: values[name] for name in types},
        )
        for values in inputs.to_pylist()
    ]
    return Task(number, rows, column_types=types)


def pack(task: Task) -> Block:
    """Turn a task into a table. Raises ValueError for one without rows, which no plan has."""
    if not task.rows:
        raise ValueError(f"task {task.number} has no photos")
    extra = pa.struct(list(task.column_types.items()))
    rows = [_work_values(row) for row in task.rows]
    rows[0]["requests"] = list(task.requests.items())
    fields = [*_FIELDS, pa.field(_PASS_THROUGH, extra, nullable=False)]
    columns = [pa.array([row.get(field.name) for row in rows], field.type) for field in fields[1:]]
    numbers = pa.array([task.number] * len(rows), pa.int64())
    fields.append(pa.field(_PIXELS, pa.large_binary()))  # uint8 RGB [view_height, view_width, 3]
    pixels = _pixels_column([row.photo for row in task.rows])
    return pa.Table.from_arrays([numbers, *columns, pixels], schema=pa.schema(fields))


def _work_values(row: PhotoRow) -> RowValues:
    height, width = row.photo.pixels.shape[:2] if row.photo else (None, None)
    return {
        **_image_values(row),
        schema.INPUT_BOXES.name: row.given_boxes,
        "crops": [_chosen_values(crop) for crop in row.crops],
        "candidates": [values for shape in row.candidates for values in _scored_values(shape)],
        "view_width": width,
        "view_height": height,
        _PASS_THROUGH: row.pass_through,
    }


def _pixels_column(photos: Sequence[Photo | None]) -> pa.Array:
    """Copy the photos' pixels into one column.

    `pa.array` of memoryviews would do it too, but never releases what they show (pyarrow 26), so a
    worker would keep every photo that it has seen.
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


def unpack(block: Block) -> Task:
    """Turn a table of `pack` back into its task. Pixels are not copied, and read only."""
    rows = block.drop_columns([_PIXELS]).to_pylist()
    types = {field.name: field.type for field in block.schema.field(_PASS_THROUGH).type}
    photos = [_row(*pair) for pair in zip(rows, block.column(_PIXELS), strict=True)]
    return Task(rows[0]["task"], photos, dict(rows[0]["requests"]), types)


def _row(values: RowValues, pixels: pa.Scalar) -> PhotoRow:
    row = PhotoRow(
        **{name: values[name] for name in _PLAIN},
        given_boxes=values[schema.INPUT_BOXES.name],
        pass_through=values[_PASS_THROUGH],
        failure=None if values["status"] == OK else _failure(values),
        objects=None if values["objects"] is None else _detections(values["objects"]),
        crops=[ScoredCrop(box_px=_box(one), **_without_edges(one)) for one in values["crops"]],
        candidates=list(_candidates(values["candidates"])),
        seconds={s: values[f"{s}_s"] for s in STAGES if values[f"{s}_s"] is not None},
    )
    if pixels.is_valid:
        shape = (values["view_height"], values["view_width"], 3)
        view = np.frombuffer(pixels.as_buffer(), np.uint8).reshape(shape)
        row.photo = Photo(view, **{name: values[name] for name in _OF_PHOTO})
    return row


def _failure(values: RowValues) -> Failure:
    stage, kind, message = (values[f"error_{name}"] for name in ("stage", "kind", "message"))
    return Failure(stage, values["status"], kind, message)


def _detections(objects: Sequence[RowValues]) -> Detections:
    return Detections(
        np.array([_box(one) for one in objects], np.float32).reshape(-1, 4),
        np.array([one["score"] for one in objects], np.float32),
        [one["label"] for one in objects],
    )


def _candidates(scored: Sequence[RowValues]) -> Iterator[ScoredCandidates]:
    for ratio, group in groupby(scored, itemgetter("ratio")):
        found = list(group)
        boxes = np.array([_box(one) for one in found], np.float32)  # [N, 4]
        yield ScoredCandidates(ratio, boxes, np.array([one["score"] for one in found], np.float32))


def task_tables(task: Task, crops: Iterable[EncodedCrop], candidates: bool) -> dict[str, pa.Table]:
    """Make the task's part of the run's tables, by name; `candidates` only where asked for."""
    extra = [pa.field(name, type_) for name, type_ in task.column_types.items()]
    images = [{**row.pass_through, **_image_values(row)} for row in task.rows]
    tables = {
        "images": pa.Table.from_pylist(images, schema=schema.images_schema(extra)),
        "crops": pa.Table.from_pylist(list(map(_crop_values, crops)), schema=schema.CROPS),
    }
    if candidates:
        scored = [
            {"image_id": row.image_id, **values}
            for row in task.rows
            for shape in row.candidates
            for values in _scored_values(shape)
        ]
        tables["candidates"] = pa.Table.from_pylist(scored, schema=schema.CANDIDATES)
    return tables


def _image_values(row: PhotoRow) -> RowValues:
    """The row's values of `schema.IMAGES`."""
    failure = row.failure
    return {
        **{name: getattr(row, name) for name in _PLAIN},
        "objects": None if row.objects is None else _object_values(row.objects),
        "status": row.status,
        "error_stage": failure and failure.stage,
        "error_kind": failure and failure.kind,
        "error_message": failure and failure.message,
        **{f"{stage}_s": row.seconds.get(stage) for stage in STAGES},
    }


def _object_values(objects: Detections) -> list[RowValues]:
    return [
        {**_edges(box), "score": float(score), "label": label}
        for box, score, label in zip(objects.boxes, objects.scores, objects.labels, strict=True)
    ]


def _crop_values(crop: EncodedCrop) -> RowValues:
    """The crop's values of `schema.CROPS`."""
    values = {name: getattr(crop, name) for name in _OF_ENCODED}
    return {**values, **_chosen_values(crop.chosen)}


def _chosen_values(crop: ScoredCrop) -> RowValues:
    values = asdict(crop)
    return {**values, **_edges(values.pop("box_px"))}


def _scored_values(shape: ScoredCandidates) -> list[RowValues]:
    return [
        {"ratio": shape.ratio, **_edges(box), "score": float(score)}
        for box, score in zip(shape.boxes_px, shape.scores, strict=True)
    ]


def _edges(box: Iterable[float]) -> RowValues:
    return dict(zip(_EDGES, map(float, box), strict=True))


def _box(values: RowValues) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (values[edge] for edge in _EDGES)
    return x0, y0, x1, y1


def _without_edges(values: RowValues) -> RowValues:
    return {name: value for name, value in values.items() if name not in _EDGES}


def pack_summary(summary: TaskSummary) -> Block:
    """Turn a summary into a table of one row."""
    figures = msgspec.json.encode(summary.metrics)
    return pa.table({"task": [summary.task], "metrics": [figures]})


def unpack_summaries(block: Block) -> Iterator[TaskSummary]:
    """Turn a table of summaries back; Ray may have joined several."""
    for row in block.to_pylist():
        yield TaskSummary(row["task"], msgspec.json.decode(row["metrics"], type=Figures))
