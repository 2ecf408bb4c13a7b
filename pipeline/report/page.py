"""Write a self-contained HTML page of a run: photos with boxes, their crops and scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.errors import CropError
from pipeline.inputs.listing import read_image
from pipeline.ledger.reader import Run
from pipeline.report.inline import PALETTE, data_uri, preview, rectangle

EDGES = ("x0", "y0", "x1", "y1")
PREVIEW_SIDE = 640  # px, longer side of the photo on the page
PhotoReader = Callable[[str, str | None], bytes]


def write_page(run: Run, path: Path, limit: int = 60, read: PhotoReader = read_image) -> Path:
    """Write the page of a committed run to `path` and return it.

    limit: photos shown, in the order of the table; their number is said where there are more.
    read:  fetches a source photo by uri and ETag; a photo that cannot be read any more is shown
           without its preview, its crops are in the run.
    """
    path.write_text(page_html(run, limit, read), encoding="utf-8")
    return path


def page_html(run: Run, limit: int, read: PhotoReader = read_image) -> str:
    """Return the page of a committed run. See `write_page`."""
    images, crops = run.images(), run.crops()
    ratios = list(dict.fromkeys(crops.column("ratio").to_pylist()))
    colours = dict(zip(ratios, cycle(PALETTE.values()), strict=False))
    shown = images.slice(0, limit)
    environment = Environment(
        loader=PackageLoader("pipeline.report", "."), autoescape=True, undefined=StrictUndefined
    )
    # Uris and error messages are strangers' text; autoescape keeps it from becoming markup.
    return environment.get_template("page.html.j2").render(
        run_id=run.manifest["run_id"],
        weights=describe_weights(run.manifest["weights"]),
        untrained=run.manifest["weights"]["kind"] == "untrained",
        detector=run.manifest["detector"][:24],  # a name and the start of a hash
        images_total=len(images),
        crops_total=len(crops),
        statuses=Counter(images.column("status").to_pylist()).most_common(),
        colours=colours,
        photos=list(photo_cards(shown, crops, colours, read)),
    )


def describe_weights(weights: dict[str, Any]) -> str:
    """Describe the manifest's `weights` in a few words."""
    if weights["kind"] == "untrained":
        return f"untrained {weights['preset']}, seed {weights['seed']}"
    return f"{weights['kind']} {weights['sha256'][:12]}"


def photo_cards(
    images: pa.Table, crops: pa.Table, colours: dict[str, str], read: PhotoReader
) -> Iterator[dict[str, Any]]:
    """Yield what the template shows of each photo; one photo's crops are in memory at a time."""
    for row in images.to_pylist():
        own = crops.filter(pc.field("image_id") == row["image_id"]).to_pylist()
        own.sort(key=lambda crop: (list(colours).index(crop["ratio"]), crop["rank"]))
        yield {
            "name": row["uri"],
            "width": row["width_px"],
            "height": row["height_px"],
            "format": row["format"],
            "status": row["status"],
            "message": row["error_message"] or "",
            "preview": source_preview(row["uri"], row["etag"], read) if own else None,
            "objects": [object_box(item) for item in row["objects"] or ()],
            "crops": [crop_card(crop, colours) for crop in own],
        }


def object_box(item: dict[str, Any]) -> dict[str, Any]:
    """What the template shows of an object: a rectangle in source pixels and its title."""
    title = f"{item['label'] or 'object'} {item['score']:.2f}"
    return {**rectangle([item[edge] for edge in EDGES]), "title": title}


def crop_card(crop: dict[str, Any], colours: dict[str, str]) -> dict[str, Any]:
    """What the template shows of a crop: its thumbnail, and a rectangle on the photo."""
    return {
        **rectangle([crop[edge] for edge in EDGES]),
        "ratio": crop["ratio"],
        "rank": crop["rank"],
        "score": crop["score"],
        "colour": colours[crop["ratio"]],
        "image": data_uri(crop["image"], crop["format"]),
    }


def source_preview(uri: str, etag: str | None, read: PhotoReader) -> str | None:
    """The source photo, small, as a data URI; None where it is gone or cannot be decoded."""
    try:
        return preview(read(uri, etag), PREVIEW_SIDE)
    except CropError:
        return None
