"""Compute the rows of the index of covered photos: those of a run, and the latest per photo."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ledger.coverage.covered import ROWS
from pipeline.ledger.coverage.listed import LISTED, with_listed
from pipeline.ledger.failures import CIRCUMSTANCES, NEEDS_EXTRA, failures_of, photo_outcomes
from pipeline.ledger.pinned import input_rows, read_spec
from pipeline.ledger.records import Manifest
from pipeline.ledger.tables import one_array
from pipeline.schema import INPUT_OVERRIDE
from pipeline.storage.store import Store


def rows_of_run(store: Store, manifest: Manifest, place: int) -> Iterator[pa.Table]:
    """Yield a run's photos as `ROWS`; place: the run's number there. Raises RecordError."""
    spec, failures = read_spec(store, manifest.run_id), failures_of(store, manifest)
    columns = ["image_id", "etag", INPUT_OVERRIDE.name]
    for listed in input_rows(store, spec, [*columns, *spec.list_columns]):
        rows = with_listed(listed, spec)
        ids = one_array(rows["image_id"])
        outcomes = photo_outcomes(failures, ids)
        fails = np.isin(outcomes, (CIRCUMSTANCES, NEEDS_EXTRA))
        texts = [
            rows[n] if n in rows.column_names else pa.nulls(len(rows), pa.string())
            for n in (*columns[1:], LISTED.name)
        ]
        number = pa.repeat(pa.scalar(place, pa.int32()), len(rows))
        arrays = [ids, *texts, outcomes, fails.astype(np.int32), fails, number, number]
        yield pa.table(arrays, schema=ROWS)


def renumbered(rows: pa.Table, by: int) -> pa.Table:
    """Renumber the runs in a segment's rows, as they come behind `by` others."""
    for name in ("run", "first"):
        moved = pc.add(rows[name], pa.scalar(by, pa.int32()))
        rows = rows.set_column(rows.schema.get_field_index(name), ROWS.field(name), moved)
    return rows


def latest_rows(rows: pa.Table) -> pa.Table:
    """Keep one of several runs' rows for each photo: that of the latest run.

    A count of failures continues through earlier runs as long as they had the same object and it
    failed there in the same way.
    """
    if not rows.num_rows:
        return rows
    rows = rows.combine_chunks().sort_by([("image_id", "ascending"), ("run", "ascending")])
    ids = one_array(rows["image_id"])
    other = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.concatenate([[True], other]))
    ends = np.append(starts[1:], len(ids))
    kept = rows.take(pa.array(starts))
    tries, first, still = (kept[n].to_numpy().copy() for n in ("tries", "first", "open"))
    for number in np.flatnonzero(still & (ends - starts > 1)):
        group = rows.slice(starts[number], ends[number] - starts[number]).to_pylist()
        for row in group[1:]:
            same = row["etag"] == group[0]["etag"] and row["tries"] > 0
            if same:
                tries[number] += row["tries"]
                first[number] = row["first"]
            still[number] = same and row["open"]
            if not still[number]:
                break
    for name, values in (("tries", tries), ("first", first), ("open", still)):
        place = kept.schema.get_field_index(name)
        kept = kept.set_column(place, ROWS.field(name), pa.array(values, ROWS.field(name).type))
    return kept
