"""Verifying a run's objects one by one: crops stored as objects, and missing data files."""

import hashlib
from pathlib import Path

import pytest

from pipeline.inputs.listing import image_id
from pipeline.ledger import wrong_crops
from pipeline.ledger.audit import verify_run
from pipeline.ledger.erasing import erase
from pipeline.ledger.forgetting import forget
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.manifest import data_files, read_committed
from pipeline.ledger.promotion.promotion import Request, promote, rollback
from pipeline.ledger.promotion.publishing import publish_files
from pipeline.ledger.wrong_crops import NAMED_CROPS, WrongCrops
from pipeline.storage.store import Store, open_store
from tests.support.forgotten import with_one_forgotten
from tests.support.named_crops import run_with_named_crops
from tests.support.row_runs import commit_rows, crop_row, image_row
from tests.support.tasks import make_inputs

LOST = "is gone. Restore it from a copy."
CROP = "Restore it from a copy, or from the column `image` of the run's table `crops`."
GONE = f"is gone. {CROP}"
CHANGED = f"was changed: its hash is not the committed one. {CROP}"


def key(run_id: str, number: int) -> str:
    """Of the crop of a photo of `make_inputs`, as `run_with_named_crops` names it."""
    return f"crops/{run_id}/{number:06d}.webp"


def test_a_crop_that_is_gone_and_one_that_was_overwritten_are_problems(memory: Store) -> None:
    run = run_with_named_crops(memory, make_inputs(4), "A")
    found = verify_run(memory, run)
    assert (found.crop_files, found.collected, found.problems) == (4, 0, [])
    memory.delete(key(run, 1))
    memory.write(key(run, 3), b"another picture")
    found = verify_run(memory, run)
    assert (found.crop_files, found.collected) == (2, 0)
    assert found.problems == [f"{key(run, 1)} {GONE}", f"{key(run, 3)} {CHANGED}"]
    assert found.rows == {"images": 4, "crops": 4, "crop_files": 4}, "no row is missing"


def test_a_live_run_s_crop_is_needed(memory: Store) -> None:
    run = run_with_named_crops(memory, make_inputs(2), "A")
    promote(memory, run, Request())
    memory.delete(key(run, 0))
    assert verify_run(memory, run).problems == [f"{key(run, 0)} {GONE}"]


def test_crops_of_forgotten_photos_are_rightly_gone(memory: Store) -> None:
    """Also where a collector was killed after it deleted the crop, before it erased the rows."""
    run = run_with_named_crops(memory, make_inputs(3), "A")
    forget(memory, make_inputs(1)["image_id"].to_pylist())
    memory.delete(key(run, 0))
    found = verify_run(memory, run)
    assert (found.crop_files, found.erased, found.problems) == (2, 0, [])
    remove_garbage(memory, look_for_garbage(memory, 0).garbage)
    found = verify_run(memory, run)
    assert (found.crop_files, found.erased, found.problems) == (2, 1, [])


def test_crops_that_no_live_run_needs_may_have_been_collected(memory: Store) -> None:
    """The second run shows the first photo; the first run's crop of it is old."""
    first = run_with_named_crops(memory, make_inputs(2), "A")
    second = run_with_named_crops(memory, make_inputs(1, "v2"), "B")
    for run in (first, second):
        promote(memory, run, Request())
    publish_files(memory, "web")
    memory.delete(key(first, 0))
    found = verify_run(memory, first)
    assert (found.crop_files, found.collected, found.problems) == (1, 1, [])
    rollback(memory, "web")  # now the first run shows it
    assert verify_run(memory, first).problems == [f"{key(first, 0)} {GONE}"]
    memory.delete(key(second, 0))
    assert verify_run(memory, second).collected == 1, "it was rolled back"


def test_where_it_is_not_known_what_is_needed_the_crop_is_a_problem(memory: Store) -> None:
    run = run_with_named_crops(memory, make_inputs(2), "A")
    promote(memory, run, Request())
    manifest = read_committed(memory, run)
    assert manifest is not None
    (index,) = data_files(memory, manifest, "crop_files")
    memory.delete(index.key)
    memory.delete(key(run, 0))
    problems = verify_run(memory, run).problems
    assert problems == [f"{index.key} {LOST}", f"{key(run, 0)} {GONE}"]


def test_many_crops_with_a_problem_are_counted(memory: Store) -> None:
    run = run_with_named_crops(memory, make_inputs(NAMED_CROPS + 2), "A", task_images=99)
    for number in range(NAMED_CROPS + 2):
        memory.delete(key(run, number))
    problems = verify_run(memory, run).problems
    assert len(problems) == NAMED_CROPS + 1
    assert problems[-1] == "2 more crop files are gone or were changed"


def test_few_keys_of_crops_are_in_memory(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 30 photos, 25 are shown by a later run; all crops are gone, so five are problems."""
    first = run_with_named_crops(memory, make_inputs(30), "A", task_images=99)
    for run in (first, run_with_named_crops(memory, make_inputs(25, "v2"), "B", task_images=99)):
        promote(memory, run, Request())
    for number in range(30):
        memory.delete(key(first, number))
    held: list[int] = []

    def add(self: WrongCrops, crop: str, problem: str) -> None:
        added(self, crop, problem)
        held.append(self.held)

    added = WrongCrops.add
    monkeypatch.setattr(WrongCrops, "add", add)
    for most, expected in ((100, 30), (3, 2), (7, 6)):  # a full part is compared at once
        monkeypatch.setattr(wrong_crops, "MOST_HELD", most)
        held.clear()
        found = verify_run(memory, first)
        assert (found.crop_files, found.collected) == (0, 25)
        assert sorted(found.problems) == [f"{key(first, n)} {GONE}" for n in range(25, 30)]
        assert (len(held), max(held)) == (30, expected)


@pytest.mark.parametrize("most", [1, 7, 1000])
def test_problems_of_all_parts_are_named_up_to_twenty(
    most: int, memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrong_crops, "MOST_HELD", most)
    manifest = read_committed(memory, run_with_named_crops(memory, make_inputs(1), "A"))
    assert manifest is not None
    wrong = WrongCrops(memory, manifest)
    for number in range(23):
        wrong.add(f"crop {number}", "is odd")
    named = [f"crop {number} is odd. {CROP}" for number in range(20)]
    assert wrong.problems() == [*named, "3 more crop files are gone or were changed"]


@pytest.mark.parametrize("erased", [False, True])
def test_what_is_gone_is_not_counted(store: Store, erased: bool) -> None:
    """Three photos, one of which is forgotten and erased; then the file of `images` is lost."""
    run, erasures = with_one_forgotten(store)
    for one in erasures if erased else ():
        erase(store, one)
    left = 2 if erased else 3
    found = verify_run(store, run.run_id)
    files = [info for table in ("images", "crops") for info in store.list(f"_data/{table}/")]
    assert (found.files, found.rows) == (2, {"images": left, "crops": left})
    assert found.bytes == sum(info.bytes for info in files), "of the files as they are now"
    (images,) = store.list("_data/images/")
    Path(store.uri, images.key).unlink()
    found = verify_run(store, run.run_id)
    assert (found.files, found.rows) == (1, {"crops": left})
    assert found.bytes == sum(info.bytes for info in store.list("_data/crops/"))
    assert found.problems[0] == f"{images.key} {LOST}"
    assert "the first is s3://ugc/000000.jpg" in found.problems[1]


def test_a_crop_named_by_its_content_is_needed_by_each_photo_that_has_it(tmp_path: Path) -> None:
    """Two photos are one picture, once as an object; the other crop has none. Nothing is live."""
    store, data = open_store(str(tmp_path)), b"one picture"
    about = {"sha256": hashlib.sha256(data).hexdigest(), "file": "crops/ab/abcd.webp"}
    crops = [crop_row(name, "1:1", (0, 0, 60, 60), **about) for name in ("a", "b")]
    rows = [image_row(name) for name in ("a", "b", "c")]
    opened = commit_rows(tmp_path, rows, [*crops, crop_row("c", "1:1", (0, 0, 60, 60))])
    run_id = str(opened.manifest["run_id"])
    store.write("crops/ab/abcd.webp", data)
    assert (verify_run(store, run_id).crop_files, verify_run(store, run_id).problems) == (1, [])
    store.delete("crops/ab/abcd.webp")
    forget(store, [image_id("a")])
    found = verify_run(store, run_id)
    assert (found.crop_files, found.problems) == (0, [f"crops/ab/abcd.webp {GONE}"])
    forget(store, [image_id("b")])
    assert verify_run(store, run_id).problems == []
