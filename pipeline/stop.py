"""Ask a job that is at work to begin nothing new, and hear when it has ended what it had begun."""

from dataclasses import dataclass


@dataclass
class Stop:
    """Whether somebody has asked a job to stop. A signal handler sets it, the workers look.

    is_over: the time to stop in good order is over; the handler ends the work by an exception.
    """

    asked: bool = False
    is_over: bool = False


class Drained(Exception):  # noqa: N818 - nothing is wrong: it was asked for
    """The tasks in flight have ended, and no others were begun since a job was asked to stop."""
