"""Training in several processes with Ray Train; each takes its share of every step's photos."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
from ray.train import RunConfig, ScalingConfig

from pipeline.cluster.joining import join_or_start
from pipeline.detectors import make_detector
from pipeline.lab.training.fit import fit
from pipeline.lab.training.history import Epoch
from pipeline.lab.training.loop import Workers
from pipeline.lab.training.settings import TrainSettings
from pipeline.lab.training.split import Split
from pipeline.lab.training.watch import Ticker, Watch
from pipeline.report.progress import Log


@dataclass(frozen=True)
class SharedRun:
    """Everything that a process needs. All processes must be able to use `folder`."""

    split: Split
    settings: TrainSettings
    folder: Path
    detector: str | None
    start: str | None


def train_with_ray(run: SharedRun, workers: int, use_gpu: bool) -> None:
    """Train in `workers` processes, one GPU each if `use_gpu`; gradients are averaged every step.

    Results are those of `fit` in one process with photos_per_step × workers photos a step. A second
    call resumes from the checkpoint in the folder. Raises LedgerError where Ray does not start,
    Drained where a signal interrupts the start, and Ray's error for a process that failed.
    """
    if not ray.is_initialized():
        join_or_start(shows_workers=True)
    trainer = ray.train.torch.TorchTrainer(
        _one_process,
        train_loop_config={"run": run},
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=use_gpu),
        run_config=RunConfig(storage_path=str(run.folder.resolve() / "ray")),
    )
    trainer.fit()


def _one_process(config: dict[str, Any]) -> None:
    run: SharedRun = config["run"]
    context = ray.train.get_context()
    rank = context.get_world_rank()
    device = ray.train.torch.get_device()
    workers = Workers(
        rank=rank,
        count=context.get_world_size(),
        device=str(device),
        wrap=ray.train.torch.prepare_model,
    )

    def report(epoch: Epoch) -> None:
        print(f"epoch {epoch.epoch + 1}: {vars(epoch)}", flush=True)

    detector = make_detector(run.detector, str(device)) if run.detector else None
    watch = Watch() if rank else Watch(Ticker(Log()))
    fit(run.split, run.settings, run.folder, detector, run.start, workers, report, watch)
