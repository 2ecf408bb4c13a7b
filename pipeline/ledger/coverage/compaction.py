"""Write the index of covered photos: merge the runs committed since with its segments.

Runs become a segment once more than TAIL of them are newer than the latest segment. A new segment
absorbs the next older one as long as that is not much larger, so that each photo is written a few
times in all (size-tiered compaction, as in log-structured merge trees) and the number of segments
grows with the logarithm of the number of photos. Rows pass through files on the local disk by key
range, so that only one range is in memory.
"""

import hashlib
from collections.abc import Sequence

import pyarrow as pa

from pipeline.errors import RecordError
from pipeline.ledger.channels.live import standing
from pipeline.ledger.coverage.covered import (
    FILE_ROWS,
    ROWS,
    CoveredIndex,
    Segment,
    SegmentFile,
    file_key,
    index_prefix,
    kind_of,
    read_index,
    segment_rows,
    usable_segments,
)
from pipeline.ledger.coverage.covered_rows import latest_rows, renumbered, rows_of_run
from pipeline.ledger.coverage.key_ranges import MAX_ID_DIGITS, range_numbers
from pipeline.ledger.indexes import TAIL, numbered, read_verified, write_numbered
from pipeline.ledger.manifest_copies import copy_manifests
from pipeline.ledger.records import Manifest, to_bytes
from pipeline.ledger.tables import one_array, parquet_bytes
from pipeline.storage.partitions import Partitions
from pipeline.storage.spool import release
from pipeline.storage.store import Store

GROWTH = 2  # a segment is merged with the next older one of at most this many times its rows


def write_indexes(store: Store, manifest: Manifest) -> bool:
    """Update the copies of manifests, and the index of a run's kind, where that is due.

    Returns whether anything was written. Raises LedgerError where the store fails.
    """
    known = standing(store)
    copied = copy_manifests(store, known.runs.committed)
    kind = kind_of(manifest)
    runs = [
        one
        for one in known.runs.committed
        if kind_of(one) == kind and known.state(one) in ("live", "candidate")
    ]
    return _compact(store, kind, runs) or copied


def _compact(store: Store, kind: str, runs: Sequence[Manifest]) -> bool:
    if len(runs) <= TAIL:
        return False
    index = read_index(store, kind)
    known = usable_segments(index, [run.run_id for run in runs])
    covered = {run for segment in known for run in segment.runs} | {*index.left_out}
    first = next((n for n, run in enumerate(runs) if run.run_id in covered), len(runs))
    if any(run.run_id not in covered for run in runs[first:]):
        known, index, first = [], CoveredIndex(segments=()), len(runs)  # a gap: from scratch
    new = list(runs[:first])
    missing = known and not _files_exist(store, kind, known)
    if len(new) <= TAIL and not missing:
        return False
    if missing or not all(_is_intact(store, kind, segment) for segment in known):
        known, index, new = [], CoveredIndex(segments=()), list(runs)  # damaged: from scratch
    taken: list[Segment] = []
    rows = sum(run.rows for run in new)
    while known and known[0].rows <= GROWTH * rows:
        taken.append(known.pop(0))
        rows += taken[-1].rows
    merged, left_out = _merge_readable(store, kind, new, taken, rows)
    document = CoveredIndex(
        segments=(merged, *known), left_out=tuple(sorted({*index.left_out, *left_out}))
    )
    last = next((number for number, _, _ in numbered(store, index_prefix(kind))), 0)
    write_numbered(store, index_prefix(kind), last + 1, to_bytes(document), "json")
    return True


def _files_exist(store: Store, kind: str, segments: Sequence[Segment]) -> bool:
    """Return whether the files of segments exist, whatever they hold; costs a listing."""
    there = {info.key for info in store.list(file_key(kind, "").removesuffix(".parquet"))}
    files = (file for segment in segments for file in segment.files if file.sha256)
    return all(file_key(kind, file.sha256) in there for file in files)


def _is_intact(store: Store, kind: str, segment: Segment) -> bool:
    """Return whether every file of a segment has the content that its name is the hash of."""
    files = (file.sha256 for file in segment.files if file.sha256)
    return all(read_verified(store, file_key(kind, sha), sha) is not None for sha in files)


def _merge_readable(
    store: Store, kind: str, runs: list[Manifest], segments: list[Segment], rows: int
) -> tuple[Segment, list[str]]:
    """Merge runs and older segments into one; return it and the runs that could not be read.

    Raises RecordError where a segment's file cannot be read.
    """
    left_out: list[str] = []
    while True:
        try:
            return _merge(store, kind, runs, segments, rows), left_out
        except _UnreadableRunError as error:  # some of its rows are on the disk: start over
            left_out.append(error.run_id)
            runs = [run for run in runs if run.run_id != error.run_id]


class _UnreadableRunError(Exception):
    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id


def _merge(
    store: Store, kind: str, runs: list[Manifest], segments: list[Segment], rows: int
) -> Segment:
    digits = 0
    while digits < MAX_ID_DIGITS and rows > FILE_ROWS * 16**digits:
        digits += 1
    partitions, names = Partitions(ROWS), list[str]()
    for run in runs:
        try:
            for part in rows_of_run(store, run, len(names)):
                _add(partitions, part, digits)
        except RecordError as error:
            raise _UnreadableRunError(run.run_id) from error
        names.append(run.run_id)
    for segment in segments:
        for file in segment.files:
            _add(partitions, renumbered(segment_rows(store, kind, file), len(names)), digits)
        names += segment.runs
    files = tuple(_write(store, kind, latest_rows(partitions.read(n))) for n in range(16**digits))
    return Segment(runs=tuple(names), digits=digits, files=files)


def _add(partitions: Partitions, rows: pa.Table, digits: int) -> None:
    partitions.add(rows, range_numbers(one_array(rows["image_id"]), digits))


def _write(store: Store, kind: str, rows: pa.Table) -> SegmentFile:
    release()
    if not rows.num_rows:
        return SegmentFile("", 0)
    data = parquet_bytes(rows)
    sha256 = hashlib.sha256(data).hexdigest()
    store.create_once(file_key(kind, sha256), data)
    return SegmentFile(sha256, rows.num_rows)
