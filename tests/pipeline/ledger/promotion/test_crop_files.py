"""Crops under names from a template: written, published, replaced, rolled back, removed."""

import io
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from PIL import Image

from pipeline import open_run
from pipeline.cli.runs import main
from pipeline.crop_names import escaped, object_key, parse_crop_names
from pipeline.errors import LedgerError, SettingError
from pipeline.job import commit, plan
from pipeline.ledger.audit import verify_run
from pipeline.ledger.figures import add_figures
from pipeline.ledger.forgetting import forget
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.promotion.promotion import rollback
from pipeline.ledger.promotion.publishing import publish_files
from pipeline.ledger.records import Manifest
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.settings.crop_name_checks import check_photos
from pipeline.stages.commit import cut_encode_commit
from pipeline.stages.crop import DetectScore
from pipeline.stages.read import read_decode
from pipeline.stages.wire import unpack_summaries
from pipeline.stages.worker import end_worker
from pipeline.storage.store import Store, open_store
from tests.support.odd_photos import scene

torch.set_num_threads(1)
TEMPLATE = "{stem}/{ratio}.{format}"


def settings_for(folder: Path, **more: Any) -> Settings:
    asked: dict[str, Any] = {
        "input": str(folder / "in"), "output": str(folder / "out"), "ratios": "1:1,16:9",
        "thumbnail_size": 32, "crop_files": TEMPLATE, "preview": 0, "channel": "shop",
        "guards": "off",
    }  # fmt: skip
    return Settings.of(**{**asked, **more})


def do(
    settings: Settings, committed: bool = True, output: io.StringIO | None = None
) -> Manifest | None:
    log = Log("json", output or io.StringIO())
    job, ledger = plan(settings, log).begin()
    score, figures = DetectScore(job, "cpu"), []
    for task in ledger.pending():
        decoded = read_decode(pa.table({"task": [task]}), job)
        (done,) = unpack_summaries(cut_encode_commit(score(decoded), job))
        figures.append(ledger.record(done.task).metrics)
    end_worker()
    if committed:
        commit(job, ledger, log, add_figures(figures), {})
    return ledger.manifest


def keys(store: Store, prefix: str) -> list[str]:
    return [info.key for info in store.list(prefix)]


def write(folder: Path, *names: str, shift: int = 0) -> None:
    for number, name in enumerate(names):
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene(90 + 10 * number + shift, 80)).save(path)


def test_a_front_end_builds_the_names_whichever_run_is_live(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", "café & co.jpg")
    first = do(settings_for(tmp_path))
    assert first is not None
    store = open_store(str(tmp_path / "out"))
    names = ["a/16x9.webp", "a/1x1.webp", "café%20%26%20co/16x9.webp", "café%20%26%20co/1x1.webp"]
    assert keys(store, "public/") == [f"public/shop/{name}" for name in names]
    crops = open_run(store.uri).crops().to_pylist()
    for crop in crops:
        assert crop["file"].startswith(f"crops/{first.run_id}/")
        assert store.read(crop["file"]) == crop["image"]
    index = open_run(store.uri).batches("crop_files", ["name", "key", "sha256"])
    found = [row for batch in index for row in batch.to_pylist()]
    assert {row["key"]: row["sha256"] for row in found} == {c["file"]: c["sha256"] for c in crops}
    assert verify_run(store, first.run_id).rows["crop_files"] == 4

    write(tmp_path, "a.jpg", shift=30)  # changed, so the next night does it again
    (tmp_path / "in" / "café & co.jpg").touch()
    time.sleep(0.01)
    before = store.read("public/shop/a/1x1.webp")
    second = do(settings_for(tmp_path))
    assert second is not None
    assert store.read("public/shop/a/1x1.webp") != before
    assert store.read(f"crops/{first.run_id}/a/1x1.webp") == before  # nothing is overwritten

    garbage = look_for_garbage(store, older_than_s=-60).garbage
    old = sorted(g.info.key for g in garbage)
    assert {g.why for g in garbage} == {"old crop file"}
    assert f"crops/{first.run_id}/a/1x1.webp" in old
    assert not [key for key in old if key.startswith((f"crops/{second.run_id}", "public/"))]
    assert look_for_garbage(store, older_than_s=3600).garbage == []

    rollback(store, "shop")
    assert main(["publish-files", store.uri]) == 0
    assert store.read("public/shop/a/1x1.webp") == before
    assert publish_files(store, "shop").copied == 0
    # What `inputs.within` goes by: a glob of just this level finds nothing of ours.
    assert all("/" in info.key for info in store.list())


def test_old_objects_go_and_the_rest_stays(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", "b.jpg")
    first = do(settings_for(tmp_path))
    store = open_store(str(tmp_path / "out"))
    assert first is not None
    write(tmp_path, "a.jpg", shift=30)
    second = do(settings_for(tmp_path))
    assert second is not None
    remove_garbage(store, look_for_garbage(store, older_than_s=-60).garbage)
    assert keys(store, f"crops/{first.run_id}/") == [
        f"crops/{first.run_id}/b/16x9.webp", f"crops/{first.run_id}/b/1x1.webp",
    ]  # fmt: skip
    assert len(keys(store, f"crops/{second.run_id}/")) == 2
    assert len(keys(store, "public/shop/")) == 4
    # A candidate keeps its objects, and they are not published.
    write(tmp_path, "d.jpg")
    waits = do(settings_for(tmp_path, promote="manual"))
    assert waits is not None
    assert look_for_garbage(store, older_than_s=-60).garbage == []
    assert len(keys(store, f"crops/{waits.run_id}/")) == 2
    assert not [key for key in keys(store, "public/") if "/d/" in key]
    # A run that is given up takes its objects with it.
    write(tmp_path, "c.jpg")
    do(settings_for(tmp_path), committed=False)
    lost = look_for_garbage(store, older_than_s=-60).garbage
    assert sum(g.info.key.startswith("crops/") for g in lost) == 2
    remove_garbage(store, lost)
    assert not [key for key in keys(store, "crops/") if "/c/" in key]
    # A forgotten photo is nowhere any more.
    (uri,) = [u for u in open_run(store.uri).images()["uri"].to_pylist() if u.endswith("/b.jpg")]
    (row,) = [r for r in open_run(store.uri).images().to_pylist() if r["uri"] == uri]
    forget(store, [row["image_id"]], "me", "asked")
    remove_garbage(store, look_for_garbage(store, older_than_s=3600).garbage)
    assert not [key for key in [*keys(store, "crops/"), *keys(store, "public/")] if "/b/" in key]


def test_a_job_without_names_says_that_published_ones_stay(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg")
    told = io.StringIO()
    do(settings_for(tmp_path, crop_files=False, channel="other"), output=told)
    do(settings_for(tmp_path), output=told)
    assert "still shows" not in told.getvalue()
    do(settings_for(tmp_path, crop_files=False, mode="full"), output=told)
    assert "WARNING: public/shop/ still shows the crops of earlier runs" in told.getvalue()
    store = open_store(str(tmp_path / "out"))
    assert keys(store, "public/") == ["public/shop/a/16x9.webp", "public/shop/a/1x1.webp"]
    assert main(["publish-files", store.uri, "--channel", "shop", "--check"]) == 1
    assert main(["publish-files", store.uri, "--channel", "shop"]) == 0
    assert keys(store, "public/") == []


def test_two_photos_of_one_name_are_refused_before_any_work(tmp_path: Path) -> None:
    write(tmp_path, "x/a.jpg", "y/a.jpg")
    with pytest.raises(SettingError) as caught:
        plan(settings_for(tmp_path, format="webp"), Log("json", io.StringIO()))
    assert "gives two photos the name 'a/16x9.webp': " in caught.value.problem
    assert "/in/x/a.jpg and " in caught.value.problem
    assert caught.value.problem.endswith("/in/y/a.jpg; add {folder} or {name} or {id}")
    write(tmp_path, "y/a.png")
    with pytest.raises(SettingError, match=r"/y/a.jpg and .*/y/a.png; add \{name\} or \{id\}$"):
        plan(settings_for(tmp_path, crop_files="{folder}/" + TEMPLATE), Log("json", io.StringIO()))
    (tmp_path / "in/y/a.png").unlink()
    plan(settings_for(tmp_path, crop_files="{folder}/" + TEMPLATE), Log("json", io.StringIO()))
    plan(settings_for(tmp_path, crop_files="{stem}-{hash}"), Log("json", io.StringIO()))
    assert not (tmp_path / "out").exists()


def test_two_live_photos_of_one_name_are_not_published(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg")
    do(settings_for(tmp_path))
    (tmp_path / "other").mkdir()
    (tmp_path / "in" / "a.jpg").rename(tmp_path / "other" / "a.jpg")
    with pytest.raises(LedgerError, match="two live photos of channel shop have the crop name"):
        do(settings_for(tmp_path, input=str(tmp_path / "other")))


COLUMNS = {"user": "ann/../b", "n": 7, "none": None}


@pytest.mark.parametrize(
    ("template", "uri", "name"),
    [
        ("{key}.{format}", "s3://ugc/2026/11/a b.jpg", "2026/11/a%20b.jpg.webp"),
        ("{folder}/{stem}-{ratio}-{rank}", "s3://ugc/a.b.jpg", "a.b-16x9-2"),
        ("{column:user}/{column:n}/{id}", "s3://ugc/a", "ann%2F.%2Fb/7/f00"),
        ("t/{hash}", "s3://ugc/a", "t/cafe"),
        ("{name}", "s3://ugc/../..", "%2E%2E"),
        ("{key}", "s3://ugc/..//.hidden/x", "%2E%2E/%2Ehidden/x"),
        ("{stem}", "file:///photos/Straße 日本.jpg", "Straße%20日本"),
        ("{stem}", "https://h/a%20b.jpg?sig=1#x", "a%20b"),
        ("{stem}", "/photos/100%.jpg", "100%25"),
        ("{stem}", "s3://ugc/a\\b\n.jpg", "a%5Cb%0A"),
    ],
)
def test_names_by_hand(template: str, uri: str, name: str) -> None:
    columns = {**COLUMNS, "user": "ann/./b"}
    made = parse_crop_names(template).name(uri, "f00", columns, "16:9", 2, "webp", "cafe")
    assert made == name


def test_values_never_meet_and_never_leave_their_place() -> None:
    values = ["a", "a.", ".a", "..", "...", "a..b", "a/b", "a%2Fb", "%", "%25", " ", "ä", "a\u0308",
              "\udcff", "a\\b", "\x00", "-", "_", "="]  # fmt: skip
    made = [escaped(value) for value in values]
    assert len(set(made)) == len(values)
    for text in made:
        assert not set(text) & set("/\\ \x00")
        assert ".." not in text
        assert not text.startswith(".")


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{ratio}.webp", "names no photo"),
        ("{stem}/{colour}", "{colour} is unknown: write one of folder, name"),
        ("{stem}/{", "has '{'"),
        ("{stem} {ratio}", "has ' '; text around fields"),
        ("../{stem}", "no part may begin with a dot"),
        ("{column:}", "is unknown"),
        ("", "names no photo"),
    ],
)
def test_templates_that_make_no_sense(template: str, problem: str) -> None:
    with pytest.raises(SettingError) as caught:
        Settings.of(crop_files=template)
    assert caught.value.field == "crop_files"
    assert problem in caught.value.problem


def test_what_the_plan_refuses(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg")
    for change, problem in (
        ({"crop_files": "{stem}"}, "add {ratio}"),
        ({"top_k": 2}, "add {rank}"),
        ({"ratios": "16:9,16x9"}, "one name"),
        ({"crop_files": "{column:user}/{ratio}"}, "names the column 'user', not in the list"),
    ):
        with pytest.raises(SettingError) as caught:
            plan(settings_for(tmp_path, **change), Log("json", io.StringIO()))
        assert problem in caught.value.problem
    row = {"uri": "s3://u/a.jpg", "image_id": "0", "user": None}
    with pytest.raises(SettingError, match=r"makes no name for s3://u/a\.jpg: its column user"):
        check_photos(parse_crop_names("{column:user}"), [row], ["1:1"], "webp")
    long = {"uri": f"s3://u/{'a' * 300}.jpg", "image_id": "0"}
    with pytest.raises(SettingError, match="300 between slashes"):
        check_photos(parse_crop_names("{stem}"), [long], ["1:1"], "webp")


def test_a_folder_is_asked_for_no_file_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("uri\ns3://u/a.jpg\ns3://u/a.jpg/b.jpg\n")
    about = {"input": str(tmp_path / "list.csv"), "ratios": "1:1", "crop_files": "{key}"}
    with pytest.raises(SettingError, match=r"makes 'a\.jpg' a file, of s3://u/a\.jpg"):
        plan(settings_for(tmp_path, **about), Log("json", io.StringIO()))
    for fits in ({"output": "memory://both-names"}, {"crop_files": "{key}/{ratio}"}):
        planned = plan(settings_for(tmp_path, **{**about, **fits}), Log("json", io.StringIO()))
        assert planned.todo.inputs.num_rows == 2


def test_keys_of_addresses() -> None:
    assert object_key("s3://b/x/y.jpg") == "x/y.jpg"
    assert object_key("/home/x.jpg") == "home/x.jpg"
    assert object_key("https://h/x%2Fy.jpg") == "x/y.jpg"


def test_keys_of_names_are_checked_by_the_store(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.write("crops/ab/café%20x.webp", b"1")
    for key in ("crops/ab/../x", "crops/ab/.x", "crops/ab/a b", "other/café", "crops/ab/a\\b"):
        with pytest.raises(ValueError, match="not a key"):
            store.write(key, b"1")


def test_names_of_any_script_come_back_from_every_store(store_uri: str) -> None:
    store = open_store(store_uri)
    names = ["crops/ab/café%20%26x/1x1.webp", "crops/ab/日本/16x9.webp", "crops/ab/100%25.webp"]
    for number, name in enumerate(names):
        store.write(name, bytes([number]))
    assert keys(store, "crops/") == sorted(names)
    assert [store.read(name) for name in names] == [b"\0", b"\1", b"\2"]
    store.delete(names[0])
    assert keys(store, "crops/") == sorted(names[1:])


def test_alone_it_means_what_it_did() -> None:
    from pipeline.cli.crop import parser

    needed = ["--input", "a", "--output", "b"]
    assert parser().parse_args([*needed, "--crop-files"]).crop_files is True
    assert parser().parse_args([*needed, "--crop-files", TEMPLATE]).crop_files == TEMPLATE
    assert parser().parse_args(needed).crop_files is False
    assert Settings.of(crop_files=True).identity()["crop_files"] is True
    assert Settings.of().identity()["crop_files"] is False
