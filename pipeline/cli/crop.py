"""Crop every photo in a bucket or folder to the requested shapes; write Parquet tables.

    python jobs/crop_bucket.py --input photos/ --output thumbs/ --ratios 1:1,16:9,circle
    ray job submit --working-dir . -- python jobs/crop_bucket.py --input s3://ugc/ --output s3://t/

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 done but over --max-error-rate; 4 done but not live,
as the gate does not hold; 130/143 on Ctrl-C or SIGTERM: committed tasks are kept, and the same
command continues from there.
"""

import argparse
import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from pipeline import warm_up
from pipeline.command_line import FAILED, parser_of, run
from pipeline.errors import LedgerError, NothingToDoError, UsageError
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.stop import Drained, Stop

EXIT_CODES = {"done": 0, "over_error_rate": 3, "not_promoted": 4}
EXIT_S = 10.0  # after the drain, for Ray to shut down cleanly
LATEST_S = 1.0  # after both, until the process ends whatever it waits for
LATEST_END = "latest end"  # the name of the thread that ends it
UNANSWERED = "stopped, without Ray's answer; the same command goes on from here"


class Stopped(BaseException):
    """A signal asked the job to stop. Not an Exception, so that no handler swallows it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def parser() -> argparse.ArgumentParser:
    """Return this command's parser."""
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

    return run_with_signals(work, settings.running.log_format, settings.running.drain_s)


def run_with_signals(work: Callable[[Log, Stop], str], log_format: str, drain_s: float) -> int:
    """Do a job's work with its signal handlers; returns the exit code. Raises UsageError.

    work: gets the `Stop` that is set when a signal arrives; returns an ending, a key of EXIT_CODES.
    """
    log, stop = Log(log_format), Stop()
    received = stop_on_signals(drain_s, log, stop)
    try:
        ending = work(log, stop)
    except NothingToDoError as error:
        log.say("nothing_to_do", f"nothing to do: {error}")
        return 0
    except (Stopped, Drained):
        return _report_stopped(received[0], log)
    except Exception as error:  # a process boundary: Ray turns `Stopped` into its own exceptions
        if stop.is_over:
            return _report_stopped(received[0], log)
        if isinstance(error, UsageError) or not isinstance(error, LedgerError):
            raise  # an UnknownRunError is both
        log.say("failed", f"failed: {error}")
        return FAILED
    if received:  # during the commit: the exit code still reports that the signal arrived
        _force_exit_later(received[0])
        return 128 + received[0]
    return EXIT_CODES[ending]


def _report_stopped(signum: int, log: Log) -> int:
    _force_exit_later(signum)
    log.say("stopped", "stopped; the same command goes on from here")
    return 128 + signum


def _force_exit_later(signum: int) -> None:
    """Exit after EXIT_S however long Ray's shutdown takes; do not interrupt it before that."""
    signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + signum))
    signal.setitimer(signal.ITIMER_REAL, EXIT_S)


def _end_at_the_latest(signum: int, after_s: float) -> None:
    """Exit after a time even if the main thread is in a call that runs no signal handler.

    Ray's calls to its GCS server are such: they wait for a minute if it has ended, as where the
    signal went to all processes of the job (`systemctl stop`, `timeout`), Ray's own included.
    """

    def say() -> None:
        with suppress(OSError, ValueError):  # nobody reads it any more
            print(UNANSWERED, file=sys.stderr, flush=True)

    def end() -> None:
        saying = threading.Thread(target=say, daemon=True)  # may wait for a reader for ever
        saying.start()
        saying.join(LATEST_S)
        os._exit(128 + signum)

    timer = threading.Timer(after_s, end)
    timer.name, timer.daemon = LATEST_END, True
    timer.start()


def _call_off_latest_end() -> None:
    """Stop the timers of an earlier job's stop in this process, which has ended by itself."""
    for thread in threading.enumerate():
        if thread.name == LATEST_END and isinstance(thread, threading.Timer):
            thread.cancel()


def stop_on_signals(drain_s: float, log: Log, stop: Stop | None = None) -> list[int]:
    """Handle SIGTERM and Ctrl-C: the first gives tasks `drain_s` to commit, the second stops now.

    stop: `asked` is set at the first signal. Returns the list to which signal numbers are appended.

    Ray's own shutdown can take long on a busy machine; after EXIT_S the process ends without it.
    Everything that counts is in the ledger by then, and Ray's processes end with their driver.
    """
    received: list[int] = []

    def end(*_: object) -> NoReturn:
        if stop is not None:
            stop.is_over = True
        _force_exit_later(received[0])
        raise Stopped(received[0])

    def drain(signum: int, _: FrameType | None) -> None:
        received.append(signum)
        if stop is not None:
            stop.asked = True
        if len(received) == 1:
            _end_at_the_latest(signum, drain_s + EXIT_S + LATEST_S)
        if len(received) > 1 or drain_s == 0:
            end()
        signal.setitimer(signal.ITIMER_REAL, drain_s)
        # The signal may interrupt a write of another line to the same stream: a failed log line
        # must not prevent the drain of the tasks in flight.
        with suppress(RuntimeError):
            log.say("stopping", f"{signal.Signals(signum).name}: stopping within {drain_s:g} s")

    # Registered before Ray's exit handler, so called after it. Python then drops its signal
    # handlers, and a later alarm would kill this process with a different exit code.
    atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)
    atexit.register(_call_off_latest_end)
    signal.setitimer(signal.ITIMER_REAL, 0)
    _call_off_latest_end()
    signal.signal(signal.SIGALRM, end)
    signal.signal(signal.SIGTERM, drain)
    signal.signal(signal.SIGINT, drain)
    return received


if __name__ == "__main__":
    sys.exit(main())
