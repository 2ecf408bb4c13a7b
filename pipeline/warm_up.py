"""Load what local workers need beside the planning of their job.

Workers are forked from one process that has loaded all. That takes seconds, torch alone two, and
needs nothing of the plan: it begins with the job, on a core that is idle while the input is listed.
"""

import multiprocessing
import sys
from multiprocessing import forkserver
from multiprocessing.context import BaseContext

LOADED = ["pipeline.local"]
LOADED_TO_SCORE = [*LOADED, "pipeline.cropping.engine", "pipeline.detectors.embedded"]


def begin() -> None:
    """Start the process that workers are forked from; it loads while this one goes on."""
    if sys.platform == "linux":
        context_of(scores=True)
        forkserver.ensure_running()


def context_of(scores: bool) -> BaseContext:
    """How processes are made: from one that has loaded all, where that is safe."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED_TO_SCORE if scores else LOADED)
    return context
