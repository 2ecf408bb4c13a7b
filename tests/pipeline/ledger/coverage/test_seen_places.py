"""Which photos of earlier runs a new list's photos appear to match, judged only by the lists."""

from typing import Any

import pyarrow as pa
import pytest
from msgspec.structs import replace

from pipeline import schema
from pipeline.inputs.listing import image_id
from pipeline.ledger.coverage import seen
from pipeline.ledger.coverage.seen import _choose_runs, with_seen
from pipeline.ledger.pinned import _input_file
from pipeline.ledger.records import Manifest
from pipeline.schema import INPUT_BOXES, INPUT_OVERRIDE
from pipeline.storage.store import Store
from tests.support.tasks import open_ledger, run_all

A, B, C = ("0123456789abcdef" * 2, "fedcba9876543210" * 2, "00112233445566778899aabbccddeeff")
NOBODY = pa.array([], pa.string())
Row = tuple[str, str, int]  # name, ETag, bytes


@pytest.fixture
def store(memory: Store) -> Store:
    return memory


def listed(*rows: Row) -> pa.Table:
    uris = [f"s3://b/{name}" for name, _, _ in rows]
    columns = [[image_id(u) for u in uris], uris, [row[1] for row in rows], [r[2] for r in rows]]
    return pa.table(columns, schema=schema.INPUTS)


def committed(store: Store, *rows: Row, failed: dict[int, str] | None = None) -> Manifest:
    """A run of a task for each photo."""
    return run_all(open_ledger(store, listed(*rows), task_images=1), failed)


def place(run: Manifest, task: int, name: str) -> str:
    return f"{run.run_id}/{task}/{image_id(f's3://b/{name}')}"


def told(store: Store, inputs: pa.Table, runs: list[Manifest], out: pa.Array = NOBODY) -> Any:
    found = with_seen(store, inputs, runs, out)
    assert found.column_names[-1] == "_seen_in"
    assert found.drop_columns("_seen_in").equals(inputs)
    return found["_seen_in"].to_pylist()


def test_the_latest_run_that_has_the_bytes_is_told(store: Store) -> None:
    old = committed(store, ("a", A, 5), ("b", B, 7))
    new = committed(store, ("c", A, 5))
    inputs = listed(("w", A, 6), ("x", A, 5), ("y", B, 7), ("z", C, 5))
    assert told(store, inputs, [new, old]) == [None, place(new, 0, "c"), place(old, 1, "b"), None]
    assert told(store, inputs, [old, new]) == [None, place(old, 0, "a"), place(old, 1, "b"), None]
    without_c = pa.array([image_id("s3://b/c")])
    assert told(store, inputs, [new, old], without_c)[1] == place(old, 0, "a")


def test_where_nothing_is_known_the_list_stays_as_it_is(store: Store) -> None:
    run = committed(store, ("a", A, 5))
    for inputs, runs in ((listed(("x", A, 5)), []), (listed(("x", B, 5)), [run])):
        assert with_seen(store, inputs, runs, NOBODY) is inputs


def test_photos_that_failed_are_not_taken(store: Store) -> None:
    run = committed(store, ("a", A, 5), failed={0: "permanent"})
    inputs = listed(("x", A, 5))
    assert with_seen(store, inputs, [run], NOBODY) is inputs


def test_photos_with_a_word_of_a_person_or_boxes_of_their_own_have_no_like(store: Store) -> None:
    inputs = listed(("a", A, 5), ("b", B, 7), ("c", C, 9))
    words = pa.array([None, "a word", None], INPUT_OVERRIDE.type)
    boxes = pa.array([None, None, [[0, 0, 1, 1]]], INPUT_BOXES.type)
    asked = inputs.append_column(INPUT_OVERRIDE, words).append_column(INPUT_BOXES, boxes)
    plain = committed(store, ("x", A, 5), ("y", B, 7), ("z", C, 9))
    assert told(store, asked, [plain]) == [place(plain, 0, "x"), None, None]
    special = run_all(open_ledger(store, asked, task_images=1))
    new = listed(("l", A, 5), ("m", B, 7), ("n", C, 9))
    assert told(store, new, [special]) == [place(special, 0, "a"), None, None]


@pytest.mark.parametrize("what", ["spec.json", "input/", "failures"])
def test_a_run_that_cannot_be_read_is_passed_over(store: Store, what: str) -> None:
    old = committed(store, ("a", A, 5), ("b", B, 7))
    new = committed(store, ("c", A, 5))
    for info in [*store.list(f"runs/{new.run_id}/{what}")]:
        store.delete(info.key)
    _input_file.cache_clear()
    inputs = listed(("x", A, 5), ("y", B, 7))
    assert told(store, inputs, [new, old]) == [place(old, 0, "a"), place(old, 1, "b")]


@pytest.mark.parametrize(("most", "found"), [(4, 2), (3, 1), (2, 1), (1, 0)])
def test_so_many_rows_of_lists_are_looked_at(
    store: Store, monkeypatch: pytest.MonkeyPatch, most: int, found: int
) -> None:
    monkeypatch.setattr(seen, "MAX_LISTED_ROWS", most)
    runs = [committed(store, ("a", A, 5), ("b", C, 1)), committed(store, ("c", B, 7), ("d", C, 2))]
    inputs = listed(("x", A, 5), ("y", B, 7))
    column = with_seen(store, inputs, runs, NOBODY).to_pydict().get("_seen_in", [])
    assert sum(one is not None for one in column) == found


def test_so_many_photos_of_a_list_are_looked_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = committed(store, ("a", A, 5), ("b", B, 7))
    inputs = listed(("w", "no hash", 5), ("x", A, 5), ("x2", A, 5), ("y", B, 7))
    assert None not in told(store, inputs, [run])[1:]
    monkeypatch.setattr(seen, "MAX_WANTED_KEYS", 1)
    at = place(run, 0, "a")
    assert told(store, inputs, [run]) == [None, at, at, None]


def test_the_latest_runs_and_the_largest_of_the_others_are_looked_at(store: Store) -> None:
    one = committed(store, ("a", A, 5))

    def runs(*rows: int) -> list[Manifest]:
        return [replace(one, run_id=str(n), rows=count) for n, count in enumerate(rows)]

    def numbers(found: list[Manifest]) -> list[int]:
        return [int(manifest.run_id) for manifest in found]

    assert numbers(_choose_runs(runs(*range(40)))) == [*range(16), *range(24, 40)]
    assert numbers(_choose_runs(runs(*range(40, 0, -1)))) == [*range(32)]
    assert numbers(_choose_runs(runs(*[1] * 40))) == [*range(32)]  # of equal ones the latest
    for count in (0, 3, 16, 17, 32):
        assert numbers(_choose_runs(runs(*range(count)))) == [*range(count)]
    assert (seen.MAX_LISTED_ROWS, seen.MAX_WANTED_KEYS) == (5_000_000, 1_000_000)
