"""Find the live photos that a listing no longer has."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa

from pipeline.ledger.channels.live import live_layers_if_any
from pipeline.ledger.coverage.key_ranges import cut_by_range, digits_for
from pipeline.ledger.forgetting import read_forgotten, without
from pipeline.ledger.pinned import input_rows, read_spec
from pipeline.ledger.tables import one_array
from pipeline.storage.partitions import sorted_by
from pipeline.storage.spool import Spool, pieces, release, spooled
from pipeline.storage.store import Store

PHOTOS = pa.schema([("image_id", pa.string()), ("uri", pa.string())])


@dataclass(frozen=True)
class Gone:
    """Photos that are live and no longer listed.

    photos: image_id and uri, sorted by uri
    live:   number of live photos that were looked up in the listing
    """

    photos: pa.Table
    live: int

    @property
    def share(self) -> float:
        """Share of the live photos that are gone, 0 to 1."""
        return self.photos.num_rows / self.live if self.live else 0.0


def live_photos(store: Store) -> pa.Table:
    """Return image_id and uri of every photo that is live and not forgotten, sorted by uri.

    They are read from the pinned lists of all live runs; many are spooled to disk. Raises
    RecordError for a damaged list, LedgerError where the store does not answer.
    """
    _, ranges = _live_ranges(store)
    return sorted_by(spooled(ranges), "uri")


def gone_photos(store: Store, listed: pa.Table, within: Callable[[str], bool]) -> Gone:
    """Find the live photos of an input that its listing does not have.

    listed: `image_id` of the whole input. within: whether an address belongs to the input; photos
        of other inputs are left alone.

    Raises RecordError for a damaged list.
    """
    digits, ranges = _live_ranges(store)
    there = cut_by_range(pieces(listed.select(["image_id"])), digits)
    left, live = Spool(PHOTOS), 0
    for number, photos in enumerate(ranges):
        inside = [within(uri) for uri in photos["uri"].to_pylist()]
        photos = photos.filter(pa.array(inside, pa.bool_()))
        live += photos.num_rows
        left.add(without(photos, one_array(there.read(number)["image_id"])))
    return Gone(sorted_by(left.table(), "uri"), live)


def _live_ranges(store: Store) -> tuple[int, Iterator[pa.Table]]:
    """Cut live photos into ranges of ids: return the number of digits, and each range's photos."""
    runs = [manifest for layer in live_layers_if_any(store) for manifest in layer]
    digits = digits_for(sum(run.rows for run in runs))
    hidden = read_forgotten(store).hidden
    lists = (
        rows.select(PHOTOS.names).cast(PHOTOS)
        for run in runs
        for rows in input_rows(store, read_spec(store, run.run_id), PHOTOS.names)
    )
    partitions = cut_by_range(chain([PHOTOS.empty_table()], lists), digits)
    return digits, (without(_first_of_each(partitions.read(n)), hidden) for n in range(16**digits))


def _first_of_each(photos: pa.Table) -> pa.Table:
    """Return the first row of each photo, in the order of the rows."""
    release()
    codes = one_array(photos["image_id"]).dictionary_encode().indices.to_numpy()
    _, firsts = np.unique(codes, return_index=True)
    return photos.take(pa.array(np.sort(firsts)))
