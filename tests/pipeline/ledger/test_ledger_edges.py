"""Edge cases of plans, records, names and run identities."""

import json
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from msgspec.structs import replace

from pipeline.errors import LedgerError, RecordError, UsageError
from pipeline.ledger.identity import input_sha256, spec_differences
from pipeline.ledger.layout import data_key, data_task, replaced_key, task_key
from pipeline.ledger.pinned import InputFile, overlapping, read_spec, task_rows
from pipeline.ledger.plan import cut_tasks
from pipeline.ledger.records import PinnedPlan, parse, to_bytes
from pipeline.ledger.replaced import read_object
from pipeline.ledger.sampling import spread
from pipeline.storage.store import Store
from tests.support.tasks import SPEC, make_inputs, open_ledger, sized


@pytest.mark.parametrize(
    ("sizes", "images", "size", "starts"),
    [
        ([1] * 5, 2, 100, (0, 2, 4, 5)),
        ([10] * 4, 9, 20, (0, 2, 4)),  # two fill a task exactly
        ([10] * 4, 9, 19, (0, 1, 2, 3, 4)),
        ([50, 1, 1], 9, 20, (0, 1, 3)),  # one too large is alone
        ([None, None, 5], 2, 1, (0, 2, 3)),
        ([], 2, 1, (0,)),
        ([3], 1, 1, (0, 1)),
    ],
)
def test_tasks_are_cut_by_photos_and_bytes(
    sizes: list[int | None], images: int, size: int, starts: tuple[int, ...]
) -> None:
    cuts = cut_tasks(sized(*sizes), images, size)
    assert cuts.starts == starts
    assert (cuts.task_count, cuts.rows) == (len(starts) - 1, len(sizes))
    assert [len(task) for task in cuts.tasks] == [b - a for a, b in pairwise(starts)]


def test_a_task_holds_something() -> None:
    for images, size in ((0, 1), (1, 0)):
        with pytest.raises(UsageError, match="at least 1 image and 1 byte"):
            cut_tasks(sized(1), images, size)
    assert cut_tasks(sized(*[1 << 20] * 300)).starts == (0, 128, 256, 300)  # 128 MB
    assert cut_tasks(sized(*[1] * 300)).starts == (0, 256, 300)


def test_a_plan_has_a_file_for_each_of_its_tasks() -> None:
    file = InputFile(sha256="a", rows=1, bytes=1, first_uri="a", last_uri="b")
    for tasks, files in ((0, 0), (1, 1), (64, 1), (65, 2), (128, 2)):
        PinnedPlan(rows=9, tasks=tasks, tasks_per_file=64, files=(file,) * files)
        with pytest.raises(ValueError, match=f"{tasks} tasks cannot lie in {files + 1} files"):
            PinnedPlan(rows=9, tasks=tasks, tasks_per_file=64, files=(file,) * (files + 1))


def test_files_that_may_hold_photos_of_a_list() -> None:
    def entry(first: str, last: str) -> InputFile:
        return InputFile(sha256="", rows=1, bytes=1, first_uri=first, last_uri=last)

    uris = pa.array(["b", "d", "f"])
    files = [entry("a", "a"), entry("a", "b"), entry("c", "e"), entry("f", "z"), entry("e", "e"),
             entry("b", "f"), entry("g", "z")]  # fmt: skip
    assert [(n, list(rows)) for n, rows in overlapping(uris, files)] == [
        (1, [0]), (2, [1]), (3, [2]), (5, [0, 1, 2]),
    ]  # fmt: skip


def test_a_plan_is_read_by_task(store: Store) -> None:
    ledger = open_ledger(store, make_inputs(7))  # 3, 3, 1
    spec = read_spec(store, ledger.run_id)
    assert [task_rows(store, spec, n).num_rows for n in range(3)] == [3, 3, 1]
    for task in (-1, 3):
        with pytest.raises(LedgerError, match=f"has tasks 0 to 2, not {task}"):
            task_rows(store, spec, task)
    with pytest.raises(RecordError, match=r"no run absent in .*`runs.py list .*` names"):
        read_spec(store, "absent")


def test_names_of_objects() -> None:
    assert task_key("r", 7) == "runs/r/tasks/00000007.json"
    key = data_key("r", "crops", 12, "ab")
    assert key == "_data/crops/run=r/00000012-ab.parquet"
    assert data_task(key) == 12
    assert data_task("_data/crops/run=r/12-ab.parquet") is None
    assert data_task(f"x{key}") is None
    assert replaced_key("somewhere/else") is None
    own = replaced_key("runs/r/input/x.parquet")
    assert own is not None
    assert own.startswith("runs/r/replaced/")
    assert len(own) == len("runs/r/replaced/.json") + 32


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "it is empty"),
        (b"{", "it is not whole JSON"),
        (b"[1]", "no number `format`"),
        (b'{"format": true}', "no number `format`"),
        (b'{"format": 0}', "no number `format`"),
        (b'{"format": "1"}', "no number `format`"),
        (b'{"format": 2}', "has format 2, and this release reads 1 .* upgrade|upgrade"),
        (b"[" * 100_000, "it is not whole JSON"),
    ],
)
def test_a_record_that_cannot_be_used(data: bytes, told: str) -> None:
    with pytest.raises(RecordError, match=told):
        parse(data, "key", "advice")
    assert parse(b'{"format": 1, "more": 2}', "key", "") == {"format": 1, "more": 2}


def test_a_record_without_what_is_newer_stays_as_it_was() -> None:
    plain = {"format": 1, "a": None, "render_of": None}
    assert json.loads(to_bytes(plain)) == {"format": 1, "a": None}
    assert json.loads(to_bytes({**plain, "render_of": "x"}))["render_of"] == "x"
    assert to_bytes({"b": 1, "a": 2}) == to_bytes({"a": 2, "b": 1})
    assert to_bytes({}).endswith(b"}\n")


def test_what_two_identities_differ_in() -> None:
    other = replace(
        SPEC, settings={"ratios": "1:1", "top_k": 2, "new": 1}, weights_sha256="b" * 64,
        detector="y", code_version="z", input_sha256="q",
    )  # fmt: skip
    assert spec_differences(SPEC, SPEC) == []
    assert spec_differences(SPEC, other) == [
        "the setting new was 'absent' and is now 1",
        "the setting top_k was 1 and is now 2",
        f"the weights was {'aa' * 30} and is now {'b' * 60}",
        "the detector was none 1 and is now y",
        "the code was test and is now z",
        "the input list was  and is now q",
    ]


def test_no_two_lists_have_one_hash() -> None:
    lists: list[dict[str, Any]] = [
        {"a": ["x", None]}, {"a": ["x", ""]}, {"a": ["x", "-"]}, {"a": [None, "x"]},
        {"a": ["1:x"]}, {"a": ["x"]}, {"b": ["x"]}, {"a": ["x"], "b": ["y"]},
        {"a": ["x1:y"], "b": [""]}, {"a": [[1, 2]]}, {"a": [[1], [2]]}, {"a": [1]}, {"a": ["1"]},
    ]  # fmt: skip
    assert len({input_sha256(pa.table(one)) for one in lists}) == len(lists)
    table = pa.table({"a": [str(n) for n in range(9)], "b": [[n] for n in range(9)]})
    cut = pa.concat_tables([table.slice(0, 2), table.slice(2)])
    assert input_sha256(cut) == input_sha256(table)


def test_numbers_are_spread_evenly() -> None:
    assert spread([5, 3, 3, 1], 9) == {1, 3, 5}
    assert spread(range(10), 10) == set(range(10))
    assert spread(range(10), 5) == {0, 2, 4, 6, 8}
    assert spread(range(10), 3) == {0, 3, 6}
    assert spread([], 3) == set()


def test_an_object_that_a_record_names_is_there_and_whole(store: Store) -> None:
    store.write("runs/r/x", b"1")
    assert read_object(store, "runs/r/x") == b"1"
    with pytest.raises(RecordError, match="it was changed after noon"):
        read_object(store, "runs/r/x", "0" * 64, "noon")
    for key in ("runs/r/y", "elsewhere/y"):
        with pytest.raises(RecordError, match="it is gone"):
            read_object(store, key)
