"""Join the crops of two runs and classify how each changed.

same            the same box and the same bytes, or no bytes in one of the runs
re-encoded      the same box, different bytes
moved           a different box in the same photo
changed photo   the photo's content changed, so the crops are not comparable
only old, only new    the other run has no such crop
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.boxes import iou
from pipeline.ledger.pair_parts import RunRows, pair_parts
from pipeline.ledger.reader import Run
from pipeline.schema import EDGES

SAME, REENCODED, MOVED = "same", "re-encoded", "moved"
CHANGED_PHOTO, ONLY_OLD, ONLY_NEW = "changed photo", "only old", "only new"
CHANGES = (SAME, REENCODED, MOVED, CHANGED_PHOTO, ONLY_OLD, ONLY_NEW)
NEAR_PX = 0.01  # edges closer than this are the same
KEY = ["image_id", "ratio", "rank"]
CROP_COLUMNS = [
    *KEY, *EDGES, "width", "height", "format", "fit", "confidence", "verdict", "reason", "margin",
    "heads_cut", "faces_cut", "text_cut", "subject_share", "sha256",
]  # fmt: skip
PHOTO_COLUMNS = [
    "image_id", "uri", "status", "error_message", "content_sha256", "format", "kind", "bytes",
    "width_px", "height_px",
]  # fmt: skip
# Upper bounds of size classes, megapixels.
SIZES = ((1.0, "up to 1 MP"), (4.0, "1 to 4 MP"), (12.5, "4 to 12 MP"), (np.inf, "over 12 MP"))


@dataclass(frozen=True, eq=False)
class ComparedRuns:
    """Photos and crops of two runs, or of a part of them, joined. Columns end in `_old` and `_new`.

    photos: one row for each photo in either run, by image_id: `PHOTO_COLUMNS` of both,
            `content_changed`; and, without a suffix, PHOTO_COLUMNS, `size` and `prefix`, with
            values of the new run, or of the old one if the new has none.
    crops:  one row for each crop in either run: KEY, `CROP_COLUMNS` of both, `change` and `iou`
            (NaN if one crop is missing or the photo changed); and its photo's `uri`, `format`,
            `size`, `kind` and `prefix`, without a suffix.
    """

    photos: pd.DataFrame
    crops: pd.DataFrame


def compared_parts(old: Run, new: Run) -> Iterator[ComparedRuns]:
    """Read two runs without their pictures and join them, a part of the photos at a time.

    Raises what `pair_parts` raises.
    """
    for was, now in pair_parts(old, new, PHOTO_COLUMNS, CROP_COLUMNS):
        yield join_rows(was, now)


def join_rows(old: RunRows, new: RunRows) -> ComparedRuns:
    """Join the rows of some photos in two runs: PHOTO_COLUMNS and CROP_COLUMNS."""
    photos = _photos(old, new)
    crops = _frame(old.crops).merge(
        _frame(new.crops),
        on=KEY,
        how="outer",
        suffixes=("_old", "_new"),
        indicator=True,
    )
    about = photos.set_index("image_id")
    for name in ("uri", "format", "size", "kind", "prefix", "content_changed"):
        crops[name] = crops["image_id"].map(about[name])
    boxes = [crops[[f"{edge}_{run}" for edge in EDGES]].to_numpy(float) for run in ("old", "new")]
    with np.errstate(invalid="ignore"):
        near = (np.abs(boxes[0] - boxes[1]) < NEAR_PX).all(axis=1)
        overlap = iou(boxes[0], boxes[1])
    both = (crops["_merge"] == "both").to_numpy()
    changed = crops["content_changed"].to_numpy(bool)
    hashes = crops["sha256_old"], crops["sha256_new"]
    same_bytes = (hashes[0] == hashes[1]).to_numpy(bool) | hashes[0].isna() | hashes[1].isna()
    only = np.where(crops["_merge"] == "left_only", ONLY_OLD, ONLY_NEW)
    of_both = np.where(near, np.where(same_bytes, SAME, REENCODED), MOVED)
    crops["change"] = np.where(~both, only, np.where(changed, CHANGED_PHOTO, of_both))
    crops["iou"] = np.where(both & ~changed, np.where(near, 1.0, overlap), np.nan)
    return ComparedRuns(photos, crops.drop(columns=["_merge", "content_changed"]))


def _photos(old: RunRows, new: RunRows) -> pd.DataFrame:
    photos = _frame(old.images).merge(
        _frame(new.images),
        on="image_id",
        how="outer",
        suffixes=("_old", "_new"),
    )
    for name in PHOTO_COLUMNS[1:]:
        photos[name] = photos[f"{name}_new"].combine_first(photos[f"{name}_old"])
    was, now = photos["content_sha256_old"], photos["content_sha256_new"]
    photos["content_changed"] = was.notna() & now.notna() & (was != now)
    megapixels = (photos["width_px"] * photos["height_px"]).astype(float) / 1e6
    bounds = [bound for bound, _ in SIZES]
    names = np.array([name for _, name in SIZES] + ["unknown"], object)
    places = np.where(megapixels.notna(), np.searchsorted(bounds, megapixels), len(SIZES))
    photos["size"] = names[places]
    photos["prefix"] = photos["uri"].map(lambda uri: uri.rpartition("/")[0])  # also of no rows
    photos["kind"] = photos["kind"].fillna("unknown")
    photos["format"] = photos["format"].fillna("unknown")
    return photos


def _frame(table: pa.Table) -> pd.DataFrame:
    """Convert the table to a pandas frame; pyarrow's stubs lack the type.

    String columns without rows become object columns: pandas fails to join two runs without crops
    on its own string type, because it concatenates the column's chunks.
    """
    frame: pd.DataFrame = table.to_pandas()
    texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
    return frame if len(frame) else frame.astype(dict.fromkeys(texts, object))
