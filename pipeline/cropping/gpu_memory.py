"""Report that a GPU lacks memory: for a photo as its failure, for a worker before it loads."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipeline.errors import CropError, GpuShareError, LedgerError

LEAST_BYTES = 1 << 30
"""The least memory that a worker starts with. On an H200 one uses 1.4 GB (docs/GPU.md)."""
USED_BYTES = 1.4e9
# Parts of what torch says where memory is not asked of its own allocator, as by CUDA or cuBLAS.
_TEXTS = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


@contextmanager
def gpu_memory_as(kind: type[CropError]) -> Iterator[None]:
    """Turn an out-of-memory error on the GPU into a CropError, so that only this photo fails.

    kind: of the error, which has the status out_of_memory and the kind transient.
    """
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        if isinstance(error, torch.OutOfMemoryError) or any(one in str(error) for one in _TEXTS):
            raise kind("out_of_memory", str(error)) from error
        raise


def check_gpu_memory(share: float, is_default: bool) -> None:
    """Raise LedgerError, before anything is loaded, if this process's GPU has no room for a worker.

    It is a GpuShareError if a larger share has room.

    share: of the GPU that the worker holds; 1 or more for whole ones
    is_default: whether nobody chose that share, so that it should hold all that a worker uses
    """
    whole = torch.cuda.get_device_properties().total_memory
    needed = USED_BYTES if is_default else LEAST_BYTES
    enough = min(1.0, math.ceil(100 * USED_BYTES / whole) / 100)
    needs = f"a scoring worker needs {_gb(LEAST_BYTES)} of GPU memory"
    on_cpu = "score on the CPU, with --gpus-per-actor 0"
    if whole < LEAST_BYTES:
        raise LedgerError(f"{needs}, and this GPU has {_gb(whole)}: {on_cpu}")
    if share < enough and share * whole < needed:
        raise GpuShareError(
            f"a scoring worker needs {_gb(needed)} of GPU memory, and its share of this GPU, "
            f"{share:.3g} of {_gb(whole)}, is {_gb(share * whole)}: give --gpus-per-actor "
            f"{enough:g}, or a larger share",
            enough,
        )
    free, _ = torch.cuda.mem_get_info()
    if free < LEAST_BYTES:
        raise LedgerError(
            f"{needs}, and {_gb(free)} of this GPU's {_gb(whole)} are free: give a "
            f"--gpus-per-actor above {share:.3g}, so that fewer workers share it, end the other "
            f"programs that use it, or {on_cpu}"
        )


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
