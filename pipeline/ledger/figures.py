"""The figures of a run: those of its tasks added up.

Every task record carries the figures of its photos, so a run that was stopped and resumed counts
the tasks of its earlier attempts too, and never one task twice.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

RETRY = "retry_"  # `Store` counts what it did again as retry_<reason>


class RunFigures:
    """What a run has done so far. Tasks may be added while another thread reads."""

    def __init__(
        self, run_id: str, images: int, tasks: int, clock: Callable[[], float] = time.time
    ) -> None:
        self.run_id, self.images_planned, self.tasks_planned = run_id, images, tasks
        self._totals: dict[str, Any] = {}
        self._tasks: set[int] = set()
        self._clock = clock
        self._lock = threading.Lock()
        self.started_s = self.last_task_s = clock()

    @classmethod
    def of_manifest(cls, manifest: Mapping[str, Any]) -> Self:
        """The figures of a committed run."""
        made = cls(
            manifest["run_id"],
            manifest["rows"],
            manifest["tasks"],
            lambda: manifest["committed_at"],
        )
        made._totals, made._tasks = dict(manifest["metrics"]), set(range(manifest["tasks"]))
        made.add_requests(manifest.get("session", {}).get("driver_requests", {}))
        return made

    def task_done(self, task: int, figures: Mapping[str, Any]) -> None:
        """Adds one task that is on record; the same task again changes nothing.

        figures: those of its record: `statuses`, `crops`, `bytes`, `crop_bytes`, `seconds` by
        stage and storage `requests` by operation.
        """
        with self._lock:
            if task in self._tasks:
                return
            self._tasks.add(task)
            self._totals = add_figures([self._totals, figures])
            self.last_task_s = self._clock()

    def add_requests(self, requests: Mapping[str, int]) -> None:
        """Adds storage requests that belong to no task: listing, planning, committing."""
        with self._lock:
            self._totals = add_figures([self._totals, {"requests": requests}])

    @property
    def totals(self) -> dict[str, Any]:
        """The figures of all tasks added up, under the names of their records."""
        with self._lock:
            return dict(self._totals)

    def as_dict(self) -> dict[str, Any]:
        """Every figure under a plain name, for `metrics.json`; seconds, bytes and counts."""
        with self._lock:
            totals, tasks = self._totals, len(self._tasks)
        statuses = totals.get("statuses", {})
        images = sum(statuses.values())
        requests, retries = _split(totals.get("requests", {}))
        return {
            "run_id": self.run_id,
            "images": dict(sorted(statuses.items())),
            "images_done": images,
            "images_planned": self.images_planned,
            "crops": totals.get("crops", 0),
            "input_bytes": totals.get("bytes", 0),
            "crop_bytes": totals.get("crop_bytes", 0),
            "stage_seconds": {s: round(v, 3) for s, v in totals.get("seconds", {}).items()},
            "storage_requests": requests,
            "storage_retries": retries,
            "storage_requests_per_image": round(sum(requests.values()) / max(images, 1), 4),
            "tasks_done": tasks,
            "tasks_planned": self.tasks_planned,
            "queue_depth_tasks": self.tasks_planned - tasks,
        }

    def metrics_json(self) -> bytes:
        """`as_dict` as it is stored."""
        return (json.dumps(self.as_dict(), indent=1) + "\n").encode()


def add_figures(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum figures key by key, also inside dictionaries; what is not a number is dropped."""
    total: dict[str, Any] = {}
    for figures in records:
        for name, value in figures.items():
            if isinstance(value, Mapping):
                total[name] = add_figures([total.get(name, {}), value])
            elif isinstance(value, int | float) and not isinstance(value, bool):
                total[name] = total.get(name, 0) + value
    return total


def _split(requests: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """What was asked by operation, and what of it was asked again by reason."""
    asked = {name: n for name, n in sorted(requests.items()) if not name.startswith(RETRY)}
    again = {name: n for name, n in sorted(requests.items()) if name.startswith(RETRY)}
    return asked, {name.removeprefix(RETRY): n for name, n in again.items()}
