"""Read input lists. They are untrusted files: an unusable value drops its row, not the list.

Our own columns:  uri (required; another name by --uri-column), etag, bytes, boxes (list of
                  [x0, y0, x1, y1], source pixels; in CSV and JSON Lines as JSON). Every other
                  column passes through to `images` and `crops`.
Refused as a whole: a list without uris, or with names that `images` or `crops` already use.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.errors import SettingError, UsageError
from pipeline.inputs.left_out import LeftOut
from pipeline.inputs.list_values import Reasons, boxes_of, sizes_of
from pipeline.inputs.table_files import is_table_file, read_table_file
from pipeline.schema import CROPS, IMAGES, INPUT_BOXES, INPUT_SEEN, INPUTS
from pipeline.storage.addresses import refuse_credentials, s3_spelling, scheme_of, split_address
from pipeline.storage.backend import bare_etag
from pipeline.storage.spool import numbered_pieces, pieces, spooled

URI = "uri"
NO_URI = "have no uri"
MAX_URI_CHARACTERS = 4096
_TAKEN = {*IMAGES.names, *CROPS.names, INPUT_SEEN.name, "image_id", "run_id", "task"}
RESERVED = _TAKEN - {"uri", "etag", "bytes"}


@dataclass(frozen=True)
class ListRead:
    """The rows of a list that can be used, and what was left out of it.

    unusable:  addresses of the rows that cannot be used.
    unreadable: number of rows whose address cannot be read.
    """

    table: pa.Table
    left_out: LeftOut
    unusable: frozenset[str] = frozenset()
    unreadable: int = 0


def is_list(uri: str) -> bool:
    """Return whether an input address names a list rather than photos."""
    return is_table_file(uri)


def read_list(
    uri: str,
    named: Collection[str] = (),
    uri_column: str = URI,
    requester_pays: bool = False,
) -> ListRead:
    """Read the rows of a list: uri, etag, bytes, `boxes` where given, pass-through columns.

    named: columns that a setting names, which may have names of our own columns.
    uri_column: the column of addresses.
    requester_pays: as in `open_store`.

    Raises UsageError where the list as a whole can't be used, saying what is expected.
    """
    table, left_out = read_table_file(uri, requester_pays)
    if left_out.rows and not table.num_columns:
        raise UsageError(f"no row of the list {uri!r} can be used; {left_out.message}")
    unreadable = sum(left_out.rows.values())
    table, wrong = _cast_own_columns(_with_uri(table, uri_column, left_out), named)
    seen = _Seen(table)
    table = _only_usable(table, scheme_of(uri) == "file", left_out, wrong, seen)
    if left_out.rows and not table.num_rows:
        raise UsageError(f"no row of the list {uri!r} can be used; {left_out.message}")
    unusable = frozenset(seen.unusable - seen.uris)
    return ListRead(table, left_out, unusable, unreadable + left_out.rows[NO_URI])


def _with_uri(table: pa.Table, uri_column: str, left_out: LeftOut) -> pa.Table:
    names = table.column_names
    if (why := left_out.columns.get(uri_column)) is not None:
        raise UsageError(f"the list's column {uri_column!r} has no addresses: {why}; write text")
    if uri_column not in names:
        found = ", ".join(names) or "none"
        if uri_column != URI:
            raise SettingError("uri_column", f"names {uri_column!r}, and the list has {found}")
        if any("/" in name for name in names):  # an address, as in a list without a header
            found += ". Its first line must name the columns"
        raise UsageError(
            f"the list needs a column 'uri'; it has {found}. Name another with --uri-column"
        )
    if uri_column == URI:
        return table
    if URI in names:
        raise SettingError("uri_column", "names another column, and the list has a 'uri' too")
    return table.rename_columns([URI if name == uri_column else name for name in names])


def _cast_own_columns(table: pa.Table, named: Collection[str]) -> tuple[pa.Table, Reasons]:
    """Cast our own columns and put them before the others; also return why rows can't be used."""
    names = table.column_names
    taken = [name for name in names if name in RESERVED - {"image_id", "boxes", *named}]
    if taken:
        names_taken = ", ".join(map(repr, taken))
        raise UsageError(f"the list has columns that are named as ours: {names_taken}; rename them")
    columns, fields = [], []
    wrong: Reasons = []
    for field in (INPUTS.field(URI), INPUTS.field("etag"), INPUTS.field("bytes")):
        column = table[field.name] if field.name in names else pa.nulls(len(table), field.type)
        try:
            if field.name == "bytes":
                column, wrong = sizes_of(column)
            columns.append(column.cast(field.type))
        except pa.ArrowException as error:
            message = f"the column {field.name!r} must be {field.type}: {error}"
            raise UsageError(message) from error
        fields.append(pa.field(field.name, field.type))
    in_order = sorted(table.schema, key=lambda field: field.name != INPUT_BOXES.name)
    for field in in_order:
        if field.name not in (URI, "etag", "bytes", "image_id"):
            columns.append(table[field.name])
            fields.append(pa.field(field.name, field.type))
    return pa.table(columns, schema=pa.schema(fields)), wrong


def _only_usable(
    table: pa.Table, is_local: bool, left_out: LeftOut, wrong: Reasons, seen: "_Seen"
) -> pa.Table:
    """Keep the rows that can be used, each uri once, with bare ETags; note the others.

    wrong: why rows can't be used because of their sizes; empty where all can.
    """
    return spooled(
        _usable_rows(rows, is_local, seen, start, left_out, wrong[start : start + rows.num_rows])
        for start, rows in numbered_pieces(table)
    )


class _Seen:
    """The addresses seen so far: usable ones that a list may have several times, and others."""

    def __init__(self, table: pa.Table) -> None:
        hashes = [np.fromiter(map(hash, _uris(rows)), np.int64) for rows in pieces(table)]
        found = np.sort(np.concatenate(hashes))
        self._shared = set(found[1:][found[1:] == found[:-1]].tolist())
        self.uris: set[str] = set()
        self.unusable: set[str] = set()

    def reason(self, uri: str | None, wrong: str | None) -> str | None:
        """Note a row. Return why it is left out: what is wrong with it, or that it is a repeat.

        Only usable rows count, so that a wrong one does not displace the photo's next one.
        """
        if wrong is not None:
            if uri:
                self.unusable.add(uri)
            return wrong
        assert uri, "a row without an address is not usable"
        if uri in self.uris:
            return "repeat a uri"
        if hash(uri) in self._shared:
            self.uris.add(uri)
        return None


def _uris(rows: pa.Table) -> list[str | None]:
    return [uri and s3_spelling(uri) for uri in rows[URI].to_pylist()]


def _usable_rows(
    table: pa.Table, is_local: bool, seen: _Seen, start: int, left_out: LeftOut, wrong: Reasons
) -> pa.Table:
    """Keep the usable rows of a part of the list. start: number of rows before the part."""
    uris = _uris(table)
    reasons: Reasons = [_reason(uri, is_local) for uri in uris]
    if wrong:
        reasons = [reason or worse for reason, worse in zip(reasons, wrong, strict=True)]
    if INPUT_BOXES.name in table.column_names:
        boxes, wrong = boxes_of(table[INPUT_BOXES.name])
        reasons = [reason or worse for reason, worse in zip(reasons, wrong, strict=True)]
        place = table.schema.get_field_index(INPUT_BOXES.name)
        table = table.set_column(place, INPUT_BOXES, boxes)
    reasons = [seen.reason(uri, reason) for uri, reason in zip(uris, reasons, strict=True)]
    for number, reason in enumerate(reasons, start=start + 1):
        if reason:
            left_out.row(reason, f"row {number}")
    etags = [_bare(etag) for etag in table["etag"].to_pylist()]
    for name, values in ((URI, uris), ("etag", etags)):
        field = INPUTS.field(name)
        table = table.set_column(
            table.schema.get_field_index(name), pa.field(name, field.type),
            pa.array(values, field.type),
        )  # fmt: skip
    kept = table.filter(pa.array([reason is None for reason in reasons], pa.bool_()))
    schema = kept.schema.set(kept.schema.get_field_index(URI), INPUTS.field(URI))
    return kept.cast(schema)


def _reason(uri: str | None, is_local: bool) -> str | None:
    """Return what is wrong with an address, without repeating a credential; None: nothing."""
    if not uri or uri.isspace():
        return NO_URI
    if len(uri) > MAX_URI_CHARACTERS:
        return f"have a uri of over {MAX_URI_CHARACTERS:,} characters"
    if scheme_of(uri) == "file" and not is_local:
        return "name a local file, which only a local list may"
    try:
        if scheme_of(uri) != "file":
            split_address(uri)
    except UsageError:
        return "have a uri whose host is not valid"
    try:
        refuse_credentials(uri)
    except UsageError:
        return "carry a credential in their uri"
    return None


def _bare(etag: str | None) -> str | None:
    """Write an ETag as stores give it: without quotes and the mark of a weak one; None: none."""
    return (bare_etag(etag) or None) if etag else None
