"""A channel's published names after kills, rollbacks and garbage collection."""

import io
import json
import os
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli.runs import main
from pipeline.errors import LedgerError, RecordError
from pipeline.ledger.forgetting import forget
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.layout import manifest_key
from pipeline.ledger.promotion.promotion import Request, promote, rollback
from pipeline.ledger.promotion.publishing import PublishedFiles, publish_files, unpublish
from pipeline.ledger.tables import parquet_bytes
from pipeline.storage.store import Store, open_store
from tests.support.named_crops import run_with_named_crops as run
from tests.support.tasks import make_inputs

INDEX = "published/web.parquet"


@pytest.fixture
def store(memory: Store) -> Store:
    return memory


def go_live(store: Store, run_id: str) -> None:
    assert promote(store, run_id, Request()).is_live


def shown(store: Store) -> dict[str, str]:
    """What a front end gets: the pictures by name."""
    names = [info.key.removeprefix("public/web/") for info in store.list("public/")]
    return {name: store.read(f"public/web/{name}").decode() for name in names}


def index(store: Store) -> list[str]:
    names: list[str] = pq.read_table(io.BytesIO(store.read(INDEX)))["name"].to_pylist()
    return names


def collect(store: Store) -> list[str]:
    """Collect everything, as if it were old enough; return why each object went."""
    garbage = look_for_garbage(store, 0, time.time() + 60).garbage
    remove_garbage(store, garbage)
    return [one.why for one in garbage]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_killed_publisher_leaves_nothing_that_the_next_one_trusts(
    store: Store, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """It changes the first photo, adds the third and removes the second; then it is taken back."""
    first = run(store, make_inputs(2), "A")
    second = run(store, pa.concat_tables([make_inputs(1, "v2"), make_inputs(1, start=2)]), "B")
    go_live(store, first)
    publish_files(store, "web")
    before = {"000000.webp": "s3://ugc/000000.jpgA", "000001.webp": "s3://ugc/000001.jpgA"}
    assert shown(store) == before
    rollback(store, "web")
    go_live(store, second)
    calls = 0

    def dies(name: str) -> None:
        plain = getattr(Store, name)

        def call(self: Store, *given: object) -> object:
            nonlocal calls
            calls += 1
            if calls > after:
                raise Killed
            return plain(self, *given)

        patch.setattr(Store, name, call)

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.ledger.promotion.publishing.COPIES", 1)
        dies("write")
        dies("delete")
        with pytest.raises(Killed):
            publish_files(store, "web")
    rollback(store, "web")
    assert shown(store) != before or after == 0
    go_live(store, first)
    publish_files(store, "web")
    assert shown(store) == before
    assert publish_files(store, "web") == PublishedFiles("web", copied=0, same=2, removed=0)


def test_a_collected_name_is_copied_again_once_it_is_live_again(store: Store) -> None:
    first = run(store, make_inputs(1), "A")
    second = run(store, make_inputs(1, start=1), "B")
    go_live(store, first)
    publish_files(store, "web")
    rollback(store, "web")
    go_live(store, second)
    garbage = [one for one in look_for_garbage(store, 1e9).garbage if one.why == "published file"]
    assert remove_garbage(store, garbage) == len("s3://ugc/000000.jpgA")
    assert index(store) == []
    go_live(store, first)
    assert publish_files(store, "web") == PublishedFiles("web", copied=2, same=0, removed=0)
    assert shown(store) == {
        "000000.webp": "s3://ugc/000000.jpgA", "000001.webp": "s3://ugc/000001.jpgB",
    }  # fmt: skip


def collected_and_live_again(store: Store, pictures: bool) -> str:
    """A run that was live, rolled back, collected and promoted again; beside another."""
    first = run(store, make_inputs(2), "A", pictures)
    second = run(store, make_inputs(1, start=2), "B")
    go_live(store, first)
    publish_files(store, "web")
    rollback(store, "web")
    go_live(store, second)
    whys = collect(store)
    assert (whys.count("old crop file"), whys.count("published file")) == (2, 2)
    go_live(store, first)
    return first


def test_objects_of_a_run_that_was_collected_come_back_from_its_table(store: Store) -> None:
    first = collected_and_live_again(store, pictures=True)
    assert publish_files(store, "web") == PublishedFiles("web", copied=3, same=0, removed=0)
    assert shown(store)["000001.webp"] == "s3://ugc/000001.jpgA"
    assert store.read(f"crops/{first}/000001.webp") == b"s3://ugc/000001.jpgA"
    assert publish_files(store, "web").same == 3


def test_a_crop_whose_bytes_are_nowhere_is_named_and_the_others_are_published(
    store: Store,
) -> None:
    first = collected_and_live_again(store, pictures=False)
    told = f"2 live crops of channel web have no object .* crops/{first}/000000.webp. Crop"
    for _ in range(2):
        with pytest.raises(LedgerError, match=told):
            publish_files(store, "web")
        assert shown(store) == {"000002.webp": "s3://ugc/000002.jpgB"}
    store.write(f"crops/{first}/000000.webp", b"s3://ugc/000000.jpgA")
    store.write(f"crops/{first}/000001.webp", b"s3://ugc/000001.jpgA")
    assert publish_files(store, "web") == PublishedFiles("web", copied=2, same=1, removed=0)


def test_no_name_of_a_forgotten_photo_stays_in_the_index(store: Store) -> None:
    go_live(store, run(store, make_inputs(3), "A"))
    publish_files(store, "web")
    ids = make_inputs(3)["image_id"].to_pylist()
    forget(store, ids[:1])
    assert "published file" in collect(store)
    assert index(store) == ["000001.webp", "000002.webp"]
    forget(store, ids[1:2])
    store.delete("public/web/000001.webp")  # an earlier release deleted the object alone
    assert "published file" in collect(store)
    assert index(store) == ["000002.webp"]
    assert shown(store) == {"000002.webp": "s3://ugc/000002.jpgA"}


def test_what_is_published_while_names_are_collected_stays_in_the_index(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first photo's name goes; meanwhile a job makes another run live and publishes."""
    first, second = run(store, make_inputs(2), "A"), run(store, make_inputs(2, "v2"), "B")
    go_live(store, first)
    publish_files(store, "web")
    delete = Store.delete

    def another_job_comes(own: Store, key: str) -> None:
        monkeypatch.setattr(Store, "delete", delete)
        go_live(store, second)
        publish_files(store, "web")
        delete(own, key)

    monkeypatch.setattr(Store, "delete", another_job_comes)
    unpublish(store, ["public/web/000000.webp"])
    assert shown(store) == {"000001.webp": "s3://ugc/000001.jpgB"}
    assert index(store) == ["000001.webp"]
    rollback(store, "web")
    publish_files(store, "web")
    assert shown(store) == {
        "000000.webp": "s3://ugc/000000.jpgA", "000001.webp": "s3://ugc/000001.jpgA",
    }  # fmt: skip


@pytest.mark.parametrize("index", [b"no table", parquet_bytes(pa.table({"other": ["x"]}))])
def test_a_damaged_index_is_told_and_stops_no_collection(store: Store, index: bytes) -> None:
    go_live(store, run(store, make_inputs(2), "A"))
    publish_files(store, "web")
    store.write(INDEX, index)
    forget(store, [make_inputs(1)["image_id"][0].as_py()])
    assert "forgotten photos" in collect(store)
    assert "000000.webp" not in shown(store)
    with pytest.raises(RecordError, match=rf"{INDEX} cannot be used: .* Delete it: the next"):
        publish_files(store, "web")
    store.delete(INDEX)
    assert publish_files(store, "web").copied == 1


def test_no_name_goes_because_a_live_run_is_damaged(store: Store) -> None:
    first = run(store, make_inputs(2), "A")
    go_live(store, first)
    publish_files(store, "web")
    as_live, manifest = shown(store), store.read(manifest_key(first))
    go_live(store, run(store, make_inputs(1, start=2), "B"))
    for damage in (lambda key: store.write(key, b"no record"), store.delete):
        damage(manifest_key(first))
        with pytest.raises(RecordError, match=f"{first}/_MANIFEST.json cannot be used"):
            publish_files(store, "web")
    assert shown(store) == as_live
    store.write(manifest_key(first), manifest)
    assert publish_files(store, "web") == PublishedFiles("web", copied=1, same=2, removed=0)


def test_the_command_checks_and_mends_published_objects(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """By hand: of three names one is deleted, one overwritten, and an old one put back."""

    def told(*more: str) -> tuple[int, dict[str, object]]:
        code = main(["publish-files", store.uri, "--json", *more])
        return code, json.loads(capsys.readouterr().out)

    run(store, make_inputs(1, start=7), "old")  # never live
    go_live(store, run(store, make_inputs(3), "A"))
    publish_files(store, "web")
    as_live = shown(store)
    mended = {"channel": "web", "same": 3, "problems": [], "to_do": None}
    assert told("--check") == (0, mended)
    store.delete("public/web/000000.webp")
    store.write("public/web/000001.webp", b"another")
    store.write("public/web/000007.webp", b"old")
    before = shown(store)
    assert told("--check") == (1, {
        "channel": "web",
        "same": 1,
        "problems": [
            "2 names do not show their live crops, the first is public/web/000000.webp",
            "1 name is not live, the first is public/web/000007.webp",
        ],
        "to_do": f"`runs.py publish-files {store.uri} --channel web` publishes what is live",
    })  # fmt: skip
    assert shown(store) == before
    assert told() == (0, {"channel": "web", "copied": 2, "same": 1, "removed": 1})
    assert shown(store) == as_live
    assert told("--check") == (0, mended)


def test_files_that_others_keep_beside_published_ones_stay(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    go_live(store, run(store, make_inputs(2), "A"))
    publish_files(store, "web")
    names = (".DS_Store", "my note.txt", "index.html", "site/logo.webp", os.fsdecode(b"\xe9"))
    others = [tmp_path / "public/web" / name for name in names]
    for other in others:
        other.parent.mkdir(exist_ok=True)
        other.touch()
    forget(store, make_inputs(1)["image_id"].to_pylist())
    assert collect(store).count("published file") == 1
    assert publish_files(store, "web") == PublishedFiles("web", copied=0, same=1, removed=0)
    assert main(["publish-files", store.uri, "--check"]) == 0
    assert all(other.exists() for other in others)


def test_a_name_that_only_a_table_knows_is_removed_and_a_strangers_stays(tmp_path: Path) -> None:
    """As after a publisher that was killed between a copy and the index, and a rollback."""
    store = open_store(str(tmp_path))
    first, second = run(store, make_inputs(1), "A"), run(store, make_inputs(1, start=1), "B")
    go_live(store, first)
    publish_files(store, "web")
    for name in ("000001.webp", "000002.webp"):  # of the second run, which is not live; of none
        store.write(f"public/web/{name}", b"copied")
    old = [one.info.key for one in look_for_garbage(store, 1e9).garbage]
    assert old == ["public/web/000001.webp"]
    broken = next(iter((tmp_path / f"_data/crop_files/run={second}").iterdir()))
    data = broken.read_bytes()
    for damage in (lambda: broken.write_bytes(b"no table"), broken.unlink):
        damage()  # it is unknown now whose the object is, so it stays
        assert publish_files(store, "web") == PublishedFiles("web", copied=0, same=1, removed=0)
    broken.write_bytes(data)
    assert publish_files(store, "web") == PublishedFiles("web", copied=0, same=1, removed=1)
    assert sorted(shown(store)) == ["000000.webp", "000002.webp"]


def test_an_index_of_an_earlier_release_is_not_trusted(store: Store) -> None:
    """It has no ETags, so a name may show what a killed publisher wrote."""
    go_live(store, run(store, make_inputs(2), "A"))
    publish_files(store, "web")
    as_live = shown(store)
    table = pq.read_table(io.BytesIO(store.read(INDEX)))
    store.write(INDEX, parquet_bytes(table.drop_columns("etag")))
    store.write("public/web/000001.webp", b"another")
    assert publish_files(store, "web") == PublishedFiles("web", copied=2, same=0, removed=0)
    assert shown(store) == as_live
    assert publish_files(store, "web").same == 2


@pytest.mark.parametrize("endings", [("/1x1.webp", ""), ("", "/1x1.webp"), ("/a/b", "/a")])
def test_a_name_that_becomes_a_folder_or_a_file_is_replaced(
    tmp_path: Path, endings: tuple[str, str]
) -> None:
    """Another template gives the photos other names; one of both is a folder of the other."""
    store = open_store(str(tmp_path))
    for mark, ending in zip("AB", endings, strict=True):
        go_live(store, run(store, make_inputs(2, mark), mark, ending=ending))
        publish_files(store, "web")
        assert shown(store) == {
            f"00000{n}{ending}": f"s3://ugc/00000{n}.jpg{mark}" for n in range(2)
        }
    rollback(store, "web")
    assert publish_files(store, "web") == PublishedFiles("web", copied=2, same=0, removed=2)
    assert sorted(shown(store)) == [f"00000{n}{endings[0]}" for n in range(2)]


def test_live_names_that_cannot_be_files_side_by_side_are_told(tmp_path: Path, s3: str) -> None:
    bucket = open_store(f"{s3}/out")
    for store in (bucket, open_store(str(tmp_path))):
        go_live(store, run(store, make_inputs(1), "A", ending=""))
        publish_files(store, "web")
        other = make_inputs(1, start=5)
        place = other.schema.get_field_index("uri")
        other = other.set_column(place, "uri", pa.array(["s3://other/000000.png"]))
        go_live(store, run(store, other, "B", ending="/1x1.webp"))
        if store is bucket:  # it holds both
            assert publish_files(store, "web").copied == 1
            continue
        with pytest.raises(LedgerError, match=r"names '000000' and '000000/1x1\.webp', and one"):
            publish_files(store, "web")
        assert shown(store) == {"000000": "s3://ugc/000000.jpgA"}
