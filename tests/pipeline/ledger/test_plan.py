"""A run's identity, and how its list is cut into tasks."""

import pyarrow as pa
import pytest
from msgspec.structs import replace

from pipeline.errors import UsageError
from pipeline.ledger import plan
from pipeline.ledger.identity import input_sha256, spec_differences
from pipeline.ledger.plan import TaskCuts, cut_tasks, same_bytes_together
from pipeline.storage import spool
from tests.support.tasks import SPEC, make_inputs, sized


@pytest.mark.parametrize(
    ("sizes", "images", "limit", "starts"),
    [
        ([1] * 7, 3, 100, (0, 3, 6, 7)),
        ([40, 40, 40, 40], 99, 100, (0, 2, 4)),
        ([50, 50, 1], 99, 100, (0, 2, 3)),  # exactly full is not over
        ([500, 1, 1, 500], 99, 100, (0, 1, 3, 4)),  # too large: a task of its own
        ([None, None, 7], 2, 5, (0, 2, 3)),
        ([], 3, 100, (0,)),
    ],
)
def test_tasks(sizes: list[int], images: int, limit: int, starts: tuple[int, ...]) -> None:
    assert cut_tasks(sized(*sizes), images, limit).starts == starts


def test_a_plan_covers_every_row_once() -> None:
    cuts = cut_tasks(sized(*[(n * 37) % 90 for n in range(1000)]), 16, 500)
    assert [row for task in cuts.tasks for row in task] == list(range(1000))
    assert cuts.rows == 1000
    assert TaskCuts((0,)).task_count == 0


def test_nonsense_sizes() -> None:
    with pytest.raises(UsageError):
        cut_tasks(make_inputs(1), 0)


def test_the_hash_of_a_list_sees_values_and_not_chunks() -> None:
    table = make_inputs(9)
    pieces = pa.concat_tables([table.slice(0, 2), table.slice(2, 7)])
    assert input_sha256(pieces) == input_sha256(table)
    assert input_sha256(table.slice(0, 8)) != input_sha256(table)
    assert input_sha256(make_inputs(9, etag="v2")) != input_sha256(table)


def test_the_hash_keeps_neighbouring_columns_apart() -> None:
    def pair(a: str | None, b: str | None) -> str:
        return input_sha256(pa.table({"a": pa.array([a]), "b": pa.array([b], pa.string())}))

    hashes = {
        pair("ab", "c"),
        pair("a", "bc"),
        pair("", "abc"),
        pair("abc", None),
        pair("abc", "-"),
    }
    assert len(hashes) == 5


def test_the_hash_sees_boxes() -> None:
    def boxed(x: float) -> str:
        return input_sha256(pa.table({"uri": ["a"], "boxes": [[[x, 0.0, 1.0, 1.0]]]}))

    assert boxed(0.0) != boxed(0.5)


def test_a_run_id_depends_on_every_field() -> None:
    others = [
        replace(SPEC, settings={**SPEC.settings, "top_k": 2}),
        replace(SPEC, weights_sha256="x"),
        replace(SPEC, detector="x"),
        replace(SPEC, code_version="x"),
        replace(SPEC, input_sha256="x"),
        replace(SPEC, parent="x"),
        SPEC.next_generation(),
    ]
    assert len({SPEC.run_id, *(other.run_id for other in others)}) == 8
    assert replace(SPEC, settings=dict(reversed(SPEC.settings.items()))).run_id == SPEC.run_id


def test_differences_are_named() -> None:
    old = replace(SPEC, settings={"a": 1, "b": 2}, detector="d")
    new = replace(old, settings={"a": 1, "c": 3}, detector="e")
    assert spec_differences(old, old) == []
    assert spec_differences(old, new) == [
        "the setting b was 2 and is now 'absent'",
        "the setting c was 'absent' and is now 3",
        "the detector was d and is now e",
    ]


@pytest.mark.parametrize("piece", [1, 2, 3, 100])
def test_neighbours_are_found_across_pieces(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row beside the one before it, by hand; nothing is known where a size is missing."""
    monkeypatch.setattr(spool, "PIECE_ROWS", piece)
    sizes = [3, 3, None, None, 5, 5, 5, 3]
    local = pa.array([f"/p/{n}" for n in range(len(sizes))])
    table = sized(*sizes).set_column(1, "uri", local)
    found = plan._like_the_row_before(table).tolist()
    assert found == [False, True, False, False, False, True, True, False, False]


HASH = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("rows", "order"),
    [
        # objects: one hash and one size
        ([("s3://b/1", "A", 5), ("s3://b/2", "B", 5), ("s3://b/3", "A", 5)], [0, 2, 1]),
        ([("s3://b/1", "A", 5), ("s3://b/2", "B", 5), ("s3://b/3", "A", 6)], [0, 1, 2]),
        ([("s3://b/1", "A-2", 5), ("s3://b/2", "B", 5), ("s3://b/3", "A-2", 5)], [0, 2, 1]),
        # an ETag that is no hash, or none, says nothing of the bytes
        ([("s3://b/1", "v", 5), ("s3://b/2", "B", 5), ("s3://b/3", "v", 5)], [0, 1, 2]),
        ([("s3://b/1", None, 5), ("s3://b/2", "B", 5), ("s3://b/3", None, 5)], [0, 1, 2]),
        # local files: one size
        ([("/p/1", "1.5-5", 5), ("/p/2", "1.5-7", 7), ("file:///p/3", "2.5-5", 5)], [0, 2, 1]),
        ([("/p/1", "1.5-5", None), ("/p/2", "1.5-7", 7), ("/p/3", "2.5-5", None)], [0, 1, 2]),
        # each behind the first of its kind, whatever lies between
        (
            [("/p/1", "", 1), ("/p/2", "", 2), ("/p/3", "", 3), ("/p/4", "", 2), ("/p/5", "", 1)],
            [0, 4, 1, 3, 2],
        ),
        # also behind others of its kind
        ([("/p/1", "", 4), ("/p/2", "", 4), ("/p/3", "", 9), ("/p/4", "", 4)], [0, 1, 3, 2]),
    ],
)  # fmt: skip
def test_what_looks_like_the_same_bytes_is_moved_together(
    rows: list[tuple[str, str | None, int | None]], order: list[int]
) -> None:
    names = {"A": HASH, "B": HASH[::-1], "A-2": f"{HASH}-2"}
    table = make_inputs(len(rows))
    columns = list(zip(*rows, strict=True))
    etags = [names.get(str(etag), etag) for etag in columns[1]]
    for place, values in ((1, columns[0]), (2, etags), (3, columns[2])):
        field = table.schema.field(place)
        table = table.set_column(place, field, pa.array(values, field.type))
    moved = same_bytes_together(table)
    assert moved["uri"].to_pylist() == [rows[place][0] for place in order]
    assert same_bytes_together(moved).equals(moved)  # a plan of a plan is the same
    assert (moved is table) == (order == sorted(order))


def test_neighbours_of_the_same_bytes_are_one_task_where_they_fit() -> None:
    def starts(*sizes: int) -> tuple[int, ...]:
        table = sized(*sizes)
        local = pa.array([f"/p/{n}" for n in range(len(sizes))])
        return cut_tasks(table.set_column(1, "uri", local), 3, 1000).starts

    assert starts(1, 2, 3, 3, 4) == (0, 2, 5)
    assert starts(1, 2, 3, 4, 5) == (0, 3, 5)
    assert starts(1, 2, 2, 2, 3) == (0, 1, 4, 5)
    assert starts(7, 7, 7, 7, 7) == (0, 3, 5)  # too many for one task
    assert starts(5, 1, 2, 2) == (0, 2, 4)
    assert starts(4, 4, 9, 4) == (0, 3, 4)  # those that something lies between are no neighbours
    assert same_bytes_together(make_inputs(0)).num_rows == 0
