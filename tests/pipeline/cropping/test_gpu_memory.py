"""What is said where a GPU has too little memory. No GPU is needed: torch's report is replaced."""

import pickle
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from pipeline.cropping import gpu_memory
from pipeline.cropping.gpu_memory import check_gpu_memory, gpu_memory_as
from pipeline.errors import CropError, DetectError, GpuShareError, LedgerError, ScoreError
from pipeline.settings import Settings
from pipeline.stages import crop
from pipeline.stages.worker import Job

GB = 10**9


def report_memory(monkeypatch: pytest.MonkeyPatch, free_gb: float, whole_gb: float) -> None:
    free, whole = int(free_gb * GB), int(whole_gb * GB)
    about = SimpleNamespace(total_memory=whole)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda: about)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free, whole))


@pytest.mark.parametrize(
    ("free_gb", "whole_gb", "share", "said"),
    [
        (7.5, 8.0, 0.2, None),  # 1.6 GB for each of five
        (1.2, 8.0, 0.14, None),  # 1.12 GB
        (11.0, 12.0, 1.0, None),
        (11.0, 12.0, 2.0, None),  # two whole ones
        # By hand: a sixteenth of 8 GB is .5 GB, and 1.4 of 8 GB are .175.
        (7.5, 8.0, 0.0625, "0.0625 of 8.0 GB, is 0.5 GB: give --gpus-per-actor 0.18, or a larger"),
        (1.1, 1.2, 0.5, "share of this GPU, 0.5 of 1.2 GB, is 0.6 GB: give --gpus-per-actor 1,"),
        (0.9, 1.0, 1.0, "this GPU has 1.0 GB: score on the CPU, with --gpus-per-actor 0$"),
        (0.4, 8.0, 0.2, "0.4 GB of this GPU's 8.0 GB are free: give a --gpus-per-actor above 0.2,"),
    ],
)
def test_a_worker_without_room_is_refused_with_what_to_do(
    free_gb: float, whole_gb: float, share: float, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    report_memory(monkeypatch, free_gb, whole_gb)
    with pytest.raises(LedgerError, match=said) if said else nullcontext():
        check_gpu_memory(share, is_default=False)


@pytest.mark.parametrize(
    ("whole_gb", "share", "enough"),
    [
        (8.0, 0.2, None),
        (8.0, 0.14, 0.18),
        (16.0, 0.0625, 0.09),  # 1 GB; 1.4 of 16 GB are .0875
        (20.0, 0.0625, 0.07),  # 1.25 GB would do if a person asked for it
        (24.0, 0.0625, None),
        (1.2, 0.5, 1.0),
        (1.2, 1.0, None),  # there is no more
    ],
)
def test_a_default_share_holds_all_that_a_worker_uses(
    whole_gb: float, share: float, enough: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    report_memory(monkeypatch, whole_gb, whole_gb)
    with pytest.raises(GpuShareError) if enough else nullcontext() as caught:
        check_gpu_memory(share, is_default=True)
    if caught:
        assert caught.value.enough == enough
        again = pickle.loads(pickle.dumps(caught.value))  # as Ray sends it to the driver
        assert (str(again), again.enough) == (str(caught.value), enough)


@pytest.mark.parametrize("share", [0.05, 0.0])
def test_the_memory_is_looked_at_before_networks_are_loaded(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that holds no share, as on a CPU, does not ask torch about one."""
    steps: list[str] = []
    report_memory(monkeypatch, 1.0, 8.0)
    report = torch.cuda.get_device_properties
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda: (steps.append("asked"), report())[1]
    )
    monkeypatch.setattr(crop, "one_thread", lambda: None)
    monkeypatch.setattr(crop, "engine_of", lambda *_: steps.append("loaded"))
    settings = Settings.of(input="in", output="out")
    job = Job(settings, None, "run")  # type: ignore[arg-type]
    with pytest.raises(LedgerError, match=r"is 0\.4 GB: give") if share else nullcontext():
        crop.DetectScore(job, "cuda", share)
    assert steps == (["asked"] if share else ["loaded"])


@pytest.mark.parametrize("kind", [DetectError, ScoreError])
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("CUDA error: out of memory"),  # a context, a graph or pinned memory
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_a_lack_of_memory_is_one_photo_s_failure_for_now(
    error: RuntimeError, kind: type[CropError]
) -> None:
    with pytest.raises(kind) as caught, gpu_memory_as(kind):
        raise error
    assert (caught.value.status, caught.value.kind) == ("out_of_memory", "transient")
    assert caught.value.message == str(error)


def test_another_error_of_the_gpu_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="illegal"), gpu_memory_as(ScoreError):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    assert gpu_memory.LEAST_BYTES < gpu_memory.USED_BYTES
