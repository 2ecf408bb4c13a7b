"""What a job says at its end about the photos that failed."""

from pathlib import Path

import pytest

from pipeline.job import commit, plan
from pipeline.ledger.figures import Figures
from pipeline.report.progress import Log
from tests.pipeline.test_job import log, photos, settings, told
from tests.support.tasks import done

__all__ = ["log", "photos"]  # fixtures

NEW_ONES = "replaced since they were listed; the next night does the new ones"


@pytest.mark.parametrize(
    ("statuses", "changed", "others"),
    [
        ({"changed": 2}, 2, 0),
        ({"changed": 1, "forbidden": 1}, 1, 1),
        ({"forbidden": 2}, 0, 2),
    ],
)
def test_a_retry_is_named_only_for_photos_that_it_can_repair(
    statuses: dict[str, int], changed: int, others: int, photos: Path, log: Log
) -> None:
    """A retry reads the version that was listed: of a photo that was replaced there is none."""
    job, ledger = plan(settings(photos), log).begin()
    failed = {0: "circumstances", 1: "circumstances"}  # both photos of the first of two tasks
    assert list(ledger.pending()) == [0, 1]
    ledger.commit_task(0, done(ledger.task_inputs(0), failed), Figures(statuses=statuses))
    ledger.commit_task(1, done(ledger.task_inputs(1)), Figures(statuses={"ok": 2}))
    commit(job, ledger, log, Figures(statuses=statuses), {})
    (line,) = (one for one in told(log).splitlines() if one.startswith("failed "))
    assert (f"{changed} changed ({NEW_ONES})" in line) is bool(changed)
    assert (f"{others} circumstances (done again in nights" in line) is bool(others)
    assert ("`runs.py retry " in line) is bool(others)
