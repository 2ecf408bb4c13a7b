"""Read the index of covered photos: for many runs of one kind, the latest row of each photo.

    runs/_index/covered-<kind>/<n>-<sha256>.json       the segments, the latest runs first
    runs/_index/covered-<kind>/files/<sha256>.parquet  the rows of one segment and key range

Runs of one kind have the same settings, weights, detector and channel. A segment stands for some
of them that were committed one after another. The runs' own lists remain authoritative: a segment
is ignored if one of its objects is damaged or missing, or if one of its runs no longer counts as
the others do (it was rolled back, say). The next commit writes what is missing.

Rows are split into files by the first `digits` hex digits of the photo's id, so that a list is
compared file by file, with only a few files in memory.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct
from numpy.typing import NDArray

from pipeline.errors import LedgerError, RecordError
from pipeline.ledger.bounded_map import bounded_map
from pipeline.ledger.channels.channel import channel_of
from pipeline.ledger.coverage.key_ranges import KeyRanges
from pipeline.ledger.coverage.listed import LISTED
from pipeline.ledger.coverage.nearness import Comparison, same_texts
from pipeline.ledger.indexes import KEPT, PREFIX, TAIL, numbered, read_verified
from pipeline.ledger.records import FORMAT, Count, Manifest, parse, typed
from pipeline.ledger.tables import decode_table, one_array
from pipeline.schema import INPUT_OVERRIDE
from pipeline.storage.spool import release
from pipeline.storage.store import Store

FILE_ROWS = 50_000  # approximate number of rows in a file

# tries, open, run and first are as in `nearness.Comparison`, and left is its outcome; run and first
# number the segment's runs.
ROWS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("etag", pa.string()),
        pa.field(INPUT_OVERRIDE.name, pa.string()),
        LISTED,
        pa.field("left", pa.int8(), nullable=False),
        pa.field("tries", pa.int32(), nullable=False),
        pa.field("open", pa.bool_(), nullable=False),
        pa.field("run", pa.int32(), nullable=False),
        pa.field("first", pa.int32(), nullable=False),
    ]
)


class SegmentFile(Struct, frozen=True):
    """The rows of one key range. sha256: "" where there are none."""

    sha256: str
    rows: Count


class Segment(Struct, frozen=True, kw_only=True):
    """Some runs, the latest first; files: 16^digits of them, by the first digits of the id."""

    runs: tuple[str, ...]
    digits: Count
    files: tuple[SegmentFile, ...]

    @property
    def rows(self) -> int:
        """Number of photos in the segment."""
        return sum(file.rows for file in self.files)


class CoveredIndex(Struct, frozen=True, kw_only=True):
    """The segments of one kind, the latest runs first.

    left_out: runs that could not be read when the segments were written
    """

    advice: ClassVar[str] = "Delete it: the next commit writes another."
    format: int = FORMAT
    segments: tuple[Segment, ...]
    left_out: tuple[str, ...] = ()


def kind_of(manifest: Manifest) -> str:
    """Hash what defines a kind of runs: weights, detector, settings, channel. 32 hex digits.

    Earlier releases wrote no `LISTED`, so kinds that need it had other hashes there.
    """
    what = [manifest.weights_sha256, manifest.detector, manifest.settings, channel_of(manifest)]
    what += [LISTED.name] if manifest.list_columns else []
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]


def index_prefix(kind: str) -> str:
    """Return the prefix of the keys of a kind's index."""
    return f"{PREFIX}covered-{kind}/"


def file_key(kind: str, sha256: str) -> str:
    """Return the key of a segment's file."""
    return f"{index_prefix(kind)}files/{sha256}.parquet"


def read_index(store: Store, kind: str) -> CoveredIndex:
    """Read the latest intact index of a kind; return an empty one where there is none."""
    for _, sha256, info in numbered(store, index_prefix(kind))[:KEPT]:
        data = read_verified(store, info.key, sha256)
        if data is not None:
            try:
                document = parse(data, info.key, CoveredIndex.advice)
                return typed(document, info.key, CoveredIndex)
            except RecordError:  # of another release
                continue
    return CoveredIndex(segments=())


def segment_rows(store: Store, kind: str, file: SegmentFile) -> pa.Table:
    """Read the rows of a file. Raises RecordError where it is gone, was changed or is another."""
    if not file.sha256:
        return ROWS.empty_table()
    key = file_key(kind, file.sha256)
    data = read_verified(store, key, file.sha256)
    if data is None:
        raise RecordError(key, "it is gone or was changed", CoveredIndex.advice)
    try:
        rows = decode_table(data, ROWS.names)
        if LISTED.name not in rows.column_names:  # as in files of earlier releases
            rows = rows.append_column(LISTED, pa.nulls(rows.num_rows, LISTED.type))
        return rows.select(ROWS.names).cast(ROWS)
    except (LedgerError, KeyError, ValueError, pa.ArrowException) as error:
        raise RecordError(key, f"it is no such file: {error}", CoveredIndex.advice) from error


def usable_segments(index: CoveredIndex, runs: Sequence[str]) -> list[Segment]:
    """Return the segments that may stand for their runs.

    runs: those that count alike, the latest first. A segment has to be some of them without a gap,
    except for runs that the index lists as left out.
    """
    places = {run: place for place, run in enumerate(r for r in runs if r not in index.left_out)}
    usable = []
    for segment in index.segments:
        first = places.get(segment.runs[0]) if segment.runs else None
        if first is not None and all(
            places.get(run) == first + offset for offset, run in enumerate(segment.runs)
        ):
            usable.append(segment)
    return usable


def compare_with_segment(
    store: Store,
    ours: KeyRanges,
    kind: str,
    segment: Segment,
    committed_at: Sequence[float],
    place: int,
    pool: Executor,
) -> Iterator[Comparison]:
    """Compare a list with a segment, file by file. Raises RecordError.

    ours: the list by key range
    committed_at: of the segment's runs, seconds; place: of its first run in `Nearness.deciding`
    """
    when = np.array(committed_at, np.float64)
    wanted = [
        number
        for number, file in enumerate(segment.files)
        if file.rows and ours.has(number, segment.digits)
    ]

    def fetch(number: int) -> pa.Table:
        return segment_rows(store, kind, segment.files[number])

    for number, theirs in zip(wanted, bounded_map(pool, fetch, wanted), strict=True):
        for rows, part in ours.of_file(number, segment.digits):
            yield _compare(rows, part, theirs, when, place)
        release()


def _compare(
    rows: NDArray[np.intp], ours: pa.Table, theirs: pa.Table, when: NDArray[np.float64], place: int
) -> Comparison:
    """Compare some rows of the list with a segment's file."""
    at = pc.index_in(one_array(ours["image_id"]), one_array(theirs["image_id"]))
    known = theirs.take(at)
    numbers = {
        name: pc.fill_null(known[name], 0).to_numpy() for name in ("left", "tries", "run", "first")
    }
    return Comparison(
        rows,
        at.is_valid().to_numpy(zero_copy_only=False),
        same_texts(ours, known, "etag"),
        same_texts(ours, known, INPUT_OVERRIDE.name),
        same_texts(ours, known, LISTED.name),
        numbers["left"],
        numbers["tries"],
        pc.fill_null(known["open"], False).to_numpy(),
        (numbers["run"] + place).astype(np.int32),
        (numbers["first"] + place).astype(np.int32),
        when[numbers["run"]],
    )


def latest_by_run(store: Store, runs: Sequence[Manifest]) -> dict[str, set[str]]:
    """Find, for runs in segments, the ids of photos whose latest run in the segment it is.

    runs: a channel's, front to back. Runs that no usable segment stands for are left out.
    """
    kinds: dict[str, int] = {}
    for manifest in runs:
        kinds[kind_of(manifest)] = kinds.get(kind_of(manifest), 0) + 1
    found: dict[str, set[str]] = {}
    order = [manifest.run_id for manifest in runs]
    for kind in (kind for kind, count in kinds.items() if count > TAIL):
        for segment in usable_segments(read_index(store, kind), order):
            ids: list[set[str]] = [set() for _ in segment.runs]
            try:
                for file in segment.files:
                    rows = segment_rows(store, kind, file)
                    for name, run in zip(
                        rows["image_id"].to_pylist(), rows["run"].to_pylist(), strict=True
                    ):
                        ids[run].add(name)
            except RecordError:  # then the runs' own tables are used
                continue
            found |= dict(zip(segment.runs, ids, strict=True))
    return found
