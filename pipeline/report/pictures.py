"""Store the previews of a run's photos: those that the run kept, or else composed of its crops.

They are in a temporary file, not in memory, until each is needed in the order of the pages.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from tempfile import TemporaryFile
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from pipeline.ledger.reader import Run
from pipeline.photo.view import size_within
from pipeline.report.canvases import Canvases, PhotoCanvases
from pipeline.schema import EDGES

SIDE = 256  # px, long side of a composed picture
QUALITY = 70  # of WebP
PIECES = ["image_id", "ratio", "rank", *EDGES, "fit", "width", "height", "image"]
Size = tuple[int, int]  # width and height, pixels


@dataclass(frozen=True)
class Picture:
    """A small picture of a whole photo.

    gaze:   see `schema.PREVIEWS`.
    composed: made of crops; areas outside all crops are transparent.
    """

    image: bytes
    format: str
    gaze: bytes | None
    composed: bool


@dataclass(frozen=True)
class _Place:
    start: int
    length: int
    format: str
    gaze: bytes | None
    composed: bool


class Pictures:
    """Previews by image_id. Close it, or use it in a `with` block."""

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 - closed with this object
        self._places: dict[str, _Place] = {}
        self._end = 0

    def __enter__(self) -> "Pictures":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._places

    def add(self, image_id: str, picture: Picture) -> None:
        """Store the picture of one photo."""
        self._file.write(picture.image)
        self._places[image_id] = _Place(
            self._end, len(picture.image), picture.format, picture.gaze, picture.composed
        )
        self._end += len(picture.image)

    def get(self, image_id: str) -> Picture | None:
        """Return the picture of one photo; None if there is none."""
        place = self._places.get(image_id)
        if place is None:
            return None
        self._file.flush()
        image = os.pread(self._file.fileno(), place.length, place.start)
        return Picture(image, place.format, place.gaze, place.composed)


def collect_pictures(
    run: Run,
    sizes: Mapping[str, Size],
    pictures: Pictures,
    canvases: PhotoCanvases,
    wanted: Collection[str] | None = None,
) -> None:
    """Store the run's previews; compose one for each photo in `sizes` that has none.

    sizes: width and height in source pixels of the photos that have crops, by image_id.
    canvases: of the photos in `sizes`.
    wanted: the image_ids whose previews are needed; None: all.
    """
    only = None if wanted is None else pa.array(wanted, pa.string())
    for batch in run.batches("previews"):
        rows = batch if only is None else batch.filter(pc.is_in(batch["image_id"], only))
        for row in rows.to_pylist():
            kept = Picture(row["image"], row["format"], row["gaze"], composed=False)
            pictures.add(row["image_id"], kept)
    if all(image_id in pictures for image_id in sizes):
        return
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for batch in run.batches("crops", PIECES):
            photos = [
                (image_id, list(rows))
                for image_id, rows in _by_photo(batch.to_pylist())
                if image_id in sizes and image_id not in pictures
            ]
            photos = [(image_id, rows) for image_id, rows in photos if rows[0]["image"]]
            made = pool.map(
                lambda one: compose(one[1], sizes[one[0]], canvases.of_photo(one[0])), photos
            )
            for (image_id, _), image in zip(photos, made, strict=True):
                pictures.add(image_id, Picture(image, "webp", None, composed=True))


def compose(crops: Sequence[Mapping[str, Any]], size_wh: Size, canvases: Canvases) -> bytes:
    """Compose a photo from its crops; returns a small WebP of the whole, SIDE pixels long.

    crops: rows with the columns PIECES. size_wh: the photo's sides, source pixels. canvases: the
    run's.
    """
    scale = min(1.0, SIDE / max(size_wh))
    canvas = Image.new("RGBA", size_within(size_wh, SIDE))
    # Larger crops are drawn first: a smaller one shows its part in more detail.
    for crop in sorted(crops, key=lambda crop: -_area(crop)):
        part = _photo_part(Image.open(BytesIO(crop["image"])).convert("RGBA"), crop, canvases)
        left, top, right, bottom = (round(crop[e] * scale) for e in EDGES)
        part = part.resize((max(1, right - left), max(1, bottom - top)), Image.Resampling.BOX)
        canvas.paste(part, (left, top), part)
    stream = BytesIO()
    canvas.save(stream, "webp", quality=QUALITY, method=2)
    return stream.getvalue()


def _photo_part(picture: Image.Image, crop: Mapping[str, Any], canvases: Canvases) -> Image.Image:
    """Return the part of a thumbnail that shows the photo: for `pad` and `blur`, not the ground."""
    placed = canvases.placed(crop["ratio"], crop["fit"], [crop[edge] for edge in EDGES])
    if placed is None:
        return picture
    x0, y0, x1, y1 = placed.box_rel
    left, top = round(x0 * picture.width), round(y0 * picture.height)
    right = max(left + 1, round(x1 * picture.width))  # like `draw_whole`, for a thin photo
    bottom = max(top + 1, round(y1 * picture.height))
    return picture.crop((left, top, right, bottom))


def _area(crop: Mapping[str, Any]) -> float:
    return float((crop["x1"] - crop["x0"]) * (crop["y1"] - crop["y0"]))


def _by_photo(rows: Iterable[dict[str, Any]]) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
    return groupby(rows, key=lambda row: str(row["image_id"]))
