"""Use S3 and compatible stores through s3fs's session and event loop, one HTTP request per call.

s3fs's path functions are not used: they cut a key at "?versionId=", strip slashes and cache
listings, and keys are untrusted text.
"""

import base64
import hashlib
from typing import Any

from botocore.exceptions import ClientError

from pipeline.storage.backend import (
    ObjectChangedError,
    ObjectInfo,
    ObjectPart,
    Page,
    StoreMissingError,
    bare_etag,
    cut_part,
)
from pipeline.storage.s3_answers import body_of, continuation, info_of, object_bytes_of
from pipeline.storage.s3_requests import call

# By the key's ending. A browser shows an object of a bucket as a page only with its type.
CONTENT_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "webp": "image/webp",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "avif": "image/avif",
}
NOTHING_THERE = ("InvalidRange", "416")  # the range begins after the end, or the object is empty


class S3Backend:
    """Objects of one bucket under `prefix` (no slash at either end)."""

    def __init__(self, bucket: str, prefix: str, requester_pays: bool = False) -> None:
        """Take the bucket. requester_pays: agree, with each request that reads, to pay for it."""
        self._payer = {"RequestPayer": "requester"} if requester_pays else {}
        self._bucket = bucket
        self._prefix = prefix + "/" if prefix else ""

    def get(self, key: str, etag: str | None, max_bytes: int | None) -> bytes:
        match = {"IfMatch": f'"{etag}"'} if etag else {}

        async def fetch(client: Any) -> bytes:
            answer = await client.get_object(**self._at(key), **match, **self._payer)
            return await body_of(answer, max_bytes)

        try:
            data: bytes = call(fetch)
            return data
        except FileExistsError as error:  # 412 answers If-Match here, If-None-Match in `create`
            raise ObjectChangedError(f"the object no longer has the ETag {etag}") from error

    def get_part(self, key: str, start: int | None, size: int) -> ObjectPart:
        wanted = f"bytes=-{size}" if start is None else f"bytes={start}-{start + size - 1}"

        async def fetch(client: Any) -> ObjectPart:
            try:
                answer = await client.get_object(**self._at(key), **self._payer, Range=wanted)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") not in NOTHING_THERE:
                    raise
                if start is not None:
                    return ObjectPart(b"", 0)
                # An empty object, or a server that refuses to send less than it was asked for.
                answer = await client.get_object(**self._at(key), **self._payer)
            data, sent = await body_of(answer), answer.get("ContentRange")
            if not sent:  # a server that knows no ranges answers with the whole object
                return cut_part(data, start, size)
            total = object_bytes_of(sent, start, len(data))
            if total is None:
                whole = await client.head_object(**self._at(key), **self._payer)
                total = info_of(key, whole, "ContentLength").bytes
            return ObjectPart(data, total)

        part: ObjectPart = call(fetch)
        return part

    def put(self, key: str, data: bytes) -> str:
        answer = call(lambda client: client.put_object(**self._at(key), **_body(key, data)))
        return bare_etag(str(answer.get("ETag", "")))

    def create(self, key: str, data: bytes) -> None:
        call(lambda client: client.put_object(**self._at(key), **_body(key, data), IfNoneMatch="*"))

    def head(self, key: str) -> ObjectInfo:
        answer = call(lambda client: client.head_object(**self._at(key), **self._payer))
        return info_of(key, answer, "ContentLength")

    def list_page(self, prefix: str, token: str | None) -> tuple[list[ObjectInfo], str | None]:
        more = {"ContinuationToken": token} if token else {}
        answer = self._list_objects(Prefix=self._prefix + prefix, **more)
        return self._infos(answer), continuation(answer)

    def list_after(self, prefix: str, after: str) -> Page:
        start = {"StartAfter": self._prefix + after} if after else {}
        answer = self._list_objects(Prefix=self._prefix + prefix, **start)
        return self._infos(answer), continuation(answer) is not None

    def folders(self, prefix: str) -> list[str]:
        start = self._prefix + prefix
        found: list[str] = []
        more: dict[str, str] = {}
        while True:
            page = self._list_objects(Prefix=start, Delimiter="/", **more)
            found += [p["Prefix"][len(start) : -1] for p in page.get("CommonPrefixes", ())]
            token = continuation(page)
            if token is None:
                return found
            more = {"ContinuationToken": token}

    def _infos(self, answer: dict[str, Any]) -> list[ObjectInfo]:
        cut, found = len(self._prefix), answer.get("Contents", ())
        return [info_of(entry["Key"][cut:], entry, "Size") for entry in found]

    def _list_objects(self, **options: str) -> dict[str, Any]:
        asked = {"Bucket": self._bucket, **options, **self._payer}
        try:
            answer: dict[str, Any] = call(lambda client: client.list_objects_v2(**asked))
            return answer
        except StoreMissingError:
            raise
        except FileNotFoundError as error:  # a 404 without a cause, as proxies send
            raise StoreMissingError(f"there is no bucket {self._bucket} ({error})") from error

    def delete(self, key: str) -> None:
        call(lambda client: client.delete_object(**self._at(key)))

    def temporary_files(self) -> list[ObjectInfo]:
        return []  # an upload that was cut off never becomes visible

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}


def _body(key: str, data: bytes) -> dict[str, object]:
    # Content-MD5 is the one checksum that every S3 server of the last decade verifies.
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    kind = CONTENT_TYPES.get(key.rpartition(".")[2])
    named = {"ContentType": kind} if kind else {}
    return {"Body": data, "ContentMD5": base64.b64encode(digest).decode(), **named}
