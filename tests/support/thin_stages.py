"""Stages that only put a task on record: what is left is Ray, the driver and the ledger."""

import hashlib
import os
from pathlib import Path

import pyarrow as pa

from pipeline.cluster.flow import Stages
from pipeline.ledger.figures import Cost, Figures
from pipeline.ledger.layout import data_key, task_key
from pipeline.ledger.records import DataFile, TaskRecord, to_bytes
from pipeline.stages.task import TaskSummary
from pipeline.stages.wire import pack_summary, task_number
from pipeline.stages.worker import Job, ledger_of
from pipeline.storage.addresses import local_path

PHOTO_BYTES = 3 << 20
COST = Cost(cpu_s=0.3, wait_s=0.1, requests=3, read_bytes=PHOTO_BYTES, written_bytes=120_000)
STAGES = ("start", "read", "decode", "detect", "score", "encode", "commit", "hand_over")


def thin_record(run_id: str, task: int, photos: int) -> TaskRecord:
    """A record of a task as a real one looks, with data files of one byte."""
    random = hashlib.sha256(str(task).encode()).hexdigest()  # as real hashes, it does not pack
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
    """Make the folders that records and data files of a run lie in."""
    for key in (task_key(run_id, 0), *(data_key(run_id, t, 0, "") for t in ("images", "crops"))):
        Path(folder, key).parent.mkdir(parents=True, exist_ok=True)


def write_files(folder: str, record: TaskRecord) -> None:
    """Write the data files that a record names."""
    for file in record.files:
        Path(folder, file.key).write_bytes(b"x")


def read(block: pa.Table, job: Job) -> pa.Table:
    """As `read_decode`, with nothing read."""
    return block


class ThinFinisher:
    """As `Finisher`: an actor that puts tasks of one photo on record."""

    def __init__(self, job: Job, device: str, gpus: float) -> None:
        self.job = job
        os.fsync = lambda _: None  # what the disk takes is not what is measured

    def ready(self) -> None:
        """As `Finisher.ready`."""

    def do(self, block: pa.Table) -> pa.Table:
        """As `Finisher.do`."""
        ledger, number = ledger_of(self.job), task_number(block)
        record = thin_record(ledger.run_id, number, 1)
        write_files(local_path(self.job.settings.running.output), record)
        ledger.store.create_once(task_key(ledger.run_id, number), to_bytes(record))
        return pack_summary(TaskSummary(number, record.metrics, {"score": (0.0, 1.0)}))


THIN = Stages(read, ThinFinisher, None)
