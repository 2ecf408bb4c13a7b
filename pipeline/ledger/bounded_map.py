"""Run a call on many items in threads, a bounded number of results ahead of the consumer."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

BUFFER_SIZE = 8  # results that are computed before they are asked for

A = TypeVar("A")
B = TypeVar("B")


def bounded_map(
    pool: Executor, work: Callable[[A], B], items: Iterable[A], buffer_size: int = BUFFER_SIZE
) -> Iterator[B]:
    """Yield the results in order; at most `buffer_size` are computed before they are asked for.

    `Executor.map`, in contrast, starts all items at once and holds every result until it is
    consumed. An exception that `work` raised for an item is raised when its turn comes.
    """
    waiting: deque[Future[B]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > buffer_size:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
