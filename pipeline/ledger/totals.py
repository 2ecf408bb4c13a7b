"""Add up the figures of a run's tasks while it runs.

The figures come from the task records, so a run that was stopped and resumed counts the tasks of
its earlier sessions too, and no task twice.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

from msgspec.structs import asdict

from pipeline.ledger.figures import RETRY, Cost, Figures
from pipeline.ledger.records import Manifest


class RunTotals:
    """What a run has done so far. Tasks may be added while another thread reads."""

    def __init__(
        self, run_id: str, images: int, tasks: int, clock: Callable[[], float] = time.time
    ) -> None:
        self.run_id, self.images_planned, self.tasks_planned = run_id, images, tasks
        self._totals = Figures()
        self._tasks: set[int] = set()
        self._clock = clock
        self._lock = threading.Lock()
        self.started_s = self.last_task_s = clock()
        self.limits: str | None = None  # what limited the run's speed, in words

    @classmethod
    def of_manifest(cls, manifest: Manifest) -> Self:
        """Return the figures of a committed run."""
        made = cls(manifest.run_id, manifest.rows, manifest.tasks, lambda: manifest.committed_at)
        made._totals, made._tasks = manifest.metrics, set(range(manifest.tasks))
        made.add_requests(manifest.session.get("driver_requests", {}))
        made.limits = manifest.session.get("limits")
        return made

    def task_done(self, task: int, figures: Figures) -> None:
        """Add the figures of one recorded task; adding the same task again changes nothing."""
        with self._lock:
            if task in self._tasks:
                return
            self._tasks.add(task)
            self._totals += figures
            self.last_task_s = self._clock()

    def add_requests(self, requests: Mapping[str, int]) -> None:
        """Add storage requests that belong to no task: listing, planning, committing."""
        with self._lock:
            self._totals += Figures(requests=requests)

    @property
    def totals(self) -> Figures:
        """The figures of all tasks added up."""
        with self._lock:
            return self._totals

    def as_dict(self) -> dict[str, Any]:
        """Return every figure by name, for `metrics.json`, in seconds, bytes and counts."""
        with self._lock:
            totals, tasks = self._totals, len(self._tasks)
        requests, retries = _split(totals.requests)
        # Records of earlier releases have none of these; they are reported as they were then.
        since = {
            "crops_by_verdict": dict(sorted(totals.verdicts.items())),
            "crops_by_reason": dict(sorted(totals.reasons.items())),
            "crops_by_confidence": dict(sorted(totals.confidence.items(), key=_number)),
            "costs": {stage: _nonzero(cost) for stage, cost in totals.costs.items()},
            "limits": self.limits if totals.costs else "",
        }
        return {
            "run_id": self.run_id,
            "images": dict(sorted(totals.statuses.items())),
            "images_done": totals.photos,
            "images_planned": self.images_planned,
            "crops": totals.crops,
            "input_bytes": totals.bytes,
            "crop_bytes": totals.crop_bytes,
            "stage_seconds": {s: round(v, 3) for s, v in totals.seconds.items()},
            **{name: value for name, value in since.items() if value},
            "storage_requests": requests,
            "storage_retries": retries,
            "storage_requests_per_image": round(sum(requests.values()) / max(totals.photos, 1), 4),
            "tasks_done": tasks,
            "tasks_planned": self.tasks_planned,
            "queue_depth_tasks": self.tasks_planned - tasks,
        }

    def metrics_json(self) -> bytes:
        """Encode `as_dict` as it is stored."""
        return (json.dumps(self.as_dict(), indent=1) + "\n").encode()


def _nonzero(cost: Cost) -> dict[str, float]:
    """Return the figures of a cost that are not 0, in seconds, bytes and counts."""
    return {name: round(value, 3) for name, value in asdict(cost).items() if value}


def _number(item: tuple[str, int]) -> float:
    return float(item[0])


def _split(requests: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """Split requests into those by operation, and retries by reason."""
    asked = {name: n for name, n in sorted(requests.items()) if not name.startswith(RETRY)}
    again = {name: n for name, n in sorted(requests.items()) if name.startswith(RETRY)}
    return asked, {name.removeprefix(RETRY): n for name, n in again.items()}
