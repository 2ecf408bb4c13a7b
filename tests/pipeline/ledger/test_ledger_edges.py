"""Edges of the ledger's small parts: limits, defaults, refusals, and what is damaged."""

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from msgspec.structs import replace

from pipeline.errors import LedgerError, RecordError, SettingError, UsageError
from pipeline.ledger import channels, forgetting
from pipeline.ledger.audit import compare_runs, describe_run, list_runs, verify_run
from pipeline.ledger.channels import (
    Channel,
    ChannelVersion,
    advance,
    channel_name,
    channel_names,
    channel_of,
    history,
    next_version,
    read_channel,
    roll_back,
)
from pipeline.ledger.figures import Figures
from pipeline.ledger.forgetting import (
    Entry,
    forget,
    prune,
    read_forgotten,
    take_back,
    whoami,
    without,
)
from pipeline.ledger.identity import input_sha256, spec_differences
from pipeline.ledger.layout import data_key, data_task, replaced_key, run_key, task_key
from pipeline.ledger.live import standing
from pipeline.ledger.pinned import InputFile, overlapping, read_spec, task_rows
from pipeline.ledger.plan import cut_tasks
from pipeline.ledger.pruning import gone_photos, live_photos
from pipeline.ledger.reader import committed_runs, open_run, repaired_by
from pipeline.ledger.records import PinnedPlan, parse, to_bytes
from pipeline.ledger.replaced import read_object
from pipeline.ledger.sampling import spread
from pipeline.ledger.versions import Versions
from pipeline.storage.store import Store, open_store
from tests.support.tasks import SPEC, done, make_inputs, open_ledger, run_all


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


def sized(*sizes: int | None) -> pa.Table:
    return pa.table({"bytes": pa.array(sizes, pa.int64())})


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
    with pytest.raises(RecordError, match=r"no run absent in .*`runs.py list`"):
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


def put(store: Store, runs: Iterable[str], name: str = "web") -> ChannelVersion | None:
    return advance(
        store, name, lambda live: next_version(store, live, [*runs, *live.runs], "promote")
    )


def test_what_a_channel_is_before_anything_happened(store: Store) -> None:
    assert (Channel("web").number, Channel("web").withdrawn, Channel("web").runs) == (0, (), ())
    with pytest.raises(LedgerError, match="nothing was ever promoted in channel web"):
        roll_back(store, "web")
    assert history(store, "web") == []
    assert channel_names(store) == ()
    for call in (lambda: put(store, ["a"], "no/name"), lambda: roll_back(store, "-name")):
        with pytest.raises(SettingError, match="is no name"):
            call()


def test_history_gives_the_last_versions(store: Store) -> None:
    for run in "abcd":
        put(store, [run])
    numbers = [one.number for one in history(store, "web", 3) if isinstance(one, ChannelVersion)]
    assert numbers == [2, 3, 4]
    assert len(history(store, "web")) == len(history(store, "web", 9)) == 4
    (last,) = history(store, "web", 1)
    assert isinstance(last, ChannelVersion)
    assert (last.previous, last.action, last.added, last.removed) == (3, "promote", ("d",), ())
    assert len(last.nonce) == 16
    assert last.at > 1.7e9


@pytest.mark.parametrize("count", [63, 64, 65])
def test_a_version_holds_sixty_four_runs_itself(store: Store, count: int) -> None:
    version = put(store, [f"r{n}" for n in range(count)])
    assert version is not None
    assert (len(version.recent), version.earlier is None) == (
        (count, True) if count < 65 else (0, False)
    )
    assert read_channel(store, "web").runs == tuple(f"r{n}" for n in range(count))
    put(store, ["new"])
    assert read_channel(store, "web").runs == ("new", *(f"r{n}" for n in range(count)))


def test_a_channel_that_others_move_all_the_time_is_given_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "ATTEMPTS", 3)
    asked = []

    def change(live: Channel) -> ChannelVersion:
        asked.append(live.number)
        version = next_version(store, live, [f"mine{len(asked)}"], "promote")
        store.create_once(f"channels/web/{version.number:08d}.json", to_bytes(
            next_version(store, live, [f"theirs{len(asked)}"], "promote")))  # fmt: skip
        return version

    with pytest.raises(LedgerError, match="moved by others all the time"):
        advance(store, "web", change)
    assert asked == [0, 1, 2]

    def nothing(live: Channel) -> None:
        return None

    assert advance(store, "web", nothing) is None
    monkeypatch.setattr(Versions, "create", lambda *_: False)
    with pytest.raises(LedgerError, match="moved by others all the time"):
        roll_back(store, "web")


def test_a_channel_whose_every_version_is_damaged(store: Store) -> None:
    for number in (1, 2):
        store.write(f"channels/web/{number:08d}.json", b"{")
    with pytest.raises(LedgerError, match="no version of channel web can be read; promote"):
        roll_back(store, "web")


def test_a_damaged_last_version_of_several_is_counted_on(store: Store) -> None:
    put(store, ["a"])
    put(store, ["b"])
    store.write("channels/web/00000009.json", b"{")
    back = roll_back(store, "web")
    assert (back.number, back.action, back.previous) == (10, "rollback", 1)
    assert read_channel(store, "web").runs == ("b", "a")


def test_other_objects_beside_versions_are_ignored(store: Store) -> None:
    put(store, ["a"])
    for name in ("0000000x.json", "1.json", "00000002.json.bak", "list-ab.json"):
        store.write(f"channels/web/{name}", b"{")
    (Path(store.uri) / "channels" / "-odd").mkdir()
    versions = Versions(store, "channels/web/")
    assert versions.numbers() == [1]
    assert versions.key(12) == "channels/web/00000012.json"
    with pytest.raises(RecordError, match="it is gone"):
        versions.read(5, ChannelVersion)
    assert channel_names(store) == ("web",)


def test_a_list_beside_versions(store: Store) -> None:
    versions = Versions(store, "p/")
    assert versions.write_list([]) is None
    assert versions.read_list(None) == []
    entry = versions.write_list(iter(["a", 2]))
    assert entry is not None
    assert (entry.rows, versions.read_list(entry)) == (2, ["a", 2])
    assert entry.key == f"p/list-{entry.sha256[:32]}.json"
    assert versions.write_list(["a", 2]) == entry
    store.write(entry.key, to_bytes({"format": 1, "items": "a"}))
    with pytest.raises(RecordError, match="changed after it was written"):
        versions.read_list(entry)


def test_a_channel_is_named_after_its_product() -> None:
    assert channel_name({}).startswith("all-")
    assert channel_name({"ratios": "a" * 60}).startswith("a" * 40 + "-")
    plain = {"ratios": "1:1", "format": "webp", "thumbnail_size": 9}
    assert channel_name({**plain, "boxes_only": True}).startswith("1x1-boxes-9-")
    assert channel_name({**plain, "boxes_only": False}) == channel_name(plain)
    four = channel_name({**plain, "ratios": "1:1,2:1,3:1,4:1"})
    assert four.startswith("1x1_2x1_3x1_and_1_more-webp-9-")
    assert channel_name({**plain, "ratios": "1:1,2:1,3:1"}).startswith("1x1_2x1_3x1-webp-9-")
    assert len(channel_name(plain).rpartition("-")[2]) == 6


def test_a_run_says_which_channel_it_is_for(store: Store) -> None:
    manifest = run_all(open_ledger(store, make_inputs(1)))
    assert channel_of(manifest) == channel_name(SPEC.settings)
    assert channel_of(replace(manifest, job={"channel": "mine"})) == "mine"


def test_who_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_JOB_SUBMISSION_ID", "RAY_JOB_CONFIG_JSON_ENV_VAR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(forgetting.getpass, "getuser", lambda: "ann")
    monkeypatch.setattr(forgetting.socket, "gethostname", lambda: "host")
    assert whoami() == "ann@host"
    config = {"metadata": {"job_submission_id": "raysubmit_1"}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(config))
    assert whoami() == "ann@host (job raysubmit_1)"
    monkeypatch.setenv("RAY_JOB_SUBMISSION_ID", "other")
    assert whoami() == "ann@host (job other)"
    monkeypatch.delenv("RAY_JOB_SUBMISSION_ID")
    for odd in ("no json", "[1]", '{"metadata": 3}'):
        monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", odd)
        assert whoami() == "ann@host"

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(forgetting.getpass, "getuser", nameless)
    assert whoami() == f"uid-{forgetting.os.getuid()}@host"


def test_the_last_word_on_a_photo(store: Store) -> None:
    assert read_forgotten(store).number == 0
    assert take_back(store, ["a"]) == 0
    assert prune(store, ["a", "b", "a"]) == 2
    assert prune(store, ["a"]) == 0
    assert forget(store, ["a", "c"], who="me", why="asked") == 2
    assert forget(store, ["a"]) == 0
    assert prune(store, ["a", "c"]) == 0, "what a person forgot is never only pruned"
    now = read_forgotten(store)
    assert (now.number, now.ids("forgotten"), now.ids("pruned")) == (2, ["a", "c"], ["b"])
    assert now.hidden.to_pylist() == ["a", "b", "c"]
    assert now.returned == {}
    assert take_back(store, ["a", "b", "x"]) == 2
    now = read_forgotten(store)
    assert (now.hidden.to_pylist(), sorted(now.returned)) == (["c"], ["a", "b"])
    assert prune(store, ["a"]) == 1
    assert forget(store, ["b"]) == 1


@pytest.mark.parametrize("count", [255, 256, 257])
def test_a_version_of_the_forgotten_holds_256_photos_itself(store: Store, count: int) -> None:
    names = [f"{number:04}" for number in range(count)]
    forget(store, names)
    versions = Versions(store, "forgotten/")
    version = versions.read(1, forgetting.ForgottenVersion)
    assert len(version.recent) == (count if count <= 256 else 0)
    assert (version.photos, version.kind, version.number) == (count, "forgotten", 1)
    assert forget(store, ["new"]) == 1
    take_back(store, ["0003"])
    now = read_forgotten(store)
    assert now.hidden.to_pylist() == [name for name in [*names, "new"] if name != "0003"]
    assert now.entries["0003"].kind == "back"


def test_a_stored_list_of_forgotten_photos_is_checked(store: Store) -> None:
    forget(store, [f"{number}" for number in range(300)])
    (info,) = store.list("forgotten/list-")
    assert Entry("a", "forgotten", 1.0) == Entry("a", "forgotten", 1.0)
    store.delete(info.key)
    with pytest.raises(RecordError, match="it is gone"):
        read_forgotten(store)


def test_rows_without_the_hidden_ones() -> None:
    rows = pa.table({"image_id": ["a", "b", "a"]})
    assert without(rows, None) is rows
    assert without(rows, pa.array([], pa.string())) is rows
    assert without(rows, pa.array(["a"]))["image_id"].to_pylist() == ["b"]


def test_live_photos_and_those_that_are_gone(store: Store) -> None:
    assert live_photos(store).num_rows == 0
    nothing = gone_photos(store, make_inputs(1), lambda uri: True)
    assert (nothing.live, nothing.share) == (0, 0.0)
    run_all(open_ledger(store, make_inputs(6)))
    run_all(open_ledger(store, make_inputs(6, start=4)))
    assert live_photos(store)["uri"].to_pylist() == make_inputs(10)["uri"].to_pylist()
    forget(store, [make_inputs(1)["image_id"][0].as_py()])
    assert live_photos(store).num_rows == 9
    gone = gone_photos(store, make_inputs(7), lambda uri: not uri.endswith("9.jpg"))
    assert gone.photos["uri"].to_pylist() == make_inputs(2, start=7)["uri"].to_pylist()
    assert (gone.live, gone.share) == (8, 0.25)
    for info in [*store.list("runs/")]:
        if info.key.endswith("_MANIFEST.json"):
            store.write(info.key, b"{")
    with pytest.raises(RecordError):
        live_photos(store)


def test_numbers_are_spread_evenly() -> None:
    assert spread([5, 3, 3, 1], 9) == {1, 3, 5}
    assert spread(range(10), 10) == set(range(10))
    assert spread(range(10), 5) == {0, 2, 4, 6, 8}
    assert spread(range(10), 3) == {0, 3, 6}
    assert spread([], 3) == set()


def test_a_run_is_opened_by_its_id_or_through_its_channel(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(1)))
    with pytest.raises(UsageError, match="choose one of the two"):
        open_run(store.uri, run.run_id, channel="web")
    with pytest.raises(LedgerError, match="run absent is not committed"):
        repaired_by(store, "absent")
    with pytest.raises(KeyError):
        open_run(store.uri).crops(["no such column"])


def test_committed_runs_come_latest_first_or_not_at_all(store: Store) -> None:
    first = run_all(open_ledger(store, make_inputs(1)))
    second = run_all(open_ledger(store, make_inputs(2)))
    assert [run.run_id for run in committed_runs(store)] == [second.run_id, first.run_id]
    store.write(run_key(first.run_id, "_MANIFEST.json"), b"{")
    with pytest.raises(RecordError, match=first.run_id):
        committed_runs(store)


def test_every_state_of_a_run_is_described(store: Store) -> None:
    ledger = open_ledger(store, make_inputs(4))
    for task, rows in ((0, {"ok": 2, "throttled": 1}), (1, {"ok": 1})):
        tables = done(ledger.task_inputs(task), {1: "transient"} if task == 0 else None)
        ledger.commit_task(task, tables, Figures(statuses=rows))
    done_run = ledger.finish({})
    open_one = open_ledger(store, make_inputs(5, start=50))
    open_one.commit_task(0, done(open_one.task_inputs(0)))
    given_up = open_ledger(store, make_inputs(2, start=80))
    store.create_once(
        run_key(given_up.run_id, "_MANIFEST.json"),
        b'{"format": 1, "verdict": "abandoned", "committed_at": 7.0}',
    )
    store.write("runs/_notes/x", b"")
    store.write(run_key("f" * 20, "_MANIFEST.json"), b"{")
    told = {line["run_id"]: line for line in list_runs(store)}
    assert told.keys() == {done_run.run_id, open_one.run_id, given_up.run_id, "f" * 20}
    line = told[done_run.run_id]
    assert (line["state"], line["images"], line["tasks"], line["parent"]) == (
        "committed",
        4,
        2,
        None,
    )
    assert (line["standing"], line["channel"]) == ("live", channel_name(SPEC.settings))
    assert line["statuses"] == {"ok": 3, "throttled": 1}
    assert (line["unsettled"], line["committed_at"]) == (1, done_run.committed_at)
    assert line["tables"]["images"]["rows"] == 4
    assert line["verdict"] == done_run.verdict
    assert told[open_one.run_id] == {
        "run_id": open_one.run_id, "images": 5, "tasks": 2, "parent": None, "state": "open",
        "tasks_done": 1,
    }  # fmt: skip
    assert told[given_up.run_id] == {
        "run_id": given_up.run_id, "state": "abandoned", "since": 7.0
    }  # fmt: skip
    assert told["f" * 20]["state"] == "damaged"
    with pytest.raises(RecordError):
        describe_run(store, "f" * 20, standing(store))


def test_a_whole_run_is_verified_and_counted(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(5)), failed={0: "permanent"})
    found = verify_run(store, run.run_id)
    files = [
        *store.list(f"_data/images/run={run.run_id}/"),
        *store.list(f"_data/crops/run={run.run_id}/"),
    ]
    assert (found.problems, found.erased) == ([], 0)
    assert (found.files, found.bytes) == (len(files), sum(info.bytes for info in files))
    assert found.rows == {"images": 5, "crops": 3}
    with pytest.raises(LedgerError):
        verify_run(store, open_ledger(store, make_inputs(1, start=90)).run_id)


def test_a_task_s_record_counts_its_own_requests(store: Store) -> None:
    ledger = open_ledger(store, make_inputs(2))
    tables = done(ledger.task_inputs(0), {0: "transient", 1: "permanent"})
    before = store.requests["put"]
    record = ledger.commit_task(0, tables, Figures(crops=5), late=lambda: Figures(crop_bytes=7))
    assert store.requests["put"] - before == record.metrics.requests["put"] == 3  # and the record
    assert (record.metrics.crops, record.metrics.crop_bytes) == (5, 7)
    assert record.unsettled == (make_inputs(1)["image_id"][0].as_py(),)
    assert (record.task, record.images, len(record.files)) == (0, 2, 2)
    assert ledger.record(0) == record
    assert ledger.commit_task(0, tables) == record, "the first attempt counts"


def test_two_runs_are_compared(store: Store) -> None:
    """Photos 0 to 3 and 2 to 5: two in common; of these one failed later, one crop moved."""
    old = run_all(open_ledger(store, make_inputs(4)))
    ledger = open_ledger(store, make_inputs(4, start=2), weights_sha256="bb" * 32)
    for task in ledger.pending():
        tables = done(ledger.task_inputs(task), failed={0: "permanent"} if task == 0 else None)
        crops = tables["crops"]
        at = crops.schema.get_field_index("x1")
        moved = pa.array([1.004 if task else 1.5] * len(crops), crops.schema.field("x1").type)
        tables["crops"] = crops.set_column(at, crops.schema.field("x1"), moved)
        ledger.commit_task(task, tables)
    new = ledger.finish({})
    uris = make_inputs(6)["uri"].to_pylist()
    told = compare_runs(store, old.run_id, new.run_id)
    assert (told["old"], told["new"]) == (old.run_id, new.run_id)
    assert told["settings"][0].startswith("the weights was ")
    assert told["images"] == {"both": 2, "only_old": 2, "only_new": 2, "status_changed": 1}
    assert told["status_examples"] == [{"uri": uris[2], "old": "ok", "new": "corrupt"}]
    assert told["crops"] == {"both": 1, "only_old": 3, "only_new": 2, "moved": 1}
    assert told["moved_examples"] == [
        {"uri": uris[3], "ratio": "1:1", "rank": 0, "old": (0.0, 0.0, 1.0, 1.0),
         "new": (0.0, 0.0, 1.5, 1.0)}
    ]  # fmt: skip
    same = compare_runs(store, old.run_id, old.run_id)
    assert (same["settings"], same["status_examples"], same["moved_examples"]) == ([], [], [])


def test_an_object_that_a_record_names_is_there_and_whole(store: Store) -> None:
    store.write("runs/r/x", b"1")
    assert read_object(store, "runs/r/x") == b"1"
    with pytest.raises(RecordError, match="it was changed after noon"):
        read_object(store, "runs/r/x", "0" * 64, "noon")
    for key in ("runs/r/y", "elsewhere/y"):
        with pytest.raises(RecordError, match="it is gone"):
            read_object(store, key)
