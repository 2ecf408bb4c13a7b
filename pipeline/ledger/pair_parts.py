"""Read two runs side by side, a part of their photos at a time, so that any run can be compared.

A run of a million photos takes gigabytes as rows in Python or pandas. So the rows are cut by the
first digits of the photos' ids, on the local disk, and each part has the rows of its photos in both
runs. Runs that fit into memory are one part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.ledger.coverage.key_ranges import cut_by_range, digits_for
from pipeline.ledger.reader import Run
from pipeline.ledger.tables import TABLES
from pipeline.storage.partitions import Partitions
from pipeline.storage.spool import release


@dataclass(frozen=True)
class RunRows:
    """The rows of some photos in one run."""

    images: pa.Table
    crops: pa.Table


def pair_parts(
    old: Run, new: Run, images: Sequence[str], crops: Sequence[str]
) -> Iterator[tuple[RunRows, RunRows]]:
    """Yield the rows of both runs, the old one's first, part by part.

    images, crops: columns of these tables, of this release; image_id is read with them. All rows
        of a photo are in one part; runs without rows are one part. Raises what `Run.batches` does,
        and StoreFailedError where the disk is full.
    """
    digits = digits_for(sum(_rows(run) for run in (old, new)))
    cuts = [(_cut(run, "images", images, digits), _cut(run, "crops", crops, digits))
            for run in (old, new)]  # fmt: skip
    for number in range(16**digits):
        was, now = (RunRows(*(table.read(number) for table in cut)) for cut in cuts)
        yield was, now
        release()


def _rows(run: Run) -> int:
    """Return about how many rows of images and crops a run has, at most."""
    tables = [manifest["tables"] for manifest in run.manifests]
    return sum(int(one[name]["rows"]) for one in tables for name in ("images", "crops"))


def _cut(run: Run, table: str, columns: Sequence[str], digits: int) -> Partitions:
    names = [*dict.fromkeys(["image_id", *columns])]
    # Earlier releases have some columns in another type, and do not have all of them.
    known = pa.schema([pa.field(name, TABLES[table].field(name).type) for name in names])
    batches = (rows.cast(known) for rows in run.batches(table, names))
    return cut_by_range(_with_one(batches, known), digits)


def _with_one(tables: Iterator[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the tables after one without rows: a run may have no files."""
    yield schema.empty_table()
    yield from tables
