"""The cost of a plan after many nights, and with many photos: with the index and from runs' lists.

    nights  many runs on a local S3 server, ten photos each; a list of all photos is planned
    photos  one run of many photos in a folder, whose index is written and read

Both are synthetic: nothing is read, decoded or scored. Each step runs in its own process, so that
its peak memory can be measured.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from unittest import mock

import boto3
import pyarrow as pa

from pipeline import schema
from pipeline.cli.local_services import s3_server
from pipeline.inputs.listing import image_id
from pipeline.ledger import stored_runs
from pipeline.ledger.coverage import compaction, compare
from pipeline.ledger.coverage.compaction import write_indexes
from pipeline.ledger.coverage.covered import CoveredIndex
from pipeline.ledger.coverage.incremental import uncovered
from pipeline.ledger.identity import RunSpec, input_sha256
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.pinned import pin
from pipeline.ledger.plan import cut_tasks
from pipeline.storage.store import Store, open_store
from tests.bench.bench_ledger import Row, made_up_inputs, spec_of, step
from tests.support.tasks import run_all

PHOTOS_A_NIGHT = 10
BUCKET = "nights"


def make_nights(folder: str, nights: int) -> str:
    """Commit one run for each night, and the index when it is due."""
    written = 0
    with mock.patch("os.fsync"):  # it takes half of the time and is not measured
        for night in range(nights):
            store, inputs = open_store(folder), made_up_inputs((night + 1) * PHOTOS_A_NIGHT)
            new = inputs.slice(night * PHOTOS_A_NIGHT)
            spec = spec_of(new)
            manifest = run_all(
                Ledger.open(store, spec, new, cut_tasks(new, PHOTOS_A_NIGHT)), promote="manual"
            )
            written += write_indexes(store, manifest)
    return f"{written} times an index was written"


def upload(folder: str) -> None:
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    for path in sorted(Path(folder, "runs").rglob("*")):
        if path.is_file():
            key = path.relative_to(folder).as_posix()
            client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())


def plan(address: str, photos: int, by_index: bool) -> str:
    """Do what the next night's job does before its first task."""
    if not by_index:
        mock.patch.object(compare, "read_index", return_value=CoveredIndex(segments=())).start()
        mock.patch.object(stored_runs, "copied_manifests", return_value={}).start()
    store, inputs = open_store(address), made_up_inputs(photos)
    todo = uncovered(store, spec_of(inputs.slice(0, 1)), inputs)
    asked = ", ".join(f"{n:,} {what}" for what, n in sorted(store.requests.items()))
    return f"{todo.covered:,} covered, {todo.inputs.num_rows} to do; {asked}"


def inputs_of(photos: int) -> pa.Table:
    """Make inputs like `made_up_inputs` in batches, so that few rows are Python objects at once."""
    batches = []
    for first in range(0, photos, 100_000):
        numbers = range(first, min(first + 100_000, photos))
        uris = [f"s3://b/2026/11/21/{n:012d}.jpg" for n in numbers]
        columns = [[image_id(u) for u in uris], uris, [f"{n:032x}" for n in numbers]]
        sizes = pa.array([3 << 20] * len(uris))
        batches.append(pa.table([*map(pa.array, columns), sizes], schema=schema.INPUTS))
    return pa.concat_tables(batches)


def make_large(folder: str, photos: int) -> str:
    """Pin and commit one run without its tasks: the plan reads only its lists."""
    store, inputs = open_store(folder), inputs_of(photos)
    spec = spec_of(inputs.slice(0, 1))
    with mock.patch("os.fsync"):
        pin(store, spec, inputs, cut_tasks(inputs, 64))
        commit_small(store, spec, inputs.slice(0, 1))
    return f"{photos:,} photos in {photos // 64 // 64 + 1:,} files"


def commit_small(store: Store, spec: RunSpec, small: pa.Table) -> None:
    """Commit a pinned run with the records of a run of a few photos."""
    with tempfile.TemporaryDirectory() as other:
        made = open_store(other)
        run = run_all(Ledger.open(made, spec, small, cut_tasks(small)), promote="manual")
        for info in made.list(f"runs/{run.run_id}/"):
            name = info.key.rpartition("/")[2]
            if name.startswith(("_MANIFEST", "failures", "unsettled", "files")):
                store.create_once(info.key, made.read(info.key))


def index_large(folder: str) -> str:
    store = open_store(folder)
    (manifest,) = stored_runs.stored_runs(store).committed
    for module in (compaction, compare):
        mock.patch.object(module, "TAIL", 0).start()
    # Its manifest counts one photo; the index is partitioned by the run's real number.
    mock.patch.object(compaction, "FILE_ROWS", 0).start()
    with mock.patch("os.fsync"):
        write_indexes(store, manifest)
    files = list(Path(folder, "runs/_index").rglob("*.parquet"))
    return f"{len(files)} files, {sum(p.stat().st_size for p in files) >> 20} MiB"


def plan_large(folder: str, photos: int, by_index: bool) -> str:
    mock.patch.object(compare, "TAIL", 0 if by_index else 9).start()
    inputs = inputs_of(photos)
    held = inputs.nbytes >> 20
    todo = uncovered(open_store(folder), spec_of(inputs.slice(0, 1)), inputs)
    return f"{todo.covered:,} covered; the list itself has {held:,} MiB"


def list_large(photos: int) -> str:
    inputs = inputs_of(photos)
    return f"{input_sha256(inputs.slice(0, 9))[:4]}: the list alone, {inputs.nbytes >> 20:,} MiB"


def of_nights(nights: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder, s3_server(Path(folder)) as server:
        os.environ.update(server.environment)
        for count in (nights // 10, nights):
            runs, bucket = f"{folder}/{count}", f"{BUCKET}-{count}"
            yield step(f"{count} nights", count, make_nights, runs, count)
            with mock.patch(f"{__name__}.BUCKET", bucket):
                upload(runs)
            for by_index in (False, True, False, True):
                name = "plan by the index" if by_index else "plan by the lists"
                yield step(name, count, plan, f"s3://{bucket}", count * PHOTOS_A_NIGHT, by_index)


def of_photos(photos: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        yield step("one large run", photos, make_large, folder, photos)
        yield step("its index", photos, index_large, folder)
        yield step("its list", photos, list_large, photos)
        for by_index in (True, False):
            name = "plan by the index" if by_index else "plan by the lists"
            yield step(name, photos, plan_large, folder, photos, by_index)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nights", type=int, default=1000, help="0: none")
    parser.add_argument("--photos", type=int, default=10_000_000, help="0: none")
    arguments = parser.parse_args()
    print(f"{'step':20}{'units':>11}{'wall s':>9}{'CPU s':>9}{'peak MiB':>10}  what")
    nights = of_nights(arguments.nights) if arguments.nights else ()
    photos = of_photos(arguments.photos) if arguments.photos else ()
    for row in chain(nights, photos):
        print(
            f"{row['step']:20}{row['units']:>11,}{row['wall_s']:>9.2f}{row['cpu_s']:>9.2f}"
            f"{row['peak_mib']:>10,}  {row['note']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
