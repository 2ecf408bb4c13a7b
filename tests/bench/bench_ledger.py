"""How a run's bookkeeping scales: a million keys listed and planned, 100,000 tasks recorded.

Each step runs in its own process, so that its peak memory can be measured beyond that of its loaded
modules. Keys come over HTTP from a server that implements S3's listing and generates them, a page
at a time, so the figure includes the client's whole path and no store's work. In the last steps,
records and data files are written without pixels: they are measured as files, which is what limits
a ledger. `per` is the share of one unit: a key or a task.
"""

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa

from pipeline import schema
from pipeline.inputs.listing import image_id, list_all
from pipeline.ledger.coverage.incremental import uncovered
from pipeline.ledger.identity import RunSpec, input_sha256
from pipeline.ledger.layout import task_key
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.manifest import data_files
from pipeline.ledger.plan import cut_tasks
from pipeline.ledger.records import to_bytes
from pipeline.ledger.stored_runs import stored_runs
from pipeline.storage.store import open_store
from tests.bench.thin_records import PHOTO_BYTES, begin, thin_record, write_files

Row = dict[str, Any]
PAGE_KEYS = 1000
IMAGES_PER_TASK = 10


def key_of(number: int) -> str:
    return f"2026/11/21/{number:09d}-{number * 2654435761 % 2**32:08x}.jpg"


def page(first: int, keys: int) -> bytes:
    """Make an answer to ListObjectsV2: keys `first` to `first + 999` of `keys`."""
    last = min(first + PAGE_KEYS, keys)
    entry = (
        "<Contents><Key>{}</Key><LastModified>2026-11-21T03:00:00.000Z</LastModified>"
        '<ETag>"{:032x}"</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>'
    )
    more = f"<NextContinuationToken>{last}</NextContinuationToken>" if last < keys else ""
    return (
        '<?xml version="1.0"?><ListBucketResult '
        'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
        f"<KeyCount>{last - first}</KeyCount><MaxKeys>{PAGE_KEYS}</MaxKeys>"
        f"<IsTruncated>{str(last < keys).lower()}</IsTruncated>{more}"
        + "".join(entry.format(key_of(n), n, PHOTO_BYTES) for n in range(first, last))
        + "</ListBucketResult>"
    ).encode()


def serve_listing(keys: int, connection: Any, delay_s: float) -> None:
    """Run the listing server forever; sends its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            first = int(query.get("continuation-token", ["0"])[0])
            if "start-after" in query:
                first = bisect_right(range(keys), query["start-after"][0], key=key_of)
            time.sleep(delay_s)
            body = page(first, keys)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/xml")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    connection.send(server.server_port)
    server.serve_forever()


@contextmanager
def listing_server(keys: int, delay_s: float = 0.0) -> Iterator[None]:
    """Serve `keys` made-up photos as the environment's S3; each answer is delayed by `delay_s`."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(
        target=serve_listing, args=(keys, theirs, delay_s), daemon=True
    )
    process.start()
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{ours.recv()}",
        AWS_ACCESS_KEY_ID="bench",
        AWS_SECRET_ACCESS_KEY="bench",
        AWS_DEFAULT_REGION="us-east-1",
    )
    try:
        yield
    finally:
        process.kill()
        process.join()


def step(name: str, units: int, work: Callable[..., Any], *arguments: Any) -> Row:
    """Run `work` in a fresh process: wall and CPU seconds, peak memory beyond the modules'."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_measured, args=(theirs, work, arguments)
    )
    process.start()
    theirs.close()
    figures = ours.recv()
    process.join()
    each_us = 1e6 * figures["wall_s"] / units
    return {"step": name, "units": units, **figures, "each_us": round(each_us, 1)}


def _measured(connection: Any, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    note = work(*arguments)
    figures: Row = {
        "wall_s": round(time.perf_counter() - wall, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "peak_mib": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024),
        "note": note,
    }
    connection.send(figures)


def made_up_inputs(rows: int) -> pa.Table:
    """Make an input list like that of `list_all`, without a listing."""
    uris = [f"s3://b/{key_of(n)}" for n in range(rows)]
    columns = [map(image_id, uris), uris, (f"{n:032x}" for n in range(rows)), [PHOTO_BYTES] * rows]
    return pa.table(
        [pa.array(list(c), f.type) for c, f in zip(columns, schema.INPUTS, strict=True)],
        schema=schema.INPUTS,
    )


def spec_of(inputs: pa.Table) -> RunSpec:
    return RunSpec(
        settings={"ratios": "1:1"},
        weights_sha256="0" * 64,
        detector="embedded",
        code_version="bench",
        input_sha256=input_sha256(inputs),
    )


def list_keys() -> str:
    table = list_all("s3://b/2026/11/21/").table
    return f"{table.num_rows:,} rows, {table.nbytes >> 20} MiB as a table"


def list_and_pin(folder: str, task_images: int) -> str:
    """Do everything that a job does before its first task."""
    inputs = list_all("s3://b/2026/11/21/").table
    plan = cut_tasks(inputs, task_images)
    ledger = Ledger.open(open_store(folder), spec_of(inputs), inputs, plan)
    return f"{ledger.task_count:,} tasks pinned"


def pin_tasks(folder: str, tasks: int) -> str:
    inputs = made_up_inputs(tasks * IMAGES_PER_TASK)
    ledger = Ledger.open(
        open_store(folder), spec_of(inputs), inputs, cut_tasks(inputs, IMAGES_PER_TASK)
    )
    files = list(Path(folder, "runs", ledger.run_id).rglob("*"))
    size = sum(path.stat().st_size for path in files if path.is_file())
    return f"{ledger.task_count:,} tasks, {size >> 20} MiB in {len(files)} files"


def reopen(folder: str, run_id: str) -> str:
    """Do the first steps of a resumed job: find the open tasks, and read the input of one."""
    ledger = Ledger(open_store(folder), run_id)
    pending = ledger.pending()
    rows = ledger.task_inputs(ledger.task_count // 2).num_rows
    return f"{len(pending):,} open, {rows} rows in the middle one"


def write_records(folder: str, run_id: str, tasks: int) -> None:
    """Record every task, with data files of one byte each."""
    begin(folder, run_id)
    for task in range(tasks):
        record = thin_record(run_id, task, IMAGES_PER_TASK)
        write_files(folder, record)
        Path(folder, task_key(run_id, task)).write_bytes(to_bytes(record))


def finish(folder: str, run_id: str) -> str:
    Ledger(open_store(folder), run_id).finish({})
    home = Path(folder, "runs", run_id)
    (listed,) = (path.stat().st_size for path in home.glob("files-*.parquet"))
    manifest = (home / "_MANIFEST.json").stat().st_size
    return f"manifest {manifest >> 10} KiB, list of files {listed >> 10:,} KiB"


def open_committed(folder: str) -> str:
    (manifest,) = stored_runs(open_store(folder)).committed
    files = data_files(open_store(folder), manifest)
    return f"{manifest.rows:,} rows, {len(files):,} files"


def plan_again(folder: str, tasks: int) -> str:
    """Plan the next night on the same photos: find what is left to do."""
    inputs = made_up_inputs(tasks * IMAGES_PER_TASK)
    todo = uncovered(open_store(folder), spec_of(inputs), inputs)
    return f"{todo.covered:,} covered, {todo.inputs.num_rows} to do"


def measure(keys: int, tasks: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        with listing_server(keys):
            yield step("list", keys, list_keys)
            yield step("list, plan, pin", keys, list_and_pin, f"{folder}/a", 64)
        run = f"{folder}/b"
        yield step("plan and pin", tasks, pin_tasks, run, tasks)
        (run_id,) = (p.name for p in Path(run, "runs").iterdir() if p.name != "_probe")
        yield step("reopen, none done", tasks, reopen, run, run_id)
        write_records(run, run_id, tasks)
        yield step("reopen, all done", tasks, reopen, run, run_id)
        yield step("commit the run", tasks, finish, run, run_id)
        yield step("open as a reader", tasks, open_committed, run)
        yield step("the next night", tasks * IMAGES_PER_TASK, plan_again, run, tasks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000, help="of the listing")
    parser.add_argument("--tasks", type=int, default=100_000, help="of the ledger")
    parser.add_argument("--json", type=Path, help="write the table here as well")
    arguments = parser.parse_args()
    print(f"{'step':20}{'units':>10}{'wall s':>9}{'CPU s':>9}{'each µs':>9}{'peak MiB':>10}  what")
    rows = []
    for row in measure(arguments.keys, arguments.tasks):
        rows.append(row)
        print(
            f"{row['step']:20}{row['units']:>10,}{row['wall_s']:>9.1f}{row['cpu_s']:>9.1f}"
            f"{row['each_us']:>9.1f}{row['peak_mib']:>10,}  {row['note']}",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
