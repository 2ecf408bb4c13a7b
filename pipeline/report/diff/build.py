"""Write pages that show what changed between two runs, the most changed photo first.

index.html, app/       the page, its style and scripts
data/diff.js           facts and figures
data/index.js          what the filters need about each photo shown
data/photos/<n>.js     24 photos with both runs' crops and their previews
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from pipeline.ledger.reader import Run
from pipeline.report.canvases import Canvases, PhotoCanvases
from pipeline.report.diff.most_changed import MostChanged
from pipeline.report.inline import data_uri
from pipeline.report.pictures import Picture, Pictures, collect_pictures
from pipeline.report.scripts import PageWriter, WrittenPages, in_parts
from pipeline.schema import EDGES
from pipeline.storage.store import Store

PHOTOS_A_FILE = 24  # in one data file, and on one page of the list
STYLES = ("style.css", "safe_areas.css", "diff.css")
SCRIPTS = (
    "elements.js", "words.js", "controls.js", "keyboard.js", "loading.js", "crops.js",
    "safe_areas.js", "plots.js", "pairs.js", "diff_figures.js", "diff_list.js", "diff.js",
)  # fmt: skip
SHOWN_COLUMNS = (
    "confidence", "verdict", "reason", "fit", "format", "heads_cut", "faces_cut", "text_cut",
)  # fmt: skip
DIGITS = 4
BothCanvases: TypeAlias = Mapping[str, PhotoCanvases]  # of the sides "old" and "new"


def write_diff(
    old: Run, new: Run, changed: MostChanged, about: dict[str, Any], store: Store, prefix: str
) -> WrittenPages:
    """Write the pages below `prefix` of a store.

    about: the landing page's data; the results of `compare_runs` and `DiffFigures` together.
    """
    shown, shapes = changed.photos, changed.shapes
    with PageWriter(store, prefix) as writer, Pictures() as was, Pictures() as now:
        writer.write_app("diff.html", *STYLES, *SCRIPTS)
        ids = set(shown["image_id"])
        canvases = {"old": PhotoCanvases.of(old, ids), "new": PhotoCanvases.of(new, ids)}
        for run, pictures, side in ((old, was, "old"), (new, now, "new")):
            collect_pictures(run, _sizes(shown, side), pictures, canvases[side], ids)
        index: dict[str, list[Any]] = {"uri": [], "changes": [], "shapes": [], "error": []}
        records = (
            _record(row, pairs, was.get(row["image_id"]), now.get(row["image_id"]))
            for row, pairs in _with_pairs(changed, canvases)
        )
        for number, part in enumerate(in_parts(records, PHOTOS_A_FILE)):
            writer.write_data(f"photos/{number:05d}", part)
            for record in part:
                pairs = record["crops"]
                index["uri"].append(record["uri"])
                index["error"].append(record["error"])
                index["changes"].append(sorted({pair["change"] for pair in pairs}))
                index["shapes"].append([[pair["ratio"], pair["change"]] for pair in pairs])
        writer.write_data("index", index)
        facts = {
            "shapes": shapes,
            "safe_areas": [own.covered(shapes) for own in _all_canvases(canvases)],
            "photos_a_file": PHOTOS_A_FILE,
            "shown": len(shown),
            "changed": changed.changed,
        }
        writer.write_data("diff", {**about, **facts})
    return WrittenPages(prefix + "index.html", len(shown), writer.files, writer.bytes)


def _with_pairs(
    changed: MostChanged, canvases: BothCanvases
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield the row of each photo, and its crops in the order of the shapes, see `_pair`."""
    place = {shape: n for n, shape in enumerate(changed.shapes)}
    for start in range(0, len(changed.photos), PHOTOS_A_FILE):
        rows = _rows(changed.photos.iloc[start : start + PHOTOS_A_FILE])
        pairs: dict[str, list[dict[str, Any]]] = {row["image_id"]: [] for row in rows}
        for crop in _rows(changed.crops[changed.crops["image_id"].isin(pairs)]):
            pairs[crop["image_id"]].append(_pair(crop, canvases))
        for row in rows:
            yield row, sorted(pairs[row["image_id"]], key=lambda pair: place[pair["ratio"]])


def _sizes(photos: pd.DataFrame, side: str) -> dict[str, tuple[int, int]]:
    """Return width and height by image_id, of the photos that one run decoded."""
    mine = photos[photos[f"width_px_{side}"].notna()]
    sides = (mine[f"{name}_{side}"].astype(int) for name in ("width_px", "height_px"))
    return {name: (int(w), int(h)) for name, w, h in zip(mine["image_id"], *sides, strict=True)}


def _record(
    row: dict[str, Any], pairs: list[dict[str, Any]], was: Picture | None, now: Picture | None
) -> dict[str, Any]:
    """Return the page's data on one photo; both pictures only if its content changed."""
    record = {name: row[name] for name in ("uri", "error", "content_changed")}
    for side in ("old", "new"):
        known = {
            name: row[f"{name}_{side}"]
            for name in ("status", "error_message", "width_px", "height_px")
        }
        record[side] = {n: v for n, v in known.items() if v is not None and v == v}
    if (shown := now or was) is not None:
        record["preview"] = data_uri(shown.image, shown.format)
    if was is not None and row["content_changed"]:
        record["preview_old"] = data_uri(was.image, was.format)
    return {**record, "crops": pairs}


def _pair(crop: dict[str, Any], canvases: BothCanvases) -> dict[str, Any]:
    """Return the page's data on one crop: both runs' boxes and measurements.

    areas: the place of its run's safe areas in the list of `_all_canvases`.
    """
    pair: dict[str, Any] = {"ratio": crop["ratio"], "rank": crop["rank"], "change": crop["change"]}
    if crop["iou"] == crop["iou"]:
        pair["iou"] = round(crop["iou"], DIGITS)
    for side in ("old", "new"):
        if crop[f"x0_{side}"] != crop[f"x0_{side}"]:
            continue
        values = {name: crop.get(f"{name}_{side}") for name in SHOWN_COLUMNS}
        box_px = [float(crop[f"{edge}_{side}"]) for edge in EDGES]
        own = canvases[side]
        pair[side] = {
            "ratio": crop["ratio"],
            "box": [round(edge, 1) for edge in box_px],
            "areas": _first_place(canvases, side) + own.place_of(crop["image_id"]),
            **own.of_photo(crop["image_id"]).page_data(crop["ratio"], values["fit"], box_px),
            "width": int(crop[f"width_{side}"]),
            "height": int(crop[f"height_{side}"]),
            **{n: _plain(v) for n, v in values.items() if v is not None and v == v},
        }
    return pair


def _all_canvases(canvases: BothCanvases) -> list[Canvases]:
    """List the canvases of both sides, the old one's first."""
    return [own for side in ("old", "new") for own in canvases[side].different]


def _first_place(canvases: BothCanvases, side: str) -> int:
    """Return where the canvases of one side begin in `_all_canvases`."""
    return len(canvases["old"].different) if side == "new" else 0


def _plain(value: Any) -> Any:
    """Convert a pandas value to a JSON value."""
    if isinstance(value, float | np.floating):
        return round(float(value), DIGITS)
    return value.item() if isinstance(value, np.generic) else value


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
