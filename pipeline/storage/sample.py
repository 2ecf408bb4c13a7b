"""Provide a store that reads from a few objects in memory and discards later writes.

Workers that measure a sample use it in place of the output: they pin, encode and record as usual,
every request and byte is counted, and nothing is ever written anywhere.
"""

from collections.abc import Mapping

from pipeline.storage.backend import (
    ObjectChangedError,
    ObjectInfo,
    ObjectPart,
    ObjectTooLargeError,
    cut_part,
)
from pipeline.storage.backoff import Backoff
from pipeline.storage.store import Store


class SampleStore(Store):
    """Objects in memory, which are pickled with the store.

    keep: whether writes are kept. Only the process that plans a sample keeps them; its workers get
        a copy that does not.
    """

    def __init__(self, objects: Mapping[str, bytes], keep: bool = False) -> None:
        self.objects = dict(objects)
        super().__init__("the sample", _SampleBackend(self.objects, keep), Backoff(deadline_s=0))

    def __reduce__(self) -> tuple[type["SampleStore"], tuple[dict[str, bytes]]]:  # type: ignore[override]
        return SampleStore, (self.objects,)


class _SampleBackend:
    """Implements `backend.Backend`."""

    def __init__(self, objects: dict[str, bytes], keep: bool) -> None:
        self._objects, self._keep = objects, keep

    def get(self, key: str, etag: str | None, max_bytes: int | None) -> bytes:
        info = self.head(key)
        if etag is not None and etag != info.etag:
            raise ObjectChangedError(f"the object no longer has the ETag {etag}")
        if max_bytes is not None and info.bytes > max_bytes:
            raise ObjectTooLargeError(f"{info.bytes} bytes, at most {max_bytes} are read")
        return self._objects[key]

    def get_part(self, key: str, start: int | None, size: int) -> ObjectPart:
        return cut_part(self.get(key, None, None), start, size)

    def put(self, key: str, data: bytes) -> str:
        if self._keep:
            self._objects[key] = bytes(data)
        return str(len(data))

    def create(self, key: str, data: bytes) -> None:
        if key in self._objects:
            raise FileExistsError(key)
        self.put(key, data)

    def head(self, key: str) -> ObjectInfo:
        if key not in self._objects:
            raise FileNotFoundError(key)
        return ObjectInfo(key, len(self._objects[key]), str(len(self._objects[key])), 0.0)

    def list_page(self, prefix: str, token: str | None) -> tuple[list[ObjectInfo], str | None]:
        return [self.head(key) for key in sorted(self._objects) if key.startswith(prefix)], None

    def folders(self, prefix: str) -> list[str]:
        below = (key[len(prefix) :] for key in self._objects if key.startswith(prefix))
        return sorted({rest.partition("/")[0] for rest in below if "/" in rest})

    def delete(self, key: str) -> None:
        self._objects.pop(key, None)

    def temporary_files(self) -> list[ObjectInfo]:
        return []
