"""Read the rows that runs have committed: only files that a manifest names."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UsageError, did_you_mean
from pipeline.ledger.channels.live import live_layers
from pipeline.ledger.columns import Columns, columns_of, select_columns
from pipeline.ledger.forgetting import read_forgotten, without
from pipeline.ledger.known_runs import repair_chain
from pipeline.ledger.manifest import data_files
from pipeline.ledger.pictures import as_bytes
from pipeline.ledger.records import Manifest
from pipeline.ledger.run_parts import RunPart, parts_of_runs
from pipeline.ledger.tables import TABLES, read_table
from pipeline.storage.store import Store, check_reachable, open_store

WHITE = "ffffff"


def open_run(
    output_uri: str | os.PathLike[str], run_id: str | None = None, channel: str | None = None
) -> "Run":
    """Open the tables of one committed run, or, without `run_id`, the current table.

    output_uri: a job's output: a folder, as text or as a path, or an address such as s3://thumbs/.

    The current table is what is live: for each photo, the rows of the run that was promoted last.
    With several channels it holds the crops of all of them. A photo is in `images` once, from the
    channel promoted last, and a shape that two channels have is taken from that one too. `channel`
    opens only that one. In an output of releases before promotion all committed runs are live, the
    latest first.

    A retry is opened together with the run that it repairs: its rows replace the failed ones.
    Forgotten photos are never among the rows.

    Raises LedgerError if the run is not committed or nothing is live; UnknownRunError, which is a
    LedgerError and a UsageError, if there is no such run; RecordError if a record needed for this
    is damaged; UsageError if both `run_id` and `channel` are given, an argument is no text, nothing
    answers at an address in S3, or there is no such bucket.
    """
    uri = os.fspath(output_uri) if isinstance(output_uri, os.PathLike) else output_uri
    for name, given in (("output_uri", uri), ("run_id", run_id), ("channel", channel)):
        if not isinstance(given, str) and (given is not None or name == "output_uri"):
            raise UsageError(f"{name} must be a text, not {given!r}")
    check_reachable(uri)
    store = open_store(uri)
    if run_id is not None and channel is not None:
        raise UsageError("a run is opened by its id or through its channel; choose one of the two")
    layers = live_layers(store, channel) if run_id is None else [repair_chain(store, run_id)]
    return Run(store, layers, read_forgotten(store).hidden)


class Run:
    """Committed rows of one or more runs; each photo of a channel from one run only."""

    def __init__(
        self,
        store: Store,
        layers: list[list[Manifest]],
        hidden: pa.Array | None = None,
        photos: pa.Array | None = None,
    ) -> None:
        """Take the runs of each channel, front to back.

        hidden: ids of forgotten photos. photos: ids of those to read; None for all.
        """
        self._store = store
        self._layers = layers
        self._manifests = [manifest for layer in layers for manifest in layer]
        self._hidden, self._photos = hidden, photos
        self._known_parts: list[RunPart] | None = None
        self._known_columns: Columns | None = None

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest of the run, or of the one in front of several, as stored."""
        return self.manifests[0]

    @property
    def manifests(self) -> list[dict[str, Any]]:
        """The manifests of all runs that rows may come from, front to back."""
        return [dict(manifest.document) for manifest in self._manifests]

    @property
    def background(self) -> str:
        """The background of padded photos that the run in front was asked for, six hex digits."""
        return background_of(self.manifest)

    @property
    def unified(self) -> dict[str, str]:
        """The columns that have another type in some run than here, by name, in words.

        Runs pass columns through in the type of their list. Where types differ, the column gets one
        that all values fit into without loss (integers widen, integers become floats, dates become
        timestamps), else text. Numbers that a float cannot hold exactly become text too.
        """
        return {name: str(one) for name, one in self._columns().unified.items()}

    def images(self, columns: list[str] | None = None) -> pa.Table:
        """Read one row per photo: `schema.IMAGES` and the pass-through columns of the lists.

        columns: here and below as for `batches`, which also says what is raised.
        """
        return self._table("images", columns)

    def crops(self, columns: list[str] | None = None) -> pa.Table:
        """Read one row per photo, ratio and rank: `schema.CROPS` and the lists' columns.

        Leave `image` out to save memory.
        """
        return self._table("crops", columns)

    def candidates(self, columns: list[str] | None = None) -> pa.Table:
        """Read every scored candidate, where the run kept them: `schema.CANDIDATES`."""
        return self._table("candidates", columns)

    def previews(self, columns: list[str] | None = None) -> pa.Table:
        """Read the photos' previews and gaze maps: `schema.PREVIEWS`; none in old runs."""
        return self._table("previews", columns)

    def batches(self, table: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows of one table, one file at a time, for runs that do not fit in memory.

        table: "images", "crops", "crop_files", "candidates" or "previews"
        columns: those to read, in this order; one that an older release or the list of another run
            did not have is null

        Raises, with the first rows, KeyError for a column that no release and no run has, and
        UsageError for another table or for columns that are no list of different names.
        """
        columns = _checked(table, columns)
        for manifest, part in zip(self._manifests, self._parts(), strict=True):
            yield from self._batches_of(manifest, part, table, columns)

    def runs_with_photos(
        self, crops: list[str], photos: list[str]
    ) -> Iterator[tuple[pa.Table, Iterator[pa.Table], RunPart]]:
        """Yield each run's own rows of `images`, its crops file by file, and its part.

        `images` has a photo's row of the channel promoted last, where the photo may have failed or
        been another file, while its crops come from all channels. The columns are lists of names.
        """
        for manifest, part in zip(self._manifests, self._parts(), strict=True):
            own = replace(part, in_images=part.photos)
            if of_run := list(self._batches_of(manifest, own, "images", photos)):
                joined = pa.concat_tables(of_run).combine_chunks()
                yield joined, self._batches_of(manifest, part, "crops", crops), part

    def _batches_of(
        self, manifest: Manifest, part: RunPart, table: str, columns: list[str] | None
    ) -> Iterator[pa.Table]:
        """Yield the rows that come from one run, one file at a time, as `batches` does."""
        by_shape = "ratio" in TABLES[table].names
        keys = ["image_id", *(["ratio"] if by_shape and len(self._layers) > 1 else [])]
        wanted = None if columns is None else [*dict.fromkeys([*keys, *columns])]
        of_lists = columns is None or not {*columns} <= {*TABLES[table].names}
        known = self._columns() if of_lists else Columns({}, {})
        for file in data_files(self._store, manifest, table):
            rows = as_bytes(read_table(self._store, file.key, wanted))
            rows = without(rows, self._hidden)
            if self._photos is not None:
                rows = rows.filter(pc.is_in(rows["image_id"], self._photos))
            owned = part.photos if by_shape else part.in_images
            if owned is not None:
                rows = rows.filter(pc.is_in(rows["image_id"], owned))
            for shapes, photos in part.taken if by_shape else ():
                both = pc.and_(pc.is_in(rows["ratio"], shapes), pc.is_in(rows["image_id"], photos))
                rows = rows.filter(pc.invert(both))
            rows = known.cast(rows.replace_schema_metadata(None))
            yield rows if columns is None else select_columns(rows, known.declared(table), columns)

    def _table(self, table: str, columns: list[str] | None) -> pa.Table:
        columns = _checked(table, columns)
        in_order = self._is_in_order() or "uri" not in TABLES[table].names
        more = [] if columns is None or in_order or "uri" in columns else ["uri"]
        parts = list(self.batches(table, None if columns is None else [*columns, *more]))
        if not parts:
            none = TABLES[table].empty_table()
            known = self._columns().declared(table)
            return none if columns is None else select_columns(none, known, columns)
        rows = pa.concat_tables(parts, promote_options="default")
        if not in_order:
            order = pc.sort_indices(rows["uri"])  # stable: a photo's crops keep their order
            rows = rows.take(order)
        return rows.drop_columns(more) if more else rows

    def _is_in_order(self) -> bool:
        """Return whether rows are in the order of the list, or of the runs if there are several.

        Photos with the same bytes are done in one task, wherever they are in the list.
        """
        return len(self._manifests) != 1 or not self._manifests[0].metrics.shared

    def _columns(self) -> Columns:
        """Return the common columns of several runs; those of a single run are left as they are."""
        if self._known_columns is None:
            several = self._manifests if len(self._manifests) > 1 else []
            self._known_columns = columns_of(self._store, several)
        return self._known_columns

    def _parts(self) -> list[RunPart]:
        """Return, for each run, the rows that come from it."""
        if self._known_parts is None:
            self._known_parts = parts_of_runs(self._store, self._layers)
        return self._known_parts


def background_of(manifest: Mapping[str, Any]) -> str:
    """Return the background of padded photos that a run was asked for, six hex digits.

    manifest: as stored.
    """
    asked = {**manifest.get("settings", {}), **manifest.get("job", {})}
    return str(asked.get("background") or WHITE).removeprefix("#").lower()


def _checked(table: object, columns: object) -> list[str] | None:
    """Return the columns as a list; None for all.

    Raises UsageError for a table that no run has, and for columns that are no list of names.
    """
    if table not in [*TABLES]:
        meant = did_you_mean(str(table), TABLES)
        raise UsageError(f"there is no table {table!r}: name one of {', '.join(TABLES)}{meant}")
    if columns is None:
        return None
    if isinstance(columns, str):
        raise UsageError(f"columns is a list of names, for instance [{columns!r}]")
    given = [*columns] if isinstance(columns, Iterable) else None
    names = [name for name in given or () if isinstance(name, str)]
    if given is None or len(names) < len(given):
        shown = columns if given is None else given
        raise UsageError(f"columns is a list of names, for instance ['uri'], not {shown!r}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"columns names {twice[0]!r} twice")
    return names
