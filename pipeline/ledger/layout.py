"""Name the objects of a run: the layout of its output store.

runs/<run_id>/spec.json              what the run is and its pinned plan; created once
runs/<run_id>/input/<sha256>.parquet the input list, named by content, a row group per task
runs/<run_id>/tasks/<n>.json         task n is done, by this attempt, in these files; created once
runs/<run_id>/files-<sha>.parquet    every data file of the run; also unsettled-, failures-
runs/<run_id>/_MANIFEST.json         the commit, which names these lists; created once, last
runs/<run_id>/metrics.json           a copy of the run's figures, for dashboards
runs/<run_id>/README.md              the run as a Hugging Face dataset; see `card`
runs/<run_id>/gallery/               pages that show the run to people
runs/<run_id>/replaced/<hash>.json   which file replaces one with forgotten photos
runs/_index/                         copies of runs' records, for speed; see `indexes`
_data/<table>/run=<run_id>/<task>-<attempt>.parquet   written before any record names it

crops/<run_id>/<name>                crops under names of a template; see `crop_files`
public/<channel>/<name>              copies of the live ones; listed in published/<channel>.parquet

_iceberg/<table>/                    Iceberg tables of published runs; see `iceberg_catalog`

channels/<name>/<n>.json             which runs are live, version n; see `channels`
forgotten/<n>.json                   which photos are not to be shown, version n; see `forgetting`

A table's folder comes before the run's, so that it can be the root of one Delta table.
"""

import hashlib
import re
import secrets

TASK_FILE = re.compile(r"(\d{8,})\.json")
RUN_ID = re.compile(r"[0-9a-f]{20}")
_OWNER = re.compile(r"(?:_data/[^/]+/run=|runs/)([^/]+)/")
_DATA_TASK = re.compile(r"_data/[^/]+/run=[^/]+/(\d{8,})-[^/]+\.parquet")


def run_key(run_id: str, name: str) -> str:
    """Return the key of one of a run's own objects."""
    return f"runs/{run_id}/{name}"


def spec_key(run_id: str) -> str:
    """Return the key of the run's spec."""
    return run_key(run_id, "spec.json")


def manifest_key(run_id: str) -> str:
    """Return the key of the run's manifest."""
    return run_key(run_id, "_MANIFEST.json")


def figures_key(run_id: str) -> str:
    """Return the key of the copy of a run's figures, which is written after the manifest."""
    return run_key(run_id, "metrics.json")


def task_key(run_id: str, task: int) -> str:
    """Return the key of a task's record."""
    return run_key(run_id, f"tasks/{task:08d}.json")


def data_prefix(run_id: str, table: str) -> str:
    """Return the prefix of the keys of a run's data files of one table."""
    return f"_data/{table}/run={run_id}/"


def data_key(run_id: str, table: str, task: int, attempt: str) -> str:
    """Return the key of one attempt's data file of one table."""
    return f"{data_prefix(run_id, table)}{task:08d}-{attempt}.parquet"


def new_attempt() -> str:
    """Draw a name for an attempt at a task: 64 random bits, so that no two are the same."""
    return secrets.token_hex(8)


def data_task(key: str) -> int | None:
    """Return the task that a data file belongs to; None for any other object."""
    found = _DATA_TASK.fullmatch(key)
    return int(found[1]) if found else None


def replaced_key(key: str) -> str | None:
    """Return the key of an object's replacement record; None for an object of no run."""
    owner = _OWNER.match(key)
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    return run_key(owner[1], f"replaced/{digest}.json") if owner else None
