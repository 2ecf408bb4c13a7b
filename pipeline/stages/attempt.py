"""One stage's work on one photo; an exception becomes the photo's status."""

import time
from collections.abc import Callable

from pipeline.errors import CropError
from pipeline.schema import OK
from pipeline.stages.wire import Row, fail


def attempt(row: Row, stage: str, work: Callable[[Row], None]) -> None:
    """Does one stage's work on one image that is still well; an exception becomes its status."""
    if row["status"] != OK:
        return
    start = time.perf_counter()
    try:
        work(row)
    except CropError as error:
        fail(row, error.stage, error.status, error.kind, error.message)
    except MemoryError as error:
        fail(row, stage, "out_of_memory", "transient", str(error))
    except Exception as error:  # noqa: BLE001 - the process boundary of a stage
        fail(row, stage, "internal_error", "permanent", f"{type(error).__name__}: {error}")
    if row[f"{stage}_s"] is None:
        row[f"{stage}_s"] = time.perf_counter() - start
