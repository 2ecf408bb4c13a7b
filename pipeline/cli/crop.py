"""Crops every photo of a bucket or folder into the shapes asked for; writes Parquet tables.

    python jobs/crop_bucket.py --input photos/ --output thumbs/ --ratios 1:1,16:9,circle
    ray job submit --working-dir . -- python jobs/crop_bucket.py --input s3://ugc/ --output s3://t/

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 done but over --max-error-rate; 130/143 on Ctrl-C or
SIGTERM: what is on record stays, and the same command goes on from there.
"""

import argparse
import os
import signal
import sys
from dataclasses import fields
from types import FrameType, UnionType
from typing import Any, NoReturn, get_args

from pipeline.errors import LedgerError, UsageError
from pipeline.report.progress import Log
from pipeline.settings import Settings, flag

FAILED, USAGE, OVER_ERROR_RATE = 1, 2, 3
EXIT_S = 10.0  # after the drain, for Ray to leave in good order
_REQUIRED = {"input", "output"}


class Stopped(BaseException):
    """A signal asked the job to stop. Not an Exception: nothing on the way may swallow it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def parser() -> argparse.ArgumentParser:
    """One option for each field of Settings, with its unit and default in the help."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for item in fields(Settings):
        text = item.metadata["help"].replace("%", "%%")
        unit, choices = item.metadata["unit"], item.metadata["choices"]
        options: dict[str, Any] = {"help": text, "required": item.name in _REQUIRED}
        if item.type is bool:
            made.add_argument(flag(item.name), action="store_true", help=f"{text} (default: no)")
            continue
        if item.name not in _REQUIRED:
            default = {"": "none", "None": "all"}.get(str(item.default), str(item.default))
            options["help"] += f" (default: {default}{' ' + unit if unit else ''})"
        options["type"] = _plain_type(item.type)
        options["choices"] = choices or None
        options["metavar"] = None if choices else (unit.split()[-1] if unit else "X").upper()
        made.add_argument(flag(item.name), default=item.default, **options)
    return made


def _plain_type(annotation: Any) -> Any:
    """int for `int | None`, otherwise the annotation itself."""
    return get_args(annotation)[0] if isinstance(annotation, UnionType) else annotation


def main(arguments: list[str] | None = None) -> int:
    """Parses, runs, and turns the outcome into an exit code."""
    options = parser()
    chosen = options.parse_args(arguments)
    try:
        settings = Settings(**vars(chosen))
        log = Log(settings.log_format)
        stop_on_signals(settings.drain_s, log)
        from pipeline.run import crop_bucket  # ray is slow to import: not for --help or a typo

        verdict = crop_bucket(settings, log)
    except UsageError as error:
        print(f"{options.prog}: {error}", file=sys.stderr)
        return USAGE
    except LedgerError as error:
        log.say("failed", f"failed: {error}")
        return FAILED
    except Stopped as stopped:
        log.say("stopped", "stopped; the same command goes on from here")
        return 128 + stopped.signum
    return OVER_ERROR_RATE if verdict == "over_error_rate" else 0


def stop_on_signals(drain_s: float, log: Log) -> None:
    """First SIGTERM or Ctrl-C: tasks in flight get `drain_s` to commit. Second: stop at once.

    Ray's own goodbye can take long on a busy machine; after EXIT_S the process ends without it.
    All that counts is in the ledger by then, and Ray's processes end with their driver.
    """
    received: list[int] = []

    def leave(*_: object) -> NoReturn:
        os._exit(128 + received[0])

    def stop(*_: object) -> NoReturn:
        signal.signal(signal.SIGALRM, leave)
        signal.setitimer(signal.ITIMER_REAL, EXIT_S)
        raise Stopped(received[0])

    def drain(signum: int, _: FrameType | None) -> None:
        received.append(signum)
        if len(received) > 1 or drain_s == 0:
            stop()
        log.say("stopping", f"{signal.Signals(signum).name}: stopping within {drain_s:g} s")
        signal.setitimer(signal.ITIMER_REAL, drain_s)

    signal.signal(signal.SIGALRM, stop)
    signal.signal(signal.SIGTERM, drain)
    signal.signal(signal.SIGINT, drain)


if __name__ == "__main__":
    sys.exit(main())
