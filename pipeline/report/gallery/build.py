"""Write the gallery of a committed run.

index.html, app/           the page, its style and scripts; the same for every run
data/run.js                facts, what needs attention, the overview's figures
data/index/<n>.js          what the filters need about 10,000 photos
data/photos/<n>.js         24 photos with previews, boxes and all values, the most urgent first
data/crops/<n>.js          the crops of 4 photos as the run encoded them
data/candidates/<n>.js     the candidates of 4 photos, where the run kept them
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.ledger.layout import run_key
from pipeline.ledger.reader import Run
from pipeline.report.canvases import Canvases, PhotoCanvases
from pipeline.report.gallery.contents import FAILED, Contents, contents_of
from pipeline.report.gallery.index import (
    Decisions,
    decisions_of,
    dictionary_encode,
    groups,
    index_files,
    special_groups,
)
from pipeline.report.gallery.overview import overview_of, run_facts, work_of
from pipeline.report.gallery.records import photo_record
from pipeline.report.gallery.whole import write_candidates, write_crops
from pipeline.report.pictures import Pictures, collect_pictures
from pipeline.report.scripts import PageWriter, WrittenPages
from pipeline.storage.store import Store

PHOTOS_A_FILE = 24  # in one data file, and on one page of the list: about 250 kB
MOST_CROP_BYTES = 2 << 30  # a larger run has crops copied only of photos that need attention
STYLES = ("style.css", "safe_areas.css", "gallery.css")
SCRIPTS = (
    "elements.js", "words.js", "controls.js", "keyboard.js", "loading.js", "crops.js",
    "safe_areas.js", "plots.js", "review.js", "list.js", "rows.js", "stage.js", "photo.js",
    "photo_controls.js", "photo_crops.js", "photo_facts.js", "home.js", "home_plots.js",
    "groups.js", "gallery.js",
)  # fmt: skip
WholeCrops = Literal["auto", "all", "none"]


def gallery_prefix(run_id: str) -> str:
    """Return the prefix of a run's gallery in its output store."""
    return run_key(run_id, "gallery/")


def write_gallery(
    run: Run, store: Store, prefix: str = "", whole_crops: WholeCrops = "auto"
) -> WrittenPages:
    """Write the gallery of a run below `prefix` of a store.

    whole_crops: which photos' crops are copied as they are; the page shows the others as parts of
        the preview. "auto": those of all photos if a run has up to MOST_CROP_BYTES of crops,
        else those of photos that need attention.
    """
    contents = contents_of(run)
    place_of, canvases = contents.place_of(), Canvases.of(run)
    with PageWriter(store, prefix) as writer, Pictures() as pictures:
        writer.write_app("gallery.html", *STYLES, *SCRIPTS)
        decisions = decisions_of(contents)
        count = 0
        for count, part in enumerate(index_files(contents, decisions), 1):
            writer.write_data(f"index/{count - 1:03d}", part)
        writer.write_data("run", _run_data(run, contents, decisions, canvases, count))
        collect_pictures(run, _sizes(contents), pictures, PhotoCanvases([canvases]))
        wanted = _with_whole_crops(run, contents, whole_crops)
        of_crops = write_crops(run, writer, place_of, wanted)
        of_candidates = write_candidates(run, writer, place_of)
        for start in range(0, len(contents.images), PHOTOS_A_FILE):
            records = []
            for place, record in _records(contents, pictures, canvases, start):
                more = {"crops_at": of_crops[place], "candidates_at": of_candidates[place]}
                records.append({**record, **more})
            writer.write_data(f"photos/{start // PHOTOS_A_FILE:05d}", records)
    return WrittenPages(prefix + "index.html", len(contents.images), writer.files, writer.bytes)


def _run_data(
    run: Run, contents: Contents, decisions: Decisions, canvases: Canvases, index_count: int
) -> dict[str, Any]:
    """Return the landing page's data on the run. index_count: number of files of the index."""
    return {
        "facts": run_facts(run),
        "run_id": run.manifest["run_id"],
        "ground": run.background,
        "untrained": run.manifest.get("weights", {}).get("kind") == "untrained",
        "shapes": contents.shapes,
        "safe_areas": [canvases.covered(contents.shapes)],
        "statuses": dictionary_encode(contents.images["status"].to_pylist())[0],
        "kinds": dictionary_encode(contents.images["kind"].to_pylist())[0],
        "pairs": decisions.pairs,
        "groups": groups(contents),
        "special": special_groups(contents),
        "overview": overview_of(contents, decisions),
        "work": work_of(run),
        "index_files": index_count,
        "photos_a_file": PHOTOS_A_FILE,
    }


def _records(
    contents: Contents, pictures: Pictures, canvases: Canvases, start: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the records of PHOTOS_A_FILE photos from `start` on, each with its place."""
    rows = contents.images.slice(start, PHOTOS_A_FILE).to_pylist()
    first, last = contents.bounds[start], contents.bounds[start + len(rows)]
    crops = contents.crops.slice(first, last - first).to_pylist()
    for place, row in enumerate(rows, start):
        own = crops[contents.bounds[place] - first : contents.bounds[place + 1] - first]
        yield place, photo_record(row, own, pictures.get(row["image_id"]), canvases)


def _sizes(contents: Contents) -> dict[str, tuple[int, int]]:
    """Return the width and height of the photos that have crops, by image_id."""
    has_crops = np.diff(contents.bounds) > 0
    names = contents.images["image_id"].to_pylist()
    sides = (contents.images[name].to_pylist() for name in ("width_px", "height_px"))
    rows = zip(names, *sides, has_crops, strict=True)
    return {name: (width, height) for name, width, height, has in rows if has}


def _with_whole_crops(run: Run, contents: Contents, asked: WholeCrops) -> NDArray[np.bool_]:
    """Return for each photo, by place, whether its crops are copied: [N]."""
    everything = np.ones(len(contents.images), bool)
    total = sum(m["metrics"].get("crop_bytes", 0) for m in run.manifests)
    if asked == "none":
        return ~everything
    if asked == "all" or total <= MOST_CROP_BYTES:
        return everything
    return (contents.needs & ~np.uint8(FAILED)) > 0
