"""The figures of a gate, against rows with hand-calculated figures."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import schema
from pipeline.gate import parse_gate
from pipeline.ledger import sampling
from pipeline.ledger.figures import Figures
from pipeline.ledger.promotion.measure import measure, wilson_lower_bound
from pipeline.ledger.records import Manifest
from pipeline.ledger.sampling import spread
from pipeline.storage.store import Store
from tests.support.tasks import done, make_inputs, open_ledger


def commit(
    store: Store, inputs: pa.Table, crops: dict[str, list[Any]], old: tuple[str, ...] = (),
    failed: dict[int, str] | None = None, images: dict[str, list[Any]] | None = None,
    **changes: Any,
) -> Manifest:  # fmt: skip
    """A run of one task whose tables say what is given. old: columns left out, as once."""
    ledger = open_ledger(store, inputs, task_images=inputs.num_rows, **changes)
    tables = done(ledger.task_inputs(0), failed)
    for kind, columns in (("crops", crops), ("images", images or {})):
        for name, values in columns.items():
            at = tables[kind].schema.get_field_index(name)
            field = tables[kind].schema.field(name)
            tables[kind] = tables[kind].set_column(at, field, pa.array(values, field.type))
    ledger.commit_task(0, tables)
    manifest = ledger.finish({})
    for info in store.list(f"_data/crops/run={ledger.run_id}/") if old else ():
        path = Path(store.uri, info.key)
        pq.write_table(pq.read_table(path).drop_columns(list(old)), path)
    return manifest


def test_shares_and_means(store: Store) -> None:
    """5 photos, 1 without crops; of 4 crops 2 cut heads, 1 has no count of faces."""
    run = commit(
        store,
        make_inputs(5),
        {
            "verdict": ["ok", "review", "fallback", "review"],
            "heads_cut": [0, 1, 2, 0],
            "faces_cut": [0, 1, 0, None],
            "confidence": [0.5, 0.25, 0.75, None],
        },
        failed={4: "permanent"},
    )
    found = measure(store, run.run_id)
    assert found.values["error_rate"] == pytest.approx(1 / 5)
    assert found.values["review_rate"] == pytest.approx(2 / 4)
    assert found.values["fallback_rate"] == pytest.approx(1 / 4)
    assert found.values["head_cut_rate"] == pytest.approx(2 / 4)
    assert found.values["face_cut_rate"] == pytest.approx(1 / 3)
    assert found.values["mean_confidence"] == pytest.approx(0.5)
    assert found.unknown["text_cut_rate"] == "no crop of the run says text_cut"
    assert found.not_applicable["mean_overlap_with_current"] == "nothing else is live"


def test_overlap_with_what_is_live(store: Store) -> None:
    """One crop as it was, one moved by half its width (IoU 1/3), one photo changed, one new."""
    square = {"x0": [0.0] * 3, "y0": [0.0] * 3, "x1": [10.0] * 3, "y1": [10.0] * 3}
    live = commit(store, make_inputs(3), square)
    tonight = pa.concat_tables(
        [make_inputs(2), make_inputs(1, etag="v2", start=2), make_inputs(1, start=3)]
    )
    run = commit(
        store,
        tonight,
        {"x0": [0.0, 5.0, 7.0, 0.0], "y0": [0.0] * 4, "x1": [10.0, 15.0, 17.0, 10.0],
         "y1": [10.0] * 4},
    )  # fmt: skip
    found = measure(store, run.run_id, [live])
    assert found.values["mean_overlap_with_current"] == pytest.approx((1 + 1 / 3) / 2)
    assert found.values["moved_rate"] == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    ("before", "now", "overlap"),
    # The first photo is as it was (IoU 1), the second is moved by half its width (IoU 1/3).
    [
        ({}, {}, (1 + 1 / 3) / 2),
        ({}, {"override": [None, "b.jpg"]}, 1.0),
        ({"override": [None, "*.jpg"]}, {}, 1.0),
        ({"override": ["a.jpg", "b.jpg"]}, {"override": ["a.jpg", "b.jpg"]}, None),
        ({}, {"focus_source": [None, "list"], "focus_x": [None, 0.1]}, 1.0),
        (
            {"focus_source": ["list", "list"], "focus_x": [0.5, 0.5]},
            {"focus_source": ["list", "list"], "focus_x": [0.5, 0.1]},
            1.0,
        ),
        (
            {"focus_source": ["gaze", "gaze"], "focus_x": [0.5, 0.5]},
            {"focus_source": ["gaze", "gaze"], "focus_x": [0.5, 0.1]},
            (1 + 1 / 3) / 2,
        ),
    ],
)
def test_photos_that_people_decided_about_are_not_compared(
    store: Store, before: dict[str, list[Any]], now: dict[str, list[Any]], overlap: float | None
) -> None:
    """An override or a changed focus is meant to move the crop, and must not fail the gate."""
    sides = {"y0": [0.0] * 2, "y1": [10.0] * 2}
    crops = {"x0": [0.0, 0.0], "x1": [10.0, 10.0], **sides}
    live = commit(store, make_inputs(2), crops, images=before)
    moved = {"x0": [0.0, 5.0], "x1": [10.0, 15.0], **sides}
    found = measure(store, commit(store, make_inputs(2), moved, images=now,
                                  code_version="next").run_id, [live])  # fmt: skip
    if overlap is None:
        assert "no unchanged photo" in found.not_applicable["mean_overlap_with_current"]
    else:
        assert found.values["mean_overlap_with_current"] == pytest.approx(overlap)


def with_objects(store: Store, *boxes: float, **changes: Any) -> Manifest:
    """A run of one photo for each number: its object, and its crop, begin at this x."""
    inputs = make_inputs(len(boxes))
    ledger = open_ledger(store, inputs, task_images=len(boxes), **changes)
    tables = done(ledger.task_inputs(0))
    one = {"y0": 0.0, "y1": 10.0, "score": 1.0, "label": ""}
    for name, values in (
        ("images", [[{**one, "x0": x, "x1": x + 10}] for x in boxes]),
        ("crops", list(boxes)),
    ):
        table, column = tables[name], "objects" if name == "images" else "x0"
        at = table.schema.get_field_index(column)
        tables[name] = table.set_column(at, table.field(at), pa.array(values, table.field(at).type))
    at = tables["crops"].schema.get_field_index("x1")
    ends = pa.array([x + 10 for x in boxes], pa.float32())
    tables["crops"] = tables["crops"].set_column(at, schema.CROPS.field("x1"), ends)
    ledger.commit_task(0, tables)
    return ledger.finish({})


@pytest.mark.parametrize(
    ("before", "now", "overlap"),
    # The first two photos are as they were (IoU 1), the third is moved by half its width (IoU 1/3).
    [
        ("column", "column", 1.0),
        ("files:1", "column", 1.0),
        ("column", "none 1", (1 + 1 + 1 / 3) / 3),
        ("none 1", "column", (1 + 1 + 1 / 3) / 3),
        ("none 1", "none 1", (1 + 1 + 1 / 3) / 3),
    ],
)
def test_photos_whose_boxes_were_changed_are_not_compared(
    store: Store, before: str, now: str, overlap: float
) -> None:
    """Unless one of the runs has looked for its objects itself."""
    live = with_objects(store, 0, 1, 5, detector=before)
    run = with_objects(store, 0, 1, 10, detector=now, code_version="next")
    found = measure(store, run.run_id, [live])
    assert found.values["mean_overlap_with_current"] == pytest.approx(overlap)


def test_of_several_live_runs_the_one_in_front_is_compared_with(store: Store) -> None:
    at = {"y0": [0.0], "y1": [10.0]}
    front = commit(store, make_inputs(1), {"x0": [0.0], "x1": [10.0], **at})
    behind = commit(
        store, make_inputs(1), {"x0": [90.0], "x1": [99.0], **at}, weights_sha256="b" * 64
    )
    run = commit(store, make_inputs(1), {"x0": [0.0], "x1": [10.0], **at}, weights_sha256="c" * 64)
    for live, overlap in (([front, behind], 1.0), ([behind, front], 0.0)):
        found = measure(store, run.run_id, live)
        assert found.values["mean_overlap_with_current"] == pytest.approx(overlap)


def test_photos_that_a_setting_leaves_out_have_not_failed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Animations with --animated skip: by the rows, and by the counts of the whole run."""
    ledger = open_ledger(store, make_inputs(4), task_images=4)
    tables = done(ledger.task_inputs(0))
    images = tables["images"]
    statuses = pa.array(["ok", "skipped_animated", "skipped_animated", "corrupt"])
    place = images.schema.get_field_index("status")
    tables["images"] = images.set_column(place, images.schema.field("status"), statuses)
    counts = {"ok": 1, "skipped_animated": 2, "corrupt": 1}
    ledger.commit_task(0, tables, Figures(statuses=counts))
    run = ledger.finish({})
    assert measure(store, run.run_id).values["error_rate"] == 1 / 4
    monkeypatch.setattr(sampling, "TASKS", 0)
    assert measure(store, run.run_id).values["error_rate"] == 1 / 4


def test_runs_without_the_columns_and_without_a_common_photo(store: Store) -> None:
    old = ("verdict", "heads_cut", "faces_cut", "text_cut", "confidence", "subject_share")
    live = commit(store, make_inputs(2), {}, old=old)
    run = commit(store, make_inputs(2, start=2), {}, old=old)
    found = measure(store, run.run_id, [live])
    assert found.values.keys() == {"error_rate", "error_rate_low"}
    assert {"review_rate", "head_cut_rate", "mean_confidence"} <= found.unknown.keys()
    assert "no unchanged photo" in found.not_applicable["moved_rate"]


def test_photos_of_runs_in_front_are_not_looked_at(store: Store) -> None:
    run = commit(
        store, make_inputs(4), {"heads_cut": [0, 1]}, failed={0: "transient", 1: "transient"}
    )
    repair = commit(store, make_inputs(2), {}, weights_sha256="b" * 64)
    assert measure(store, run.run_id).values["error_rate"] == 0.5
    assert measure(store, run.run_id, [repair]).values["error_rate"] == 0.5
    assert measure(store, run.run_id, [repair], behind=True).values["error_rate"] == 0.0


def test_photos_that_later_runs_show_count_for_no_run_of_a_chain(store: Store) -> None:
    """Of four photos two fail; a later run has the first, and the retry the second."""
    failed = {0: "transient", 1: "transient"}
    run = commit(store, make_inputs(4), {"heads_cut": [0, 1]}, failed=failed)
    later = commit(store, make_inputs(1), {}, weights_sha256="b" * 64)
    retry = commit(store, make_inputs(1, start=1), {}, parent=run.run_id)
    assert measure(store, retry.run_id, [later]).values["error_rate"] == 1 / 4
    assert measure(store, retry.run_id, [later], behind=True).values["error_rate"] == 0.0
    after = commit(store, make_inputs(1, start=2), {}, weights_sha256="c" * 64)
    found = measure(store, retry.run_id, [after, later], behind=True)
    assert found.values["error_rate"] == 0.0  # photos 1 and 3 are left
    again = commit(store, make_inputs(2), {}, failed={0: "transient"}, parent=run.run_id)
    found = measure(store, again.run_id, [after, later], behind=True)
    assert found.values["error_rate"] == 1 / 3  # its own failure hides `later`; 2 is left out


def test_a_run_without_crops_has_none_to_measure(store: Store) -> None:
    """As of a quiet night with one damaged upload: a gate about crops does not hold it back."""
    run = commit(store, make_inputs(1), {}, failed={0: "permanent"})
    found = measure(store, run.run_id)
    assert found.unknown == {}
    assert found.not_applicable["head_cut_rate"] == "no crop to measure"
    assert parse_gate("head_cut_rate<=0.02,error_rate<=1").judge(found, strict=True).held


@pytest.mark.parametrize(
    ("hits", "count", "low"),
    # n / (n + z²) where all of n hit, z = 2.5758; 0 where none did
    [(1, 1, 0.1310), (2, 2, 0.2316), (10, 10, 0.6011), (0, 50, 0.0), (0, 0, 0.0)],
)
def test_lower_end_of_an_interval(hits: int, count: int, low: float) -> None:
    assert wilson_lower_bound(hits, count) == pytest.approx(low, abs=5e-4)


def test_the_interval_holds_the_share_and_narrows() -> None:
    lows = [wilson_lower_bound(n // 4, n) for n in (4, 40, 400, 40_000)]
    assert lows == sorted(lows)
    assert 0.24 < lows[-1] < 0.25


def test_tasks_are_spread_evenly() -> None:
    assert spread(range(5), 10) == {0, 1, 2, 3, 4}
    assert spread(range(100), 4) == {0, 25, 50, 75}
    assert len(spread(range(1000), 128)) == 128


def test_no_hits_leave_exactly_nothing() -> None:
    """The gate `review_rate_low<=0` would not hold for a rounding error above 0."""
    assert {wilson_lower_bound(0, count) for count in range(300)} == {0.0}
