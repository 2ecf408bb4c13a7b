"""Edge cases of live runs, of removal, and of looking up rows again."""

import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import LedgerError, RecordError, SettingError, UsageError
from pipeline.ledger import erasing, sampling, tables
from pipeline.ledger.channels import live
from pipeline.ledger.channels.channel import channel_name, read_channel
from pipeline.ledger.channels.live import live_layers, standing
from pipeline.ledger.channels.moves import advance, next_version, roll_back
from pipeline.ledger.erasing import erase, find_erasures
from pipeline.ledger.forgetting import forget, read_forgotten
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.manifest import FILES, UNSETTLED, data_files, read_committed, unsettled_ids
from pipeline.ledger.promotion.measure import measure, wilson_lower_bound
from pipeline.ledger.promotion.promotion import Request, only_channel, promote
from pipeline.ledger.reader import open_run
from pipeline.ledger.records import Manifest, to_bytes
from pipeline.ledger.sampling import live_crops, locate_photos, rows_of, sampled_rows
from pipeline.ledger.stored_rows import StoredTables
from pipeline.storage.store import Store
from tests.support.tasks import SPEC, done, make_inputs, open_ledger, run_all

CHANNEL = channel_name(SPEC.settings)
OTHER = {"weights_sha256": "bb" * 32}


def candidate(store: Store, count: int, mark: str = "", **how: Any) -> Manifest:
    """A committed run that waits for a person."""
    start = how.pop("start", 0)
    ledger = open_ledger(store, make_inputs(count, start=start), **how)
    return run_all(ledger, mark=mark, promote="manual", trial=False)


def test_an_older_run_that_comes_to_the_front_is_there_once(store: Store) -> None:
    old, new = candidate(store, 2), candidate(store, 3)
    for run in (old, new, old):
        promote(store, run.run_id, Request())
    assert read_channel(store, CHANNEL).runs == (old.run_id, new.run_id)
    assert promote(store, new.run_id, Request(behind=True)).decision == "live already"
    assert promote(store, new.run_id, Request()).decision == "promoted"
    assert read_channel(store, CHANNEL).runs == (new.run_id, old.run_id)


def test_a_run_goes_behind_the_last_of_those_that_were_committed_later(store: Store) -> None:
    first, second, third = (candidate(store, count) for count in (1, 2, 3))
    promote(store, second.run_id, Request())
    promote(store, third.run_id, Request())
    outcome = promote(store, first.run_id, Request(behind=True))
    assert read_channel(store, CHANNEL).runs == (third.run_id, second.run_id, first.run_id)
    assert outcome.is_live
    assert outcome.version is not None
    assert (outcome.version.added, outcome.version.action) == ((first.run_id,), "promote")


def test_a_channel_that_was_rolled_back_to_nothing_has_nothing_live(store: Store) -> None:
    run = candidate(store, 1)
    promote(store, run.run_id, Request())
    roll_back(store, CHANNEL)
    with pytest.raises(
        SettingError, match=f"^channel '{CHANNEL}' has nothing live in .*; live are none"
    ):
        open_run(store.uri, channel=CHANNEL)
    assert standing(store).state(read_committed(store, run.run_id)) == "withdrawn"  # type: ignore[arg-type]
    assert only_channel(store, "") == CHANNEL
    with pytest.raises(UsageError, match=f"channel 'x' does not exist; there are {CHANNEL}"):
        only_channel(store, "x")


def test_an_output_without_a_promotion_has_no_channel(store: Store) -> None:
    with pytest.raises(LedgerError, match="nothing was ever promoted in"):
        only_channel(store, "")
    with pytest.raises(UsageError, match="channel 'x' does not exist; there are none"):
        only_channel(store, "x")
    with pytest.raises(LedgerError, match=f"no run is committed in {store.uri}"):
        live_layers(store)
    run = candidate(store, 1)
    with pytest.raises(LedgerError, match=rf"1 are committed, the latest is {run.run_id}"):
        live_layers(store)


def test_folders_of_programs_are_no_runs(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(2)))
    store.write("runs/_old/_MANIFEST.json", b"{")
    assert standing(store).runs.damaged == {}
    assert open_run(store.uri).images().num_rows == 2
    assert look_for_garbage(store, -60).garbage == []
    assert [m.run_id for m in standing(store).runs.committed] == [run.run_id]
    store.write("_data/crops/not-a-run/x", b"1")
    store.write("_data/crops/run=stranger/x", b"1")
    assert look_for_garbage(store, -60).garbage == []


def test_a_live_run_whose_manifest_is_gone_is_named(store: Store) -> None:
    run = candidate(store, 1)
    promote(store, run.run_id, Request())
    store.delete(f"runs/{run.run_id}/_MANIFEST.json")
    with pytest.raises(RecordError, match="it is gone, and the run is live"):
        open_run(store.uri)


def test_channels_are_opened_the_last_promoted_one_first(store: Store) -> None:
    one = candidate(store, 1, mark=" one")
    two = candidate(store, 1, mark=" two", **OTHER)
    for name, run in (("b", one), ("a", two)):
        advance(
            store, name, lambda live, run=run: next_version(store, live, [run.run_id], "promote")
        )  # type: ignore[misc]
    layers = live_layers(store)
    assert [[m.run_id for m in layer] for layer in layers] == [[two.run_id], [one.run_id]]
    (row,) = open_run(store.uri).crops(["image"]).to_pylist()
    assert row["image"].endswith(b" two")


def test_stored_rows_are_found_by_photo(store: Store) -> None:
    inputs = make_inputs(7)
    parent = run_all(open_ledger(store, inputs), failed={1: "transient"}, mark=" first")
    retry = run_all(open_ledger(store, inputs.slice(1, 1), parent=parent.run_id), mark=" again")
    stored = StoredTables.of(store, retry.run_id)
    assert [m.run_id for m in stored.manifests] == [retry.run_id, parent.run_id]
    assert {task for _, task, _ in stored.files} == {0, 1, 2}
    asked = [(row["image_id"], row["uri"]) for row in inputs.to_pylist()]
    wanted = [asked[0], asked[1], asked[6], ("absent", "s3://zzz")]
    found = stored.rows(wanted, {"crops": {"score", "no such column"}})
    assert found.keys() == {"images", "crops"}
    crops = found["crops"]
    assert {i: rows[0]["image"][-6:] for i, rows in crops.items()} == {
        asked[0][0]: b" first", asked[1][0]: b" again", asked[6][0]: b" first",
    }  # fmt: skip
    assert all(len(rows) == 1 for rows in crops.values())
    assert "score" not in crops[asked[0][0]][0]
    assert found["images"][asked[0][0]][0]["status"] == "ok"
    with pytest.raises(UsageError, match="there is no run"):
        StoredTables.of(store, "0" * 20)
    spec = Path(store.uri, "runs", parent.run_id, "spec.json")
    spec.write_bytes(b"{")
    with pytest.raises(LedgerError, match=r"spec\.json"):
        StoredTables.of(store, retry.run_id).rows(wanted, {})


def test_rows_of_chosen_tasks(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(7)))
    uris = make_inputs(7)["uri"].to_pylist()
    assert rows_of(store, run, "images", ["image_id", "uri"], {0, 2})["uri"].to_pylist() == [
        *uris[:3], uris[6]
    ]  # fmt: skip
    assert rows_of(store, run, "images", ["image_id"], None).num_rows == 7
    nothing = rows_of(store, run, "candidates", ["image_id", "score", "no such column"], None)
    assert (nothing.num_rows, nothing.column_names) == (0, ["image_id", "score"])


def test_where_photos_are_of_several_runs(store: Store) -> None:
    first = run_all(open_ledger(store, make_inputs(4)))
    second = run_all(open_ledger(store, make_inputs(4, start=2)))
    photos = make_inputs(6).select(["image_id", "uri"])
    ids = photos["image_id"].to_pylist()
    damaged: dict[str, str] = {}
    places = locate_photos(store, [second, first], photos, damaged)
    assert places == {
        ids[0]: (first.run_id, 0), ids[1]: (first.run_id, 0), ids[2]: (second.run_id, 0),
        ids[3]: (second.run_id, 0), ids[4]: (second.run_id, 0), ids[5]: (second.run_id, 1),
    }  # fmt: skip
    assert locate_photos(store, [], photos, damaged) == {}
    assert locate_photos(store, [first], photos.slice(0, 0), damaged) == {}
    parts = list(live_crops(store, [second, first], places, ["image_id", "uri"], damaged))
    assert [crops["uri"].to_pylist() for _, crops in parts] == [
        photos["uri"].to_pylist()[2:], photos["uri"].to_pylist()[:2],
    ]  # fmt: skip
    assert damaged == {}
    for info in [*store.list(f"_data/crops/run={second.run_id}/")]:
        store.delete(info.key)
    assert len(list(live_crops(store, [second, first], places, ["image_id"], damaged))) == 1
    assert "it is gone" in damaged.pop(second.run_id)
    Path(store.uri, "runs", first.run_id, "spec.json").write_bytes(b"{")
    assert set(locate_photos(store, [second, first], photos, damaged).values()) == {
        (second.run_id, 0), (second.run_id, 1),
    }  # fmt: skip
    assert list(damaged) == [first.run_id]


def test_a_large_run_is_sampled_and_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "TASKS", 2)
    inputs = make_inputs(9)  # 3 tasks
    nothing = pa.array([], pa.string())
    parent = run_all(open_ledger(store, inputs), failed={0: "transient"})
    columns = {"images": ["image_id", "status"], "crops": ["image_id"]}
    found, whole = sampled_rows(store, [parent], nothing, columns)
    assert (found["images"].num_rows, whole) == (6, False)
    retry = run_all(open_ledger(store, inputs.slice(0, 2), parent=parent.run_id))
    found, whole = sampled_rows(store, [retry], nothing, columns)
    assert (found["images"].num_rows, whole) == (2, True)
    found, whole = sampled_rows(store, [retry, parent], nothing, columns)
    assert (found["images"].num_rows, whole) == (6, False)  # 2, and 4 of the tasks 0 and 1
    assert found["images"]["status"].to_pylist().count("throttled") == 1
    hidden = inputs["image_id"].slice(0, 1).combine_chunks()
    found, _ = sampled_rows(store, [retry, parent], hidden, columns)
    assert found["images"].num_rows == 5


def test_figures_of_rates_and_their_lower_ends(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(4)), failed={0: "permanent"})
    found = measure(store, run.run_id)
    assert found.values["error_rate"] == 0.5  # the first of each task of three
    assert found.values["error_rate_low"] == pytest.approx(wilson_lower_bound(2, 4))
    assert found.values["error_rate_low"] < 0.5
    assert found.unknown["review_rate"] == "no crop of the run says verdict"
    assert set(found.unknown) == {
        "review_rate", "review_rate_low", "fallback_rate", "fallback_rate_low", "head_cut_rate",
        "face_cut_rate", "text_cut_rate", "mean_confidence", "mean_subject_share",
    }  # fmt: skip
    assert set(found.not_applicable) == {"mean_overlap_with_current", "moved_rate"}
    with pytest.raises(UsageError, match="there is no run"):
        measure(store, "0" * 20)


def test_a_damaged_live_run_is_not_compared_with_and_named(store: Store) -> None:
    live_one = run_all(open_ledger(store, make_inputs(2)))
    run = run_all(open_ledger(store, make_inputs(2), **OTHER))
    whole = measure(store, run.run_id, [live_one, run])
    assert whole.values["mean_overlap_with_current"] == 1.0
    assert (whole.values["moved_rate"], dict(whole.damaged)) == (0.0, {})
    Path(store.uri, "runs", live_one.run_id, "spec.json").write_bytes(b"{")
    found = measure(store, run.run_id, [live_one])
    assert list(found.damaged) == [live_one.run_id]
    assert "mean_overlap_with_current" in found.not_applicable


def test_erasing_tells_what_it_freed_and_where_the_rows_are(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(7)))
    ids = make_inputs(7)["image_id"].to_pylist()
    assert list(find_erasures(store, run, read_forgotten(store))) == []
    forget(store, [ids[2], ids[6]])
    found = list(find_erasures(store, run, read_forgotten(store)))
    assert [(one.is_list, one.key == one.committed, len(one.ids)) for one in found] == [
        (True, True, 2), (False, True, 1), (False, True, 1), (False, True, 1), (False, True, 1),
    ]  # fmt: skip
    before = sum(info.bytes for info in store.list("_data/"))
    freed = [erase(store, one) for one in found]
    assert all(bytes_freed >= 0 for bytes_freed in freed)
    now = [*store.list("_data/")]
    assert before - sum(info.bytes for info in now) == sum(freed[1:])
    for info in store.list(f"runs/{run.run_id}/input/"):
        assert len(info.key.rpartition("/")[2]) == 64 + len(".parquet")
    assert list(find_erasures(store, run, read_forgotten(store))) == []


def test_a_file_that_reads_back_differently_is_not_used(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = open_ledger(store, make_inputs(2))
    rows = done(ledger.task_inputs(0))
    with monkeypatch.context() as patched:
        patched.setattr(tables, "decode_table", lambda data, threads: rows["crops"].slice(0, 1))
        with pytest.raises(LedgerError, match="read back differently"):
            ledger.commit_task(0, rows)
    ledger.commit_task(0, rows)
    run = ledger.finish({})
    forget(store, make_inputs(1)["image_id"].to_pylist())
    erasure = next(e for e in find_erasures(store, run, read_forgotten(store)) if not e.is_list)
    plain = erasing.decode_table
    monkeypatch.setattr(
        erasing, "decode_table",
        lambda data, columns=None: plain(data, columns).slice(0, 0) if not columns else plain(data),
    )  # fmt: skip
    monkeypatch.setattr(erasing, "without", lambda table, ids: plain(store.read(erasure.key)))
    with pytest.raises(LedgerError, match="read back differently"):
        erase(store, erasure)


def test_tables_of_another_task_or_shape_are_refused(store: Store) -> None:
    ledger = open_ledger(store, make_inputs(6))
    rows = done(ledger.task_inputs(0))
    for change, told in (
        ({"images": rows["images"].slice(1)}, "a task with 3 photos gave 2 rows .* missing"),
        ({"crops": done(ledger.task_inputs(1))["crops"]}, "photos of another task"),
        ({"crops": rows["crops"].drop_columns(["score"])}, "table crops must have score: float"),
        ({"other": rows["crops"]}, "images, crops and maybe candidates, previews and crop_files"),
    ):
        with pytest.raises(LedgerError, match=told):
            ledger.commit_task(0, {**rows, **change})
    with pytest.raises(LedgerError, match="images, crops and maybe"):
        ledger.commit_task(0, {"images": rows["images"]})
    with pytest.raises(LedgerError, match="2 of 2 tasks are not done; run it again"):
        ledger.finish({})


def test_lists_of_a_manifest_have_no_nulls(store: Store) -> None:
    assert [field.nullable for field in (*FILES, *UNSETTLED)] == [False] * 6
    run = run_all(open_ledger(store, make_inputs(4)), failed={0: "transient"})
    ids = make_inputs(4)["image_id"].to_pylist()
    assert unsettled_ids(store, run).to_pylist() == [ids[0], ids[3]]
    assert {file.table for file in data_files(store, run)} == {"images", "crops"}
    assert all(file.table == "crops" for file in data_files(store, run, "crops"))
    assert len(data_files(store, run, "crops")) == 2
    assert run.tables["images"].files == 2
    assert (run.tables["images"].rows, run.tables["crops"].rows) == (4, 2)
    assert run.tables["crops"].bytes == sum(f.bytes for f in data_files(store, run, "crops"))


def test_a_manifest_under_another_run_s_name_is_refused(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(1)))
    store.write(f"runs/{'0' * 20}/_MANIFEST.json", to_bytes(dict(run.document)))
    with pytest.raises(RecordError, match=f"it is that of run '{run.run_id}'"):
        read_committed(store, "0" * 20)
    store.write(run.files.key, b"PAR1")
    with pytest.raises(RecordError, match="changed after the run was committed"):
        data_files(store, run)


def test_what_is_removed_is_older_than_asked(store: Store) -> None:
    ledger = open_ledger(store, make_inputs(4))
    for mark in "ab":
        ledger.commit_task(0, done(ledger.task_inputs(0), mark=mark))
    ledger.commit_task(1, done(ledger.task_inputs(1)))
    ledger.finish({})
    now = time.time()
    assert {g.why for g in look_for_garbage(store, 100, now + 200).garbage} == {"orphan"}
    assert look_for_garbage(store, 100, now + 50).garbage == []
    given_up = open_ledger(store, make_inputs(2, start=50))
    given_up.commit_task(0, done(given_up.task_inputs(0)))
    assert look_for_garbage(store, 100, now + 50).garbage == []
    found = look_for_garbage(store, 100, now + 200)
    assert {g.why for g in found.garbage} == {"orphan", "abandoned run"}
    assert {g.run_id for g in found.garbage} == {ledger.run_id, given_up.run_id}
    assert found.damaged == {}
    freed = remove_garbage(store, found.garbage)
    assert freed == sum(g.info.bytes for g in found.garbage)
    tombstone = store.read(f"runs/{given_up.run_id}/_MANIFEST.json")
    assert b'"verdict": "abandoned"' in tombstone
    assert not Ledger(store, given_up.run_id).is_committed


def test_a_commit_is_dated_after_all_known_ones(store: Store) -> None:
    first = run_all(open_ledger(store, make_inputs(1)))
    document = {**dict(first.document), "committed_at": time.time() + 1000}
    store.write(f"runs/{first.run_id}/_MANIFEST.json", to_bytes(document))
    second = run_all(open_ledger(store, make_inputs(2)))
    assert 0 < second.committed_at - float(document["committed_at"]) < 1
    assert live.is_earlier(second)
    assert not live.is_trial(second)


def test_files_of_a_run_are_still_parquet_that_others_read(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(2)))
    (file,) = data_files(store, run, "crops")
    metadata = pq.read_schema(Path(store.uri, file.key)).metadata
    assert b'"run_id"' in metadata[b"s2cnet"]
    assert b'"code_version": "test"' in metadata[b"s2cnet"]
