"""How verifying a committed run scales: rows of `images` and the pinned list, counted and hashed.

The data files have only the column that a verification reads of them, so the time is that of the
bookkeeping. The run is verified in its own process, whose peak memory is measured beyond that of
its modules.
"""

import argparse
import hashlib
import json
import tempfile
from pathlib import Path

import pyarrow as pa
from msgspec.structs import replace

from pipeline.ledger.audit import verify_run
from pipeline.ledger.layout import task_key
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.plan import cut_tasks
from pipeline.ledger.records import TaskRecord, to_bytes
from pipeline.ledger.tables import parquet_bytes
from pipeline.storage.store import open_store
from tests.bench.bench_ledger import Row, made_up_inputs, spec_of, step
from tests.bench.thin_records import begin, thin_record

PHOTOS_PER_TASK = 64


def commit_photos(folder: str, photos: int) -> str:
    """Commit a run of that many photos; return its id."""
    inputs = made_up_inputs(photos)
    cuts = cut_tasks(inputs, PHOTOS_PER_TASK)
    ledger = Ledger.open(open_store(folder), spec_of(inputs), inputs, cuts)
    begin(folder, ledger.run_id)
    for task in range(cuts.task_count):
        rows = cuts.task_rows(task)
        record = thin_record(ledger.run_id, task, len(rows))
        (file,) = (one for one in record.files if one.table == "images")
        ids = inputs["image_id"].slice(rows.start, len(rows))
        data = parquet_bytes(pa.table({"image_id": ids}))
        Path(folder, file.key).write_bytes(data)
        file = replace(file, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        _record(folder, ledger.run_id, replace(record, files=(file,)))
    return ledger.finish({}).run_id


def _record(folder: str, run_id: str, record: TaskRecord) -> None:
    Path(folder, task_key(run_id, record.task)).write_bytes(to_bytes(record))


def verify(folder: str, run_id: str) -> str:
    found = verify_run(open_store(folder), run_id)
    assert not found.problems, found.problems[:3]
    return f"{found.files:,} files, {sum(found.rows.values()):,} rows"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--json", type=Path, help="write the table here as well")
    arguments = parser.parse_args()
    rows: list[Row] = []
    print(f"{'photos':>12}{'wall s':>9}{'CPU s':>9}{'peak MiB':>10}  what")
    for photos in arguments.photos:
        with tempfile.TemporaryDirectory() as folder:
            made = step("commit", photos, commit_photos, folder, photos)
            rows.append(row := step("verify", photos, verify, folder, made["note"]))
        figures = f"{row['wall_s']:>9.1f}{row['cpu_s']:>9.1f}{row['peak_mib']:>10,}"
        print(f"{photos:>12,}{figures}  {row['note']}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
