"""Convert tasks to the Arrow tables that Ray moves between stages, and back.

No other file of the stages uses Arrow.

A task is pickled. Large arrays, which are the photos' pixels, become out-of-band buffers (pickle
protocol 5) that the table references. They are not copied into it nor out of it; Ray copies them
once and shares them between processes. The table has one row: a task is never split. Only the
stages read these tables; `task_tables` builds those of the run.
"""

import pickle
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from pipeline import schema
from pipeline.cropping.overrides import Override
from pipeline.cropping.results import ScoredCandidates, ScoredCrop
from pipeline.detectors import Detections
from pipeline.stages.task import STAGES, EncodedCrop, PhotoRow, Preview, Task, TaskSummary

Block: TypeAlias = pa.Table  # what Ray calls the table that is a stage's input or output
RowValues = dict[str, Any]  # one row or struct, by column name
LEAST_BUFFER = 4096  # bytes; smaller arrays stay inside the pickle
# Columns of `images` that `PhotoRow` has under the same names.
ROW_COLUMNS = (
    "image_id", "uri", "etag", "bytes", "content_sha256", "same_as", "format", "width_px",
    "height_px", "orientation", "kind", "frames", "complete", "thumbhash", "phash", "status",
)  # fmt: skip
# Columns of `crops` that `EncodedCrop` has, and those that its `ScoredCrop` has.
ENCODED_COLUMNS = tuple(f.name for f in fields(EncodedCrop) if f.name not in ("chosen", "name"))
CHOSEN_COLUMNS = tuple(f.name for f in fields(ScoredCrop))


def task_number(block: Block) -> int:
    """Return the number of the task in a block. Raises ValueError if a block is not one task."""
    numbers = set(block.column("task").to_pylist())
    if len(numbers) != 1:
        raise ValueError(f"a block has to be one task, not the tasks {sorted(numbers)}")
    return int(numbers.pop())


def new_task(number: int, inputs: pa.Table) -> Task:
    """Create a task with nothing done yet. inputs: its rows of the pinned list."""
    types = {field.name: field.type for field in schema.pass_through(inputs.schema)}
    rows = [
        PhotoRow(
            **{name: values[name] for name in schema.INPUTS.names},
            given_boxes=values.get(schema.INPUT_BOXES.name),
            override=Override.of_text(values.get(schema.INPUT_OVERRIDE.name)),
            seen_in=values.get(schema.INPUT_SEEN.name),
            pass_through={name: values[name] for name in types},
        )
        for values in inputs.to_pylist()
    ]
    return Task(number, rows, column_types=types)


def pack(task: Task) -> Block:
    """Convert a task to a table, which references the task's large arrays and keeps them alive."""
    buffers: list[memoryview] = []

    def keep_inside(buffer: pickle.PickleBuffer) -> bool:
        data = buffer.raw()
        if data.nbytes >= LEAST_BUFFER:
            buffers.append(data)
        return data.nbytes < LEAST_BUFFER

    document = pickle.dumps(task, protocol=5, buffer_callback=keep_inside)
    parts = [_column_of(part) for part in (memoryview(document), *buffers)]
    names = [f"part {number}" for number in range(len(parts))]
    return pa.table([pa.array([task.number]), *parts], names=["task", *names])


def unpack(block: Block) -> Task:
    """Convert a table of `pack` back to its task. Arrays are not copied, and may be read-only."""
    task_number(block)
    document, *buffers = (_buffer_of(column.chunk(0)) for column in block.columns[1:])
    task: Task = pickle.loads(document, buffers=buffers)
    return task


def _column_of(part: memoryview) -> pa.Array:
    """Return a column of one value that references the buffer itself.

    `pa.array` of memoryviews never releases their buffers (pyarrow 26), so a worker would keep
    every photo that it has seen.
    """
    bounds = pa.py_buffer(np.array([0, part.nbytes], np.int64))
    data = pa.py_buffer(part.toreadonly())
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, bounds, data])


def _buffer_of(value: pa.Array) -> pa.Buffer:
    """Return the bytes in a column of one value; a value's `as_buffer` would copy them."""
    _, offsets, data = value.buffers()
    start, end = np.frombuffer(offsets, np.int64)[value.offset : value.offset + 2]
    return data.slice(start, end - start)


def task_tables(
    task: Task, crops: Sequence[EncodedCrop], candidates: bool, previews: Sequence[Preview] = ()
) -> dict[str, pa.Table]:
    """Build the task's part of the run's tables, by name.

    `candidates` is there only on request, `previews` and `crop_files` only if they have rows. The
    columns of `schema.PROVENANCE` are null until the ledger writes them.
    """
    extra = [pa.field(name, type_) for name, type_ in task.column_types.items()]
    images = [{**row.pass_through, **_image_values(row)} for row in task.rows]
    of_lists = {row.image_id: row.pass_through for row in task.rows}
    cut = [{**of_lists.get(crop.image_id, {}), **_crop_values(crop)} for crop in crops]
    tables = {
        "images": pa.Table.from_pylist(images, schema=schema.images_schema(extra)),
        "crops": pa.Table.from_pylist(cut, schema=schema.crops_schema(extra)),
    }
    if candidates:
        scored = [
            {"image_id": row.image_id, **values}
            for row in task.rows
            for shape in row.candidates
            for values in _scored_values(shape)
        ]
        tables["candidates"] = pa.Table.from_pylist(scored, schema=schema.CANDIDATES)
    if named := [_file_values(crop) for crop in crops if crop.name is not None]:
        tables["crop_files"] = pa.Table.from_pylist(named, schema=schema.CROP_FILES)
    if previews:
        tables["previews"] = pa.Table.from_pylist(list(map(asdict, previews)), schema.PREVIEWS)
    return tables


def _image_values(row: PhotoRow) -> RowValues:
    """Return the row's values of `schema.IMAGES`."""
    failure = row.failure
    return {
        **{name: getattr(row, name) for name in ROW_COLUMNS},
        "objects": None if row.objects is None else _object_values(row.objects),
        "content": row.content_px,
        **_focus_values(row),
        "override": (row.override.name or None) if row.override else None,
        "skipped": [asdict(shape) for shape in row.skipped] or None,
        "error_stage": failure and failure.stage,
        "error_kind": failure and failure.kind,
        "error_message": failure and failure.message,
        **{f"{stage}_s": row.seconds.get(stage) for stage in STAGES},
    }


def _focus_values(row: PhotoRow) -> RowValues:
    """Return the point that crops keep central: a person's, the list's or the most looked-at."""
    override = row.override
    attention = None if row.objects is None else row.objects.attention
    seen = row.gaze_focus_rel if attention is None else attention.focus_rel()
    if override is not None and override.focus_rel is not None:
        is_listed = override.is_listed_focus or not override.name
        source = "list" if is_listed else "override"
        x, y = override.focus_rel
    elif seen is not None:
        (x, y), source = seen, "gaze"
    else:
        return {"focus_x": None, "focus_y": None, "focus_source": None}
    return {"focus_x": x, "focus_y": y, "focus_source": source}


def _object_values(objects: Detections) -> list[RowValues]:
    return [
        {**_edges(box), "score": float(score), "label": label}
        for box, score, label in zip(objects.boxes, objects.scores, objects.labels, strict=True)
    ]


def _crop_values(crop: EncodedCrop) -> RowValues:
    """Return the crop's values of `schema.CROPS`.

    `asdict` would search every list for dataclasses, and take ten times as long.
    """
    values = {name: getattr(crop, name) for name in ENCODED_COLUMNS}
    chosen = {name: getattr(crop.chosen, name) for name in CHOSEN_COLUMNS}
    return {**values, **chosen, **_edges(crop.chosen.box_px)}


def _file_values(crop: EncodedCrop) -> RowValues:
    """Return the crop's values of `schema.CROP_FILES`."""
    about = {"image_id": crop.image_id, "ratio": crop.chosen.ratio, "rank": crop.chosen.rank}
    return {**about, "name": crop.name, "key": crop.file, "sha256": crop.sha256}


def _scored_values(shape: ScoredCandidates) -> list[RowValues]:
    return [
        {"ratio": shape.ratio, **_edges(box), "score": float(score)}
        for box, score in zip(shape.boxes_px, shape.scores, strict=True)
    ]


def _edges(box: Iterable[float]) -> RowValues:
    return dict(zip(schema.EDGES, map(float, box), strict=True))


def pack_summary(summary: TaskSummary) -> Block:
    """Convert a summary to a table of one row."""
    return pa.table({"task": [summary.task], "part": [pickle.dumps(summary)]})


def unpack_summaries(block: Block) -> Iterator[TaskSummary]:
    """Convert a table back to its summaries; Ray may have concatenated several tables."""
    yield from map(pickle.loads, block.column("part").to_pylist())


def keep_pandas_out() -> None:
    """Keep pyarrow from importing pandas in this process, which belongs to a worker.

    pyarrow imports pandas for the first list that it converts to an array, to check for pandas
    types. That takes .2 s of CPU time and 30 MiB in every worker, and none needs it. Afterwards
    pandas can be imported as usual, but pyarrow no longer converts tables from or to data frames.
    """
    if "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(finder)


def use_system_allocator() -> None:
    """Have pyarrow allocate from this process's heap, as everything else does.

    Its own allocator would keep some 20 MiB after building a task's tables.
    """
    pa.set_memory_pool(pa.system_memory_pool())


class _NoPandas:
    """A module finder that makes `import pandas` fail."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("workers do without pandas", name=name)
