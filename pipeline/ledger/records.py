"""What a run writes down about itself: where things are, and the records that make them count.

runs/<run_id>/spec.json              what the run is and its pinned plan; created once
runs/<run_id>/input/<sha256>.parquet the input list, named by content, a row group per task
runs/<run_id>/tasks/<n>.json         task n is done, by this attempt, in these files; created once
runs/<run_id>/files-<sha>.parquet    every data file of the run; unsettled-<sha>.parquet likewise
runs/<run_id>/_MANIFEST.json         the commit, which names the two lists; created once, last
runs/<run_id>/metrics.json           the run's figures again, for dashboards
_data/<table>/run=<run_id>/<task>-<attempt>.parquet   written before it is named anywhere

A table's folder comes before the run's, so that each can be the root of one Delta table.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.errors import LedgerError

FORMAT = 1  # of the records below; a reader refuses a newer one
ABANDONED = "abandoned"  # the verdict of a run that `runs.py gc` gave up; nothing can commit it


def run_key(run_id: str, name: str) -> str:
    return f"runs/{run_id}/{name}"


def task_key(run_id: str, task: int) -> str:
    return f"runs/{run_id}/tasks/{task:08d}.json"


def data_prefix(run_id: str, table: str) -> str:
    return f"_data/{table}/run={run_id}/"


def data_key(run_id: str, table: str, task: int, attempt: str) -> str:
    return f"{data_prefix(run_id, table)}{task:08d}-{attempt}.parquet"


def new_attempt() -> str:
    """A name that no other attempt at any task will draw: 64 random bits."""
    return secrets.token_hex(8)


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of one task."""

    table: str
    key: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class TaskRecord:
    """Task `task` is done: these files, and no others, hold its rows.

    unsettled: ids of the images that failed for a transient reason; a later run does them again.
    metrics:   figures of the task: statuses, bytes, seconds by stage, storage requests.
    """

    task: int
    attempt: str
    images: int
    files: tuple[DataFile, ...]
    unsettled: tuple[str, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        return to_bytes({"format": FORMAT, **asdict(self)})

    @classmethod
    def from_bytes(cls, data: bytes) -> "TaskRecord":
        record = from_bytes(data, "a task record")
        record.pop("format")
        files = tuple(DataFile(**entry) for entry in record.pop("files"))
        return cls(files=files, unsettled=tuple(record.pop("unsettled")), **record)


def to_bytes(document: Mapping[str, Any]) -> bytes:
    """A record as JSON; the same content gives the same bytes."""
    return json.dumps(document, sort_keys=True, indent=1).encode() + b"\n"


def from_bytes(data: bytes, what: str) -> dict[str, Any]:
    """A record back from JSON. Raises LedgerError for one that this version cannot read."""
    try:
        document: dict[str, Any] = json.loads(data)
        version = int(document["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerError(
            f"{what} cannot be read ({error}): it was not written by a run"
        ) from error
    if version > FORMAT:
        raise LedgerError(f"{what} has format {version}, this version reads {FORMAT}: upgrade")
    return document
