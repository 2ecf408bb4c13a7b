"""A folder as a store: what cannot be listed is not the same as what does not exist."""

import errno
import io
import os
from pathlib import Path

import pytest

from pipeline.errors import LedgerError, UsageError
from pipeline.inputs.listing import image_id
from pipeline.ledger.forgetting import forget
from pipeline.ledger.garbage import look_for_garbage
from pipeline.ledger.promotion.promotion import Request, promote
from pipeline.ledger.promotion.publishing import unpublish
from pipeline.ledger.reader import open_run
from pipeline.storage import local
from pipeline.storage.backend import ObjectChangedError, StoreFailedError, StoreRefusedError
from pipeline.storage.local import file_etag, file_status, read_file
from pipeline.storage.store import Store, open_store
from tests.support.closed_folders import close
from tests.support.tasks import make_inputs, open_ledger, run_all


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = open_store(str(tmp_path / "out"))
    for key in ("a/1", "a/b/2", "c/3"):
        found.write(key, b"x")
    return found


def keys(store: Store, prefix: str) -> list[str]:
    return [info.key for info in store.list(prefix)]


@pytest.mark.parametrize(
    ("number", "error"), [(errno.EACCES, StoreRefusedError), (errno.EIO, StoreFailedError)]
)
def test_a_folder_that_cannot_be_listed_is_not_empty(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    close(monkeypatch, Path(store.uri, "a", "b"), number)
    for ask in (lambda: keys(store, "a/"), lambda: keys(store, "a/b/"), lambda: keys(store, "")):
        with pytest.raises(error, match=os.strerror(number)):
            ask()
    assert keys(store, "c/") == ["c/3"]
    assert store.folders("a/") == ("b",)
    with pytest.raises(error, match=os.strerror(number)):
        store.folders("a/b/")


def test_a_folder_that_is_not_there_is_empty(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert keys(store, "d/") == keys(store, "a/1/") == []
    assert store.folders("d/") == store.folders("a/1/") == ()
    close(monkeypatch, Path(store.uri, "a", "b"), errno.ENOENT)  # removed since the walk began
    assert keys(store, "a/") == ["a/1"]


def test_folders_that_a_deletion_empties_go_with_it(store: Store) -> None:
    root = Path(store.uri)
    store.delete("a/b/2")
    assert sorted(path.name for path in (root / "a").iterdir()) == ["1"], "a/b is gone, a is not"
    store.delete("c/3")
    store.delete("c/absent")
    store.delete("a/1")
    assert root.is_dir()
    assert list(root.iterdir()) == [], "the output itself stays"
    store.delete("a/1")
    assert root.is_dir()


def test_no_name_of_a_forgotten_photo_is_left_as_a_folder(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "out"))
    names = ["ugc/000000/1x1.webp", "ugc/000001/1x1.webp"]
    for name in names:
        store.write(f"public/web/{name}", b"x")
    unpublish(store, [f"public/web/{names[0]}"])
    assert [path.name for path in (tmp_path / "out/public/web/ugc").iterdir()] == ["000001"]


@pytest.mark.parametrize("raised", [None, FileNotFoundError, FileExistsError])
def test_a_writer_makes_a_folder_again_that_was_removed_under_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, raised: type[OSError] | None
) -> None:
    """Three times: before the file is opened, or while `mkdir` looks at what is there."""
    made: list[Path] = []
    mkdir = Path.mkdir

    def removed_at_once(path: Path, mode: int = 0o777, **given: bool) -> None:
        mkdir(path, mode, **given)
        made.append(path)
        if len(made) <= 3:
            path.rmdir()
            if raised is not None:
                raise raised(str(path))

    monkeypatch.setattr(Path, "mkdir", removed_at_once)
    store.write("d/4", b"four")
    assert store.read("d/4") == b"four"
    assert made == [Path(store.uri, "d")] * 4


def test_an_object_that_is_deleted_as_soon_as_it_is_there_is_no_error(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def deleted_at_once(source: Path, target: Path) -> None:
        replace(source, target)
        store.delete("d/4")

    monkeypatch.setattr("pipeline.storage.local.os.replace", deleted_at_once)
    store.write("d/4", b"four")
    assert not Path(store.uri, "d").exists()


def test_a_file_in_a_folder_s_place_is_told(store: Store) -> None:
    told = r"a file is where a folder should be: .*; move it elsewhere; the same command then"
    with pytest.raises(StoreFailedError, match=told):
        store.write("c/3/4", b"x")
    assert keys(store, "c/") == ["c/3"]


def test_a_folder_in_a_file_s_place_is_told(store: Store) -> None:
    store.write("public/day/sun.webp/by/somebody", b"theirs")
    told = r"a folder is where a file should be: .*/day/sun\.webp; move it elsewhere"
    for write in (store.write, store.create_once):
        with pytest.raises(StoreFailedError, match=told):
            write("public/day/sun.webp", b"a crop")
    assert keys(store, "public/") == ["public/day/sun.webp/by/somebody"]
    assert [path.name for path in Path(store.uri, "public/day").iterdir()] == ["sun.webp"]


def test_what_is_below_a_file_is_absent_and_its_deletion_no_error(store: Store) -> None:
    """A published name may be the folder of an old one, which only the index still has."""
    assert not store.exists("a/1/x")
    store.delete("a/1/x")
    assert store.read("a/1") == b"x"


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, "No space left on device"),
        (errno.EIO, "Input/output error"),
        (errno.ENOENT, "was removed before it got its name; start again"),
    ],
)
def test_a_disk_that_fails_is_not_one_without_hard_links(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int, told: str
) -> None:
    def fail(source: object, target: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("pipeline.storage.local.os.link", fail)
    with pytest.raises(StoreFailedError, match=told) as failed:
        store.create_once("a/9", b"1")
    assert "hard links" not in str(failed.value)
    assert [info.key for info in store.list()] == ["a/1", "a/b/2", "c/3"]
    assert store.temporary_files() == ()


def test_forgotten_photos_stay_hidden_or_nothing_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, inputs = open_store(str(tmp_path / "out")), make_inputs(2)
    run = run_all(open_ledger(store, inputs), channel="web", promote="auto")
    promote(store, run.run_id, Request())
    forget(store, [image_id(inputs["uri"][0].as_py())])
    assert open_run(store.uri).images(["uri"]).num_rows == 1
    close(monkeypatch, tmp_path / "out" / "forgotten")
    with pytest.raises((LedgerError, PermissionError), match="Permission denied"):
        open_run(store.uri).images(["uri"])


def test_what_the_file_system_keeps_for_itself_is_passed_over(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(store.uri, "lost+found").mkdir()
    close(monkeypatch, Path(store.uri, "lost+found"))
    assert keys(store, "") == ["a/1", "a/b/2", "c/3"]
    assert look_for_garbage(store, 60).garbage == []


def test_what_is_no_regular_file_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "file").write_bytes(b"abc")
    os.mkfifo(tmp_path / "pipe")
    assert file_status(tmp_path / "link").st_size == 3
    for name in ("loop", "pipe", "file/x", "", "a\0b", "none"):
        with pytest.raises(FileNotFoundError):
            file_status(tmp_path / name)
    with pytest.raises(OSError, match="too long"):
        file_status(tmp_path / ("x" * 300))


def test_a_file_in_the_place_of_a_folder_is_told_before_any_work(tmp_path: Path) -> None:
    file = tmp_path / "thumbs"
    file.write_bytes(b"x")
    for given in (file, file / "deeper" / "still"):
        with pytest.raises(UsageError, match=f"^{file} is a file; '{given}' has to be a folder"):
            open_store(str(given))
    for given in (tmp_path, tmp_path / "none" / "yet"):
        open_store(str(given))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="of Linux, where no folder can be made")
def test_where_no_folder_can_be_made_is_told_as_a_failure_of_the_store() -> None:
    store = open_store("/proc/nope")
    told = r"/proc/nope: no folder can be made there \(No such file.*\); choose another place"
    for write in (store.write, store.create_once):
        with pytest.raises(StoreFailedError, match=told):
            write("data/run.js", b"x")


def test_a_file_that_is_written_to_while_it_is_read_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first half may be older than its second one."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"old")

    class Written(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            with path.open("ab") as other:
                other.write(b"new")
            return super().read(-1 if size is None else size)

    monkeypatch.setattr(local, "_opened_to_read", lambda one: Written(one))
    with pytest.raises(ObjectChangedError, match=r"a\.jpg was changed"):
        read_file(path, file_etag(path.stat()), None)
    assert read_file(path, None, None) == b"oldnewnew"  # nothing is pinned
