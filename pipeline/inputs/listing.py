"""List the photos of a run once; `reading` reads them as they were when they were listed.

An input is a folder, a glob, an `s3://bucket/prefix`, or a list (Parquet, CSV or JSON Lines) with a
`uri` column. Addresses are untrusted text: they are kept as they are, compared, hashed and passed
to the store, but never split into paths.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.errors import SettingError, UsageError
from pipeline.inputs.focus import FocusColumns, with_focus
from pipeline.inputs.globs import is_pattern, literal_prefix, regex_of
from pipeline.inputs.left_out import LeftOut
from pipeline.inputs.lists import URI, is_list, read_list
from pipeline.inputs.local_files import file_info, local_bytes, local_uri, walk
from pipeline.inputs.selection import NO_PHOTO, Selection
from pipeline.inputs.table_files import LIST_ENDS
from pipeline.inputs.within import is_glob, membership_test
from pipeline.schema import INPUTS
from pipeline.storage.addresses import (
    absolute_path,
    bucket_and_key,
    local_path,
    refuse_credentials,
    s3_spelling,
    scheme_of,
)
from pipeline.storage.backend import ObjectInfo
from pipeline.storage.partitions import sorted_by
from pipeline.storage.ranges import list_by_ranges
from pipeline.storage.spool import Spool, filtered, pieces, spooled
from pipeline.storage.store import open_store

BATCH_ROWS = 10_000  # a listing is converted to Arrow in steps of this many rows


def image_id(uri: str) -> str:
    """Name a photo by its address: 32 hex digits, the first 128 bits of its SHA-256."""
    return hashlib.sha256(uri.encode("utf-8", "surrogateescape")).hexdigest()[:32]


@dataclass(frozen=True)
class Listing:
    """The photos of an input: `schema.INPUTS`, then pass-through columns; and what is left out.

    within: returns whether this input could have listed an address, see `membership_test`; False
        for rows of a list that are left out, since their photos are not gone.
    unreadable: number of rows of a list whose address cannot be read.
    """

    table: pa.Table
    left_out: LeftOut
    within: Callable[[str], bool]
    unreadable: int = 0

    @property
    def why_no_pruning(self) -> str | None:
        """Why photos that are not in the listing may not be gone; None: they are gone."""
        if not self.unreadable:
            return None
        rows = f"rows of the list ({self.unreadable:,}) have addresses that cannot be read"
        return f"{rows}, so that photos could seem to be gone"


def list_all(
    input_uri: str,
    limit: int | None = None,
    focus_columns: FocusColumns | None = None,
    uri_column: str = URI,
    selection: Selection = Selection(),  # noqa: B008  it is frozen
    requester_pays: bool = False,
) -> Listing:
    """List every photo of an input, sorted by uri.

    Objects of a prefix come with the ETag and size of the listing, files with time and size, rows
    of a list with the list's own values. A folder or bucket without photos gives no rows.
    limit: the most photos to keep, the first by uri; None keeps all.
    focus_columns: columns of the list that hold each photo's focal point; None for none.
    uri_column: the list's column of addresses.
    selection: which files of a folder or prefix, and rows of a list, are taken.
    requester_pays: agree to pay for requests to S3, where the bucket's owner does not.

    Raises UsageError when the input does not exist, when a folder may not be listed, when nothing
    matches a glob, or when a list is not one that `pipeline.inputs.lists` accepts; LedgerError when
    a store or a disk does not answer.
    """
    refuse_credentials(input_uri)
    input_uri = s3_spelling(input_uri)
    if limit is not None and limit < 1:
        raise SettingError("limit", f"must be at least 1, not {limit}")
    if scheme_of(input_uri) in ("http", "https"):
        raise UsageError(
            f"{input_uri!r} is on a web server, which cannot be listed: name the addresses of its "
            "photos in a list in a folder or bucket, and its hosts by --http-hosts"
        )
    if is_list(input_uri):
        found = _list_rows(input_uri, focus_columns, uri_column, selection, requester_pays)
    else:
        if focus_columns is not None or uri_column != URI:
            name = "uri_column" if focus_columns is None else "focus_columns"
            raise SettingError(name, "is about columns of a list; the input is no list")
        found = _list_objects(input_uri, selection, requester_pays)
    table = sorted_by(found.table, "uri")
    if limit is not None:
        table = filtered(table, np.arange(table.num_rows) < limit)
    return replace(found, table=table)


def _list_rows(
    input_uri: str,
    focus_columns: FocusColumns | None,
    uri_column: str,
    selection: Selection,
    requester_pays: bool,
) -> Listing:
    """List the photos that a list names, in its order. Raises as `list_all`."""
    read = read_list(input_uri, focus_columns or (), uri_column, requester_pays)
    pinned = spooled(_pin_files(rows) for rows in pieces(read.table))
    table = _selected_rows(pinned, selection, read.left_out)
    table = table if focus_columns is None else with_focus(table, focus_columns)
    unusable = read.unusable  # so that `within` does not keep the table that was read
    return Listing(table, read.left_out, lambda uri: uri not in unusable, read.unreadable)


def _list_objects(input_uri: str, selection: Selection, requester_pays: bool) -> Listing:
    """List the photos in a folder or a store, in its order. Raises as `list_all`."""
    left_out, as_glob = LeftOut(), is_glob(input_uri, requester_pays)
    found = (
        walk(local_path(input_uri), left_out, as_glob, selection)
        if scheme_of(input_uri) == "file"
        else _objects(input_uri, as_glob, requester_pays)
    )
    table = _table(_selected_objects(found, selection, left_out))
    if table.num_rows == 0 and not left_out and is_pattern(input_uri):
        raise UsageError(f"nothing found in {input_uri!r}; check the address and its glob")
    if left_out.places == {NO_PHOTO: [_address(input_uri)]} and not table.num_rows:
        raise UsageError(
            f"{input_uri!r} is no photo by its name, and no list: those end in {LIST_ENDS}"
        )
    return Listing(table, left_out, membership_test(input_uri, as_glob))


def _address(input_uri: str) -> str:
    """Return the address of the one file that an input may be."""
    if scheme_of(input_uri) != "file":
        return input_uri
    return local_uri(absolute_path(local_path(input_uri)))


def _selected_objects(
    found: Iterable[tuple[str, ObjectInfo]], selection: Selection, left_out: LeftOut
) -> Iterator[tuple[str, ObjectInfo]]:
    for uri, info in found:
        if reason := selection.reason(uri):
            left_out.row(reason, uri)
        else:
            yield uri, info


def _selected_rows(table: pa.Table, selection: Selection, left_out: LeftOut) -> pa.Table:
    """Select the rows of a list that are taken, and note the others; without patterns, all are."""
    if not (selection.include or selection.exclude):
        return table

    def part(rows: pa.Table) -> pa.Table:
        uris = rows["uri"].to_pylist()
        reasons = [selection.reason(uri) for uri in uris]
        for uri, reason in zip(uris, reasons, strict=True):
            if reason:
                left_out.row(reason, uri)
        return rows.filter(pa.array([reason is None for reason in reasons], pa.bool_()))

    return spooled(part(rows) for rows in pieces(table))


def _objects(uri: str, as_glob: bool, requester_pays: bool) -> Iterator[tuple[str, ObjectInfo]]:
    """Yield (address, info) of the objects under a prefix or matching a glob, as the store does."""
    bucket, prefix = bucket_and_key(uri)
    store, keep = open_store(bucket, requester_pays=requester_pays), None
    if as_glob:
        prefix, keep = literal_prefix(prefix), regex_of(prefix)
    for info in list_by_ranges(store, prefix):
        folder_marker = info.key.endswith("/") and info.bytes == 0
        if not folder_marker and (keep is None or keep.fullmatch(info.key)):
            yield f"{bucket}/{info.key}", info


def _table(found: Iterable[tuple[str, ObjectInfo]]) -> pa.Table:
    """Collect a listing in batches, so that a million keys never exist as Python objects."""
    spool = Spool(INPUTS)
    rows: list[tuple[str, str, str, int]] = []

    def flush() -> None:
        columns = zip(INPUTS, zip(*rows, strict=True), strict=True)
        arrays = [pa.array(values, field.type) for field, values in columns]
        spool.add(pa.table(arrays, schema=INPUTS))
        rows.clear()

    for uri, info in found:
        rows.append((image_id(uri), uri, info.etag, info.bytes))
        if len(rows) == BATCH_ROWS:
            flush()
    if rows:
        flush()
    return spool.table()


def _pin_files(table: pa.Table) -> pa.Table:
    """Add image_id to the rows of a list, and time and size where they are files."""
    uris = table["uri"].to_pylist()
    ids = pa.array([image_id(uri) for uri in uris], pa.string())
    etags, sizes = table["etag"].to_pylist(), table["bytes"].to_pylist()
    for row, uri in enumerate(uris):
        if scheme_of(uri) == "file" and etags[row] is None:
            info = _info_of(uri)
            if info is not None:
                etags[row], sizes[row] = info.etag, info.bytes
    for name, values in (("etag", etags), ("bytes", sizes)):
        field = INPUTS.field(name)
        column = pa.array(values, field.type)
        table = table.set_column(table.schema.get_field_index(name), field, column)
    return table.add_column(0, INPUTS.field("image_id"), [ids])


def _info_of(uri: str) -> ObjectInfo | None:
    """Return size and time of a list's file; None if unknown, which reading it will explain."""
    try:
        return file_info(Path(os.fsdecode(local_bytes(uri))))
    except OSError:  # such as a name that is too long, or a forbidden folder: only its row fails
        return None
