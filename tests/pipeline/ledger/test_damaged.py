"""A damaged, half-written, foreign or newer record is one typed error, and stops only its run."""

import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from msgspec import structs

from pipeline import open_run
from pipeline.cli.runs import main
from pipeline.errors import LedgerError, RecordError
from pipeline.gate import DEFAULT_GATE, parse_gate
from pipeline.ledger.audit import list_runs, verify_run
from pipeline.ledger.channels import channel_name
from pipeline.ledger.incremental import Todo, uncovered
from pipeline.ledger.layout import manifest_key, run_key, spec_key, task_key
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.manifest import data_files, read_manifest
from pipeline.ledger.measure import measure
from pipeline.ledger.pinned import _input_file, read_spec
from pipeline.ledger.plan import cut_tasks
from pipeline.ledger.promotion import Request, promote, promote_waiting, rollback
from pipeline.ledger.tables import parquet_bytes
from pipeline.storage.store import Store, open_store
from tests.support.tasks import SPEC, make_inputs, open_ledger, run_all

Place = tuple[str | int, ...]  # keys and indices that lead to a value of a document

READ: dict[str, Callable[[Store, str], object]] = {
    "spec.json": read_spec,
    "_MANIFEST.json": read_manifest,
    "tasks/00000000.json": lambda store, run_id: Ledger(store, run_id).record(0),
}
FOREIGN = {
    "empty": b"",
    "zeros": bytes(20),
    "text": b"<Error><Code>NoSuchKey</Code></Error>",
    "another product's": b'{"version": "1.0", "entries": [1, 2]}',
    "another product's format": b'{"format": "parquet", "rows": 3}',
    "a list": b"[1, 2, 3]",
    "null": b"null",
    "deep": b"[" * 100_000,
    "format 0": b'{"format": 0}',
    "format true": b'{"format": true}',
}
# Keys that a record may lack.
OPTIONAL = {
    "parent", "generation", "unsettled", "weights", "job", "session", "metrics", "statuses",
    "crops", "bytes", "crop_bytes", "seconds", "requests", "confidence_sum", "failures",
    "columns",
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    _input_file.cache_clear()
    return open_store(str(tmp_path / "out"))


@pytest.fixture
def run_id(store: Store) -> str:
    """A committed run of 7 photos in 3 tasks."""
    ledger = open_ledger(store, make_inputs(7))
    run_all(ledger, failed={1: "transient"})
    return ledger.run_id


def path_of(store: Store, key: str) -> Path:
    return Path(store.uri, key)


def refused(store: Store, name: str, run_id: str) -> str:
    """The message with which reading a record is refused: one line that names the object."""
    with pytest.raises(RecordError) as error:
        READ[name](store, run_id)
    message = str(error.value)
    assert isinstance(error.value, LedgerError)
    assert error.value.key == run_key(run_id, name)
    assert error.value.key in message
    assert "\n" not in message
    assert error.value.advice
    return message


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("what", FOREIGN)
def test_what_no_release_wrote(store: Store, run_id: str, name: str, what: str) -> None:
    path_of(store, run_key(run_id, name)).write_bytes(FOREIGN[what])
    refused(store, name, run_id)


@pytest.mark.parametrize("name", READ)
def test_a_record_that_was_cut_short(store: Store, run_id: str, name: str) -> None:
    path = path_of(store, run_key(run_id, name))
    whole = path.read_bytes()
    for length in range(0, len(whole) - 2, 7):
        path.write_bytes(whole[:length])
        refused(store, name, run_id)


@pytest.mark.parametrize("name", READ)
def test_a_newer_format_says_upgrade(store: Store, run_id: str, name: str) -> None:
    path = path_of(store, run_key(run_id, name))
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    message = refused(store, name, run_id)
    assert "it has format 2, and this release reads 1" in message
    assert "upgrade" in message


@pytest.mark.parametrize("name", READ)
def test_keys_of_a_later_release_are_ignored(store: Store, run_id: str, name: str) -> None:
    before = READ[name](store, run_id)
    path = path_of(store, run_key(run_id, name))
    path.write_text(json.dumps({**json.loads(path.read_text()), "focus": [0.5, 0.5]}))
    after = READ[name](store, run_id)
    if name == "_MANIFEST.json":
        assert open_run(store.uri, run_id).manifest["focus"] == [0.5, 0.5]
    else:
        assert after == before


@pytest.mark.parametrize("name", READ)
def test_a_missing_key(store: Store, run_id: str, name: str) -> None:
    path = path_of(store, run_key(run_id, name))
    document = json.loads(path.read_text())
    names = {"settings", "tables", "requests"}  # whose keys are not the record's own
    tried = 0
    for place in places(document):
        if isinstance(place[-1], int) or place[-1] in OPTIONAL or names & {*place[-2:-1]}:
            continue
        path.write_text(json.dumps(without(document, place)))
        assert str(place[-1]) in refused(store, name, run_id), place
        tried += 1
    assert tried >= 10


@pytest.mark.parametrize("name", READ)
def test_a_value_of_another_type(store: Store, run_id: str, name: str) -> None:
    """Whatever stands in any place, a record is read or refused by the one error."""
    path = path_of(store, run_key(run_id, name))
    document = json.loads(path.read_text())
    for place in places(document):
        for value in (None, True, -1, 1.5, "x", [], [1], {}, {"x": "y"}):
            path.write_text(json.dumps(changed(document, place, value)))
            with suppress(RecordError):
                READ[name](store, run_id)
    numbers = [place for place in places(document) if place[-1] in ("rows", "task")]
    assert numbers
    for place in numbers:
        path.write_text(json.dumps(changed(document, place, "three")))
        assert str(place[-1]) in refused(store, name, run_id)


def places(value: Any, above: Place = ()) -> Iterator[Place]:
    """Every place in a document."""
    inside: Any = value.items() if isinstance(value, dict) else ()
    inside = enumerate(value) if isinstance(value, list) else inside
    for key, below in inside:
        yield (*above, key)
        yield from places(below, (*above, key))


def without(document: Any, place: Place) -> Any:
    made, inside = _copy(document, place)
    del inside[place[-1]]
    return made


def changed(document: Any, place: Place, value: object) -> Any:
    made, inside = _copy(document, place)
    inside[place[-1]] = value
    return made


def _copy(document: Any, place: Place) -> tuple[Any, Any]:
    """A copy of a document, and what holds the place in it."""
    made = inside = copy.deepcopy(document)
    for key in place[:-1]:
        inside = inside[key]
    return made, inside


def test_the_records_of_another_run(store: Store, run_id: str) -> None:
    other = open_ledger(store, make_inputs(7, etag="v2"))
    run_all(other)
    for name in ("spec.json", "_MANIFEST.json"):
        path = path_of(store, run_key(run_id, name))
        path.write_bytes(path_of(store, run_key(other.run_id, name)).read_bytes())
        assert f"it is that of run {other.run_id!r}" in refused(store, name, run_id)
    first, second = (path_of(store, task_key(run_id, n)) for n in (0, 1))
    first.write_bytes(second.read_bytes())
    assert "it is that of task 1" in refused(store, "tasks/00000000.json", run_id)


def test_other_objects_beside_the_task_records_are_ignored(store: Store) -> None:
    ledger = open_ledger(store, make_inputs(7))
    for name in ("README", "1.json", "00000001.json.bak", "00000009.json"):
        store.write(run_key(ledger.run_id, f"tasks/{name}"), b"?")
    assert ledger.pending() == [0, 1, 2]
    assert run_all(ledger).rows == 7


NULLS = pa.table({name: [None] for name in ("table", "key", "rows", "bytes", "sha256")})


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "it is not such a list"),
        (parquet_bytes(pa.table({"key": ["a"]})), "it is not such a list"),
        (parquet_bytes(pa.table({"image_id": ["a"]})), "it is not such a list"),
        (parquet_bytes(NULLS), "it is not such a list"),
        (None, "it is gone"),
    ],
    ids=["empty", "missing columns", "another table", "nulls", "gone"],
)
def test_the_list_of_files(store: Store, run_id: str, data: bytes | None, problem: str) -> None:
    """Damage that the hash in the manifest agrees with, and a list that is gone."""
    manifest = path_of(store, manifest_key(run_id))
    document = json.loads(manifest.read_text())
    key = document["files"]["key"]
    if data is None:
        path_of(store, key).unlink()
    else:
        path_of(store, key).write_bytes(data)
        document["files"]["sha256"] = hashlib.sha256(data).hexdigest()
        manifest.write_text(json.dumps(document))
    found = Ledger(store, run_id).manifest
    assert found is not None
    for read in (
        lambda: data_files(store, found),
        lambda: open_run(store.uri, run_id).images(),
        lambda: verify_run(store, run_id),
    ):
        with pytest.raises(RecordError, match=problem) as error:
            read()
        assert key in str(error.value)
        assert "\n" not in str(error.value)


def test_a_list_that_was_cut_short(store: Store, run_id: str) -> None:
    key = json.loads(path_of(store, manifest_key(run_id)).read_text())["files"]["key"]
    path = path_of(store, key)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RecordError, match="was changed after the run was committed"):
        open_run(store.uri, run_id).images()


def test_a_data_file_that_is_gone_or_foreign(store: Store, run_id: str) -> None:
    manifest = Ledger(store, run_id).manifest
    assert manifest is not None
    path = path_of(store, data_files(store, manifest, "images")[0].key)
    foreign = parquet_bytes(pa.table({"a": [1]}))
    for data, problem in ((b"half", "cannot be read"), (foreign, "something else")):
        path.write_bytes(data)
        with pytest.raises(RecordError, match=problem):
            open_run(store.uri, run_id).images()
    path.unlink()
    with pytest.raises(RecordError, match="it is gone"):
        open_run(store.uri, run_id).images()


def test_a_spec_that_is_not_there(store: Store, run_id: str) -> None:
    path_of(store, spec_key(run_id)).unlink()
    assert f"there is no run {run_id}" in refused(store, "spec.json", run_id)


DAMAGED = ("spec.json", "_MANIFEST.json")


def damaged_store(store: Store, name: str) -> tuple[str, str, str]:
    """Three runs: of photos 0 to 3 with a damaged record, of 4 to 7, and of 8 to 11, still open."""
    damaged = do(store, uncovered(store, SPEC, make_inputs(4)))
    whole = do(store, uncovered(store, SPEC, make_inputs(4, start=4)))
    begun = open_ledger(store, make_inputs(4, start=8)).run_id
    path = path_of(store, run_key(damaged, name))
    path.write_bytes(path.read_bytes()[:50])
    return damaged, whole, begun


def do(store: Store, todo: Todo) -> str:
    ledger = Ledger.open(store, todo.spec, todo.inputs, cut_tasks(todo.inputs, 3))
    run_all(ledger)
    return ledger.run_id


@pytest.mark.parametrize("name", DAMAGED)
def test_list_goes_on_and_names_it(
    store: Store, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged, whole, begun = damaged_store(store, name)
    states = {line["run_id"]: line["state"] for line in list_runs(store)}
    assert states == {damaged: "damaged", whole: "committed", begun: "open"}
    assert main(["list", store.uri]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.startswith("run ")
    assert len(lines) == 3
    (told,) = (line for line in lines if line.startswith(damaged))
    assert f"damaged: {run_key(damaged, name)} cannot be used: it is not whole JSON" in told


@pytest.mark.parametrize("name", DAMAGED)
def test_planning_goes_on_and_names_it(store: Store, name: str) -> None:
    damaged, _, _ = damaged_store(store, name)
    todo = uncovered(store, SPEC, make_inputs(9))
    assert todo.inputs.equals(pa.concat_tables([make_inputs(4), make_inputs(1, start=8)]))
    assert todo.covered == 4
    assert list(todo.damaged) == [damaged]
    assert run_key(damaged, name) in str(todo.damaged[damaged])
    do(store, todo)
    assert uncovered(store, SPEC, make_inputs(9)).covered == 9


@pytest.mark.parametrize("name", DAMAGED)
def test_the_photos_of_the_damaged_run_are_done_again(store: Store, name: str) -> None:
    """Planning ends at the id of the damaged run, which is taken, and takes the next one."""
    damaged, _, _ = damaged_store(store, name)
    todo = uncovered(store, SPEC, make_inputs(4))
    assert todo.spec.run_id != damaged
    assert todo.spec.generation == 1
    again = do(store, todo)
    assert open_run(store.uri, again).images().num_rows == 4


def test_an_input_file_that_is_gone_covers_nothing(store: Store, run_id: str) -> None:
    (file,) = path_of(store, run_key(run_id, "input")).iterdir()
    file.unlink()
    _input_file.cache_clear()
    todo = uncovered(store, SPEC, make_inputs(7))
    assert (todo.covered, list(todo.damaged)) == (0, [run_id])
    assert "it is gone" in str(todo.damaged[run_id])


def test_the_current_table_is_not_read_in_part(store: Store) -> None:
    damaged, whole, _ = damaged_store(store, "_MANIFEST.json")
    with pytest.raises(RecordError, match=damaged):
        open_run(store.uri)
    assert open_run(store.uri, whole).images().num_rows == 4


def promoted(store: Store) -> list[str]:
    """Three runs, live one after the other: of photos 0 to 3, of 4 to 7, of 8 to 11."""
    ids = []
    for start in (0, 4, 8):
        ledger = open_ledger(store, make_inputs(4, start=start))
        ids.append(run_all(ledger, promote="manual", trial=False).run_id)
        assert promote(store, ids[-1], Request()).is_live
    return ids


def test_a_damaged_run_that_is_not_live_does_not_stop_a_reader(store: Store) -> None:
    ids = promoted(store)
    rollback(store, channel_name(SPEC.settings))
    path_of(store, manifest_key(ids[2])).write_bytes(b"{")
    assert open_run(store.uri).images().num_rows == 8
    path_of(store, manifest_key(ids[0])).write_bytes(b"{")
    with pytest.raises(RecordError, match=manifest_key(ids[0])):
        open_run(store.uri)
    path_of(store, manifest_key(ids[0])).unlink()
    with pytest.raises(RecordError, match="it is gone, and the run is live"):
        open_run(store.uri)


def test_a_damaged_channel_stops_its_own_jobs_and_readers_alone(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = promoted(store)
    wide = {"settings": {"ratios": "16:9", "top_k": 1}}
    other = open_ledger(store, make_inputs(2), **wide)
    run_all(other, promote="manual", trial=False)
    promote(store, other.run_id, Request())
    name = channel_name(SPEC.settings)
    path_of(store, f"channels/{name}/00000003.json").write_bytes(b'{"format": 1}')
    for read in (lambda: open_run(store.uri), lambda: uncovered(store, SPEC, make_inputs(4))):
        with pytest.raises(RecordError, match=f"channels/{name}"):
            read()
    wide_name = channel_name(wide["settings"])
    assert open_run(store.uri, channel=wide_name).images().num_rows == 2
    assert open_run(store.uri, ids[0]).images().num_rows == 4
    assert uncovered(store, structs.replace(SPEC, **wide), make_inputs(2)).covered == 2
    assert main(["list", store.uri]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 5  # a heading, then the runs
    assert f"what is live in channel {name} is not known" in said.err
    assert main(["gc", store.uri]) == 0
    assert main(["verify", store.uri, ids[0]]) == 0
    assert main(["rollback", store.uri, "--channel", name]) == 0
    assert open_run(store.uri).images().num_rows == 8


def test_a_damaged_live_run_or_candidate_stops_no_other_promotion(store: Store) -> None:
    auto = {"promote": "auto", "trial": False}
    name = channel_name(SPEC.settings)
    request = Request(gate=parse_gate(DEFAULT_GATE), strict=False, behind=True)
    live = run_all(open_ledger(store, make_inputs(4)), **auto)
    assert [one.decision for one in promote_waiting(store, name, request)] == ["promoted"]
    waits = run_all(open_ledger(store, make_inputs(4, start=4)), **auto)
    for manifest, table in ((live, "crops"), (waits, "images")):
        for file in data_files(store, manifest, table):
            path_of(store, file.key).write_bytes(b"half")
    tonight = run_all(open_ledger(store, make_inputs(8), weights_sha256="b" * 64), **auto)
    first, second = promote_waiting(store, name, request)
    assert (first.run_id, first.decision) == (tonight.run_id, "promoted")
    assert list(first.measured.damaged) == [live.run_id]
    assert (second.run_id, second.decision) == (waits.run_id, "damaged")
    assert data_files(store, waits, "images")[0].key in second.problem
    path_of(store, spec_key(live.run_id)).unlink()
    found = measure(store, tonight.run_id, [live])
    assert list(found.damaged) == [live.run_id]


def test_a_channel_whose_first_version_was_never_written_hides_no_earlier_run(
    store: Store,
) -> None:
    """A promoter that died between the list of many runs and the version that names it."""
    run_all(open_ledger(store, make_inputs(4)))
    store.create_once(f"channels/{channel_name(SPEC.settings)}/list-abc.json", b"{}")
    other = open_ledger(store, make_inputs(2), settings={"ratios": "16:9"})
    run_all(other, promote="manual", trial=False)
    assert open_run(store.uri).images().num_rows == 4
    promote(store, other.run_id, Request())
    assert open_run(store.uri).images().num_rows == 4


def test_a_half_begun_run_and_a_strangers_folder_are_listed_and_left(
    store: Store, run_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    half = "ab" * 10
    store.write(run_key(half, "input/aa.parquet"), b"list")
    notes = path_of(store, "runs/My Notes/todo.txt")
    notes.parent.mkdir()
    notes.write_text("mine")
    states = {line["run_id"]: line["state"] for line in list_runs(store)}
    assert states == {run_id: "committed", half: "damaged", "My Notes": "damaged"}
    assert uncovered(store, SPEC, make_inputs(7)).covered == 5
    assert main(["gc", store.uri, "--older-than", "0s", "--delete"]) == 0
    assert f"runs/{half}/input/aa.parquet" in capsys.readouterr().out
    assert not path_of(store, run_key(half, "input/aa.parquet")).exists()
    assert notes.read_text() == "mine"


@pytest.mark.parametrize("damage", [None, b"half"])
@pytest.mark.parametrize("name", ["unsettled", "failures"])
def test_verify_finds_a_lost_list_of_photos_that_failed(
    store: Store, run_id: str, name: str, damage: bytes | None
) -> None:
    key = json.loads(path_of(store, manifest_key(run_id)).read_text())[name]["key"]
    assert verify_run(store, run_id).problems == []
    if damage is None:
        path_of(store, key).unlink()
    else:
        path_of(store, key).write_bytes(damage)
    (problem,) = verify_run(store, run_id).problems
    assert key in problem
