"""Memory of a whole run over thousands of photos: does it stay flat?

One run over `--images` small photos in one shape, with boxes from the list (the subject is what the
run keeps, not how long a photo takes). The memory of all its processes, including Ray's, is sampled
a few times a second; the table has its median and its peak in each part of the run.

    python -m tests.bench.bench_memory [--images N] [--json FILE]
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from tests.bench.process_tree import measure
from tests.bench.uploads import write_uploads

PHOTOS = 100  # distinct ones; the list has each many times, under different links
PARTS = (0.05, 0.25, 0.5, 0.75, 1.0)
BOX = [60.0, 40.0, 200.0, 180.0]


def write_list(folder: Path, images: int) -> Path:
    """Write links to a hundred small photos, and a list of them with one box each."""
    write_uploads(folder / "photos", PHOTOS, [(320, 240)])
    (folder / "links").mkdir()
    photos = sorted((folder / "photos").iterdir())
    uris = []
    for number in range(images):
        photo = photos[number % len(photos)]
        link = folder / "links" / f"{number:06}{photo.suffix}"
        link.hardlink_to(photo)
        uris.append(str(link))
    boxes = pa.array([[BOX]] * images, pa.list_(pa.list_(pa.float32())))
    parquet.write_table(pa.table({"uri": uris, "boxes": boxes}), folder / "list.parquet")
    return folder / "list.parquet"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--images", type=int, default=20_000, help="photos (default: 20,000)")
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    if chosen.images < 1000:
        options.error("a run of fewer than 1,000 photos is over before its memory says anything")
    samples: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name)
        source, output = write_list(folder, chosen.images), folder / "out"

        def sample(mib: float) -> None:
            samples.append((sum(1 for _ in output.glob("runs/*/tasks/*.json")), mib))

        where = ["--input", str(source), "--output", str(output), "--ratios", "1:1"]
        what = ["--detector", "boxes", "--weights", "untrained", "--task-images", "20"]
        cost = measure([sys.executable, "jobs/crop_bucket.py", *where, *what], sample)
        tasks = max(tasks for tasks, _ in samples)
    rows = []
    begin = 1  # skip the startup, before any task is done
    for part in PARTS:
        end = int(part * tasks)
        memory = [mib for done, mib in samples if begin <= done <= end]
        images = f"{begin * 20:,} to {end * 20:,}"
        rows.append(
            {"images": images, "median_mib": round(statistics.median(memory)),
             "peak_mib": round(max(memory))}
        )  # fmt: skip
        begin = end
        print(rows[-1], flush=True)
    growth = rows[-1]["median_mib"] / rows[0]["median_mib"] - 1  # type: ignore[operator]
    facts = {
        "images": chosen.images,
        "cpu_s": round(cost.cpu_s),
        "wall_s": round(cost.wall_s),
        "growth of the median from the first part to the last": f"{growth:+.1%}",
    }
    print(facts)
    if chosen.json:
        chosen.json.write_text(json.dumps({"rows": rows, "facts": facts}, indent=1) + "\n")


if __name__ == "__main__":
    main()
