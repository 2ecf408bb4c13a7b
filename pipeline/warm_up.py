"""Load what local workers need beside the planning of their job.

Workers are forked from one process that has loaded all. That takes seconds, torch alone two, and
needs nothing of the plan: it begins with the job, on a core that is idle while the input is listed.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
from multiprocessing import forkserver, resource_tracker, util
from multiprocessing.context import BaseContext

LOADED = ["pipeline.local"]
LOADED_TO_SCORE = [*LOADED, "pipeline.cropping.engine", "pipeline.detectors.embedded"]
HELD_BACK = (signal.SIGINT, signal.SIGTERM)  # from workers, until they let them through
SOCKET = "/pymp-12345678/listener-12345678"  # as multiprocessing names one in a folder
LONGEST_SOCKET = 107  # bytes, of Linux
SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")


def begin() -> None:
    """Start the process that workers are forked from; it loads while this one goes on."""
    context_of(scores=True)


def context_of(scores: bool) -> BaseContext:
    """How processes are made: from one that has loaded all, where that is safe.

    That one is started where it does not run. It holds HELD_BACK back for good, as Python's own
    resource tracker does: a signal to the whole group is the job's to answer, and it ends with the
    last process that it was started for. What is forked from it calls `let_signals_through`.
    """
    if sys.platform != "linux" or not _sockets_have_room():
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


def _sockets_have_room() -> bool:
    """Whether multiprocessing has a folder for its sockets; makes it, and it is removed at exit.

    In the folder of temporary files, or in a shorter one where that one's name is too long.
    """
    folders = (tempfile.gettempdir(), *SHORT_FOLDERS)
    roomy = [one for one in folders if len(os.fsencode(one + SOCKET)) <= LONGEST_SOCKET]
    folder = next((one for one in roomy if os.access(one, os.W_OK | os.X_OK)), None)
    if folder is None:
        return False
    given, tempfile.tempdir = tempfile.tempdir, folder
    try:
        util.get_temp_dir()  # asks for the folder once
    finally:
        tempfile.tempdir = given
    return True
