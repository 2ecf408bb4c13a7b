"""Find which addresses an input could have listed, and whether the output is among them.

A folder covers what is below it, a prefix every key that begins with it, a glob what it matches.
"""

import os
from collections.abc import Callable

from pipeline.errors import UsageError
from pipeline.inputs.globs import folders_of, is_pattern, literal_prefix, regex_of
from pipeline.inputs.lists import is_list
from pipeline.storage.addresses import (
    absolute_path,
    bucket_and_key,
    local_path,
    s3_spelling,
    scheme_of,
)
from pipeline.storage.store import open_store


def is_glob(input_uri: str, requester_pays: bool = False) -> bool:
    """Return whether an input is read as a glob: it looks like one, and nothing has that name.

    A folder or prefix that exists as it is written is not a glob, even with a `[` or a `*`. Asks
    the store. requester_pays: as in `open_store`. Raises what `Store.list` raises.
    """
    if scheme_of(input_uri) == "file":
        path = local_path(input_uri)
        return is_pattern(path) and not os.path.exists(path)
    bucket, key = bucket_and_key(s3_spelling(input_uri))
    if not is_pattern(key):
        return False
    return next(open_store(bucket, requester_pays=requester_pays).list(key), None) is None


def membership_test(input_uri: str, as_glob: bool) -> Callable[[str], bool]:
    """Return a test of whether an address belongs to a folder, a prefix or a glob.

    Every address belongs to a list. as_glob: how the input was read, see `is_glob`. s3a:// counts
    as s3://.
    """
    input_uri = s3_spelling(input_uri)
    if is_list(input_uri):
        return lambda uri: True
    if scheme_of(input_uri) != "file":
        bucket, key = bucket_and_key(input_uri)
        start = f"{bucket}/"  # without the slash a photo of the bucket b2 would belong to s3://b
        if not as_glob:
            return lambda uri: uri.startswith(start + key)
        pattern = regex_of(key)
        return lambda uri: uri.startswith(start) and bool(pattern.fullmatch(uri, len(start)))
    whole = str(absolute_path(local_path(input_uri)))
    if as_glob:
        pattern = regex_of(whole)
        return lambda uri: pattern.fullmatch(local_path(uri)) is not None
    below = whole.rstrip("/") + "/"
    return lambda uri: local_path(uri) == whole or local_path(uri).startswith(below)


def refuse_overlap(input_uri: str, output_uri: str) -> None:
    """Raise UsageError when the output is in the input: the next run would read its tables.

    Asks no store: an input that may be a prefix or a glob is checked as both. Folders are compared
    by their real paths, without links and `..`.
    """
    input_uri, output_uri = s3_spelling(input_uri), s3_spelling(output_uri)
    if is_list(input_uri) or scheme_of(input_uri) != scheme_of(output_uri):
        return
    if scheme_of(input_uri) == "file":
        given, folder = local_path(input_uri), _real(local_path(output_uri))
        overlaps = folder.startswith(_real(given))
        if is_glob(input_uri):
            above, slash, _ = literal_prefix(given).rpartition("/")
            rest = given[len(above + slash) :]
            overlaps = _matches_below(_real(above + slash) + rest, folder)
    else:
        (bucket, key), (other, place) = bucket_and_key(input_uri), bucket_and_key(output_uri)
        folder = place.strip("/") + "/" if place.strip("/") else ""
        overlaps = bucket == other and (folder.startswith(key) or _matches_below(key, folder))
    if overlaps:
        raise UsageError(
            f"the output {output_uri!r} lies inside the input {input_uri!r}, so the next run "
            "would take its tables for photos. Choose an output beside the input; an input in a "
            "store is a prefix, which a slash at its end keeps to one folder."
        )


def _real(path: str) -> str:
    """Return the real path of a folder, with a slash at its end."""
    return os.path.realpath(path).rstrip("/") + "/"


def _matches_below(pattern: str, folder: str) -> bool:
    """Return whether a glob may match what runs write below a folder.

    folder: ends in a slash, or is empty for a whole bucket. Runs write nothing directly into it,
    but only into folders such as `runs/` (see `ledger.layout`). So a glob has to lead at least one
    level further. An input deeper than the output is next to its tables and does not match.
    """
    if not folder.startswith(literal_prefix(pattern)):
        return False
    above = ["", *folders_of(pattern)]
    if not above[-1].endswith("**"):  # which matches all that follows
        del above[-1]
    return any(regex_of(one).fullmatch(folder) for one in above)
