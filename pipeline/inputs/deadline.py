"""Call a function that cannot be interrupted, and wait for it no longer than a deadline."""

import threading
from collections.abc import Callable
from queue import Empty, Queue
from typing import TypeVar

from pipeline.errors import ReadError

AnsweredT = TypeVar("AnsweredT")


def answer_within(
    ask: Callable[[], AnsweredT], seconds: float, late: str, fails: tuple[type[Exception], ...]
) -> AnsweredT:
    """Call `ask` in a thread and return its result, within `seconds`.

    A call that takes longer is left to its thread, which ends when the call does. Raises ReadError
    `timeout` with the message `late`, and exceptions of the types `fails` that `ask` raises.
    """
    found: Queue[tuple[AnsweredT] | Exception] = Queue()

    def work() -> None:
        try:
            found.put((ask(),))
        except fails as error:  # raised again in the waiting thread
            found.put(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        answer = found.get(timeout=seconds)
    except Empty:
        raise ReadError("timeout", late) from None
    if isinstance(answer, Exception):
        raise answer
    return answer[0]
