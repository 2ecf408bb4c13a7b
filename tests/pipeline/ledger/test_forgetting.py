"""A forgotten photo is no longer shown or processed, and is gone after the next collection."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import LedgerError, RecordError
from pipeline.inputs.listing import image_id
from pipeline.inputs.within import membership_test
from pipeline.ledger import pinned
from pipeline.ledger.audit import verify_run
from pipeline.ledger.author import whoami
from pipeline.ledger.coverage.incremental import uncovered
from pipeline.ledger.erasing import erase
from pipeline.ledger.forgetting import forget, prune, read_forgotten, take_back
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.pinned import _input_file
from pipeline.ledger.plan import cut_tasks
from pipeline.ledger.pruning import gone_photos, live_photos
from pipeline.ledger.reader import open_run
from pipeline.ledger.retry import failed_inputs
from pipeline.rendering import RenderRequest, plan_rendering
from pipeline.schema import INPUTS
from pipeline.settings import Settings
from pipeline.storage.store import Store, open_store
from tests.support.tasks import SPEC, done, make_inputs, open_ledger, run_all

URIS = make_inputs(7)["uri"].to_pylist()
IDS = [image_id(uri) for uri in URIS]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    _input_file.cache_clear()
    return open_store(str(tmp_path / "out"))


def shown(store: Store, run_id: str | None = None) -> list[int]:
    run = open_run(store.uri, run_id)
    images, crops = run.images(["uri"]), run.crops(["uri"])
    assert sorted(images["uri"].to_pylist()) == sorted(crops["uri"].to_pylist())
    return sorted(int(uri[-10:-4]) for uri in images["uri"].to_pylist())


def collect(store: Store) -> set[str]:
    garbage = look_for_garbage(store, 7 * 86400).garbage
    remove_garbage(store, garbage)
    return {one.why for one in garbage}


def everything(store: Store) -> bytes:
    """All bytes of the store, Parquet as its rows."""
    parts = []
    for info in store.list():
        data = store.read(info.key)
        if info.key.endswith(".parquet"):
            data = repr(pq.read_table(pa.BufferReader(data)).to_pylist()).encode()
        parts.append(data)
    return b"\n".join(parts)


def test_a_forgotten_photo_is_not_shown_at_once_nor_done_again(store_uri: str) -> None:
    store = open_store(store_uri)
    run = run_all(open_ledger(store, make_inputs(7)))
    assert forget(store, [IDS[2], IDS[5]], who="me", why="asked") == 2
    assert forget(store, [IDS[5]]) == 0
    assert shown(store) == shown(store, run.run_id) == [0, 1, 3, 4, 6]
    again = uncovered(store, SPEC, make_inputs(8), mode="full")
    assert sorted(int(u[-10:-4]) for u in again.inputs["uri"].to_pylist()) == [0, 1, 3, 4, 6, 7]
    assert again.forgotten == 2


def test_its_bytes_go_at_the_next_collection_at_any_age(store: Store) -> None:
    inputs = make_inputs(7).append_column("owner", pa.array([f"owner {n}" for n in range(7)]))
    run = run_all(open_ledger(store, inputs), failed={1: "transient"})
    other = run_all(open_ledger(store, make_inputs(3, start=50)))
    before = {info.key for info in store.list()}
    assert b"owner 2" in everything(store)
    forget(store, [IDS[2]])
    assert collect(store) == {"forgotten photos"}
    left = everything(store)
    for trace in (URIS[2].encode(), b"owner 2"):
        assert trace not in left
    assert URIS[3].encode() in left
    assert IDS[2].encode() in left  # what remains, as the documents say
    assert shown_images(store, run.run_id) == [0, 1, 3, 4, 5, 6]
    verified = verify_run(store, run.run_id)
    assert (verified.problems, verified.erased) == ([], 1)
    assert verified.rows == {"images": 6, "crops": 4}, "of the files as they are now"
    assert verify_run(store, other.run_id).erased == 0
    gone = before - {info.key for info in store.list()}
    assert {key.split("/")[1] for key in gone if key.startswith("_data/")} == {"images", "crops"}
    assert len(gone) == 3  # one file of each table, one of the list
    assert look_for_garbage(store, -60).garbage == []


def shown_images(store: Store, run_id: str) -> list[int]:
    uris = open_run(store.uri, run_id).images(["uri"])["uri"].to_pylist()
    return sorted(int(uri[-10:-4]) for uri in uris)


def test_files_are_rewritten_twice_and_a_reader_follows(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(7)))
    old_reader = open_run(store.uri)
    for n in (0, 1):
        forget(store, [IDS[n]])
        collect(store)
        _input_file.cache_clear()
    assert shown(store, run.run_id) == [2, 3, 4, 5, 6]
    assert sorted(old_reader.images(["uri"])["uri"].to_pylist()) == URIS[2:]
    assert verify_run(store, run.run_id).problems == []
    assert len(list(store.list("_data/images/"))) == 3
    assert uncovered(store, SPEC, make_inputs(7)).covered == 0 + 5
    assert [r["image_id"] for r in live_photos(store).to_pylist()] == IDS[2:]


@pytest.mark.parametrize(
    ("stop", "at"), [("create_once", ""), ("create_once", "/replaced/"), ("delete", "")]
)
def test_a_collection_that_is_killed_is_finished_by_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch, stop: str, at: str
) -> None:
    """Before the new file, before the record that names it, and before the old file goes."""
    run = run_all(open_ledger(store, make_inputs(3)))
    forget(store, [IDS[1]])

    class Killed(BaseException):
        pass

    plain = getattr(Store, stop)

    def die(self: Store, key: str, *rest: bytes) -> bool | None:
        if at in key:
            raise Killed
        called: bool | None = plain(self, key, *rest)
        return called

    erasures = [one.erase for one in look_for_garbage(store, 0).garbage]
    assert len(erasures) == 3
    for one in erasures:
        assert one is not None
        with monkeypatch.context() as patch:
            patch.setattr(Store, stop, die)
            with pytest.raises(Killed):
                erase(store, one)
        _input_file.cache_clear()
        assert shown(store, run.run_id) == [0, 2]
        assert verify_run(store, run.run_id).problems == []
    remove_garbage(store, look_for_garbage(store, -60).garbage)
    _input_file.cache_clear()
    assert URIS[1].encode() not in everything(store)
    assert verify_run(store, run.run_id).problems == []
    assert look_for_garbage(store, -60).garbage == []


def test_rows_that_nobody_forgot_are_missed(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(3)))
    forget(store, [IDS[1]])
    collect(store)
    for info in list(store.list("forgotten/")):
        Path(store.uri, info.key).unlink()
    assert verify_run(store, run.run_id).problems == [
        "rows of 1 photo were removed that nobody forgot"
    ]


def test_a_file_that_was_rewritten_and_then_changed_is_found(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(3)))
    forget(store, [IDS[1]])
    collect(store)
    (info,) = store.list("_data/images/")
    data = bytearray(store.read(info.key))
    data[len(data) // 2] ^= 1
    Path(store.uri, info.key).write_bytes(data)
    (problem, *_) = verify_run(store, run.run_id).problems
    assert f"{info.key} was changed" in problem


def test_a_photo_that_is_taken_back_is_done_again(store: Store) -> None:
    run_all(open_ledger(store, make_inputs(3)))
    forget(store, [IDS[1]])
    collect(store)
    assert take_back(store, [IDS[1], IDS[2]]) == 1
    _input_file.cache_clear()
    todo = uncovered(store, SPEC, make_inputs(3))
    assert (todo.reasons, todo.forgotten) == ({"returned": 1}, 0)
    ledger = Ledger.open(store, todo.spec, todo.inputs, cut_tasks(todo.inputs))
    run_all(ledger)
    assert shown(store) == [0, 1, 2]
    assert uncovered(store, SPEC, make_inputs(3)).covered == 3


@pytest.mark.parametrize("take_out", [forget, prune])
@pytest.mark.parametrize("ahead", ["commit", "taking back"])
def test_a_photo_taken_back_is_done_again_once_whatever_clocks_there_are(
    store: Store, monkeypatch: pytest.MonkeyPatch, take_out: Callable[..., int], ahead: str
) -> None:
    """The clock of the machine that committed, or that takes the photo back, is an hour ahead."""
    now = time.time()
    ahead_s = {ahead: 3600}
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now + ahead_s.get("commit", 0))
        first = run_all(open_ledger(store, make_inputs(3)))
        assert first.committed_at == now + ahead_s.get("commit", 0)
        take_out(store, [IDS[1]])
        collect(store)
        patch.setattr(time, "time", lambda: now + ahead_s.get("taking back", 0))
        take_back(store, [IDS[1]])
    _input_file.cache_clear()
    todo = uncovered(store, SPEC, make_inputs(3))
    assert (todo.inputs["uri"].to_pylist(), todo.reasons) == ([URIS[1]], {"returned": 1})
    run_all(Ledger.open(store, todo.spec, todo.inputs, cut_tasks(todo.inputs)))
    assert shown(store) == [0, 1, 2]
    assert uncovered(store, SPEC, make_inputs(3)).covered == 3, "the next commit counts as later"


def test_a_pruned_photo_returns_with_the_next_listing_and_a_forgotten_one_does_not(
    store: Store,
) -> None:
    run_all(open_ledger(store, make_inputs(5)))
    gone = gone_photos(store, make_inputs(3), lambda uri: uri.startswith("s3://ugc/"))
    assert (gone.photos["uri"].to_pylist(), gone.live, gone.share) == (URIS[3:5], 5, 0.4)
    elsewhere = gone_photos(store, make_inputs(3), lambda uri: uri.startswith("s3://else/"))
    assert (elsewhere.photos.num_rows, elsewhere.share) == (0, 0.0)
    assert prune(store, gone.photos["image_id"].to_pylist()) == 2
    assert shown(store) == [0, 1, 2]
    assert forget(store, [IDS[3]]) == 1  # a person's word is more
    assert prune(store, [IDS[3]]) == 0
    todo = uncovered(store, SPEC, make_inputs(5))
    assert (todo.reasons, todo.returned, todo.forgotten) == ({"returned": 1}, (IDS[4],), 1)
    assert gone_photos(store, make_inputs(3), lambda uri: True).photos.num_rows == 0


def test_many_are_kept_in_few_objects(store: Store) -> None:
    many = [f"{n:032x}" for n in range(1000)]
    forget(store, many)
    for n in range(1000, 1300):
        forget(store, [f"{n:032x}"])
    take_back(store, many[:10])
    before = store.requests.copy()
    found = read_forgotten(store)
    assert sum((store.requests - before).values()) <= 3
    assert len(found.hidden) == 1290
    assert found.returned.keys() == set(many[:10])
    assert max(info.bytes for info in store.list("forgotten/0")) < 40_000


def test_a_damaged_list_of_forgotten_photos_shows_nothing(store: Store) -> None:
    run_all(open_ledger(store, make_inputs(2)))
    forget(store, [IDS[1]])
    Path(store.uri, "forgotten/00000001.json").write_bytes(b"{")
    for read in (
        lambda: open_run(store.uri),
        lambda: uncovered(store, SPEC, make_inputs(2)),
        lambda: look_for_garbage(store, 0),
    ):
        with pytest.raises(RecordError, match=r"forgotten/00000001\.json"):
            read()


def test_crops_of_their_own_go_unless_another_photo_has_the_same(store: Store) -> None:
    ledger = open_ledger(store, make_inputs(3))
    tables = done(ledger.task_inputs(0))
    keys = ["crops/aa/one.webp", "crops/bb/same.webp", "crops/bb/same.webp"]
    for key in keys:
        store.write(key, b"pixels")
    column = tables["crops"].schema.get_field_index("file")
    field = tables["crops"].schema.field("file")
    tables["crops"] = tables["crops"].set_column(column, field, pa.array(keys))
    ledger.commit_task(0, tables)
    ledger.finish({})
    store.write(f"runs/{ledger.run_id}/gallery/index.html", b"<html>")
    forget(store, IDS[:2])
    (crop,) = (one for one in look_for_garbage(store, 0).garbage if one.why == "crop file")
    assert (crop.info.key, crop.run_id) == ("crops/aa/one.webp", "")
    assert collect(store) == {"forgotten photos", "crop file", "gallery"}
    left = {info.key for info in store.list()}
    assert "crops/aa/one.webp" not in left
    assert "crops/bb/same.webp" in left
    assert not any("/gallery/" in key for key in left)
    forget(store, [IDS[2]])
    collect(store)
    assert list(store.list("crops/")) == []


def test_a_retry_leaves_forgotten_photos_out(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(3)), failed={0: "transient", 1: "transient"})
    forget(store, [IDS[0]])
    assert failed_inputs(store, run.run_id)["uri"].to_pylist() == [URIS[1]]
    collect(store)
    _input_file.cache_clear()
    assert failed_inputs(store, run.run_id)["uri"].to_pylist() == [URIS[1]]


def test_nested_columns_of_an_input_list_are_emptied_too(store: Store) -> None:
    boxes = pa.array(
        [[[0.0, 0.0, float(n), 9.0]] for n in range(3)], pa.list_(pa.list_(pa.float32(), 4))
    )
    inputs = make_inputs(3).append_column("boxes", boxes)
    ledger = open_ledger(store, inputs)
    run_all(ledger)
    forget(store, [IDS[1]])
    collect(store)
    _input_file.cache_clear()
    rows = ledger.task_inputs(0).to_pylist()
    assert rows[1] == {"image_id": IDS[1], "uri": "", "etag": None, "bytes": None, "boxes": None}
    assert rows[2] == inputs.to_pylist()[2]


def test_rows_without_an_address_are_no_photos_to_prune_or_render(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of three was forgotten, erased and taken back; its row lies in a file of its own."""
    monkeypatch.setattr(pinned, "TASKS_PER_FILE", 1)
    _input_file.cache_clear()
    store = open_store(str(tmp_path / "out"))
    rows = [{"image_id": image_id(uri), "uri": uri, "etag": "v1", "bytes": 9}
            for uri in ("/photos/a.jpg", "/photos/b.jpg", "/photos/c.jpg")]  # fmt: skip
    inputs = pa.Table.from_pylist(rows, INPUTS)
    settings = Settings.of(crop_files="{stem}-{ratio}").identity()
    run = run_all(open_ledger(store, inputs, task_images=1, settings=settings))
    forget(store, [rows[1]["image_id"]])
    collect(store)
    take_back(store, [rows[1]["image_id"]])
    _input_file.cache_clear()
    for where in ("/photos/", "/lists/night.csv"):
        gone = gone_photos(store, inputs.slice(0, 1), membership_test(where, False))
        assert (gone.photos["uri"].to_pylist(), gone.live) == (["/photos/c.jpg"], 2)
    assert live_photos(store)["uri"].to_pylist() == ["/photos/a.jpg", "/photos/c.jpg"]
    asked = RenderRequest(store.uri, run.run_id, {"thumbnail_size": 96})
    assert plan_rendering(asked, lambda: 1).todo.inputs.to_pylist() == [rows[0], rows[2]]
    assert verify_run(store, run.run_id).problems == []


def test_delta_tables_forget_too(store: Store) -> None:
    deltalake = pytest.importorskip("deltalake")
    from pipeline.ledger.table_formats.delta import publish_delta

    run = run_all(open_ledger(store, make_inputs(3)))
    late = run_all(open_ledger(store, make_inputs(2, start=1, etag="v2")))
    publish_delta(store, run.run_id)
    forget(store, [IDS[1]])
    with pytest.raises(LedgerError, match="holds forgotten photos"):
        publish_delta(store, late.run_id)
    assert collect(store) == {"forgotten photos"}
    publish_delta(store, late.run_id)
    for name in ("images", "crops"):
        table = deltalake.DeltaTable(f"{store.uri}/_data/{name}").to_pyarrow_table(columns=["uri"])
        assert sorted(table["uri"].to_pylist()) == [URIS[0], URIS[2]]
    assert look_for_garbage(store, -60).garbage == []
    assert shown(store) == [0, 2]


def test_the_words_of_an_entry(store: Store) -> None:
    forget(store, [IDS[1]], who="ada@desk", why="asked by its owner")
    document = json.loads(store.read("forgotten/00000001.json"))
    assert (document["who"], document["why"], document["photos"]) == (
        "ada@desk", "asked by its owner", 1,
    )  # fmt: skip
    assert URIS[1] not in json.dumps(document)


def test_who_acts_is_told_with_the_ray_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    monkeypatch.setattr("socket.gethostname", lambda: "desk")
    for name in ("RAY_JOB_SUBMISSION_ID", "RAY_JOB_CONFIG_JSON_ENV_VAR"):
        monkeypatch.delenv(name, raising=False)
    assert whoami() == "ada@desk"
    config = json.dumps({"metadata": {"job_submission_id": "raysubmit_7"}})
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", config)
    assert whoami() == "ada@desk (job raysubmit_7)"
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "[")
    assert whoami() == "ada@desk"

    def nobody() -> str:
        raise KeyError("no such user")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert whoami().startswith("uid-")
