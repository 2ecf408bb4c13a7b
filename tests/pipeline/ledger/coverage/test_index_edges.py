"""Copies of manifests and the photo index: how many, how large, which damage is tolerated."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from msgspec.structs import replace

from pipeline.errors import RecordError
from pipeline.ledger import indexes, manifest_copies, pinned, stored_runs
from pipeline.ledger.bounded_map import bounded_map
from pipeline.ledger.channels import live
from pipeline.ledger.coverage import compaction, compare, covered
from pipeline.ledger.coverage.compaction import write_indexes
from pipeline.ledger.coverage.covered import (
    ROWS,
    CoveredIndex,
    Segment,
    SegmentFile,
    _compare,
    compare_with_segment,
    file_key,
    index_prefix,
    kind_of,
    latest_by_run,
    read_index,
    segment_rows,
    usable_segments,
)
from pipeline.ledger.coverage.key_ranges import KeyRanges
from pipeline.ledger.coverage.old_indexes import covered_objects, old_copies, old_objects
from pipeline.ledger.indexes import numbered, write_numbered
from pipeline.ledger.manifest_copies import MANIFESTS, copied_manifests, copy_manifests
from pipeline.ledger.records import to_bytes
from pipeline.ledger.tables import parquet_bytes
from pipeline.storage.store import Store
from tests.support.tasks import make_inputs, open_ledger, run_all

ONE = SegmentFile("a" * 64, 1)


@pytest.fixture
def indexed(memory: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store in memory whose indexes begin at three runs and have files of three photos."""
    for module in (compaction, covered, compare, manifest_copies, stored_runs):
        monkeypatch.setattr(module, "TAIL", 2)
    monkeypatch.setattr(compaction, "FILE_ROWS", 3)
    return memory


def nights(store: Store, *sizes: int, start: int = 0, **changes: Any) -> list[bool]:
    """Runs of so many new photos each; whether each night wrote an index."""
    wrote = []
    for size in sizes:
        manifest = run_all(open_ledger(store, make_inputs(size, start=start), 50, **changes))
        wrote.append(write_indexes(store, manifest))
        start += size
    return wrote


def kinds(store: Store) -> list[str]:
    names = store.folders("runs/_index/")
    return [name.removeprefix("covered-") for name in names if name.startswith("covered-")]


def sizes(store: Store) -> list[tuple[int, int, int]]:
    """Runs, photos and digits of each segment of the only index."""
    (kind,) = kinds(store)
    return [(len(one.runs), one.rows, one.digits) for one in read_index(store, kind).segments]


def copies_of(store: Store) -> list[int]:
    return [number for number, _, _ in numbered(store, MANIFESTS)]


def test_runs_are_copied_once_over_thirty_two_are_in_no_copy(store: Store) -> None:
    one = run_all(open_ledger(store, make_inputs(1)))
    runs = [replace(one, run_id=f"{n:020x}", document={"n": n}) for n in range(66)]
    assert [copy_manifests(store, runs[:count]) for count in (32, 33, 65, 66)] == [
        False, True, False, True,
    ]  # fmt: skip
    assert copies_of(store) == [2, 1]
    found = copied_manifests(store)
    assert list(found) == [run.run_id for run in runs]
    assert found[runs[7].run_id] == b'{"n": 7}'


def test_a_copy_that_is_damaged_or_of_another_release_is_passed_over(store: Store) -> None:
    one = run_all(open_ledger(store, make_inputs(1)))
    assert copied_manifests(store) == {}
    whole = parquet_bytes(pa.table({"run_id": [one.run_id], "manifest": [b"1"]}))
    first = write_numbered(store, MANIFESTS, 1, whole, "parquet")
    other = parquet_bytes(pa.table({"run_id": [one.run_id]}))
    for number, data in ((2, b"no table"), (3, other)):
        key = write_numbered(store, MANIFESTS, number, data, "parquet")
        assert copied_manifests(store) == {one.run_id: b"1"}
        store.delete(key)
    cut = write_numbered(store, MANIFESTS, 4, whole + b"4", "parquet")
    store.write(cut, whole)
    assert copied_manifests(store) == {one.run_id: b"1"}
    write_numbered(store, MANIFESTS, 5, b"no table", "parquet")
    assert copied_manifests(store) == {}, "only the last two are looked at"
    assert [info.key for info in old_copies(store)] == [first]


def test_a_segment_takes_in_those_behind_it_that_are_at_most_twice_as_large(
    indexed: Store,
) -> None:
    assert nights(indexed, 4, 3, 3) == [False, False, True]
    assert sizes(indexed) == [(3, 10, 1)]
    nights(indexed, 2, 1, 1, start=10)
    assert sizes(indexed) == [(3, 4, 1), (3, 10, 1)]  # 10 are more than twice 4
    (kind,) = kinds(indexed)
    assert [number for number, _, _ in numbered(indexed, index_prefix(kind))] == [2, 1]
    assert nights(indexed, 1, 1, start=14) == [False, False]
    assert nights(indexed, 1, start=16) == [True]
    assert sizes(indexed) == [(9, 17, 1)]  # 4 are taken in; then 10 are at most twice 7
    assert [number for number, _, _ in numbered(indexed, index_prefix(kind))] == [3, 2, 1]


def test_twice_as_large_is_taken_in_and_a_little_more_is_not(indexed: Store) -> None:
    nights(indexed, 2, 2, 2)
    nights(indexed, 1, 1, 1, start=6)
    assert sizes(indexed) == [(6, 9, 1)]
    nights(indexed, 2, 1, 1, start=9)
    assert sizes(indexed) == [(3, 4, 1), (6, 9, 1)]


def test_a_file_holds_as_many_photos_as_its_limit(indexed: Store) -> None:
    nights(indexed, 1, 1, 1)
    assert sizes(indexed) == [(3, 3, 0)]
    nights(indexed, 1, 1, 1, code_version="other", weights_sha256="b" * 64)
    (segment,) = (read_index(indexed, kind).segments[0] for kind in kinds(indexed)[1:])
    assert [file.rows for file in segment.files] == [3]


@pytest.mark.parametrize(("photos", "digits"), [(3, 0), (4, 1), (48, 1), (49, 2)])
def test_a_segment_has_sixteen_times_the_files_where_they_would_be_too_large(
    indexed: Store, photos: int, digits: int
) -> None:
    nights(indexed, photos - 2, 1, 1)
    assert sizes(indexed) == [(3, photos, digits)]


def test_files_without_photos_are_nothing_and_are_not_missed(indexed: Store) -> None:
    nights(indexed, 2, 1, 1)
    (kind,) = kinds(indexed)
    (segment,) = read_index(indexed, kind).segments
    assert (segment.digits, len(segment.files)) == (1, 16)
    assert sum(file.rows for file in segment.files) == 4
    assert {file.rows for file in segment.files if not file.sha256} == {0}
    assert nights(indexed, 1, start=4) == [False]


def test_what_a_night_wrote(indexed: Store) -> None:
    """Copies alone where no kind has three runs; the index alone where the copies are new."""
    assert nights(indexed, 1, 1) == [False, False]
    assert nights(indexed, 1, start=2, weights_sha256="b" * 64) == [True]
    assert (copies_of(indexed), kinds(indexed)) == ([1], [])
    assert nights(indexed, 1, start=3) == [True]
    assert (copies_of(indexed), len(kinds(indexed))) == ([1], 1)
    (kind,) = kinds(indexed)
    (segment,) = read_index(indexed, kind).segments
    indexed.delete(file_key(kind, segment.files[0].sha256))
    assert nights(indexed, 1, start=4) == [True]


def test_the_real_limits() -> None:
    assert (indexes.TAIL, indexes.KEPT, compaction.GROWTH) == (32, 2, 2)
    assert (compaction.FILE_ROWS, compaction.MAX_ID_DIGITS) == (50_000, 2)
    assert [field.nullable for field in ROWS] == [
        field.name in ("etag", "override", "listed") for field in ROWS
    ]


def test_an_index_of_another_release_is_passed_over(store: Store) -> None:
    kind = "0" * 32
    index = CoveredIndex(segments=(Segment(runs=("a",), digits=0, files=(ONE,)),))
    write_numbered(store, index_prefix(kind), 1, to_bytes(index), "json")
    assert read_index(store, kind) == index
    for data in (b'{"format": 2}', b'{"format": 1}', b"["):
        key = write_numbered(store, index_prefix(kind), 2, data, "json")
        assert read_index(store, kind) == index
        store.delete(key)
    for number in (3, 4):
        write_numbered(store, index_prefix(kind), number, b"[", "json")
    assert read_index(store, kind) == CoveredIndex(segments=())


def test_old_objects_of_an_index(store: Store) -> None:
    kind = "0" * 32
    index = CoveredIndex(segments=(Segment(runs=("a",), digits=0, files=(ONE,)),))
    keys = [
        write_numbered(store, index_prefix(kind), number, to_bytes(index), "json")
        for number in (1, 2, 3)
    ]
    named, stray = file_key(kind, ONE.sha256), file_key(kind, "b" * 64)
    for key in (named, stray):
        store.write(key, b"1")
    assert [info.key for info in old_objects(store)] == [keys[0], stray]
    assert {info.key for info in covered_objects(store)} == {*keys, named, stray}


def test_a_kind_is_what_runs_have_in_common(store: Store) -> None:
    manifest = run_all(open_ledger(store, make_inputs(1)))
    kind = kind_of(manifest)
    assert len(kind) == 32
    same = replace(manifest, settings=dict(reversed(manifest.settings.items())), rows=7)
    assert kind_of(same) == kind
    job = {"channel": "shop"}
    for changes in ({"weights_sha256": "b"}, {"settings": {}}, {"job": job}, {"detector": "b"}):
        assert kind_of(replace(manifest, **changes)) != kind  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("runs", "left_out", "usable"),
    [
        ("abcd", "", [0, 1]),
        ("xabcd", "", [0, 1]),
        ("abxcd", "", [0, 1]),  # between the two segments another run may lie
        ("axbcd", "", [1]),
        ("axbcd", "x", [0, 1]),
        ("bacd", "", [1]),
        ("cd", "", [1]),
        ("abc", "", [0]),
        ("", "", []),
    ],
)
def test_segments_stand_for_runs_without_a_gap(runs: str, left_out: str, usable: list[int]) -> None:
    segments = [Segment(runs=tuple(names), digits=0, files=()) for names in ("ab", "cd", "")]
    index = CoveredIndex(segments=tuple(segments), left_out=tuple(left_out))
    assert usable_segments(index, list(runs)) == [segments[n] for n in usable]


def columns(**changes: Any) -> pa.Table:
    """Rows of a segment's file: of photos a, which failed, and b."""
    row = {"image_id": ["a", "b"], "etag": ["v1", None], "override": [None, "word"],
           "listed": ["hash", None], "left": [4, 0], "tries": [3, 0], "open": [True, False],
           "run": [1, 0], "first": [2, 0]}  # fmt: skip
    return pa.table({**row, **changes})


@pytest.mark.parametrize(
    "data",
    [
        b"no table",
        parquet_bytes(columns().drop_columns(["first"])),
        parquet_bytes(columns(left=[1, None])),
        parquet_bytes(columns(left=[[1], [2]])),
        parquet_bytes(columns(left=["x", "y"])),
    ],
    ids=["no table", "a column less", "a null", "lists", "texts"],
)
def test_a_file_of_an_index_that_is_another_is_one_error(store: Store, data: bytes) -> None:
    sha256 = hashlib.sha256(data).hexdigest()
    store.write(file_key("k", sha256), data)
    with pytest.raises(RecordError, match="it is no such file"):
        segment_rows(store, "k", SegmentFile(sha256, 2))
    store.write(file_key("k", sha256), data + b" ")
    for sha in (sha256, "0" * 64):
        with pytest.raises(RecordError, match="it is gone or was changed"):
            segment_rows(store, "k", SegmentFile(sha, 2))


def test_what_a_file_says_of_photos_that_it_has_and_of_others() -> None:
    listed = [None, None, "other"]
    ours = pa.table({"image_id": ["b", "x", "a"], "etag": [None, "v1", "v2"], "listed": listed})
    rows, when = np.array([4, 7, 9]), np.array([10.0, 20.0])
    found = _compare(rows, ours, columns().cast(ROWS), when, 5)
    assert [list(one) for one in (found.where, found.here, found.same_etag)] == [
        [4, 7, 9], [True, False, True], [True, False, False],
    ]  # fmt: skip
    assert list(found.same_override) == [False, True, True]
    assert list(found.same_listed) == [True, True, False]
    assert [list(one) for one in (found.outcome, found.tries, found.open)] == [
        [0, 0, 4], [0, 0, 3], [False, False, True],
    ]  # fmt: skip
    assert [list(one) for one in (found.run, found.first)] == [[5, 5, 6], [5, 5, 7]]
    assert list(found.committed_at) == [10.0, 10.0, 20.0]


def test_only_files_that_may_hold_a_photo_of_the_list_are_fetched(
    indexed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights(indexed, 8, 8, 8)
    (kind,) = kinds(indexed)
    (segment,) = read_index(indexed, kind).segments
    released: list[int] = []
    monkeypatch.setattr(covered, "release", lambda: released.append(1))
    before = indexed.requests["get"]
    with ThreadPoolExecutor(1) as pool:
        ranges = KeyRanges(make_inputs(1, start=3))
        (found,) = compare_with_segment(indexed, ranges, kind, segment, [3.0, 2.0, 1.0], 0, pool)
    assert (indexed.requests["get"] - before, list(found.here)) == (1, [True])
    assert (list(found.run), list(found.committed_at)) == ([2], [1.0])
    assert released == [1], "memory is given back after each file"


def test_photos_by_the_latest_run_that_has_them(indexed: Store) -> None:
    nights(indexed, 9, 9, 9, start=20)
    nights(indexed, 2, 2, 2)
    nights(indexed, 1, 1, 1, start=3)  # 3, 4 and 5 again
    (kind,) = kinds(indexed)
    runs = live.standing(indexed).runs.committed
    found = latest_by_run(indexed, runs)
    numbers = [[n for n in range(50) if ID[n] in found[run.run_id]] for run in runs]
    assert numbers == [[5], [4], [3], [], [2], [0, 1], [*range(38, 47)], [*range(29, 38)],
                       [*range(20, 29)]]  # fmt: skip
    assert set().union(*found.values()) <= {*ID}
    before = indexed.requests.copy()
    assert latest_by_run(indexed, runs[:2]) == {}
    assert indexed.requests == before, "two runs are read by themselves"
    segments = read_index(indexed, kind).segments
    assert [len(segment.runs) for segment in segments] == [6, 3]
    for file in segments[0].files:
        if file.sha256:
            indexed.delete(file_key(kind, file.sha256))
    assert set(latest_by_run(indexed, runs)) == {run.run_id for run in runs[6:]}


ID: Sequence[str] = make_inputs(50)["image_id"].to_pylist()


def test_memory_is_given_back_while_lists_are_written_and_read(
    indexed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    released: dict[str, int] = {}

    def count(name: str) -> Any:
        return lambda: released.update({name: released.get(name, 0) + 1})

    for module in (compaction, compare, pinned):
        monkeypatch.setattr(module, "release", count(module.__name__.rpartition(".")[2]))
    nights(indexed, 1, 1, 1)
    assert released == {"pinned": 3, "compaction": 1}
    how = compare.Relation(True, compare.COVERED)
    near = compare.Nearness(make_inputs(3), compare.Forgotten())
    (run,) = live.standing(indexed).runs.committed[:1]
    compare._compare_all(indexed, near, KeyRanges(make_inputs(3)), [run], {run.run_id: how}, {}, {})
    assert released == {"pinned": 3, "compaction": 1, "compare": 1}
    assert list(near.codes) == [0, 0, compare.COVERED]


def test_results_are_made_a_few_ahead_and_come_in_order() -> None:
    begun: list[int] = []

    class Pool:
        def submit(self, work: Any, item: int) -> Future[int]:
            begun.append(item)
            future: Future[int] = Future()
            future.set_result(work(item))
            return future

    results = bounded_map(Pool(), lambda n: n * n, range(6), buffer_size=2)  # type: ignore[arg-type]
    assert next(results) == 0
    assert begun == [0, 1, 2]
    assert list(results) == [1, 4, 9, 16, 25]
    assert list(bounded_map(Pool(), str, [], buffer_size=2)) == []  # type: ignore[arg-type]
