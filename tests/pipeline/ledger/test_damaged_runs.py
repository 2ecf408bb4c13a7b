"""A damaged record stops only its own run: others are listed, planned, read and promoted."""

import pyarrow as pa
import pytest
from msgspec import structs

from pipeline import open_run
from pipeline.cli.runs import main
from pipeline.errors import RecordError
from pipeline.gate import DEFAULT_GATE, parse_gate
from pipeline.ledger.audit import list_runs
from pipeline.ledger.channels.channel import channel_name
from pipeline.ledger.coverage.incremental import Todo, uncovered
from pipeline.ledger.layout import manifest_key, run_key, spec_key
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.manifest import data_files
from pipeline.ledger.pinned import _input_file
from pipeline.ledger.plan import cut_tasks
from pipeline.ledger.promotion.measure import measure
from pipeline.ledger.promotion.promotion import Request, promote, promote_waiting, rollback
from pipeline.storage.store import Store
from tests.support.damaged import path_of, run_id, store
from tests.support.tasks import SPEC, make_inputs, open_ledger, run_all

__all__ = ["run_id", "store"]  # fixtures

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
    assert main(["list", store.uri]) == 0
    assert "My Notes  damaged: no run: a folder of somebody else's" in capsys.readouterr().out
    assert uncovered(store, SPEC, make_inputs(7)).covered == 5
    assert main(["gc", store.uri, "--older-than", "0s", "--delete"]) == 0
    assert f"runs/{half}/input/aa.parquet" in capsys.readouterr().out
    assert not path_of(store, run_key(half, "input/aa.parquet")).exists()
    assert notes.read_text() == "mine"
