"""Make the gallery's index: column by column, what filters and search need about every photo."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.report.gallery.contents import (
    BORDERS,
    CLOSE,
    DAMAGED,
    FAILED,
    LOW_CONFIDENCE,
    OVERRIDDEN,
    SKIPPED,
    Contents,
    equal,
)

INDEX_PHOTOS = 10_000  # photos in one file of the index
FIRST = 8  # photos of each group on the landing page
# One character encodes the verdict and reason of a photo's crop of one shape. Runs have few such
# pairs; if there were more, the last character would stand for all remaining ones.
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
NO_CROP = "-"
ORDINARY = "photo"  # the kind without a rule of its own


@dataclass(frozen=True)
class Decisions:
    """Verdict and reason of the first crop of every photo and shape.

    pairs:   the pairs that occur, the most frequent first.
    letters: a string for each photo, a letter for each shape: LETTERS[n] is pairs[n], NO_CROP is
             no crop. [N]
    counts:  crops by shape and pair. [shapes][pairs]
    """

    pairs: list[tuple[str | None, str | None]]
    letters: list[str]
    counts: list[list[int]]


def decisions_of(contents: Contents) -> Decisions:
    """Read the verdicts of all first crops."""
    crops, photos = contents.crops, len(contents.images)
    first = contents.is_first
    firsts = crops.filter(pa.array(first))
    found = list(zip(firsts["verdict"].to_pylist(), firsts["reason"].to_pylist(), strict=True))
    counted: dict[tuple[str | None, str | None], int] = {}
    for pair in found:
        counted[pair] = counted.get(pair, 0) + 1
    pairs = sorted(counted, key=lambda pair: (-counted[pair], str(pair)))
    number = {pair: min(n, len(LETTERS) - 1) for n, pair in enumerate(pairs)}
    codes = np.array([number[pair] for pair in found], np.int64)
    photo = contents.photo[first]
    shape = contents.shape[first]
    table = np.full((photos, len(contents.shapes)), NO_CROP, dtype="U1")
    table[photo, shape] = np.array(list(LETTERS))[codes]
    counts = np.zeros((len(contents.shapes), max(1, len(pairs[: len(LETTERS)]))), np.int64)
    np.add.at(counts, (shape, codes), 1)
    return Decisions(pairs[: len(LETTERS)], ["".join(row) for row in table], counts.tolist())


def index_files(contents: Contents, decisions: Decisions) -> Iterator[dict[str, Any]]:
    """Yield the index in files of INDEX_PHOTOS photos."""
    _, status = dictionary_encode(contents.images["status"].to_pylist())
    _, kind = dictionary_encode(contents.images["kind"].to_pylist())
    uris = contents.images["uri"].to_pylist()
    for start in range(0, max(1, len(uris)), INDEX_PHOTOS):
        part = slice(start, start + INDEX_PHOTOS)
        prefix = _shared_start(uris[part])
        yield {
            "start": start,
            "prefix": prefix,
            "uris": [uri[len(prefix) :] for uri in uris[part]],
            "status": status[part],
            "kind": kind[part],
            "needs": contents.needs[part].tolist(),
            "marks": contents.marks[part].tolist(),
            "crops": decisions.letters[part],
        }


def _shared_start(texts: Sequence[str]) -> str:
    """Return the longest common prefix of `texts`."""
    low, high = min(texts, default=""), max(texts, default="")
    length = next((n for n, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[:length]


def dictionary_encode(values: Sequence[str | None]) -> tuple[list[str | None], list[int]]:
    """Return the distinct values in order of occurrence, and the index of each value in them."""
    numbers: dict[str | None, int] = {}
    codes = [numbers.setdefault(value, len(numbers)) for value in values]
    return list(numbers), codes


def groups(contents: Contents) -> list[dict[str, Any]]:
    """Group what needs attention by reason, the most urgent kind first, then by size.

    Low confidence comes after the broken guards, as in the list of photos.

    Reasons are those of first crops. Each group has its kind, its reason or status, the number of
    its photos and the places of the first ones.
    """
    crops = contents.crops.filter(pa.array(contents.is_first))
    photo = contents.photo[contents.is_first]
    found = []
    reasons = np.array([reason or "" for reason in crops["reason"].to_pylist()], object)
    for kind in ("review", "fallback"):
        mine = equal(crops["verdict"], kind)
        for reason in sorted(set(reasons[mine])):
            found.append(_group(kind, reason, np.unique(photo[mine & (reasons == reason)])))
    status = np.array(contents.images["status"].to_pylist(), object)
    failed = np.flatnonzero(contents.needs & FAILED)
    for reason in sorted(set(status[failed])):
        found.append(_group("error", reason, failed[status[failed] == reason]))
    if len(close := np.flatnonzero(contents.needs & CLOSE)):
        found.append(_group("close", "", close))
    order = {"review": 0, "fallback": 1, "close": 2, "error": 3}
    return sorted(
        found,
        key=lambda group: (
            order[group["kind"]],
            group["reason"] == LOW_CONFIDENCE,
            -group["count"],
        ),
    )


MARK_NAMES = {
    OVERRIDDEN: "overridden", SKIPPED: "skipped", BORDERS: "borders", DAMAGED: "damaged",
}  # fmt: skip


def special_groups(contents: Contents) -> list[dict[str, Any]]:
    """Group photos with special treatment: by kind, and by `Contents.marks`."""
    kind = np.array([name or "" for name in contents.images["kind"].to_pylist()], object)
    found = [
        _group("kind", name, np.flatnonzero(kind == name))
        for name in sorted(set(kind) - {"", ORDINARY})
    ]
    for bit, name in MARK_NAMES.items():
        if len(places := np.flatnonzero(contents.marks & bit)):
            found.append(_group("mark", name, places))
    return found


def _group(kind: str, reason: str, places: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "reason": reason,
        "count": len(places),
        "first": [int(place) for place in places[:FIRST]],
    }
