"""Train on a folder of scored photos: read its splits, train here or on Ray, log every epoch."""

from pathlib import Path

from pipeline.detectors import make_detector
from pipeline.device import choose_device
from pipeline.lab.atomic_files import make_folder
from pipeline.lab.training.fit import fit
from pipeline.lab.training.history import Epoch
from pipeline.lab.training.loop import Workers
from pipeline.lab.training.resume import is_of_earlier_version
from pipeline.lab.training.settings import TrainJob
from pipeline.lab.training.split import read_split
from pipeline.lab.training.watch import Ticker, Watch
from pipeline.report.progress import Log
from pipeline.stop import Stop


def train_folder(job: TrainJob, log: Log, stop: Stop | None = None) -> None:
    """Train as the job specifies; weights, card and checkpoints go into its output.

    stop: requests an early end of a training in this process.

    Raises UsageError for unusable data, WeightsError for unusable weights, and Drained once a
    training that was asked to stop has saved its state.
    """
    by_position = is_of_earlier_version(job.output)
    split = read_split(job.data, job.layout, job.limit, job.settings, by_position, log)
    counts = ", ".join(f"{len(part)} {name}" for name, part in vars(split).items())
    make_folder(job.output, "output")
    log.say("start", f"photos: {counts}")
    if job.workers:
        from pipeline.lab.training.ray_train import SharedRun, train_with_ray  # slow: loads Ray

        here = Path.cwd()
        run = SharedRun(split, job.settings, job.output, job.detector, job.start, here)
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
