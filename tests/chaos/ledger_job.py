"""A job without pictures: plans, does tasks in random order, commits. Made to be killed.

It uses what the crop job uses (`uncovered`, `Ledger`), and its rows cost nothing, so that a
campaign of kills spends its time between the storage requests, where a kill can do harm.
"""

import os
import random

from msgspec.structs import replace

from pipeline.errors import LedgerError
from pipeline.ledger.coverage.incremental import uncovered
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.plan import cut_tasks
from pipeline.ledger.reader import open_run
from pipeline.storage.backoff import Backoff
from pipeline.storage.store import open_store
from tests.support.tasks import SPEC, done, make_inputs

IMPATIENT = Backoff(first_s=0.01, cap_s=0.2, deadline_s=60)
TASK_IMAGES = 3


def work(output: str, images: int, environment: dict[str, str], seed: int) -> None:
    """Do the run of `images` images, as one of possibly several jobs with the same arguments."""
    os.environ.update(environment)
    store = open_store(output, IMPATIENT)
    left = uncovered(store, replace(SPEC, input_sha256=""), make_inputs(images))
    if left.inputs.num_rows == 0:
        return
    ledger = Ledger.open(store, left.spec, left.inputs, cut_tasks(left.inputs, TASK_IMAGES))
    pending = ledger.pending()
    random.Random(seed).shuffle(pending)
    for n in pending:
        ledger.commit_task(n, done(ledger.task_inputs(n), mark=f" {os.getpid()}"))
    ledger.finish({})


def read(output: str, images: int, environment: dict[str, str], report: str) -> None:
    """Read for ever; append a line to `report` for every read: how many rows there were.

    0 is a store without a committed run; anything but 0 and `images` is a partial read.
    """
    os.environ.update(environment)
    store = open_store(output, IMPATIENT)
    with open(report, "a", buffering=1) as file:
        while os.getppid() > 1:
            try:
                run = open_run(store.uri)
            except LedgerError as error:
                if "no run is committed" not in str(error):
                    raise
                file.write("0 0\n")
                continue
            file.write(f"{run.images(['uri']).num_rows} {run.crops(['uri']).num_rows}\n")
