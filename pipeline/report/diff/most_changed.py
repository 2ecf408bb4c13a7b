"""Choose the photos that a comparison shows: those that changed most."""

import pandas as pd

from pipeline.report.diff.compare import (
    CHANGED_PHOTO,
    MOVED,
    ONLY_NEW,
    ONLY_OLD,
    REENCODED,
    SAME,
    ComparedRuns,
)
from pipeline.report.diff.figures import error_change

MOST_PHOTOS = 10_000  # only the most changed photos are shown; all are counted
# The rank of a crop's change where there is no overlap to compare: lower is more changed.
RANKS = {CHANGED_PHOTO: 2.0, ONLY_OLD: 3.0, ONLY_NEW: 3.0, REENCODED: 4.0, SAME: 5.0}


class MostChanged:
    """The most changed photos of the parts added so far, and their crops.

    changed: number of all photos that changed.
    shapes: those of all crops, by first appearance.
    """

    def __init__(self) -> None:
        self.changed = 0
        self.shapes: list[str] = []
        self._parts: list[ComparedRuns] = []  # one at most

    def add(self, compared: ComparedRuns) -> None:
        """Add the photos of a part; each photo is in one part."""
        self.shapes = list(dict.fromkeys([*self.shapes, *compared.crops["ratio"].unique()]))
        photos = changed_photos(compared)
        self.changed += len(photos)
        # As objects, columns of parts have one type even where all values of one are missing.
        known = [part.photos for part in self._parts]
        most = pd.concat([*known, photos.astype(object)]).sort_values(["rank", "uri"])
        most = most.head(MOST_PHOTOS)
        crops = [*(part.crops for part in self._parts), compared.crops]
        shown = [own[own["image_id"].isin(most["image_id"])].astype(object) for own in crops]
        self._parts = [ComparedRuns(most, pd.concat(shown))]

    @property
    def photos(self) -> pd.DataFrame:
        """The photos, the most changed first, at most MOST_PHOTOS; see `changed_photos`."""
        return self._one.photos

    @property
    def crops(self) -> pd.DataFrame:
        """The crops of `photos`, as in `ComparedRuns`."""
        return self._one.crops

    @property
    def _one(self) -> ComparedRuns:
        (one,) = self._parts  # even runs without rows are one part
        return one


def changed_photos(compared: ComparedRuns) -> pd.DataFrame:
    """Return the photos that changed, with their `rank` and `error`: see `error_change`.

    rank: lower is more changed. 0: the photo began or ceased to fail, or fails differently; 1 to 2:
    1 plus its least overlap; then RANKS.
    """
    crops, photos = compared.crops, compared.photos
    rank = crops["change"].map(RANKS).where(crops["change"] != MOVED, 1 + crops["iou"])
    least = rank.groupby(crops["image_id"]).min()
    error = error_change(photos)
    by_photo = photos["image_id"].map(least).fillna(RANKS[SAME]).where(error == "", 0.0)
    ranked = photos.assign(rank=by_photo.astype(float), error=error)
    return ranked[ranked["rank"] < RANKS[SAME]]
