"""Names, texts and totals that other programs or later releases read, checked by hand."""

import hashlib
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from pipeline.errors import LedgerError, RecordError
from pipeline.ledger import card, forgetting
from pipeline.ledger.card import dataset_features, write_card
from pipeline.ledger.channels import moves
from pipeline.ledger.channels.channel import Channel, ChannelVersion, channel_name, read_channel
from pipeline.ledger.channels.moves import advance, next_version, roll_back
from pipeline.ledger.columns import ColumnSource, Unified, columns_of
from pipeline.ledger.contents import RunContents
from pipeline.ledger.forgetting import Entry, ForgottenVersion, forget, read_forgotten, take_back
from pipeline.ledger.manifest import data_files, failed_photos
from pipeline.ledger.pictures import as_bytes, as_struct
from pipeline.ledger.records import StoredList, TaskRecord
from pipeline.ledger.replaced import Replacement
from pipeline.ledger.tables import parquet_bytes
from pipeline.ledger.versions import Versions
from pipeline.storage.store import Store, open_store
from tests.support.put_live import put
from tests.support.tasks import SPEC, done, make_inputs, open_ledger, run_all


def test_a_channel_s_name_is_the_same_in_every_release() -> None:
    """The digest is that of sorted JSON of what tells products apart."""
    told = b'{"format": "webp", "ratios": ["16:9", "1:1"], "thumbnail_size": 9, "top_k": 2}'
    settings = {"top_k": 2, "thumbnail_size": 9, "ratios": "1:1, 16:9,,1:1", "format": "webp"}
    digest = hashlib.sha256(told).hexdigest()[:6]
    assert channel_name(settings) == f"16x9_1x1-webp-9-{digest}"
    bare = b'{"format": null, "ratios": [], "thumbnail_size": null, "top_k": null}'
    assert channel_name({}) == f"all-{hashlib.sha256(bare).hexdigest()[:6]}"


def test_promoters_and_forgetters_try_a_hundred_times(monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(f"memory://{uuid.uuid4().hex}")
    put(store, "a")
    tried: list[int] = []
    monkeypatch.setattr(Versions, "create", lambda self, number, _: bool(tried.append(number)))
    for move in (lambda: put(store, "b"), lambda: roll_back(store, "web"),
                 lambda: forget(store, ["a"])):  # fmt: skip
        tried.clear()
        with pytest.raises(LedgerError, match="is being changed by others"):
            move()
        assert len(tried) == 100
    assert (moves.ATTEMPTS, forgetting.ATTEMPTS, forgetting.RECENT) == (100, 100, 256)


def test_a_rollback_of_an_emptied_channel_gives_what_was_before(store: Store) -> None:
    put(store, "a")
    put(store, "b")
    emptied = advance(store, "web", lambda live: next_version(store, live, [], "promote"))
    assert emptied is not None
    assert (emptied.removed, emptied.previous) == (("b", "a"), 2)
    back = roll_back(store, "web", who="me", why="too few")
    assert (back.added, back.removed, back.previous) == (("b", "a"), (), 1)
    assert (back.who, back.why, back.withdrawn, back.suspect) == ("me", "too few", (), ())


def test_what_was_rolled_back_stays_so_behind_a_damaged_version(store: Store) -> None:
    for run in "abc":
        put(store, run)
    first = roll_back(store, "web")
    assert (first.withdrawn, first.suspect, first.previous) == (("c",), ("c",), 1)
    store.write("channels/web/00000005.json", b"{")
    mended = roll_back(store, "web")
    assert (mended.number, mended.withdrawn, mended.previous) == (6, ("c",), 1)
    assert mended.suspect == ("c",)
    assert read_channel(store, "web").runs == ("b", "a")
    back = roll_back(store, "web")
    assert (back.withdrawn, back.suspect, back.previous) == (("c", "b"), ("c", "b"), None)
    store.write("channels/web/00000008.json", store.read("channels/web/00000006.json"))
    with pytest.raises(RecordError, match="it is version 6 of channel 'web'"):
        read_channel(store, "web")


def test_the_stored_part_of_a_long_list_is_kept_behind_sixty_four_new_runs(store: Store) -> None:
    long = put(store, *(f"r{n}" for n in range(66)))
    assert long is not None
    assert long.earlier is not None
    assert (long.recent, long.earlier.rows) == ((), 66)
    more = put(store, *(f"s{n}" for n in range(64)))
    assert more is not None
    assert (len(more.recent), more.earlier) == (64, long.earlier)
    again = put(store, "t")
    assert again is not None
    assert again.earlier is not None
    assert (again.recent, again.earlier.rows) == ((), 131)
    assert read_channel(store, "web").runs[:2] == ("t", "s0")
    shorter = advance(store, "web", lambda live: next_version(store, live, ["r1"], "promote"))
    assert shorter is not None
    assert (shorter.recent, shorter.earlier) == (("r1",), None)


@pytest.mark.parametrize("count", [255, 256])
def test_the_stored_part_of_the_forgotten_is_kept_beside_256_new_ones(
    store: Store, count: int
) -> None:
    forget(store, [f"a{n}" for n in range(300)])
    versions = Versions(store, "forgotten/")
    before = versions.read(1, ForgottenVersion)
    forget(store, [f"b{n}" for n in range(count)])
    take_back(store, ["b0", "a0"])
    last = versions.read(3, ForgottenVersion)
    one_more = count + 1  # a0; of b0 there is one word
    if one_more <= 256:
        assert (len(last.recent), last.earlier) == (one_more, before.earlier)
    else:
        assert last.earlier is not None
        assert (last.recent, last.earlier.rows) == ((), 556)
    now = read_forgotten(store)
    assert len(now.hidden) == 298 + count
    assert now.returned == {"a0": 0.0, "b0": 0.0}, "no run has been committed"
    assert (last.kind, last.photos, len(last.nonce)) == ("back", 2, 16)
    assert last.at >= now.entries["b1"].at > 1.7e9
    assert "@" in last.who


def test_a_list_of_forgotten_photos_with_something_else_in_it(store: Store) -> None:
    forget(store, [f"{n}" for n in range(300)])
    versions = Versions(store, "forgotten/")
    entry = versions.write_list([{"image_id": "a", "kind": "lost", "at": 1.0}])
    version = versions.read(1, ForgottenVersion)
    assert versions.create(2, replace(version, number=2, earlier=entry))
    assert isinstance(entry, StoredList)
    with pytest.raises(RecordError, match="Invalid enum value 'lost'") as refused:
        read_forgotten(store)
    assert refused.value.key == entry.key


def test_of_two_words_in_one_version_the_first_counts(store: Store) -> None:
    """Those in front are newer, and newer than the stored ones."""
    words = (Entry("a", "back", 9.0), Entry("a", "forgotten", 1.0))
    versions = Versions(store, "forgotten/")
    stored = versions.write_list([{"image_id": "a", "kind": "pruned", "at": 0.5}])
    version = ForgottenVersion(number=1, kind="back", photos=1, recent=words, earlier=stored)
    assert versions.create(1, version)
    assert read_forgotten(store).returned == {"a": 9.0}


def test_columns_in_the_words_of_datasets() -> None:
    kinds = {
        "a": (pa.float32(), {"dtype": "float32"}), "b": (pa.float64(), {"dtype": "float64"}),
        "c": (pa.float16(), {"dtype": "float16"}), "d": (pa.date32(), {"dtype": "date32"}),
        "e": (pa.list_(pa.int8()), {"list": "int8"}), "f": (pa.int64(), {"dtype": "int64"}),
        "g": (pa.large_list(pa.float64()), {"large_list": "float64"}),
        "image": (pa.large_binary(), {"dtype": "image"}),
    }  # fmt: skip
    columns = pa.schema([(name, kind) for name, (kind, _) in kinds.items()])
    assert dataset_features(columns) == [
        {"name": name, **told} for name, (_, told) in kinds.items()
    ]
    for odd in (pa.struct([("x", pa.int8())]), pa.dictionary(pa.int8(), pa.string()),
                pa.list_(pa.list_(pa.int8())), pa.list_(pa.dictionary(pa.int8(), pa.string())),
                pa.map_(pa.string(), pa.string())):  # fmt: skip
        assert dataset_features(pa.schema([("x", odd)])) is None


def test_a_run_without_crops_or_of_too_many_files_has_no_card(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not write_card(store, run_all(open_ledger(store, make_inputs(0))))
    run = run_all(open_ledger(store, make_inputs(4)))  # 2 files of crops
    assert card.MAX_FILES == 4000
    monkeypatch.setattr(card, "MAX_FILES", 1)
    assert not write_card(store, run)
    monkeypatch.setattr(card, "MAX_FILES", 2)
    assert write_card(store, run)
    text = store.read(f"runs/{run.run_id}/README.md").decode()
    assert f"\n# Run {run.run_id}\n\n0 crops of 4 photos. " in text
    assert text.endswith("\nit knows the tables `crops` and `images`.\n")


def test_a_column_that_runs_disagree_about_in_words() -> None:
    was = {pa.int64(): ("a",), pa.string(): ("b", "c"), pa.bool_(): ("d", "e", "f")}
    found = Unified("shop", pa.string(), was)
    said = "int64 in run a, string in run b and 1 more, bool in run d and 2 more"
    assert str(found) == f"shop is text: {said}"
    assert found.entry() == {
        "type": "string",
        "was": {
            "int64": {"runs": 1, "latest": "a"}, "string": {"runs": 2, "latest": "b"},
            "bool": {"runs": 3, "latest": "d"},
        },
    }  # fmt: skip
    assert str(Unified("n", pa.int64(), {pa.int8(): ("a",)})) == "n is int64: int8 in run a"


def test_columns_of_a_run_without_photos(store: Store) -> None:
    inputs = make_inputs(2).append_column("shop", pa.array([1, 2]))
    empty, run = run_all(open_ledger(store, make_inputs(0))), run_all(open_ledger(store, inputs))
    found = columns_of(store, [empty, run])
    assert (found.types["shop"], dict(found.unified)) == (pa.int64(), {})
    source = ColumnSource.of_list("r", lambda n: inputs.slice(n, 1), 2)
    assert source.schema == pa.schema([("shop", pa.int64())])
    assert [column.to_pylist() for column in source.read("shop")] == [[1], [2]]
    nothing = ColumnSource.of_list("r", lambda n: inputs.slice(n, 1), 0)
    assert (nothing.schema, list(nothing.read("shop"))) == (pa.schema([]), [])


def test_only_columns_of_the_lists_are_told_of_two_nights(store: Store) -> None:
    """Though a column of the product's own had another type in an earlier release."""
    before = make_inputs(2).append_column("shop", pa.array(["a", "b"]))
    first = run_all(open_ledger(store, before))
    for file in data_files(store, first, "images"):
        path = Path(store.uri, file.key)
        rows = pq.read_table(path)
        place = rows.schema.get_field_index("width_px")
        pq.write_table(rows.set_column(place, "width_px", pa.array([1, 2], pa.int64())), path)
    tonight = make_inputs(2, start=2).append_column("shop", pa.array([1, 2]))
    second = run_all(open_ledger(store, tonight))
    assert second.document["columns"] == {"shop": "int64"}
    assert list(second.document["unified"]) == ["shop"]


def test_records_of_before_do_not_tell_every_failure(store: Store) -> None:
    ledger = open_ledger(store, make_inputs(4))
    for n, failed in ((0, {0: "transient", 1: "permanent"}), (1, None)):
        ledger.commit_task(n, done(ledger.task_inputs(n), failed))
    one, other = ledger.records()
    whole = RunContents.of([one, other])
    assert (whole.lists_failures, whole.failures.table().num_rows) == (True, 2)
    for records in ([replace(one, failures=None), other], [other, replace(one, failures=None)]):
        made = RunContents.of(records)
        assert made.lists_failures is False
        assert made.write(store, ledger.run_id)["failures"] is None
    told = whole.write(store, ledger.run_id)
    assert failed_photos(store, told["failures"]).to_pylist() == [
        {"image_id": row, "status": status, "kind": kind}
        for row, status, kind in zip(
            make_inputs(2)["image_id"].to_pylist(), ("throttled", "corrupt"),
            ("transient", "permanent"), strict=True,
        )
    ]  # fmt: skip


def test_rows_out_are_rows_in_and_photos_too(store: Store) -> None:
    ledger = open_ledger(store, make_inputs(4))
    for n in range(2):
        ledger.commit_task(n, done(ledger.task_inputs(n)))
    one, other = ledger.records()

    def refusal(*records: TaskRecord) -> str:
        with pytest.raises(LedgerError) as refused:
            RunContents.of(records).check(store, ledger.run_id, ledger.spec.plan)
        return str(refused.value)

    assert "4 photos went in and 4 rows came out" in refusal(one, replace(other, images=2))
    images, crops = other.files
    more = replace(other, files=(replace(images, rows=2), crops))
    assert "4 photos went in and 5 rows came out" in refusal(one, more)
    assert "1 of 2 tasks are not done" in refusal(one)
    Path(store.uri, crops.key).unlink()
    told = refusal(one, other)
    assert told.startswith(f"{crops.key} is on record but missing or cut short in the store. ")
    # What it says works: the task is done again, and the run can be committed.
    Path(store.uri, told.split(" delete ")[1].split()[0]).unlink()
    assert ledger.pending() == [1]
    ledger.commit_task(1, done(ledger.task_inputs(1)))
    assert ledger.finish({}).tables["crops"].rows == one.files[1].rows + crops.rows
    strange = replace(crops, table="others")
    assert refusal(one, replace(other, files=(images, strange))).startswith(crops.key)


def test_the_list_of_failures_with_another_type_is_one_error(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(1)))
    assert run.failures is not None
    data = parquet_bytes(pa.table({"image_id": ["a"], "status": [["b"]], "kind": ["c"]}))
    Path(store.uri, run.failures.key).write_bytes(data)
    entry = replace(run.failures, sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(RecordError, match="it is not such a list"):
        failed_photos(store, entry)


def test_pictures_as_a_struct_and_back() -> None:
    rows = pa.table(
        {
            "image_id": ["a", "b"], "ratio": ["16:9", "free"], "rank": [0, 12],
            "format": ["webp", None], "image": pa.array([b"1", None], pa.large_binary()),
        }
    )  # fmt: skip
    made = as_struct(rows)
    assert made.column_names == rows.column_names
    assert made["image"].to_pylist() == [{"bytes": b"1", "path": "a-16x9-0.webp"}, None]
    assert as_bytes(made).equals(rows)
    assert as_bytes(made.select(["image"])).equals(rows.select(["image"]))
    assert as_bytes(rows) is rows
    assert as_bytes(rows.drop_columns("image")).column_names == rows.column_names[:4]


def test_records_begin_with_what_their_documents_say() -> None:
    """Defaults that are written: a record that says less means these."""
    entry: dict[str, Any] = {"old_key": "a", "key": "b", "rows": 1, "bytes": 2, "sha256": "c"}
    assert Replacement(**entry, removed=()).at == 0.0
    version = ChannelVersion(channel="web", number=1, action="start")
    assert (version.format, version.at, version.who, version.nonce) == (1, 0.0, "", "")
    assert (version.why, version.gate, dict(version.figures)) == ("", "", {})
    assert (version.added, version.removed, version.recent, version.withdrawn) == ((), (), (), ())
    assert ForgottenVersion(number=1, kind="back", photos=0).at == 0.0
    assert Channel("web", ("a",), version).number == 1


def test_a_run_id_is_that_of_sorted_json(store: Store) -> None:
    told = (
        b'{"code_version":"test","detector":"none 1","generation":0,"input_sha256":"",'
        b'"parent":null,"settings":{"ratios":"1:1","top_k":1},"weights_sha256":"' + b"aa" * 32
        + b'"}'
    )  # fmt: skip
    assert SPEC.run_id == hashlib.sha256(told).hexdigest()[:20]
    rendered = replace(SPEC, render_of="x")
    assert rendered.run_id != SPEC.run_id
    assert rendered.next_generation().generation == 1
    assert SPEC.next_generation().next_generation().generation == 2
