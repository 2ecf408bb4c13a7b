"""Train on a folder of scored photos: read its splits, train here or on Ray, log every epoch."""

from pathlib import Path

from pipeline.detectors import make_detector
from pipeline.device import choose_device
from pipeline.lab.datasets import load_dataset
from pipeline.lab.datasets.example import Example
from pipeline.lab.training.fit import Split, fit, split_off
from pipeline.lab.training.loop import Epoch, Workers
from pipeline.lab.training.settings import TrainJob, TrainSettings
from pipeline.lab.training.watch import Ticker, Watch
from pipeline.report.progress import Log
from pipeline.stop import Stop


def train_folder(job: TrainJob, log: Log, stop: Stop | None = None) -> None:
    """Train as the job says; weights, card and checkpoints go into its output.

    stop: asks for an early end, of a training in this process.

    Raises UsageError for data that cannot be used, WeightsError for weights, Drained once a
    training that was asked to stop has saved how far it is.
    """
    split = read_split(job.data, job.layout, job.limit, job.settings)
    counts = ", ".join(f"{len(part)} {name}" for name, part in vars(split).items())
    log.say("start", f"photos: {counts}")
    if job.workers:
        from pipeline.lab.training.ray_train import SharedRun, train_with_ray  # ray is slow

        run = SharedRun(split, job.settings, job.output, job.detector, job.start)
        train_with_ray(run, job.workers, job.gpu)
        return
    device = choose_device()
    detector = make_detector(job.detector, device)

    def report(epoch: Epoch) -> None:
        log.say(
            "epoch",
            f"epoch {epoch.epoch + 1}/{job.settings.epochs}: loss {epoch.loss:.4f}, validation "
            f"loss {epoch.validation_loss:.4f}, SRCC {epoch.validation_srcc:.4f}",
            **vars(epoch),
        )

    workers = Workers(device=str(device))
    watch = Watch(Ticker(log), stop or Stop())
    fit(split, job.settings, job.output, detector, job.start, workers, report, watch)


def read_split(folder: Path, layout: str, limit: int | None, settings: TrainSettings) -> Split:
    """Read the splits train and test of a data set, and val or else a part of train.

    Raises UsageError.
    """
    rest = _examples(folder, layout, "train", limit)
    if (folder / "images" / "val").is_dir():
        validation = _examples(folder, layout, "val", limit)
    else:
        rest, validation = split_off(rest, settings.validation_share, settings.seed)
    has_test = (folder / "images" / "test").is_dir()
    return Split(rest, validation, _examples(folder, layout, "test", limit) if has_test else [])


def _examples(folder: Path, layout: str, split: str, limit: int | None) -> list[Example]:
    return list(load_dataset(layout, folder, split).examples)[:limit]
