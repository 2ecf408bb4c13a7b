"""Read the answers of S3 servers: facts about objects, bodies, parts, and where a listing goes on.

Not every server sends what S3 does. What is needed and missing, or cannot be read, raises OSError,
which `Store` reports as a failure of the store: another attempt would get the same answer.
"""

import re
from collections.abc import Mapping
from typing import Any

from pipeline.storage.backend import ObjectInfo, ObjectTooLargeError, bare_etag
from pipeline.storage.backoff import RetryableError

PIECE_BYTES = 256 << 10  # read at a time of a body of unknown length
_PART = re.compile(r"bytes\s+(\d+)-(\d+)/(\d+|\*)", re.IGNORECASE)


def info_of(key: str, answer: Mapping[str, Any], size: str) -> ObjectInfo:
    """Return the facts about an object. size: the name of the field with its length."""
    length, etag, modified = answer.get(size), answer.get("ETag"), answer.get("LastModified")
    if not isinstance(length, int):
        length = int(str(length)) if str(length).isdigit() else None
    if length is not None and etag and modified is not None:
        return ObjectInfo(key, length, bare_etag(etag), modified.timestamp())
    known = {size: length is not None, "ETag": etag, "LastModified": modified is not None}
    unknown = " and no ".join(name for name in known if not known[name])
    raise OSError(f"the server gives no {unknown} of {key!r:.200} that can be read")


def continuation(answer: Mapping[str, Any]) -> str | None:
    """Return the token of a listing's next page, None on the last page."""
    token = answer.get("NextContinuationToken")
    if not answer.get("IsTruncated", token is not None):
        return None
    if not token:
        raise OSError(
            "the server ends a listing before its end and gives no NextContinuationToken: it has "
            "to know ListObjectsV2"
        )
    return str(token)


async def body_of(answer: Mapping[str, Any], max_bytes: int | None = None) -> bytes:
    """Return the body of an answer.

    Raises RetryableError if it is not whole, and ObjectTooLargeError, before it is read if its
    length is known, if it has more than `max_bytes`.
    """
    expected = answer.get("ContentLength")  # none in chunks, whose end HTTP itself marks
    if expected is not None and max_bytes is not None and int(expected) > max_bytes:
        answer["Body"].close()
        raise ObjectTooLargeError(f"{expected} bytes, at most {max_bytes} are read")
    async with answer["Body"] as body:
        if expected is None and max_bytes is not None:
            return await _at_most(body, max_bytes)
        data = bytes(await body.read())
    if expected is not None and len(data) != int(expected):
        raise RetryableError("network", f"{len(data)} of {expected} bytes arrived")
    return data


async def _at_most(body: Any, max_bytes: int) -> bytes:
    data = bytearray()
    while piece := await body.read(PIECE_BYTES):
        data += piece
        if len(data) > max_bytes:
            raise ObjectTooLargeError(f"over {max_bytes} bytes, at most {max_bytes} are read")
    return bytes(data)


def object_bytes_of(content_range: str, start: int | None, sent: int) -> int | None:
    """Return how many bytes an object has of which a part was sent; None: the server hides it.

    content_range: the answer's header. start: the first byte asked for; None: its last bytes were
    asked for. sent: length of the answer's body.
    """
    found = _PART.fullmatch(content_range.strip())
    if not found:
        raise OSError(f"the server sends a part with a wrong Content-Range: {content_range!r:.80}")
    first, last = int(found[1]), int(found[2])
    total = None if found[3] == "*" else int(found[3])
    is_asked = total is None or last + 1 == total if start is None else first == start
    if not is_asked or last + 1 - first != sent:
        raise OSError(f"the server sends another part than asked for: {content_range!r:.80}")
    return total
