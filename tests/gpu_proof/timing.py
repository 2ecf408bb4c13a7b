"""Time calls on a device: the median of several, each with the device synchronized."""

import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

Row = dict[str, Any]


def milliseconds(call: Callable[[], object], rounds: int = 20, warm: int = 3) -> float:
    """Measure wall milliseconds of a call: median of `rounds`, after `warm` uncounted calls."""
    taken = []
    for number in range(warm + rounds):
        start = time.perf_counter()
        call()
        wait()
        if number >= warm:
            taken.append(1000 * (time.perf_counter() - start))
    return round(statistics.median(taken), 3)


def wait() -> None:
    """Wait until the GPU, if there is one, has finished its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def report_row(row: Row, rows: list[Row]) -> Row:
    """Print a row and append it to `rows`."""
    print(" | ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    rows.append(row)
    return row


def write(path: Path, step: str, values: Mapping[str, Any] | list[Row]) -> None:
    """Add the values of a step to the document at `path`."""
    document = json.loads(path.read_text()) if path.exists() else {}
    document[step] = values
    path.write_text(json.dumps(document, indent=1))


def read(path: Path) -> dict[str, Any]:
    """Read the document so far."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found
