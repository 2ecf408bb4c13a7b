"""Retry with exponential back-off, full jitter and a deadline."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


class RetryableError(Exception):
    """An attempt failed, and another may succeed: 5xx, 409, a reset, a body cut short.

    reason: one word for the counters ("throttled", "network", "unreachable", "timeout", "conflict",
        "server", "expired"). Unreachable: nothing listens there, or the name is not known. Expired:
        the store reports an expired token, which may be renewed.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Backoff:
    """How long to keep retrying.

    The n-th wait, n = 0, 1, …, is drawn uniformly from 0 to min(cap_s, first_s · 2ⁿ) seconds ("full
    jitter"), so that a thousand workers that were refused at once do not all retry at once. A wait
    that would end after deadline_s is not started. `clock`, `sleep` and `draw` are parameters for
    the tests.
    """

    first_s: float = 0.2
    cap_s: float = 10.0
    deadline_s: float = 120.0
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    draw: Callable[[float, float], float] = field(default=random.uniform, repr=False)

    def waits(self) -> Iterator[float]:
        """Yield the seconds to wait before each retry, until the deadline would be passed."""
        end = self.clock() + self.deadline_s
        ceiling = self.first_s
        while True:
            wait = self.draw(0.0, min(self.cap_s, ceiling))
            if self.clock() + wait > end:
                return
            yield wait
            ceiling *= 2

    def call(self, attempt: Callable[[], T], on_retry: Callable[[RetryableError], None]) -> T:
        """Call `attempt` until it returns, waiting in between; return what it returns.

        on_retry: called with each failure that is retried. Raises the last RetryableError at the
        deadline, and every other error at once.
        """
        waits = self.waits()
        while True:
            try:
                return attempt()
            except RetryableError as failure:
                wait = next(waits, None)
                if wait is None:
                    raise
                on_retry(failure)
            self.sleep(wait)
