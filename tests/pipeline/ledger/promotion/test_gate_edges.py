"""Which run goes live where, by which figures, and what a plan reports about waiting runs."""

from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from msgspec.structs import replace

from pipeline.errors import UsageError
from pipeline.gate import parse_gate
from pipeline.ledger import failures, sampling, stored_runs
from pipeline.ledger.author import whoami
from pipeline.ledger.channels.channel import Channel, channel_name, read_channel
from pipeline.ledger.channels.live import live_layers, standing
from pipeline.ledger.channels.moves import advance, next_version, roll_back
from pipeline.ledger.coverage import incremental
from pipeline.ledger.coverage.incremental import Todo, uncovered
from pipeline.ledger.failures import (
    CIRCUMSTANCES,
    LIMIT,
    NEEDS_EXTRA,
    PERMANENT,
    SUCCEEDED,
    TRANSIENT,
    are_due,
    photo_outcomes,
)
from pipeline.ledger.figures import Figures, confidence_counts
from pipeline.ledger.forgetting import forget
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.manifest import FAILURES
from pipeline.ledger.plan import cut_tasks
from pipeline.ledger.promotion.measure import measure
from pipeline.ledger.promotion.promotion import (
    Outcome,
    Request,
    _alike,
    _placed,
    _promote,
    promote,
    promote_waiting,
)
from pipeline.ledger.reader import open_run
from pipeline.ledger.records import Manifest
from pipeline.storage.store import Store
from tests.support.tasks import SPEC, done, make_inputs, open_ledger, run_all

CHANNEL = channel_name(SPEC.settings)
STRICT = parse_gate("error_rate<=0")
IDS = make_inputs(9)["image_id"].to_pylist()


@pytest.fixture
def store(memory: Store) -> Store:
    return memory


def candidate(store: Store, count: int, start: int = 0, **how: Any) -> Manifest:
    failed, job = how.pop("failed", None), how.pop("job", {})
    ledger = open_ledger(store, make_inputs(count, start=start), **how)
    return run_all(ledger, failed, **{"promote": "auto", "trial": False, **job})


def test_a_person_s_gate_holds_in_an_empty_output_and_a_job_s_does_not(store: Store) -> None:
    bad = candidate(store, 1, failed={0: "permanent"})
    asked = Request(gate=STRICT)
    assert promote(store, bad.run_id, asked).decision == "gate"
    assert not promote(store, bad.run_id, asked).is_live
    other = Request(gate=STRICT, strict=False, channel="other")
    outcome = promote(store, bad.run_id, other)
    assert (outcome.decision, outcome.channel, outcome.is_live) == ("promoted", "other", True)
    # Something is live in another channel now, so a job's gate is asked.
    assert promote(store, bad.run_id, Request(gate=STRICT, strict=False)).decision == "gate"


def test_a_job_s_gate_is_asked_where_somebody_was_faster_in_an_empty_output(store: Store) -> None:
    good, bad = candidate(store, 1), candidate(store, 1, start=1, failed={0: "permanent"})
    before = standing(store)
    promote(store, good.run_id, Request())
    request = Request(gate=STRICT, strict=False)
    outcome = _promote(store, before, [bad], CHANNEL, request, forgive=True)
    assert (outcome.decision, outcome.measured.values["error_rate"]) == ("gate", 1.0)
    assert not outcome.judged.held


def test_what_a_promotion_writes_down(store: Store) -> None:
    run = candidate(store, 3)
    gate = parse_gate("error_rate<=0.5")
    outcome = promote(store, run.run_id, Request(gate=gate, why="looked at"))
    version = outcome.version
    assert version is not None
    assert (version.who, version.why, version.gate) == (whoami(), "looked at", "error_rate<=0.5")
    assert dict(version.figures) == dict(outcome.measured.values)
    assert version.figures["error_rate"] == 0.0
    assert outcome.judged.held
    assert Outcome("r", "c", "gate") == Outcome("r", "c", "gate", problem="", version=None)
    assert Request() == Request(parse_gate(""), True, None, False, False, "", "")


def test_a_trial_that_is_live_is_not_refused(store: Store) -> None:
    tried = candidate(store, 1, job={"trial": True})
    assert promote(store, tried.run_id, Request()).decision == "trial"
    assert promote(store, tried.run_id, Request(trial=True)).decision == "promoted"
    assert promote(store, tried.run_id, Request()).decision == "live already"


def test_a_run_that_only_failed_again_has_nothing_to_show(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(1)))
    for repeats, worked, nothing in ((True, 0, True), (True, 1, False), (False, 0, False)):
        session = {"repeats": repeats}
        figures = Figures(statuses={"ok": worked, "forbidden": 2})
        assert replace(run, session=session, metrics=figures).only_failed_again is nothing
    assert not replace(run, session={}, metrics=Figures()).only_failed_again


def test_of_what_waits_only_jobs_of_their_own_go_live(store: Store) -> None:
    runs = [candidate(store, 1, job={"promote": "manual"}), candidate(store, 1, start=1)]
    ledger = open_ledger(store, make_inputs(1, start=2))
    ledger.commit_task(0, done(ledger.task_inputs(0), {0: "transient"}))
    job = {"promote": "auto", "trial": False}
    ledger.finish({"job": job, "session": {"repeats": True}})
    request = Request(strict=False, behind=True)
    outcomes = promote_waiting(store, CHANNEL, request)
    assert [(one.run_id, one.decision) for one in outcomes] == [(runs[1].run_id, "promoted")]


def test_runs_that_would_crop_alike(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(1)))
    assert _alike(run, replace(run, run_id="other", rows=9, input_sha256="x"))
    for name, value in (("settings", {}), ("weights_sha256", "x"), ("detector", "x"),
                        ("code_version", "x")):  # fmt: skip
        assert not _alike(run, replace(run, **{name: value}))


def test_a_run_is_put_behind_the_last_of_those_that_stay_in_front(store: Store) -> None:
    """Each behind the runs that were committed after it; those that are live stay."""
    run = run_all(open_ledger(store, make_inputs(1)))

    def at(time_s: int, name: str) -> Manifest:
        return replace(run, run_id=name, committed_at=time_s)

    new, parent = at(5, "new"), at(2, "parent")
    live_ones = Channel("web", ("a", "b", "c"))
    for later, runs in (("", "nabc"), ("a", "anbc"), ("ab", "abnc"), ("b", "abnc"), ("ac", "abcn"),
                        ("x", "nabc")):  # fmt: skip
        others = [at(9 if name in later else 4, name) for name in "abcx"]
        assert "".join(one[0] for one in _placed(live_ones, [new], others)) == runs
    others = [at(9, "a"), at(4, "b"), at(1, "c")]
    assert _placed(live_ones, [new, parent], others) == ["a", "new", "b", "parent", "c"]
    assert _placed(live_ones, [new, parent], []) == ["new", "parent", "a", "b", "c"]
    both = Channel("web", ("a", "parent", "new"))
    assert _placed(both, [new, parent], []) == ["new", "a", "parent"]


def test_an_emptied_channel_beside_another_is_no_layer(store: Store) -> None:
    one, two = candidate(store, 1), candidate(store, 2, weights_sha256="bb" * 32)
    promote(store, one.run_id, Request(channel="a"))
    promote(store, two.run_id, Request(channel="b"))
    roll_back(store, "b")
    assert [[run.run_id for run in layer] for layer in live_layers(store)] == [[one.run_id]]
    assert open_run(store.uri).images().num_rows == 1
    with pytest.raises(UsageError, match=r"live are a$"):
        open_run(store.uri, channel="b")


def test_channels_moved_at_the_same_time_are_read_by_their_names(store: Store) -> None:
    """By two promoters at once, neither of which saw the other's version."""
    runs = [candidate(store, n + 1) for n in range(2)]
    for name, run in zip("ba", runs, strict=True):

        def change(at: Channel, run: Manifest = run) -> Any:
            return replace(next_version(store, at, [run.run_id], "promote"), at=2e9)

        advance(store, name, change)  # fmt: skip
    assert [layer[0].run_id for layer in live_layers(store)] == [run.run_id for run in runs]


def test_many_live_runs_are_read_from_copies(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [candidate(store, 1, start=n) for n in range(3)]
    for run in runs:
        promote(store, run.run_id, Request())
    copies = {runs[0].run_id: store.read(f"runs/{runs[0].run_id}/_MANIFEST.json")}
    asked: list[int] = []

    def copied(_: Store) -> dict[str, bytes]:
        asked.append(1)
        return copies

    monkeypatch.setattr(stored_runs, "copied_manifests", copied)
    for most, calls in ((3, 0), (2, 1)):
        monkeypatch.setattr(stored_runs, "TAIL", most)
        asked.clear()
        (layer,) = live_layers(store)
        assert [run.run_id for run in layer] == [run.run_id for run in reversed(runs)]
        assert len(asked) == calls
        asked.clear()
        assert [run.run_id for run in standing(store).runs.committed] == [
            run.run_id for run in reversed(runs)
        ]
        assert len(asked) == calls


def figures_of(store: Store, *columns: dict[str, list[Any]], **how: Any) -> Manifest:
    """A run of a task for each photo, whose crops say what is given."""
    ledger = open_ledger(store, make_inputs(len(columns)), task_images=1, **how)
    for n, values in enumerate(columns):
        tables = done(ledger.task_inputs(n))
        for name, column in values.items():
            crops = tables["crops"]
            place, field = crops.schema.get_field_index(name), crops.schema.field(name)
            crops = crops.set_column(place, field, pa.array(column, field.type))
            tables["crops"] = crops
        verdicts = {"1:1|review": 1} if n < 2 else {"1:1|fallback": 1, "9:16|ok": 1}
        metrics = Figures(statuses={"ok": 1, "corrupt": n}, verdicts=verdicts)
        ledger.commit_task(n, tables, metrics)
    return ledger.finish({})


def test_figures_of_a_sample_and_of_the_whole(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three photos one is looked at; verdicts and errors are counted over all."""
    each: dict[str, list[Any]] = {"verdict": ["ok"], "text_cut": [1], "subject_share": [0.25]}
    run = figures_of(store, each, each, each)
    plain = measure(store, run.run_id)
    assert (plain.values["error_rate"], plain.values["review_rate"]) == (0.0, 0.0)
    assert (plain.values["text_cut_rate"], plain.values["mean_subject_share"]) == (1.0, 0.25)
    monkeypatch.setattr(sampling, "TASKS", 1)
    found = measure(store, run.run_id)
    assert found.values["error_rate"] == 3 / 6  # 1, 2 and 3 photos, one of each with crops
    assert found.values["review_rate"] == 2 / 4
    assert found.values["fallback_rate"] == 1 / 4
    assert 0 < found.values["error_rate_low"] < 3 / 6
    assert {"review_rate_low", "text_cut_rate"} <= found.values.keys()
    newer = run_all(open_ledger(store, make_inputs(1), weights_sha256="b" * 64))
    assert measure(store, run.run_id, [newer, run], behind=True).values["error_rate"] == 0.0
    retry = run_all(open_ledger(store, make_inputs(1), parent=run.run_id))
    assert measure(store, retry.run_id).values["error_rate"] == 0.0
    monkeypatch.setattr(sampling, "TASKS", 128)
    assert (sampling.TASKS, sampling.FILES) == (128, 256)


def test_the_best_crops_are_compared_and_nine_tenths_are_not_moved(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = {"x1": [10.0], "y1": [10.0]}
    old = figures_of(store, box, box)
    monkeypatch.setattr(sampling, "FILES", 1)
    new = figures_of(store, {**box, "x1": [9.0]}, {**box, "x1": [5.0]}, code_version="b")
    found = measure(store, new.run_id, [old])
    assert found.values["mean_overlap_with_current"] == pytest.approx(0.9)  # one file is read
    assert found.values["moved_rate"] == 0.0
    second = figures_of(store, {**box, "rank": [1]}, code_version="c")
    assert "no unchanged photo" in measure(store, second.run_id, [old]).not_applicable["moved_rate"]
    nothing = run_all(open_ledger(store, make_inputs(0)))
    assert measure(store, nothing.run_id).values["error_rate"] == 0.0


def test_confidences_a_little_above_one_are_in_the_last_tenth() -> None:
    assert confidence_counts([1.0000002]) == {"1.0": 1}


def plan(store: Store, inputs: pa.Table, mode: str = "incremental", **changes: Any) -> Todo:
    return uncovered(store, replace(SPEC, **changes), inputs, mode)


def test_what_a_plan_says_of_a_run_that_waits(store: Store) -> None:
    """Of 6 photos one has changed, one failed in passing, one for good, one by rights."""
    todo = plan(store, make_inputs(6))
    ledger = Ledger.open(store, todo.spec, todo.inputs, cut_tasks(todo.inputs, 9))
    failed = {1: "transient", 2: "permanent", 3: "circumstances"}
    run = run_all(ledger, failed, promote="manual", trial=False)
    tonight = pa.concat_tables([make_inputs(1, etag="v2"), make_inputs(5, start=1)])
    again = plan(store, tonight, code_version="next")
    assert again.reasons == {"changed": 1, "failed": 1, "circumstances": 1}
    assert (again.covered, dict(again.waiting)) == (3, {run.run_id: 3})
    assert (again.given_up, again.postponed, again.forgotten) == (1, 0, 0)
    for etag in ("v2", "v3"):
        gone = plan(store, make_inputs(6, etag=etag), code_version="next")
        assert (gone.given_up, dict(gone.waiting)) == (0, {})
    night = plan(store, make_inputs(6))
    again_run = Ledger.open(store, night.spec, night.inputs, cut_tasks(night.inputs, 9))
    run_all(again_run, {0: "transient", 1: "circumstances"}, promote="manual", trial=False)
    later = plan(store, make_inputs(6), code_version="next")
    assert later.reasons == {"failed": 1, "circumstances": 1}
    third = Ledger.open(store, later.spec, later.inputs, cut_tasks(later.inputs, 9))
    run_all(third, {0: "permanent", 1: "circumstances"}, promote="manual", trial=False)
    waits = plan(store, make_inputs(6), code_version="last")
    assert (waits.reasons, waits.postponed, waits.given_up) == ({}, 1, 2)
    full = plan(store, make_inputs(6), "full", code_version="last")
    assert full.reasons == {"forced": 6}
    assert (full.postponed, full.given_up, dict(full.waiting), full.covered) == (0, 0, {}, 0)
    assert "_seen_in" not in full.inputs.column_names


def test_a_run_of_another_channel_that_is_live_here_covers(store: Store) -> None:
    run = candidate(store, 3)
    assert uncovered(store, SPEC, make_inputs(3), channel="shop").reasons == {"channel": 3}
    promote(store, run.run_id, Request(channel="shop"))
    todo = uncovered(store, SPEC, make_inputs(3), channel="shop")
    assert (todo.covered, todo.channel, dict(todo.waiting)) == (3, "shop", {})
    assert read_channel(store, "shop").runs == (run.run_id,)


def test_a_clock_ahead_is_told_by_the_latest_run(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate(store, 1)
    assert plan(store, make_inputs(1)).ahead_s == 0.0
    real = incremental.time.time
    monkeypatch.setattr("time.time", lambda: real() + 1000)
    candidate(store, 1, start=1)
    monkeypatch.setattr("time.time", real)
    assert 900 < plan(store, make_inputs(1)).ahead_s < 1001


def test_what_a_plan_begins_with() -> None:
    todo = Todo(make_inputs(1), SPEC, {"new": 1}, 0)
    assert (dict(todo.damaged), todo.channel, dict(todo.waiting), todo.forgotten) == ({}, "", {}, 0)
    assert (todo.returned, todo.postponed, todo.given_up, todo.ahead_s) == ((), 0, 0, 0.0)


def test_bytes_that_an_earlier_run_has_are_told_but_those_of_other_code_or_forgotten(
    store: Store,
) -> None:
    def hashed(count: int, start: int = 0) -> pa.Table:
        etags = [f"{n:032x}" for n in range(count)]
        return make_inputs(count, start=start).set_column(2, "etag", pa.array(etags))

    run = run_all(open_ledger(store, hashed(2)))
    found = plan(store, hashed(2, start=5)).inputs["_seen_in"].to_pylist()
    assert found == [f"{run.run_id}/0/{name}" for name in IDS[:2]]
    assert "_seen_in" not in plan(store, hashed(2, start=5), code_version="b").inputs.column_names
    forget(store, IDS[:1])
    found = plan(store, hashed(2, start=5)).inputs["_seen_in"].to_pylist()
    assert found == [None, f"{run.run_id}/0/{IDS[1]}"]


def test_how_photos_left_a_run() -> None:
    rows = [("a", "corrupt", "permanent"), ("b", "throttled", "transient"),
            ("c", "forbidden", "circumstances"), ("d", "too_many_scans", "circumstances"),
            ("e", "extra_missing", "circumstances"), ("f", "held", "of a later release"),
            ("g", "too_large", "transient")]  # fmt: skip
    table = pa.Table.from_pylist(
        [dict(zip(FAILURES.names, row, strict=True)) for row in rows], FAILURES
    )
    outcomes = photo_outcomes(table, pa.array(["x", "g", "f", "e", "d", "c", "b", "a"]))
    assert list(outcomes) == [
        SUCCEEDED, TRANSIENT, TRANSIENT, NEEDS_EXTRA, LIMIT, CIRCUMSTANCES, TRANSIENT, PERMANENT,
    ]  # fmt: skip
    assert list(photo_outcomes(FAILURES.empty_table(), pa.array(["a", "b"]))) == [
        SUCCEEDED,
        SUCCEEDED,
    ]


@pytest.mark.parametrize(
    ("tries", "runs", "nights", "due"),
    [
        (1, 0, 0.0, True), (2, 0, 0.0, False), (2, 1, 0.0, True), (2, 0, 2.0, True),
        (3, 2, 0.0, False), (3, 3, 0.0, True), (3, 0, 3.9, False), (3, 0, 4.0, True),
        (0, 0, 0.0, True), (5, 14, 15.9, False), (5, 15, 0.0, True),
    ],
)  # fmt: skip
def test_failures_are_due_by_runs_or_nights(
    tries: int, runs: int, nights: float, due: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(outcome: int) -> bool:
        age_s = np.array([nights * 20 * 3600.0])
        of = (np.array([outcome], np.int8), np.array([tries], np.int32), np.array([runs], np.int32))
        return bool(are_due(*of, age_s)[0])

    assert asked(CIRCUMSTANCES) is due
    assert not asked(PERMANENT)
    assert asked(NEEDS_EXTRA) is (due and find_spec("pillow_heif") is not None)
    monkeypatch.setattr(failures, "EXTRA", "no_such_package")
    assert not asked(NEEDS_EXTRA)


def test_rows_of_shared_photos_come_in_the_order_of_the_list(store: Store) -> None:
    """Photos of the same bytes are done in one task, wherever they are in the list."""
    inputs = make_inputs(4).take([2, 0, 3, 1])
    ledger = open_ledger(store, inputs)
    for n in ledger.pending():
        ledger.commit_task(n, done(ledger.task_inputs(n)), Figures(shared=1))
    run = open_run(store.uri, ledger.finish({}).run_id)
    uris = make_inputs(4)["uri"].to_pylist()
    assert run.images()["uri"].to_pylist() == run.crops(["uri"])["uri"].to_pylist() == uris
    rows = run.crops(["image_id", "score"])
    assert (rows.column_names, rows["image_id"].to_pylist()) == (["image_id", "score"], IDS[:4])
    assert (run.candidates().num_rows, run.previews(["width"]).column_names) == (0, ["width"])
    assert run.manifest["run_id"] == ledger.run_id
