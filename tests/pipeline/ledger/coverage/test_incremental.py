"""What is covered, what is done again, and the reported reason for each."""

import time

import pyarrow as pa
import pytest
from msgspec.structs import replace

import pipeline.ledger.pinned
from pipeline.errors import LedgerError
from pipeline.ledger.coverage.incremental import Todo, resumed, uncovered
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.plan import cut_tasks
from pipeline.schema import INPUT_OVERRIDE
from pipeline.storage.store import Store, open_store
from tests.support.tasks import SPEC, done, make_inputs, run_all


def todo(store: Store, inputs: pa.Table, mode: str = "incremental", **changes: object) -> Todo:
    return uncovered(store, replace(SPEC, **changes), inputs, mode)  # type: ignore[arg-type]


def do(store: Store, left: Todo, failed: dict[int, str] | None = None) -> str:
    ledger = Ledger.open(store, left.spec, left.inputs, cut_tasks(left.inputs, 3))
    run_all(ledger, failed)
    return ledger.run_id


def uris(left: Todo) -> list[int]:
    return [int(uri[-10:-4]) for uri in left.inputs["uri"].to_pylist()]


def test_the_first_night_everything_is_new(store_uri: str) -> None:
    store = open_store(store_uri)
    left = todo(store, make_inputs(5))
    assert left.reasons == {"new": 5}
    assert left.covered == 0
    assert left.inputs.equals(make_inputs(5))
    do(store, left)
    again = todo(store, make_inputs(5))
    assert (again.reasons, again.covered, again.inputs.num_rows) == ({}, 5, 0)


def test_the_second_night_only_the_rest(store: Store) -> None:
    do(store, todo(store, make_inputs(10)))
    tonight = pa.concat_tables(
        [make_inputs(4), make_inputs(2, etag="v2", start=4), make_inputs(6, start=6)]
    )
    left = todo(store, tonight)
    assert left.reasons == {"new": 2, "changed": 2}
    assert left.covered == 8
    assert uris(left) == [4, 5, 10, 11]


def test_an_uncommitted_run_covers_nothing_and_is_gone_on_with(store: Store) -> None:
    left = todo(store, make_inputs(5))
    begun = Ledger.open(store, left.spec, left.inputs, cut_tasks(left.inputs, 3))
    again = todo(store, make_inputs(5))
    assert again.reasons == {"new": 5}
    assert again.spec.run_id == begun.run_id
    assert (left.begun_tasks, again.begun_tasks) == (0, 2)  # tasks of at most three photos


def test_a_plan_names_the_run_that_will_be_done_after_one_was_given_up(store: Store) -> None:
    first = todo(store, make_inputs(5))
    Ledger.open(store, first.spec, first.inputs, cut_tasks(first.inputs, 3))
    remove_garbage(store, look_for_garbage(store, 0, time.time() + 60).garbage)
    left = todo(store, make_inputs(5))
    assert left.begun_tasks == 0
    assert left.spec.run_id != first.spec.run_id
    assert do(store, left) == left.spec.run_id


def test_a_run_is_gone_on_with_by_name_though_the_input_is_another(store: Store) -> None:
    left = todo(store, make_inputs(5))
    begun = Ledger.open(store, left.spec, left.inputs, cut_tasks(left.inputs, 3))
    begun.commit_task(0, done(begun.task_inputs(0)))
    assert todo(store, make_inputs(9)).spec.run_id != begun.run_id
    again = resumed(store, replace(SPEC, input_sha256=""), begun.run_id)
    assert again.spec == left.spec
    assert again.inputs.equals(left.inputs)
    assert again.reasons == {"resumed": 5}
    assert again.begun_tasks == 2
    assert Ledger.open(store, again.spec, again.inputs, cut_tasks(again.inputs)).pending() == [1]
    with pytest.raises(LedgerError, match="the weights was"):
        resumed(store, replace(SPEC, weights_sha256="x"), begun.run_id)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"settings": {"ratios": "1:1", "top_k": 2}}, "settings"),
        ({"weights_sha256": "bb" * 32}, "weights"),
        ({"detector": "other"}, "weights"),
        ({"weights_sha256": "bb" * 32, "settings": {}}, "weights"),
    ],
)
def test_another_model_or_setting(store: Store, changes: dict[str, object], reason: str) -> None:
    do(store, todo(store, make_inputs(4)))
    assert todo(store, make_inputs(4), **changes).reasons == {reason: 4}
    mixed = pa.concat_tables([make_inputs(2), make_inputs(2, etag="v2", start=2)])
    assert todo(store, mixed, **changes).reasons == {reason: 2, "changed": 2}


def test_a_plan_begins_with_the_first_generation(store: Store) -> None:
    """Whatever generation the settings that it was asked with are of."""
    todo = uncovered(store, replace(SPEC, generation=3), make_inputs(2))
    assert todo.spec.generation == 0
    assert todo.spec.run_id == uncovered(store, SPEC, make_inputs(2)).spec.run_id


def test_new_code_alone_is_no_reason(store: Store) -> None:
    do(store, todo(store, make_inputs(4)))
    assert todo(store, make_inputs(4), code_version="next").covered == 4


def test_kinds_of_run_live_side_by_side(store: Store) -> None:
    other = {"settings": {"ratios": "16:9", "top_k": 1}}
    do(store, todo(store, make_inputs(4)))
    do(store, todo(store, make_inputs(4), **other))
    assert todo(store, make_inputs(4)).covered == 4
    assert todo(store, make_inputs(4), **other).covered == 4


def test_a_picture_that_was_changed_back_is_done_again(store: Store) -> None:
    do(store, todo(store, make_inputs(2)))
    do(store, todo(store, make_inputs(2, etag="v2")))
    left = todo(store, make_inputs(2))
    assert left.reasons == {"changed": 2}
    do(store, left)
    assert todo(store, make_inputs(2)).covered == 2


def test_transient_failures_are_done_again_and_permanent_ones_not(store: Store) -> None:
    first = do(store, todo(store, make_inputs(3)), failed={0: "transient", 1: "permanent"})
    left = todo(store, make_inputs(3))
    assert left.reasons == {"failed": 1}
    assert uris(left) == [0]
    second = do(store, left, failed={0: "transient"})
    third = todo(store, make_inputs(3))
    assert third.reasons == {"failed": 1}
    assert len({first, second, third.spec.run_id}) == 3  # the same list as the second, another run
    do(store, third)
    assert todo(store, make_inputs(3)).covered == 3


def test_full_does_everything_each_time_it_is_asked(store: Store) -> None:
    first = do(store, todo(store, make_inputs(3)))
    left = todo(store, make_inputs(4), mode="full")
    assert left.reasons == {"forced": 3, "new": 1}
    again = todo(store, make_inputs(3), mode="full")
    assert again.reasons == {"forced": 3}
    assert again.spec.run_id != first
    do(store, again)
    assert todo(store, make_inputs(3), mode="full").spec.run_id not in (first, again.spec.run_id)


def test_two_jobs_that_look_at_once_plan_the_same_run(store: Store) -> None:
    early, late = todo(store, make_inputs(3)), todo(store, make_inputs(3))
    run_id = do(store, early)
    ledger = Ledger.open(store, late.spec, late.inputs, cut_tasks(late.inputs, 3))
    assert ledger.run_id == run_id
    assert ledger.is_committed


def test_lists_without_etags(store: Store) -> None:
    bare = make_inputs(3).set_column(2, "etag", pa.nulls(3, pa.string()))
    do(store, todo(store, bare))
    assert todo(store, bare).covered == 3
    assert todo(store, make_inputs(3)).reasons == {"changed": 3}


def test_only_overlapping_lists_are_fetched(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.ledger.pinned, "TASKS_PER_FILE", 2)  # 6 images in a file
    do(store, todo(store, make_inputs(60)))
    pipeline.ledger.pinned._input_file.cache_clear()
    before = store.requests["get"]
    left = todo(store, make_inputs(4, start=57))
    assert left.reasons == {"new": 1}
    # 57 to 59 lie in the last of ten files; the others are manifest, spec and unsettled list.
    assert store.requests["get"] - before == 4


def test_random_histories_agree_with_a_plain_dictionary(store: Store) -> None:
    import random

    draw = random.Random(3)
    truth: dict[str, str | None] = {}  # uri -> etag it is settled at
    for _ in range(12):
        size, start = draw.randint(1, 9), draw.randint(0, 6)
        tonight = pa.concat_tables(
            make_inputs(1, etag=draw.choice(["v1", "v2"]), start=start + n) for n in range(size)
        )
        left = todo(store, tonight)
        rows = tonight.to_pylist()
        expected = [r["uri"] for r in rows if truth.get(r["uri"], "") != r["etag"]]
        assert left.inputs["uri"].to_pylist() == expected
        if expected and draw.random() < 0.8:
            failed = {0: "transient"} if draw.random() < 0.3 else {}
            do(store, left, failed)
            for row, one in enumerate(left.inputs.to_pylist()):
                settled = not (failed and row % 3 == 0)
                truth[one["uri"]] = one["etag"] if settled else None


def overridden(count: int, texts: dict[int, str]) -> pa.Table:
    """Inputs with what people decided, by number."""
    column = pa.array([texts.get(n) for n in range(count)], INPUT_OVERRIDE.type)
    return make_inputs(count).append_column(INPUT_OVERRIDE, column)


def test_a_photo_is_done_again_where_its_override_changed(store: Store) -> None:
    do(store, todo(store, make_inputs(4)))
    given = overridden(4, {1: "one", 2: "two"})
    left = todo(store, given)
    assert (left.reasons, uris(left)) == ({"override changed": 2}, [1, 2])
    do(store, left)
    assert todo(store, given).reasons == {}
    left = todo(store, overridden(4, {1: "one", 2: "other"}))
    assert (left.reasons, uris(left)) == ({"override changed": 1}, [2])
    left = todo(store, make_inputs(4))  # the rows were taken out of the table of overrides
    assert (left.reasons, uris(left)) == ({"override changed": 2}, [1, 2])


def test_another_reason_is_told_before_an_override(store: Store) -> None:
    do(store, todo(store, make_inputs(3)), failed={0: "transient"})
    given = overridden(3, {0: "one"})
    assert todo(store, given).reasons == {"override changed": 1}
    left = todo(store, given, settings={"ratios": "4:3"})
    assert left.reasons == {"settings": 3}
