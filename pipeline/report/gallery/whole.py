"""Copy a run's encoded crops and its candidates into data files of a few photos each."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.ledger.reader import Run
from pipeline.report.gallery.records import candidate_record
from pipeline.report.inline import data_uri
from pipeline.report.scripts import PageWriter, in_parts

PHOTOS_A_FILE = 4  # whose crops, or candidates, are in one data file: about 1 MB of crops


def write_crops(
    run: Run, writer: PageWriter, place_of: dict[str, int], wanted: NDArray[np.bool_]
) -> list[int | None]:
    """Write the crops of the wanted photos; return by place which file has them, None for none.

    A file has, by image_id, the pictures in the order of shape and rank as [ratio, rank, uri].
    """
    at: list[int | None] = [None] * len(place_of)
    if not wanted.any():
        return at
    number = 0
    columns = ["image_id", "ratio", "rank", "format", "image"]
    for batch in run.batches("crops", columns):
        mine = [bool(wanted[place_of[name]]) for name in batch["image_id"].to_pylist()]
        encoded = pc.and_(pa.array(mine, pa.bool_()), pc.is_valid(batch["image"]))
        photos = _grouped(batch.filter(encoded).to_pylist())
        for some in in_parts(photos, PHOTOS_A_FILE):
            pictures = {
                name: [[c["ratio"], c["rank"], data_uri(c["image"], c["format"])] for c in rows]
                for name, rows in some
            }
            writer.write_data(f"crops/{number:05d}", pictures)
            for name in pictures:
                at[place_of[name]] = number
            number += 1
    return at


def write_candidates(run: Run, writer: PageWriter, place_of: dict[str, int]) -> list[int | None]:
    """Write the candidates of all photos; return by place which file has them, None for none."""
    at: list[int | None] = [None] * len(place_of)
    number = 0
    for batch in run.batches("candidates"):
        for some in in_parts(_grouped(batch.to_pylist()), PHOTOS_A_FILE):
            candidates = {name: _by_ratio(rows) for name, rows in some}
            writer.write_data(f"candidates/{number:05d}", candidates)
            for name in candidates:
                at[place_of[name]] = number
            number += 1
    return at


def _by_ratio(rows: list[dict[str, Any]]) -> list[list[Any]]:
    """Return a photo's candidates by shape, as [ratio, boxes and scores]."""
    ordered = groupby(rows, key=lambda row: str(row["ratio"]))
    return [[ratio, candidate_record(list(mine))] for ratio, mine in ordered]


def _grouped(rows: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the rows of each photo, which are adjacent in a task's table."""
    for name, own in groupby(rows, key=lambda row: str(row["image_id"])):
        yield name, list(own)
