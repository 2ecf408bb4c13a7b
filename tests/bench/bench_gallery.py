"""The gallery at scale: a run of 100,000 photos, whose pages are built, opened and used.

The run is synthetic: it repeats the previews and crops of ten packaged photographs under other
addresses and with other verdicts. Its thumbnails are small, so that the run fits on a disk: only
the bytes of crops that are read and copied depend on their size. Building runs in its own process,
to measure its peak memory beyond its modules. A headless Chromium then opens the pages from the
folder and measures when the first picture is visible, and how long filters and pages take.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from pipeline import open_run, schema
from pipeline.boxes import to_whole_pixels
from pipeline.cli.demo_photos import photos_of
from pipeline.inputs.listing import image_id
from pipeline.ledger.figures import Figures
from pipeline.ledger.identity import input_sha256
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.plan import cut_tasks
from pipeline.photo.decode import Photo, decode
from pipeline.photo.encoding.thumbnail import cut, encode, thumbnail_size
from pipeline.shapes import Shape, parse_shapes
from pipeline.stages.preview import preview_of
from pipeline.stages.task import PhotoRow
from pipeline.storage.store import open_store
from tests.support.browser import Tab, browse
from tests.support.tasks import SPEC

Row = dict[str, Any]
SHAPES = "1:1,4:3,16:9,9:16,3:4,circle"
TASK_PHOTOS = 500
THUMBNAIL = 192  # px
# Shares of the photos with a crop of each verdict and reason; all other crops are ok.
VERDICTS = (
    (0.02, "review", "head_cut"),
    (0.03, "review", "low_confidence"),
    (0.01, "fallback", "fallback_pad"),
)
BUILD = """
import resource, sys, time
from pipeline import open_run
from pipeline.report.gallery.build import gallery_prefix, write_gallery
from pipeline.storage.store import open_store

run = open_run(sys.argv[1])
before, start = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
made = write_gallery(run, open_store(sys.argv[2]))
after = resource.getrusage(resource.RUSAGE_SELF)
cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
peak = (after.ru_maxrss - before.ru_maxrss) / 1024
print(time.monotonic() - start, cpu, peak, made.files, made.bytes)
"""


def fitted_box(photo: Photo, shape: Shape) -> tuple[float, float, float, float]:
    """Return the largest centred box of the shape in the photo."""
    ratio = shape.ratio or 1.0
    width = min(photo.width_px, photo.height_px * ratio)
    height = width / ratio
    left, top = (photo.width_px - width) / 2, (photo.height_px - height) / 2
    box = np.array([[left, top, left + width, top + height]], np.float32)
    x0, y0, x1, y1 = map(float, to_whole_pixels(box, photo.width_px, photo.height_px)[0])
    return x0, y0, x1, y1


def originals() -> tuple[pa.Table, pa.Table, pa.Table]:
    """Return the images, crops and previews of the packaged photographs."""
    images, crops, previews = [], [], []
    for path in photos_of(None).paths:
        photo = decode(path.read_bytes())
        name = image_id(path.name)
        preview = preview_of(PhotoRow(name, path.name, photo=photo), 256)
        gaze = np.random.default_rng(0).integers(0, 256, 256, np.uint8).tobytes()
        previews.append({**vars_of(preview), "gaze": gaze})
        objects = [
            {"x0": 9.0 * n, "y0": 9.0, "x1": 90.0 + n, "y1": 99.0, "score": 0.5, "label": "face"}
            for n in range(10)
        ]
        sides = {"width_px": photo.width_px, "height_px": photo.height_px}
        images.append({"image_id": name, "uri": path.name, "status": "ok", "kind": "photo",
                       "format": photo.format, "objects": objects, "focus_x": 0.5,
                       "focus_y": 0.4, **sides})  # fmt: skip
        for shape in parse_shapes(SHAPES):
            box = fitted_box(photo, shape)
            pixels = cut(photo, box, thumbnail_size(shape, box, THUMBNAIL))
            edges = dict(zip(("x0", "y0", "x1", "y1"), box, strict=True))
            crops.append({"image_id": name, "uri": path.name, "ratio": shape.name, "rank": 0,
                          "score": 0.5, "choice": 0.5, "margin": 0.1, **edges,
                          "height": pixels.shape[0], "width": pixels.shape[1], "format": "webp",
                          "verdict": "ok", "fit": "crop", "sha256": name,
                          "image": encode(pixels, "webp", 80, shape.is_circle)})  # fmt: skip
    return (
        pa.Table.from_pylist(filled(images, schema.IMAGES), schema=schema.IMAGES),
        pa.Table.from_pylist(filled(crops, schema.CROPS), schema=schema.CROPS),
        pa.Table.from_pylist(previews, schema=schema.PREVIEWS),
    )


def vars_of(preview: Any) -> Row:
    return {name: getattr(preview, name) for name in schema.PREVIEWS.names}


def filled(rows: list[Row], declared: pa.Schema) -> list[Row]:
    return [{**dict.fromkeys(declared.names), **row} for row in rows]


def make_run(folder: Path, photos: int) -> str:
    """Commit a run of `photos` photos; returns its id."""
    names = [f"s3://ugc/2026/11/{n % 28:02d}/{n:08d}.jpg" for n in range(photos)]
    rows = [{"image_id": image_id(n), "uri": n, "etag": "v1", "bytes": 3 << 20} for n in names]
    inputs = pa.Table.from_pylist(rows, schema=schema.INPUTS)
    ledger = Ledger.open(
        open_store(str(folder)), replace(SPEC, input_sha256=input_sha256(inputs)), inputs,
        cut_tasks(inputs, TASK_PHOTOS, 1 << 60),
    )  # fmt: skip
    images, crops, previews = originals()
    shapes = len(crops) // len(images)
    for task in range(ledger.task_count):
        mine = ledger.task_inputs(task)
        which = np.arange(len(mine)) % len(images)
        of_crops = (which[:, None] * shapes + np.arange(shapes)).ravel()
        each = np.repeat(np.arange(len(mine)), shapes)
        tables = {
            "images": renamed(images.take(which), mine, np.arange(len(mine))),
            "crops": judged(renamed(crops.take(of_crops), mine, each), task, shapes),
            "previews": renamed(previews.take(which), mine, np.arange(len(mine))),
        }
        size = sum(map(len, tables["crops"]["image"].to_pylist()))
        figures = Figures(statuses={"ok": len(mine)}, crops=len(each), crop_bytes=size)
        ledger.commit_task(task, tables, figures)
    ledger.finish({})
    return ledger.run_id


def renamed(rows: pa.Table, inputs: pa.Table, at: Any) -> pa.Table:
    """Return the rows with the ids and addresses of inputs[at]."""
    for name in ("image_id", "uri"):
        if name in rows.column_names:
            place = rows.column_names.index(name)
            rows = rows.set_column(place, rows.schema.field(name), inputs[name].take(at))
    return rows.combine_chunks()


def judged(crops: pa.Table, task: int, shapes: int) -> pa.Table:
    """Return the crops with random confidences, and verdicts in the shares of VERDICTS."""
    draw = np.random.default_rng(task)
    photos = len(crops) // shapes
    verdict = np.full((photos, shapes), "ok", object)
    reason = np.full((photos, shapes), None, object)
    luck = draw.random(photos)
    low = 0.0
    for share, word, why in VERDICTS:
        hit = (luck >= low) & (luck < low + share)
        verdict[hit, 2], reason[hit, 2] = word, why
        low += share
    values = {
        "verdict": pa.array(verdict.ravel(), pa.string()),
        "reason": pa.array(reason.ravel(), pa.string()),
        "confidence": pa.array(draw.beta(6, 2, len(crops)).astype(np.float32)),
    }
    for name, column in values.items():
        crops = crops.set_column(crops.column_names.index(name), crops.schema.field(name), column)
    return crops


def build(run: Path, page: Path) -> Row:
    command = [sys.executable, "-c", BUILD, str(run), str(page)]
    figures = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    wall_s, cpu_s, peak_mib, files, size = map(float, figures)
    return {
        "build wall s": wall_s, "build CPU s": cpu_s, "build peak MiB": peak_mib,
        "files": files, "MB": size / 1e6,
    }  # fmt: skip


async def use(tab: Tab, address: str) -> Row:
    """Open the pages and time a person's actions."""
    seen: Row = {}
    await tab.window(1280, 900)
    mark = "performance.getEntriesByName('s2cnet-{}')[0]"

    async def marked(route: str, name: str) -> float:
        await tab.open(address + route, mark.format(name))
        return float(await tab.run(mark.format(name) + ".startTime"))

    seen["first picture ms"] = await marked("", "picture")
    seen["list ms"] = await marked("#/photos", "list")
    seen["filtered list ms, index loaded too"] = await marked("#/photos?q=99999.jpg", "list")
    seen["24 photos far apart ms"] = await marked("#/photos?q=4242", "list")
    seen["one photo ms"] = await marked("#/photo/1234", "photo")
    timed = "(async () => {{ const t = performance.now(); {} return performance.now() - t; }})()"
    await tab.run("S2.loadIndex()")
    for words, state in (
        ("search ms", "{q: '4242'}"),
        ("filter ms", "{ratio: '16:9', verdict: 'review'}"),
    ):
        seen[words] = await tab.run(timed.format(f"await S2.listed({state});"))
    turn = "S2.go('photos', {{page: {}}}); await new Promise((done) => {{"
    turn += " const look = () => document.querySelector('[data-place=\"{}\"]')"
    turn += " ? done() : setTimeout(look, 2); look(); }});"
    await tab.open(address + "#/photos", "document.querySelector('article.row')")
    pages = [await tab.run(timed.format(turn.format(n, (n - 1) * 24))) for n in (2, 3, 2000, 4000)]
    seen["a page turned ms"] = float(np.median(pages))
    await tab.run("S2.loadIndex()")
    seen["script memory MB"] = (await tab.run("performance.memory.usedJSHeapSize")) / 1e6
    assert tab.problems == [], tab.problems
    return seen


def measure(photos: int, folder: Path) -> Iterator[tuple[str, float]]:
    start = time.monotonic()
    make_run(folder / "out", photos)
    total = sum(m["metrics"]["crop_bytes"] for m in open_run(str(folder / "out")).manifests)
    yield "photos", photos
    yield "run made in s", time.monotonic() - start
    yield "crops of the run MB", total / 1e6
    yield from build(folder / "out", folder / "page").items()
    address = (folder / "page" / "index.html").as_uri()
    yield from browse(lambda tab: use(tab, address)).items()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--json", type=Path, help="write the table here as well")
    arguments = parser.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, value in measure(arguments.photos, Path(folder)):
            rows[name] = value
            print(f"{name:38}{value:>12,.1f}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
