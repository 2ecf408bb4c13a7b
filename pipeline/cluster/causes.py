"""Say in one line what ended a worker. Ray's errors contain a whole trace, followed by hints."""

import re

from ray.exceptions import RayError, RayTaskError

from pipeline.errors import LedgerError

# A line of a trace that names an exception. Ray wraps it in its own and appends advice.
_RAISED = re.compile(r"(?!ray[.:])(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit)\b(?:: |$)")
_OURS = re.compile(rf"{re.escape(LedgerError.__module__)}\.\w+: ")
_DETAIL = re.compile(r"exit detail: *(.*)", re.IGNORECASE)


def is_loss(error: RayError) -> bool:
    """Return whether a worker or a result was lost, not whether a worker has raised something."""
    cause = _innermost(error)
    return isinstance(cause, RayError) and not isinstance(cause, RayTaskError)


def cause_of(error: RayError) -> str:
    """Return the exception that a worker raised, or how it died.

    If a trace names several exceptions, the last one counts. If it names none, the result is Ray's
    last detail about how the process ended, or failing that the last line. The names of our own
    errors are left out.
    """
    cause = _innermost(error)
    if not isinstance(cause, RayError):
        is_ledger_error = isinstance(cause, LedgerError)
        return str(cause) if is_ledger_error else f"{type(cause).__name__}: {cause}"
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    raised = [line for line in lines if _RAISED.match(line)]
    details = [found[1] for line in lines if (found := _DETAIL.search(line))]
    told = (raised or details or lines or [type(cause).__name__])[-1]
    return told[found.end() :] if (found := _OURS.match(told)) else told


def _innermost(error: RayError) -> BaseException:
    """Return what a task's error wraps: what it raised, or why what it needed is lost."""
    cause: BaseException = error
    while isinstance(cause, RayTaskError) and isinstance(cause.cause, Exception):
        cause = cause.cause
    return cause
