"""Backoff between attempts: bounded by the ceiling and the deadline, with random jitter."""

import pytest

from pipeline.storage.backoff import Backoff, RetryableError


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def backoff(clock: Clock, share: float = 1.0, **options: float) -> Backoff:
    return Backoff(
        clock=lambda: clock.now, sleep=clock.sleep, draw=lambda low, high: high * share, **options
    )


def failing(times: int) -> tuple[list[int], "object"]:
    calls = [0]

    def attempt() -> str:
        calls[0] += 1
        if calls[0] <= times:
            raise RetryableError("throttled", "slow down")
        return "answer"

    return calls, attempt


def test_waits_double_up_to_the_ceiling() -> None:
    clock = Clock()
    calls, attempt = failing(6)
    patient = backoff(clock, first_s=1, cap_s=8, deadline_s=100)
    assert patient.call(attempt, lambda failure: None) == "answer"
    assert clock.slept == [1, 2, 4, 8, 8, 8]
    assert calls == [7]


def test_full_jitter_draws_from_zero() -> None:
    clock = Clock()
    _, attempt = failing(3)
    backoff(clock, share=0.0, first_s=1, cap_s=8, deadline_s=100).call(attempt, lambda f: None)
    assert clock.slept == [0, 0, 0]


def test_no_wait_goes_beyond_the_deadline() -> None:
    clock = Clock()
    calls, attempt = failing(1000)
    with pytest.raises(RetryableError, match="slow down"):
        backoff(clock, first_s=1, cap_s=8, deadline_s=20).call(attempt, lambda failure: None)
    assert clock.slept == [1, 2, 4, 8]  # 15 s; a fifth wait of 8 s would end at 23 s
    assert calls == [5]


def test_every_retry_is_told() -> None:
    told: list[str] = []
    _, attempt = failing(2)
    backoff(Clock(), first_s=1, cap_s=8, deadline_s=99).call(
        attempt, lambda f: told.append(f.reason)
    )
    assert told == ["throttled", "throttled"]


def test_other_errors_are_not_retried() -> None:
    def attempt() -> None:
        raise PermissionError("no")

    clock = Clock()
    with pytest.raises(PermissionError):
        backoff(clock).call(attempt, lambda failure: None)
    assert clock.slept == []
