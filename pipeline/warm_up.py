"""Load what local workers need beside the planning of their job.

Workers are forked from one process that has loaded all. That takes seconds, torch alone two, and
needs nothing of the plan: it begins with the job, on a core that is idle while the input is listed.
"""

import multiprocessing
import signal
import sys
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import BaseContext

LOADED = ["pipeline.local"]
LOADED_TO_SCORE = [*LOADED, "pipeline.cropping.engine", "pipeline.detectors.embedded"]
HELD_BACK = (signal.SIGINT, signal.SIGTERM)  # from workers, until they let them through


def begin() -> None:
    """Start the process that workers are forked from; it loads while this one goes on."""
    context_of(scores=True)


def context_of(scores: bool) -> BaseContext:
    """How processes are made: from one that has loaded all, where that is safe.

    That one is started where it does not run. It holds HELD_BACK back for good, as Python's own
    resource tracker does: a signal to the whole group is the job's to answer, and it ends with the
    last process that it was started for. What is forked from it calls `let_signals_through`.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED_TO_SCORE if scores else LOADED)
    resource_tracker.ensure_running()  # else begun below, and it lets the signals through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def let_signals_through() -> None:
    """Hear signals again, in a process that `context_of` has made; those held back come now."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
