"""Stores that fsspec opens: who waits for whom."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.storage import fsspec_store
from pipeline.storage.fsspec_store import FsspecBackend

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
