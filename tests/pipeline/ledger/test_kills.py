"""The short form of the kill tests; `make test-chaos` runs the long one (tests/chaos)."""

import os
import random
import signal
from pathlib import Path

from pipeline.ledger.audit import verify_run
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.reader import open_run
from pipeline.ledger.stored_runs import StoredRuns, stored_runs
from pipeline.storage.store import open_store
from tests.chaos.campaign import EARLY, IMAGES, Trap, Victims, campaign
from tests.support.faultproxy import FaultProxy


def test_jobs_that_are_killed_lose_and_double_nothing(
    s3: str, s3_server: str, tmp_path: Path
) -> None:
    figures = campaign(s3_server, s3, runs=1, kills_per_run=5, faults={}, seed=7, folder=tmp_path)
    assert (figures.lost, figures.doubled, figures.partial_reads) == (0, 0, 0)
    assert figures.problems == []
    assert figures.kills.total() >= 3
    assert figures.reads_committed > 0


def test_a_fifth_of_the_requests_faulty(s3: str, s3_server: str, tmp_path: Path) -> None:
    faults = {"throttle": 0.06, "lost": 0.05, "reset": 0.04, "truncate": 0.03, "conflict": 0.02}
    figures = campaign(s3_server, s3, 1, 2, faults, seed=11, folder=tmp_path)
    assert (figures.lost, figures.doubled, figures.partial_reads) == (0, 0, 0)
    assert figures.problems == []
    assert figures.requests["requests"] - figures.requests["none"] > 10


def test_a_zombie_changes_nothing(s3: str, s3_server: str) -> None:
    """A job stops for a while before it puts a task on record, and goes on afterwards.

    Meanwhile another does the whole run, and the cleaner removes what is left over.
    """
    output = f"{s3}/out"
    trap = Trap({}, seed=1)
    with FaultProxy(s3_server, trap) as proxy:
        victims = Victims(output, proxy.address, 1, random.Random(1))
        try:
            victims.start("job-0")
            zombie = trap.catch(
                EARLY["after the data files, before the task record"], "hold", victims
            )
            pid = victims.jobs[zombie].pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            victims.start("job-1")
            victims.jobs["job-1"].join(60)
            assert victims.jobs["job-1"].exitcode == 0
            store = open_store(output)
            committed = stored_runs(store).committed
            garbage = look_for_garbage(store, older_than_s=-60).garbage
            assert [g.why for g in garbage] == ["orphan", "orphan"]  # the zombie's two tables
            remove_garbage(store, garbage)
            proxy.release()
            os.kill(pid, signal.SIGCONT)
            victims.jobs[zombie].join(60)
            assert victims.jobs[zombie].exitcode == 0
        finally:
            victims.stop()
    assert stored_runs(store) == StoredRuns(committed, {})
    assert verify_run(store, committed[0].run_id).problems == []
    assert open_run(output).images().num_rows == IMAGES
