"""Foreign, lost or changed data is refused; rows keep their order."""

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import schema
from pipeline.errors import LedgerError, RecordError, UsageError
from pipeline.ledger import author, reader, tables
from pipeline.ledger.author import whoami
from pipeline.ledger.erasing import Erasure, erase
from pipeline.ledger.figures import Figures
from pipeline.ledger.forgetting import ForgottenVersion
from pipeline.ledger.layout import spec_key
from pipeline.ledger.pinned import _pin_file, input_key
from pipeline.ledger.plan import cut_tasks, same_bytes_together
from pipeline.ledger.reader import open_run
from pipeline.ledger.records import StoredList, to_bytes
from pipeline.ledger.retry import failed_inputs
from pipeline.ledger.tables import check_tables, encode_table, one_array
from pipeline.ledger.versions import Versions
from pipeline.storage.store import Store
from tests.support.forgotten import with_one_forgotten
from tests.support.tasks import done, make_inputs, open_ledger, run_all, sized

IDS = make_inputs(9)["image_id"].to_pylist()


def test_an_address_is_tried_before_a_run_is_opened(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    run_all(open_ledger(store, make_inputs(1)))
    monkeypatch.setattr(reader, "check_reachable", asked.append)
    open_run(store.uri)
    assert asked == [store.uri]


def test_photos_that_share_bytes_and_those_of_several_runs_keep_their_own_order(
    store: Store,
) -> None:
    inputs = make_inputs(3).take([2, 0, 1])
    ledger = open_ledger(store, inputs)
    rows = done(ledger.task_inputs(0))
    blank = dict.fromkeys(schema.PREVIEWS.names)
    made = {"width": 1, "height": 1, "format": "png", "image": b"1"}
    previews = [{**blank, **made, "image_id": IDS[n]} for n in (2, 0, 1)]
    rows["previews"] = pa.Table.from_pylist(previews, schema.PREVIEWS)
    ledger.commit_task(0, rows, Figures(shared=1))
    old = ledger.finish({})
    run = open_run(store.uri, old.run_id)
    assert run.images(["image_id"])["image_id"].to_pylist() == IDS[:3]
    assert run.images([]).column_names == []
    assert run.previews(["image_id"])["image_id"].to_pylist() == [IDS[2], IDS[0], IDS[1]]
    newer = open_ledger(store, make_inputs(2, start=6).take([1, 0]))
    newer.commit_task(0, done(newer.task_inputs(0)), Figures(shared=1))
    newer.finish({})
    both = open_run(store.uri).images(["image_id"])["image_id"].to_pylist()
    assert both == [IDS[7], IDS[6], IDS[2], IDS[0], IDS[1]]


def test_a_file_is_kept_until_the_one_in_its_place_is_there(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, (one, *_) = with_one_forgotten(store)
    plain = Store.create_once

    def loses_lists(store: Store, key: str, data: bytes) -> bool:
        return "/input/" in key or plain(store, key, data)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "create_once", loses_lists)
        with pytest.raises(FileNotFoundError):
            erase(store, one)
    assert store.exists(one.key)
    store.write("runs/x", store.read(one.key))
    with pytest.raises(LedgerError, match="runs/x is no file of a run"):
        erase(store, Erasure("r" * 20, "runs/x", "runs/x", (IDS[1],)))


def test_a_table_that_is_read_back_with_other_columns_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = pa.table({"image_id": ["a", "b"]})
    assert encode_table(rows, {"run_id": "r"})
    for again in (rows.append_column("more", pa.array([1, 2])), rows.take([1, 0])):
        monkeypatch.setattr(tables, "decode_table", lambda _, again=again, **__: again)
        with pytest.raises(LedgerError, match="read back differently"):
            encode_table(rows, {})


def test_tables_lack_nothing_and_have_their_types() -> None:
    inputs = make_inputs(2)
    rows = done(inputs)
    check_tables(rows, inputs)
    for name in rows:
        with pytest.raises(LedgerError, match="a task has images, crops and maybe"):
            check_tables({name: rows[name]}, inputs)
    crops = rows["crops"]
    place = crops.schema.get_field_index("rank")
    wide = crops.set_column(place, "rank", pa.array([0, 0], pa.int64()))
    with pytest.raises(LedgerError, match=r"^the table crops must have rank: int32$"):
        check_tables({**rows, "crops": wide}, inputs)
    less = wide.drop_columns(["x0"])
    with pytest.raises(LedgerError, match="must have x0: float, rank: int32"):
        check_tables({**rows, "crops": less}, inputs)


def test_a_column_of_several_chunks_is_one_array() -> None:
    assert one_array(pa.chunked_array([[1], [2, 3]])).to_pylist() == [1, 2, 3]
    one = pa.array([1, 2])
    assert one_array(pa.chunked_array([one])).to_pylist() == [1, 2]
    assert one_array(pa.chunked_array([], pa.int8())).to_pylist() == []


def test_a_list_beside_versions_that_is_none(store: Store) -> None:
    data = to_bytes({"format": 1, "items": "a"})
    versions = Versions(store, "p/")
    entry = versions.write_list(["a"])
    assert entry is not None
    store.write("p/list-other.json", data)
    other = StoredList(key="p/list-other.json", sha256=hashlib.sha256(data).hexdigest(), rows=1)
    with pytest.raises(RecordError, match="it is no list"):
        versions.read_list(other)


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise OSError("no username set in the environment")

    monkeypatch.setattr(author.getpass, "getuser", nameless)
    assert whoami().startswith("uid-")
    version = ForgottenVersion(number=1, kind="back", photos=0)
    assert (version.who, version.why, version.nonce, version.at) == ("", "", "", 0.0)


def test_a_spec_that_says_something_else_is_no_run_of_this_job(store: Store) -> None:
    ledger = open_ledger(store, make_inputs(2))
    path = Path(store.uri, spec_key(ledger.run_id))
    path.write_text(json.dumps({**json.loads(path.read_text()), "detector": "other"}))
    with pytest.raises(LedgerError, match="is not its own: the detector was other and is now none"):
        open_ledger(store, make_inputs(2))


def test_kinds_of_failures_that_there_are_not(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(1)))
    with pytest.raises(UsageError, match="'odd' is no kind of failure; choose one of transient, "):
        failed_inputs(store, run.run_id, "odd")
    with pytest.raises(UsageError, match=f"run {run.run_id} has no failures"):
        failed_inputs(store, run.run_id, "all")


def test_a_task_of_more_than_a_million_photos_is_one_group_of_the_list(memory: Store) -> None:
    """Parquet would begin another one at 1,048,576 rows."""
    count = 1_048_577
    rows = pa.table({"image_id": pa.repeat("a", count), "uri": pa.repeat("b", count)})
    file = _pin_file(memory, "r", rows, [range(count)])
    about = pq.ParquetFile(pa.BufferReader(memory.read(input_key("r", file.sha256)))).metadata
    assert [about.row_group(n).num_rows for n in range(about.num_row_groups)] == [count]


@pytest.mark.parametrize(
    ("sizes", "most", "starts"),
    [
        ((5, 5, 9, 9, 9), 4, (0, 2, 5)),  # the third of three would begin the next task
        ((5, 5, 5, 9, 9, 9), 5, (0, 3, 6)),
        ((1, 5, 5, 2, 9, 9, 9), 6, (0, 4, 7)),
    ],
)
def test_neighbours_alike_of_a_second_sort_stay_in_one_task(
    sizes: tuple[int, ...], most: int, starts: tuple[int, ...]
) -> None:
    local = pa.array([f"/p/{n}" for n in range(len(sizes))])
    table = sized(*sizes).set_column(1, "uri", local)
    assert cut_tasks(table, most, 1000).starts == starts
    assert same_bytes_together(table) is table, "they are together, so nothing is moved"
