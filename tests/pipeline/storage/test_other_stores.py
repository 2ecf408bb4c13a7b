"""Stores that fsspec opens: who waits for whom, which keys are listed, what is no address."""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.errors import UsageError
from pipeline.inputs.listing import list_all
from pipeline.inputs.reading import read_image
from pipeline.storage import fsspec_store
from pipeline.storage.addresses import refuse_credentials
from pipeline.storage.fsspec_store import FsspecBackend
from pipeline.storage.store import open_store

PATIENCE_S = 5.0


def opened(
    monkeypatch: pytest.MonkeyPatch, uri: str, upload: Callable[[], object]
) -> FsspecBackend:
    """A backend whose file system calls `upload` in place of every upload."""

    class FileSystem:
        def pipe_file(self, path: str, data: bytes, mode: str = "overwrite") -> None:
            upload()

    monkeypatch.setattr(fsspec_store.fsspec, "url_to_fs", lambda *_, **__: (FileSystem(), "b/out"))
    return FsspecBackend(uri)


@pytest.mark.parametrize("scheme", ["gs", "az"])
@pytest.mark.parametrize("way", ["put", "create"])
def test_uploads_do_not_wait_for_one_another(
    scheme: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of two uploads ends once the other has begun."""
    both = threading.Barrier(2, timeout=PATIENCE_S)
    backend = opened(monkeypatch, f"{scheme}://b/out", both.wait)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda key: getattr(backend, way)(key, b"1"), ("x", "y")))
    assert not both.broken


@pytest.mark.parametrize("way", ["put", "create"])
def test_memory_is_written_under_its_lock(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bool] = []

    def look() -> None:
        held.append(fsspec_store._MEMORY.locked())

    getattr(opened(monkeypatch, "memory://b/out", look), way)("x", b"1")
    assert held == [True]
    assert not fsspec_store._MEMORY.locked()


def test_a_key_that_begins_with_a_slash_is_listed_as_it_is() -> None:
    """Keys are strangers' text: `/a.jpg` and `a.jpg` are two objects."""
    root = f"memory://{uuid.uuid4().hex}"
    backend = FsspecBackend(root)
    for key, data in (("a.jpg", b"1"), ("/a.jpg", b"22"), ("//in/b.jpg", b"333")):
        backend.put(key, data)
    store = open_store(root)
    listed = {info.key: info.bytes for info in store.list()}
    assert listed == {"a.jpg": 1, "/a.jpg": 2, "//in/b.jpg": 3}
    assert [info.key for info in store.list("/")] == ["//in/b.jpg", "/a.jpg"]
    assert [info.key for info in store.list("//in/")] == ["//in/b.jpg"]
    for key, size in listed.items():
        assert (store.head(key).key, len(store.read(key))) == (key, size)
    table = list_all(f"{root}/").table
    assert {uri: len(read_image(uri)) for uri in table["uri"].to_pylist()} == {
        f"{root}/a.jpg": 1, f"{root}//a.jpg": 2, f"{root}///in/b.jpg": 3,
    }  # fmt: skip


def test_keys_below_a_root_that_ends_in_a_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsspec_store.fsspec, "url_to_fs", lambda *_, **__: (None, "b/out/"))
    backend = FsspecBackend("gs://b/out/")
    for key in ("a/x", "/x"):
        assert backend._info({"name": backend._path(key), "size": 3}).key == key


def test_a_folder_without_a_name_is_left_out(s3: str) -> None:
    """A stranger's key `runs//x` in an output makes one; it is no run."""
    for root in (f"memory://{uuid.uuid4().hex}", s3):
        store = open_store(root)
        for key in ("runs/a/x", "runs//x", "/y/x", "z/x"):
            store._backend.put(key, b"1")
        assert store.folders("runs/") == ("a",)
        assert store.folders("") == ("runs", "z")


def test_a_host_that_is_none_is_refused_without_what_precedes_it() -> None:
    """Python's own message repeats the second, whose sign ℀ stands for the letters a/c."""
    for text in ("https://u:p@[h/x", "https://u:p@h\u2100/x"):
        with pytest.raises(UsageError, match=r"no address: the host in it is not valid$") as told:
            refuse_credentials(text)
        assert "u:p" not in str(told.value)
        assert told.value.__cause__ is None
