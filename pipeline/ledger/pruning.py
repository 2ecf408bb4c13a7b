"""Tell which live photos a listing does not have any more."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import LedgerError, RecordError
from pipeline.ledger.forgetting import read_forgotten, without
from pipeline.ledger.live import live_layers
from pipeline.ledger.pinned import input_rows, read_spec
from pipeline.storage.store import Store

PHOTOS = pa.schema([("image_id", pa.string()), ("uri", pa.string())])


@dataclass(frozen=True)
class Gone:
    """Photos that are live and no longer listed.

    photos: image_id and uri, sorted by uri
    live:   how many live photos were looked for in the listing
    """

    photos: pa.Table
    live: int

    @property
    def share(self) -> float:
        """Share of the live photos that are gone, 0 to 1."""
        return self.photos.num_rows / self.live if self.live else 0.0


def live_photos(store: Store) -> pa.Table:
    """image_id and uri of every photo that is live and not forgotten, sorted by uri.

    Read from the pinned lists of all live runs. Raises RecordError for a damaged one.
    """
    try:
        layers = live_layers(store)
    except RecordError:
        raise
    except LedgerError:  # nothing is live
        return PHOTOS.empty_table()
    hidden = read_forgotten(store).hidden
    ids = pa.array([], pa.string())
    parts = [PHOTOS.empty_table()]
    for manifest in (manifest for layer in layers for manifest in layer):
        for rows in input_rows(store, read_spec(store, manifest.run_id), ["image_id", "uri"]):
            new = without(without(rows.select(["image_id", "uri"]), ids), hidden)
            parts.append(new.cast(PHOTOS))
            ids = pa.concat_arrays([ids, new["image_id"].combine_chunks()])
    return pa.concat_tables(parts).sort_by("uri").combine_chunks()


def gone_photos(store: Store, listed: pa.Table, within: Callable[[str], bool]) -> Gone:
    """The live photos of an input that its listing does not have.

    listed: `image_id` of all of the input. within: whether an address is one of the input, so that
        photos of other inputs are left alone.
    """
    live = live_photos(store)
    inside = pa.array([within(uri) for uri in live["uri"].to_pylist()], pa.bool_())
    live = live.filter(inside)
    left = live.filter(pc.invert(pc.is_in(live["image_id"], listed["image_id"].combine_chunks())))
    return Gone(left.combine_chunks(), live.num_rows)
