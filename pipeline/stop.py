"""Ask a running job to drain: to finish the tasks in flight and begin no others."""

from dataclasses import dataclass


@dataclass
class Stop:
    """Whether a job has been asked to stop. A signal handler sets it and the workers check it.

    is_over: the time for an orderly stop is over; the handler ends the work with an exception.
    """

    asked: bool = False
    is_over: bool = False


class Drained(Exception):  # noqa: N818 - nothing is wrong: it was asked for
    """The tasks in flight have ended, and none was begun after the job was asked to stop."""
