"""Training in several processes with Ray Train; each takes its share of every step's photos."""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch
from ray.train import RunConfig, ScalingConfig
from torch import distributed

from pipeline.cluster.joining import join_or_start
from pipeline.detectors import make_detector
from pipeline.errors import LedgerError, SettingError, UsageError, naming
from pipeline.lab.training.fit import fit
from pipeline.lab.training.loop import Workers
from pipeline.lab.training.settings import TrainSettings
from pipeline.lab.training.split import Split
from pipeline.lab.training.watch import Ticker, Watch, log_epoch
from pipeline.report.progress import Log
from pipeline.words import counted


@dataclass(frozen=True)
class SharedRun:
    """Everything that a process needs. All processes must be able to use `folder`.

    working_folder: what relative paths refer to. Ray Train gives its processes a folder of its own.
    """

    split: Split
    settings: TrainSettings
    folder: Path
    detector: str | None
    start: str | None
    working_folder: Path


def train_with_ray(run: SharedRun, workers: int, use_gpu: bool) -> None:
    """Train in `workers` processes, one GPU each if `use_gpu`; gradients are averaged every step.

    A step is that of `fit` in one process with photos_per_step × workers photos, except that each
    process draws its crops and augmentation from a random stream of its own. A second call resumes
    from the checkpoint in the folder. Raises SettingError where this machine is too small,
    UsageError as `fit` does, LedgerError where Ray does not start or a process fails, and Drained
    where a signal interrupts the start.
    """
    may_grow = ray.is_initialized() or join_or_start(shows_workers=True)
    check_room(ray.cluster_resources(), workers, use_gpu, may_grow)
    trainer = ray.train.torch.TorchTrainer(
        _one_process,
        train_loop_config={"run": run},
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=use_gpu),
        run_config=RunConfig(storage_path=str(run.folder.resolve() / "ray")),
    )
    try:
        trainer.fit()
    except SystemExit as error:  # raised by Ray Train's own handler of Ctrl-C
        raise KeyboardInterrupt from error
    except ray.train.TrainingFailedError as error:
        failures: Mapping[int, Exception] = getattr(error, "worker_failures", {}) or {0: error}
        failed = failures[min(failures)]
        if isinstance(failed, UsageError):  # the same command would fail again
            raise failed from error
        saved = run.folder / "last.pt"
        begin = "goes on with the last whole epoch" if saved.exists() else "starts again"
        why = f"a process of the training ended: {_last_line(failed)}"
        raise LedgerError(f"{why}; the same command {begin}") from error


def _last_line(failed: Exception) -> str:
    """Return the last line about a process that failed, which follows its traceback."""
    lines = str(failed).strip().splitlines() or [type(failed).__name__]
    return lines[-1].strip()[:300]


def check_room(resources: Mapping[str, float], workers: int, use_gpu: bool, may_grow: bool) -> None:
    """Say that training waits if Ray lacks a GPU, or else a core, for a process.

    resources: as Ray reports them. Raises SettingError where the cluster cannot grow either.
    """
    unit, name = ("GPU", "GPU") if use_gpu else ("CPU", "core")
    has = resources.get(unit, 0.0)
    if has >= workers:
        return
    needs = f"needs {counted(workers, name)}, one for each process; Ray has {has:g}"
    if not may_grow:
        raise SettingError("workers", f"{needs}, so training would never start")
    Log().say("waiting", f"--workers {needs}: it starts once nodes with the rest join")


def _one_process(config: dict[str, Any]) -> None:
    run: SharedRun = config["run"]
    with contextlib.suppress(FileNotFoundError):  # on another machine; absolute paths still work
        os.chdir(run.working_folder)
    context = ray.train.get_context()
    rank = context.get_world_rank()
    device = ray.train.torch.get_device()
    workers = Workers(
        rank=rank,
        count=context.get_world_size(),
        device=str(device),
        wrap=ray.train.torch.prepare_model,
        mean=partial(mean_over_processes, device),
    )
    log = Log()
    report = partial(log_epoch, log, run.settings.epochs)
    with naming("detector"):
        detector = make_detector(run.detector, str(device)) if run.detector else None
    watch = Watch() if rank else Watch(Ticker(log))
    fit(run.split, run.settings, run.folder, detector, run.start, workers, report, watch)


def mean_over_processes(device: torch.device, value: float) -> float:
    """Average a number over all processes of a training; each has to call it."""
    summed = torch.tensor(value, dtype=torch.float64, device=device)
    distributed.all_reduce(summed)
    return float(summed) / distributed.get_world_size()
