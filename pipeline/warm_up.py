"""Load what local workers need while their job is being planned.

Workers are forked from one process that has loaded everything. Loading takes seconds, two of them
for torch, and needs nothing from the plan. It starts with the job, on a core that is idle while
the input is listed.
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
BLOCKED_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # blocked in workers until they unblock them
SOCKET = "/pymp-12345678/listener-12345678"  # the form of multiprocessing's names in a folder
LONGEST_SOCKET = 107  # bytes, on Linux
SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")


def begin() -> None:
    """Start the process that workers are forked from; it loads while this one continues."""
    process_context(scores=True)


def process_context(scores: bool) -> BaseContext:
    """Return the context to start processes from: a preloaded fork server where that is safe.

    The fork server is started if it is not running. It blocks BLOCKED_SIGNALS for good, as Python's
    own resource tracker does: the job handles a signal to the whole group, and the fork server ends
    with the last process that it was started for. Its children call `unblock_signals`.
    """
    if sys.platform != "linux" or not _sockets_have_room():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED_TO_SCORE if scores else LOADED)
    resource_tracker.ensure_running()  # else started below, which unblocks the signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED_SIGNALS)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def unblock_signals() -> None:
    """Unblock signals in a process from `process_context`; pending ones are delivered now."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED_SIGNALS)


def _sockets_have_room() -> bool:
    """Create multiprocessing's folder for sockets, removed at exit; return whether it has one.

    It is in the folder for temporary files, or in a shorter one if that one's path is too long.
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
