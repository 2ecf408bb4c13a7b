"""One self-contained HTML page of a run: each photo with its boxes, its crops and their scores."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.errors import CropError
from pipeline.inputs.listing import read_image
from pipeline.ledger.reader import Run
from pipeline.photo.decode import Photo, decode
from pipeline.photo.thumbnail import cut, encode

# Okabe and Ito's palette, which people with any colour vision can tell apart
# (https://jfly.uni-koeln.de/color/), brightest first.
PALETTE = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#999999")
PREVIEW_SIDE = 640  # px, longer side of the photo on the page
Reader = Callable[[str, str | None], bytes]


def write_page(run: Run, path: Path, limit: int = 60, read: Reader = read_image) -> Path:
    """Write the page of a committed run to `path` and return it.

    limit: photos shown, in the order of the table; their number is said where there are more.
    read:  fetches a source photo by uri and ETag; a photo that cannot be read any more is shown
           without its picture, its crops are in the run.
    """
    path.write_text(render(run, limit, read), encoding="utf-8")
    return path


def render(run: Run, limit: int, read: Reader = read_image) -> str:
    """The page as a string. See `write_page`."""
    images, crops = run.images(), run.crops()
    ratios = list(dict.fromkeys(crops.column("ratio").to_pylist()))
    colours = {ratio: PALETTE[index % len(PALETTE)] for index, ratio in enumerate(ratios)}
    shown = images.slice(0, limit)
    environment = Environment(
        loader=PackageLoader("pipeline.report", "."), autoescape=True, undefined=StrictUndefined
    )
    # Uris and error messages are strangers' text: autoescape is what keeps them text.
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
    """The manifest's `weights` in a few words."""
    if weights["kind"] == "untrained":
        return f"untrained {weights['preset']}, seed {weights['seed']}"
    return f"{weights['kind']} {weights['sha256'][:12]}"


def photo_cards(
    images: pa.Table, crops: pa.Table, colours: dict[str, str], read: Reader
) -> Iterator[dict[str, Any]]:
    """What the template shows of each photo, one photo's crops in memory at a time."""
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
            "preview": preview(row["uri"], row["etag"], read) if own else None,
            "objects": [object_box(item) for item in row["objects"] or ()],
            "crops": [crop_card(crop, colours) for crop in own],
        }


def object_box(item: dict[str, Any]) -> dict[str, Any]:
    """A detected object as a rectangle in source pixels."""
    return {**rectangle(item), "title": f"{item['label'] or 'object'} {item['score']:.2f}"}


def crop_card(crop: dict[str, Any], colours: dict[str, str]) -> dict[str, Any]:
    """A crop as its picture and as a rectangle on the photo."""
    return {
        **rectangle(crop),
        "ratio": crop["ratio"],
        "rank": crop["rank"],
        "score": crop["score"],
        "colour": colours[crop["ratio"]],
        "image": data_uri(crop["image"], crop["format"]),
    }


def rectangle(row: dict[str, Any]) -> dict[str, float]:
    """x, y, w, h for SVG from a row's x0, y0, x1, y1."""
    x, y = round(row["x0"], 1), round(row["y0"], 1)
    return {"x": x, "y": y, "w": round(row["x1"] - x, 1), "h": round(row["y1"] - y, 1)}


def preview(uri: str, etag: str | None, read: Reader) -> str | None:
    """The source photo, small, as a data URI; None where it cannot be had any more."""
    try:
        photo = decode(read(uri, etag))
    except CropError:
        return None
    return data_uri(encode(cut(photo, whole(photo), preview_size(photo)), "jpeg", 80), "jpeg")


def whole(photo: Photo) -> tuple[float, float, float, float]:
    return (0.0, 0.0, float(photo.width_px), float(photo.height_px))


def preview_size(photo: Photo) -> tuple[int, int]:
    """(width, height) in pixels with the longer side at most PREVIEW_SIDE."""
    scale = min(1.0, PREVIEW_SIDE / max(photo.width_px, photo.height_px))
    return max(1, round(photo.width_px * scale)), max(1, round(photo.height_px * scale))


def data_uri(data: bytes, format: str) -> str:
    return f"data:image/{format};base64,{base64.b64encode(data).decode('ascii')}"
