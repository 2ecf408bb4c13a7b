"""Iceberg tables of what is live have the crops that `open_run` has, whatever the channels."""

import pyarrow as pa
import pytest

from pipeline import open_run
from pipeline.ledger.forgetting import forget
from pipeline.ledger.records import Manifest
from pipeline.ledger.table_formats.iceberg import (
    forget_in_iceberg,
    publish_iceberg,
    publish_live_as_iceberg,
)
from pipeline.storage.store import Store
from tests.support.put_live import put
from tests.support.shaped_runs import IDS, of_shapes

Crops = set[tuple[str, str, str]]
COLUMNS = ["image_id", "ratio", "run_id"]


def crops_of(rows: pa.Table) -> Crops:
    found = [(row["image_id"], row["ratio"], row["run_id"]) for row in rows.to_pylist()]
    assert len(set(found)) == len(found)
    return set(found)


def in_iceberg(store: Store) -> Crops:
    static = pytest.importorskip("pyiceberg.table").StaticTable
    table = static.from_metadata(f"{store.uri}/_iceberg/crops")
    return crops_of(table.scan(selected_fields=tuple(COLUMNS)).to_arrow())


def expected(*parts: tuple[Manifest, str, tuple[int, ...]]) -> Crops:
    """(run, shape, photos): the crops that come from a run."""
    return {(IDS[n], shape, run.run_id) for run, shape, photos in parts for n in photos}


def is_live(store: Store, crops: Crops) -> bool:
    """Publish what is live, and compare it with `crops` and with what `open_run` reads."""
    publish_live_as_iceberg(store)
    return crops_of(open_run(store.uri).crops(COLUMNS)) == crops == in_iceberg(store)


def test_a_run_promoted_into_another_channel_hides_what_is_behind_it(store: Store) -> None:
    both, square = of_shapes(store, "1:1,16:9", 3), of_shapes(store, "1:1", 2)
    put(store, both.run_id)
    put(store, square.run_id)
    crops = expected((square, "1:1", (0, 1)), (both, "1:1", (2,)), (both, "16:9", (2,)))
    assert is_live(store, crops)
    assert set(publish_live_as_iceberg(store).values()) == {None}
    forget(store, [IDS[0]])  # keeps the channels
    forget_in_iceberg(store, [IDS[0]])
    assert in_iceberg(store) == {crop for crop in crops if crop[0] != IDS[0]}
    publish_iceberg(store, square.run_id)  # by its id, a run counts in its own channel
    assert in_iceberg(store) == expected(
        (square, "1:1", (1,)), (both, "1:1", (2,)), (both, "16:9", (1, 2))
    )


@pytest.mark.parametrize("behind", ["wide", "both"])
def test_a_run_that_shows_nothing_of_a_photo_hides_nothing_in_other_channels(
    behind: str, store: Store
) -> None:
    """In front of `both` is `square`, so the 16:9 crop of the other channel is live.

    A run that is live in both channels is there once.
    """
    wide = of_shapes(store, "16:9", 1)
    both, square = of_shapes(store, "1:1,16:9", 2), of_shapes(store, "1:1", 1)
    other = {"wide": wide, "both": both}[behind]
    put(store, other.run_id, name="app")
    put(store, square.run_id, both.run_id, name="web")
    assert is_live(
        store,
        expected(
            (square, "1:1", (0,)), (other, "16:9", (0,)), (both, "1:1", (1,)), (both, "16:9", (1,))
        ),
    )
