"""Stages that only record a task, so that only Ray, the driver and the ledger do real work."""

import os

import pyarrow as pa

from pipeline.ledger.layout import task_key
from pipeline.ledger.records import to_bytes
from pipeline.stages.task import TaskSummary
from pipeline.stages.wire import pack_summary, task_number
from pipeline.stages.worker import Job, ledger_of
from pipeline.storage.addresses import local_path
from tests.bench.thin_records import thin_record, write_files


def read(block: pa.Table, job: Job) -> pa.Table:
    """Stand in for `read_decode`, without reading anything."""
    return block


class ThinFinisher:
    """Stands in for `Finisher`: an actor that records tasks of one photo."""

    def __init__(self, job: Job, device: str, gpus: float) -> None:
        self.job = job
        os.fsync = lambda fd: None  # the disk's time is not measured

    def ready(self) -> None:
        """Stand in for `Finisher.ready`."""

    def do(self, block: pa.Table) -> pa.Table:
        """Stand in for `Finisher.do`."""
        ledger, number = ledger_of(self.job), task_number(block)
        record = thin_record(ledger.run_id, number, 1)
        write_files(local_path(self.job.settings.running.output), record)
        ledger.store.create_once(task_key(ledger.run_id, number), to_bytes(record))
        return pack_summary(TaskSummary(number, record.metrics, {"score": (0.0, 1.0)}))
