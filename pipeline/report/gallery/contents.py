"""Put a run's photos and their crops into the gallery's order: first what needs attention."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline import schema
from pipeline.ledger.reader import Run

# Why a photo needs a person's attention: one bit each, the most urgent first.
REVIEW, LOW, FALLBACK, CLOSE, FAILED = 1, 2, 4, 8, 16
# What else was special about a photo, one bit each: a person's decision was applied, a shape has no
# crop, borders were left out, some rows could not be decoded.
OVERRIDDEN, SKIPPED, BORDERS, DAMAGED = 1, 2, 4, 8
LOW_CONFIDENCE = "low_confidence"  # the reason of a crop that has no other fault
# Of the photos that need attention for no other reason, the least certain ones are included.
CLOSE_SHARE, LEAST_CLOSE, MOST_CLOSE = 0.02, 12, 500
UNREAD_COLUMNS = ("uri", "image", "object_shares")  # columns of crops that are not kept in memory
# Columns of images that runs of older releases lack. Missing columns of crops become nulls when
# they are read by name.
ADDED_IMAGE_COLUMNS = {
    "kind": pa.string(),
    "override": pa.string(),
    "skipped": pa.list_(schema.SKIPPED),
    "content": schema.BOX_OR_NULL,
    "complete": pa.float32(),
}

Flags = NDArray[np.uint8]  # [photos] or [crops]
Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Contents:
    """The rows of a run in the gallery's order.

    images: one row a photo. [N]
    crops:  without the pictures; those of photo n are rows bounds[n] to bounds[n + 1], by shape
            and rank. All columns of `schema.CROPS` except UNREAD_COLUMNS; nulls in old runs.
    shapes: the shapes that crops have, in the order of the run's settings.
    shape:  the index of each crop's shape. [crops]
    needs:  why a photo needs attention, the sum of REVIEW … FAILED; only its crops of rank 0
            count, as in all counts and filters. [N]
    marks:  what else was special, the sum of OVERRIDDEN … DAMAGED. [N]
    """

    images: pa.Table
    crops: pa.Table
    bounds: Places
    shapes: list[str]
    shape: Places
    needs: Flags
    marks: Flags

    @cached_property
    def is_first(self) -> NDArray[np.bool_]:
        """Whether each crop is its shape's first, of rank 0: [crops]."""
        return first_of(self.crops)

    @cached_property
    def photo(self) -> Places:
        """The place of each crop's photo in the gallery's order: [crops]."""
        return np.repeat(np.arange(len(self.images)), np.diff(self.bounds))

    def place_of(self) -> dict[str, int]:
        """The place of each photo, by its image_id."""
        return {name: n for n, name in enumerate(self.images["image_id"].to_pylist())}


def contents_of(run: Run) -> Contents:
    """Read a run's tables without pictures and order them."""
    images = with_columns(run.images(), ADDED_IMAGE_COLUMNS).combine_chunks()
    columns = [name for name in schema.CROPS.names if name not in UNREAD_COLUMNS]
    crops = run.crops(columns).combine_chunks()
    found = dict.fromkeys(crops["ratio"].to_pylist())
    shapes = in_order_asked(found, str(run.manifest["settings"].get("ratios", "")))
    photo = pc.index_in(crops["image_id"], images["image_id"]).to_numpy().astype(np.int64)
    is_first = first_of(crops)
    firsts, of_firsts = crops.filter(pa.array(is_first)), photo[is_first]
    needs = needs_of(images, firsts, of_firsts)
    worst = worst_by_photo(firsts, of_firsts, len(images))
    # The lowest set bit is the most urgent need; photos without one come last, in the run's order.
    urgency = np.where(needs > 0, needs & -needs.astype(np.int16), 1 << 8)
    order = np.lexsort((np.where(needs > 0, worst, 0), urgency))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    shape = pc.index_in(crops["ratio"], pa.array(shapes, pa.string())).to_numpy().astype(np.int64)
    by_photo = np.lexsort((crops["rank"].to_numpy(), shape, place[photo]))
    bounds = np.searchsorted(place[photo][by_photo], np.arange(len(order) + 1))
    return Contents(
        images.take(pa.array(order)),
        crops.take(pa.array(by_photo)),
        bounds,
        shapes,
        shape[by_photo],
        needs[order],
        marks_of(images)[order],
    )


def in_order_asked(shapes: Iterable[str], asked: str) -> list[str]:
    """Sort shapes of crops in the order of `--ratios`, asked; others come last.

    The first photo may lack a shape, so the order in which crops have them is another one.
    """

    def plain(shape: str) -> str:
        return shape.replace(" ", "").lower()  # earlier releases kept spaces in rows

    order = {plain(shape): n for n, shape in enumerate(asked.split(","))}
    return sorted(shapes, key=lambda shape: order.get(plain(shape), len(order)))


def first_of(crops: pa.Table) -> NDArray[np.bool_]:
    """Return whether each crop is its shape's first, of rank 0: [crops]."""
    return np.asarray(crops["rank"].to_numpy() == 0)


def with_columns(table: pa.Table, columns: Mapping[str, pa.DataType]) -> pa.Table:
    """Return the table with a column of nulls for each of `columns` that it lacks."""
    for name, kind in columns.items():
        if name not in table.column_names:
            table = table.append_column(pa.field(name, kind), pa.nulls(len(table), kind))
    return table


def needs_of(images: pa.Table, crops: pa.Table, photo: Places) -> Flags:
    """Return why each photo needs attention: [N].

    photo: each crop's row in `images`. [crops]
    """
    needs = np.zeros(len(images), np.uint8)
    low = equal(crops["reason"], LOW_CONFIDENCE)
    review = equal(crops["verdict"], "review")
    needs[photo[review & ~low]] |= REVIEW
    needs[photo[review & low]] |= LOW
    needs[photo[equal(crops["verdict"], "fallback")]] |= FALLBACK
    worst = worst_by_photo(crops, photo, len(images))
    few = int(np.clip(np.ceil(CLOSE_SHARE * len(images)), LEAST_CLOSE, MOST_CLOSE))
    others = np.flatnonzero(np.isfinite(worst) & (needs == 0))
    needs[others[np.argsort(worst[others], kind="stable")][:few]] |= CLOSE
    needs[~np.isin(images["status"].to_pylist(), list(schema.NOT_FAILED))] |= FAILED
    return needs


def marks_of(images: pa.Table) -> Flags:
    """Return what else was special about each photo: [N]."""
    skipped = pc.fill_null(pc.list_value_length(images["skipped"]), 0).to_numpy() > 0
    marks = np.where(images["override"].is_valid().to_numpy(), OVERRIDDEN, 0)
    marks |= np.where(skipped, SKIPPED, 0)
    is_damaged = pc.fill_null(pc.less(images["complete"], 1.0), False).to_numpy()
    has_part = images["content"].is_valid().to_numpy()  # for a damaged photo, its decoded part
    marks |= np.where(has_part & ~is_damaged, BORDERS, 0) | np.where(is_damaged, DAMAGED, 0)
    return marks.astype(np.uint8)


def worst_by_photo(crops: pa.Table, photo: Places, count: int) -> NDArray[np.float64]:
    """Return the lowest value among each photo's crops; infinity without crops: [N].

    A crop's value is its confidence or, if it has none, its margin.
    """
    worst = np.full(count, np.inf)
    values = numbers(crops["confidence"])
    values = np.where(np.isfinite(values), values, numbers(crops["margin"]))
    known = np.isfinite(values)
    np.minimum.at(worst, photo[known], values[known])
    return worst


def equal(column: pa.ChunkedArray, value: str) -> NDArray[np.bool_]:
    """Return which values of a column of texts equal `value`; nulls do not."""
    found: NDArray[np.bool_] = pc.fill_null(pc.equal(column, value), False).to_numpy()
    return found


def numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Return a column of numbers, with NaN for nulls."""
    return np.asarray(pc.cast(column, pa.float64()).to_numpy(), np.float64)
