"""Task records without the work: like real ones, but with data files of one byte."""

import hashlib
from pathlib import Path

from pipeline.ledger.figures import Cost, Figures
from pipeline.ledger.layout import data_key, task_key
from pipeline.ledger.records import DataFile, TaskRecord

PHOTO_BYTES = 3 << 20
COST = Cost(cpu_s=0.3, wait_s=0.1, requests=3, read_bytes=PHOTO_BYTES, written_bytes=120_000)
STAGES = ("start", "read", "decode", "detect", "score", "encode", "commit", "hand_over")


def thin_record(run_id: str, task: int, photos: int) -> TaskRecord:
    """Make a task's record like a real one, but with data files of one byte."""
    random = hashlib.sha256(str(task).encode()).hexdigest()  # incompressible, like real hashes
    files = tuple(
        DataFile(table, data_key(run_id, table, task, random[:16]), rows, 1, random[::step])
        for table, rows, step in (("images", photos, 1), ("crops", 6 * photos, -1))
    )
    figures = Figures(
        statuses={"ok": photos},
        crops=6 * photos,
        bytes=photos * PHOTO_BYTES,
        crop_bytes=120_000 * photos,
        seconds={"read": 0.1, "decode": 0.2, "detect": 0.2, "score": 0.7, "encode": 0.3},
        requests={"get": 1 + photos, "put": 3},
        costs=dict.fromkeys(STAGES, COST),
    )
    return TaskRecord(
        task=task, attempt=random[:16], images=photos, files=files, failures=(), metrics=figures
    )


def begin(folder: str, run_id: str) -> None:
    """Create the folders for a run's records and data files."""
    for key in (task_key(run_id, 0), *(data_key(run_id, t, 0, "") for t in ("images", "crops"))):
        Path(folder, key).parent.mkdir(parents=True, exist_ok=True)


def write_files(folder: str, record: TaskRecord) -> None:
    """Write the data files that a record names."""
    for file in record.files:
        Path(folder, file.key).write_bytes(b"x")
