"""Count the storage requests of this process, the bytes moved and how long threads waited."""

import threading
from collections import Counter
from dataclasses import dataclass, replace

_REQUESTS: Counter[str] = Counter()
_LOCK = threading.Lock()  # of both counts


@dataclass
class Traffic:
    """The bytes moved between this process and its stores, and how long threads waited for them.

    wait_s: seconds from request to response, including back-off, summed over threads
    """

    wait_s: float = 0.0
    read_bytes: int = 0
    written_bytes: int = 0


_TRAFFIC = Traffic()


def requests_so_far() -> Counter[str]:
    """Count storage requests since this process started, by operation, retries separately.

    The difference of two results is what happened in between.
    """
    with _LOCK:
        return Counter(_REQUESTS)


def traffic_so_far() -> Traffic:
    """Return the bytes and waiting time of this process's storage requests since it started."""
    with _LOCK:
        return replace(_TRAFFIC)


def count_request(name: str, requests: Counter[str]) -> None:
    """Add a request, or `retry_` and a reason, to the process's count and a store's own."""
    with _LOCK:
        requests[name] += 1
        _REQUESTS[name] += 1


def add_traffic(wait_s: float = 0.0, read_bytes: int = 0, written_bytes: int = 0) -> None:
    """Add to the result of `traffic_so_far`. wait_s: seconds."""
    with _LOCK:
        _TRAFFIC.wait_s += wait_s
        _TRAFFIC.read_bytes += read_bytes
        _TRAFFIC.written_bytes += written_bytes
