"""Crop every photo of a bucket or folder into the shapes asked for; write Parquet tables.

    python jobs/crop_bucket.py --input photos/ --output thumbs/ --ratios 1:1,16:9,circle
    ray job submit --working-dir . -- python jobs/crop_bucket.py --input s3://ugc/ --output s3://t/

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 done but over --max-error-rate; 4 done but not live,
as the gate does not hold; 130/143 on Ctrl-C or SIGTERM: what is on record stays, and the same
command goes on from there.
"""

import argparse
import atexit
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from pipeline import warm_up
from pipeline.command_line import FAILED, parser_of, run
from pipeline.errors import LedgerError, NothingToDoError
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.stop import Drained, Stop

CODES = {"done": 0, "over_error_rate": 3, "not_promoted": 4}
EXIT_S = 10.0  # after the drain, for Ray to leave in good order


class Stopped(BaseException):
    """A signal asked the job to stop. Not an Exception: nothing on the way may swallow it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def parser() -> argparse.ArgumentParser:
    """The parser of this command."""
    return parser_of(Settings, __doc__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run(Settings, __doc__, crop, arguments)


def crop(settings: Settings) -> int:
    """Carry out a job; returns the exit code. Raises UsageError."""

    def work(log: Log, stop: Stop) -> str:
        if settings.running.local and not settings.running.dry_run:
            warm_up.begin()
        from pipeline.run import crop_bucket  # slow to import: not for --help or a typo

        return crop_bucket(settings, log, stop)

    return carried_out(work, settings.running.log_format, settings.running.drain_s)


def carried_out(work: Callable[[Log, Stop], str], log_format: str, drain_s: float) -> int:
    """Do a job's work under its signals; returns the exit code. Raises UsageError.

    work: is told when somebody asks for an end; returns how it ended, a key of CODES.
    """
    log, stop = Log(log_format), Stop()
    received = stop_on_signals(drain_s, log, stop)
    try:
        ending = work(log, stop)
    except NothingToDoError as error:
        log.say("nothing_to_do", f"nothing to do: {error}")
        return 0
    except (Stopped, Drained):
        return _stopped(received[0], log)
    except Exception as error:  # a process boundary: Ray makes exceptions of its own of `Stopped`
        if stop.is_over:
            return _stopped(received[0], log)
        if not isinstance(error, LedgerError):
            raise
        log.say("failed", f"failed: {error}")
        return FAILED
    if received:  # while the run was committed: whoever asked hears that it was heard
        _leave_soon(received[0])
        return 128 + received[0]
    return CODES[ending]


def _stopped(signum: int, log: Log) -> int:
    _leave_soon(signum)
    log.say("stopped", "stopped; the same command goes on from here")
    return 128 + signum


def _leave_soon(signum: int) -> None:
    """End after EXIT_S, however long Ray's goodbye takes, and interrupt it no sooner."""
    signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + signum))
    signal.setitimer(signal.ITIMER_REAL, EXIT_S)


def stop_on_signals(drain_s: float, log: Log, stop: Stop | None = None) -> list[int]:
    """First SIGTERM or Ctrl-C: tasks in flight get `drain_s` to commit. Second: stop at once.

    stop: is asked at the first. Returns the list to which the numbers of signals are added.

    Ray's own goodbye can take long on a busy machine; after EXIT_S the process ends without it.
    All that counts is in the ledger by then, and Ray's processes end with their driver.
    """
    received: list[int] = []

    def end(*_: object) -> NoReturn:
        if stop is not None:
            stop.is_over = True
        _leave_soon(received[0])
        raise Stopped(received[0])

    def drain(signum: int, _: FrameType | None) -> None:
        received.append(signum)
        if stop is not None:
            stop.asked = True
        if len(received) > 1 or drain_s == 0:
            end()
        signal.setitimer(signal.ITIMER_REAL, drain_s)
        # A reader of the log that has gone, or a line of others in the middle of which this is:
        # what cannot be said must not keep the tasks in flight from being ended in good order.
        with suppress(OSError, RuntimeError):
            log.say("stopping", f"{signal.Signals(signum).name}: stopping within {drain_s:g} s")

    # Registered before Ray's own, so called after it. Python then drops its handlers, and an alarm
    # that came later would kill this process with a code of its own.
    atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, end)
    signal.signal(signal.SIGTERM, drain)
    signal.signal(signal.SIGINT, drain)
    return received


if __name__ == "__main__":
    sys.exit(main())
