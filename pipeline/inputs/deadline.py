"""Call a function that cannot be interrupted, and wait for it no longer than a deadline."""

import threading
from collections.abc import Callable
from queue import Empty, Queue
from typing import TypeVar

from pipeline.errors import ReadError

ResultT = TypeVar("ResultT")


def call_with_timeout(call: Callable[[], ResultT], timeout_s: float, message: str) -> ResultT:
    """Run `call` in a thread and return its result, within `timeout_s`.

    A call that takes longer is left to its thread, which ends when the call does. Raises ReadError
    `timeout` with this message, and whatever `call` raises.
    """
    found: Queue[tuple[ResultT] | Exception] = Queue()

    def work() -> None:
        try:
            found.put((call(),))
        except Exception as error:  # noqa: BLE001 - no process boundary: raised again below
            found.put(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        result = found.get(timeout=timeout_s)
    except Empty:
        raise ReadError("timeout", message) from None
    if isinstance(result, Exception):
        raise result
    return result[0]
