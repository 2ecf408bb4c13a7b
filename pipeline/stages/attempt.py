"""Do one stage's work on one photo; an exception becomes the photo's failure."""

import time
from collections.abc import Callable

from pipeline.errors import CropError, LedgerError
from pipeline.stages.task import PhotoRow, Stage


def attempt(row: PhotoRow, stage: Stage, work: Callable[[PhotoRow], None]) -> None:
    """Do one stage's work on a photo that has not ended; record its time and its failure.

    A time that `work` has recorded itself is kept. Raises LedgerError if `work` does, since that
    concerns the run and is not the photo's failure.
    """
    if row.has_ended:
        return
    start = time.perf_counter()
    try:
        work(row)
    except CropError as error:
        row.fail(error.stage, error.status, error.kind, error.message)
    except LedgerError:
        raise
    except MemoryError as error:
        row.fail(stage, "out_of_memory", "transient", str(error))
    except Exception as error:  # noqa: BLE001 - the process boundary of a stage
        row.fail(stage, "internal_error", "permanent", f"{type(error).__name__}: {error}")
    row.seconds.setdefault(stage, time.perf_counter() - start)
