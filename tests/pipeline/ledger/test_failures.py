"""Kinds of failure over many nights: what is retried, when, and what older runs recorded."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from msgspec.structs import replace

import pipeline.ledger.failures
from pipeline.ledger.coverage.incremental import Todo, uncovered
from pipeline.ledger.failures import FAILURE_COLUMNS, failures_of, kinds_of
from pipeline.ledger.figures import Figures
from pipeline.ledger.layout import manifest_key
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.manifest import read_committed
from pipeline.ledger.plan import cut_tasks
from pipeline.ledger.retry import failed_inputs
from pipeline.storage.store import Store
from tests.support.tasks import SPEC, done, make_inputs


def night(
    store: Store, inputs: pa.Table, failed: dict[int, tuple[str, str, str]] | None = None,
    **changes: object,
) -> Todo:  # fmt: skip
    """Do what is left and return the plan. failed: by number, stage, status and kind."""
    todo = uncovered(store, replace(SPEC, **changes), inputs)  # type: ignore[arg-type]
    if todo.inputs.num_rows:
        commit(store, todo, failed or {})
    return todo


def commit(store: Store, todo: Todo, failed: dict[int, tuple[str, str, str]]) -> str:
    ledger = Ledger.open(store, todo.spec, todo.inputs, cut_tasks(todo.inputs, 3))
    for n in ledger.pending():
        rows = ledger.task_inputs(n)
        numbers = [int(uri[-10:-4]) for uri in rows["uri"].to_pylist()]
        which = {row: failed[number] for row, number in enumerate(numbers) if number in failed}
        tables = done(rows, {row: kind for row, (_, _, kind) in which.items()})
        images = tables["images"].to_pylist()
        for row, (stage, status, _) in which.items():
            images[row] |= {"status": status, "error_stage": stage, "error_message": "said so"}
        tables["images"] = pa.Table.from_pylist(images, schema=tables["images"].schema)
        statuses = {status: 1 for _, status, _ in which.values()}
        ledger.commit_task(
            n, tables, Figures(statuses={"ok": len(numbers) - len(which), **statuses})
        )
    ledger.finish({})
    return ledger.run_id


FORBIDDEN = {0: ("read", "forbidden", "circumstances")}
LARGE = {0: ("decode", "too_many_pixels", "circumstances")}
NO_HEIC = {0: ("decode", "extra_missing", "circumstances")}
CORRUPT = {0: ("decode", "corrupt", "permanent")}


def test_circumstances_are_tried_in_nights_1_2_4_and_so_on(store: Store) -> None:
    tried = []
    for number in range(20):  # each night brings a photo
        todo = night(store, make_inputs(number + 1), FORBIDDEN)
        if "circumstances" in todo.reasons:
            tried.append(number)
        else:
            assert todo.postponed == (number > 0)
        assert todo.reasons["new"] == 1
    assert tried == [1, 2, 4, 8, 16]


def test_where_nothing_else_is_to_do_the_clock_makes_the_nights(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = [night(store, make_inputs(2), FORBIDDEN).reasons for _ in range(5)]
    assert reasons == [{"new": 2}, {"circumstances": 1}, {"circumstances": 1}, {}, {}]
    waits = uncovered(store, SPEC, make_inputs(2))
    assert (waits.covered, waits.postponed) == (2, 1)
    # 4 nights after the first failure, a few milliseconds ago
    monkeypatch.setattr(pipeline.ledger.failures, "NIGHT_S", 1e-9)
    assert uncovered(store, SPEC, make_inputs(2)).reasons == {"circumstances": 1}


def test_what_works_again_is_covered_and_a_new_object_is_done_at_once(store: Store) -> None:
    for _ in range(3):
        night(store, make_inputs(2), FORBIDDEN)
    assert night(store, make_inputs(2)).reasons == {}  # waits
    fresh = pa.concat_tables([make_inputs(1, etag="v2"), make_inputs(1, start=1)])
    assert night(store, fresh, FORBIDDEN).reasons == {"changed": 1}
    assert night(store, fresh).reasons == {"circumstances": 1}  # counted from its own first failure
    assert uncovered(store, SPEC, fresh).covered == 2
    assert uncovered(store, SPEC, fresh).postponed == 0


def test_what_a_limit_refused_is_not_tried_under_the_same_limit(store: Store) -> None:
    night(store, make_inputs(2), LARGE)
    todo = uncovered(store, SPEC, make_inputs(2))
    assert (todo.reasons, todo.covered, todo.postponed) == ({}, 2, 0)
    raised = uncovered(store, replace(SPEC, settings={"max_pixels": 9}), make_inputs(2))
    assert raised.reasons == {"settings": 2}


def test_a_format_is_tried_once_its_package_is_there(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.ledger.failures, "EXTRA", "no_such_package")
    night(store, make_inputs(2), NO_HEIC)
    todo = night(store, make_inputs(2))
    assert (todo.reasons, todo.postponed) == ({}, 1)
    monkeypatch.setattr(pipeline.ledger.failures, "EXTRA", "json")
    assert night(store, make_inputs(2)).reasons == {"circumstances": 1}
    assert uncovered(store, SPEC, make_inputs(2)).reasons == {}


def test_other_code_says_what_it_might_do(store: Store) -> None:
    night(store, make_inputs(3), {**CORRUPT, 1: LARGE[0]})
    assert uncovered(store, SPEC, make_inputs(3)).given_up == 0
    todo = uncovered(store, replace(SPEC, code_version="next"), make_inputs(3))
    assert (todo.reasons, todo.covered, todo.given_up) == ({}, 3, 2)


def test_a_failed_try_of_another_kind_ends_the_count(store: Store) -> None:
    for number in range(3):
        night(store, make_inputs(number + 1), FORBIDDEN)
    todo = night(store, make_inputs(5), {0: ("read", "throttled", "transient")})
    assert "circumstances" not in todo.reasons  # night 3
    todo = night(store, make_inputs(6), {0: ("read", "throttled", "transient")})
    assert todo.reasons == {"circumstances": 1, "new": 1}  # night 4
    assert night(store, make_inputs(7), FORBIDDEN).reasons == {"failed": 1, "new": 1}
    assert night(store, make_inputs(8)).reasons == {"circumstances": 1, "new": 1}


def as_before(store: Store, run_id: str) -> None:
    """Make a run look like one of a release without lists of failed photos."""
    path = Path(store.uri, manifest_key(run_id))
    document = json.loads(path.read_text())
    del document["failures"]
    path.write_text(json.dumps(document))


def test_runs_of_before_are_told_by_status(store: Store) -> None:
    failed = {
        0: ("read", "not_found", "permanent"),  # as they were called
        1: ("decode", "corrupt", "permanent"),
        2: ("read", "throttled", "transient"),
        4: ("decode", "too_large", "permanent"),
    }
    todo = uncovered(store, SPEC, make_inputs(6))
    run_id = commit(store, todo, failed)
    as_before(store, run_id)
    again = uncovered(store, SPEC, make_inputs(6))
    assert again.reasons == {"circumstances": 1, "failed": 1}
    assert failed_inputs(store, run_id, "circumstances").equals(make_inputs(6).take([0, 4]))
    assert failed_inputs(store, run_id, "permanent").equals(make_inputs(6).take([1]))


def test_runs_of_before_without_such_statuses_are_not_read_again(store: Store) -> None:
    run_id = commit(
        store, uncovered(store, SPEC, make_inputs(3)),
        {1: ("decode", "corrupt", "permanent"), 2: ("read", "network", "transient")},
    )  # fmt: skip
    as_before(store, run_id)
    for path in Path(store.uri, "_data/images").rglob("*.parquet"):
        path.unlink()
    manifest = read_committed(store, run_id)
    assert manifest is not None
    assert failures_of(store, manifest)["kind"].to_pylist() == ["transient"]
    assert uncovered(store, SPEC, make_inputs(3)).reasons == {"failed": 1}


@pytest.mark.parametrize(
    ("stage", "status", "kind", "message", "now"),
    [
        ("read", "not_found", "permanent", "", "circumstances"),
        ("read", "forbidden", "permanent", "", "circumstances"),
        ("read", "changed", "permanent", "", "circumstances"),
        ("read", "too_large", "permanent", "", "circumstances"),
        ("read", "bad_uri", "permanent", "not s3://bucket/key", "permanent"),
        ("read", "bad_uri", "permanent", "StoreFailedError: s3://b: 423: held", "circumstances"),
        ("read", "bad_uri", "permanent", "OSError: Input/output error", "circumstances"),
        ("read", "throttled", "transient", "", "transient"),
        ("decode", "too_many_pixels", "permanent", "", "circumstances"),
        ("decode", "unsupported_format", "permanent", "a TIFF picture", "permanent"),
        ("decode", "unsupported_format", "permanent", "HEIC needs pillow-heif: pip …",
         "circumstances"),
        ("decode", "corrupt", "permanent", "", "permanent"),
        ("decode", "timeout", "transient", "", "transient"),
        ("detect", "boxes_missing", "permanent", "", "permanent"),
        (None, "ok", None, None, None),
    ],
)  # fmt: skip
def test_rows_of_before(
    stage: str | None, status: str, kind: str | None, message: str | None, now: str | None
) -> None:
    row = dict(zip(FAILURE_COLUMNS, ("a", status, stage, kind, message), strict=True))
    images = pa.Table.from_pylist(
        [row], pa.schema([(name, pa.string()) for name in FAILURE_COLUMNS])
    )
    assert kinds_of(images).to_pylist() == [now]
