"""Train on a folder of scored photos: read its splits, train here or on Ray, log every epoch."""

from functools import partial
from pathlib import Path

from pipeline.cropping.build import GIVEN
from pipeline.detectors import make_detector
from pipeline.device import choose_device
from pipeline.errors import SettingError, naming
from pipeline.lab.training.fit import fit
from pipeline.lab.training.loop import Workers
from pipeline.lab.training.settings import TrainJob
from pipeline.lab.training.split import Split, read_split
from pipeline.lab.training.watch import Ticker, Watch, log_epoch
from pipeline.output_files import make_folder
from pipeline.report.progress import Log
from pipeline.stop import Stop
from pipeline.words import counted


def check_objects(detector: str, split: Split) -> None:
    """Raise SettingError where a photo needs the detector, and it takes only given boxes."""
    examples = [*split.train, *split.validation, *split.test]
    without = [example for example in examples if example.objects_px is None]
    if without and detector.partition(":")[0] == GIVEN:
        raise SettingError(
            "detector",
            f"{GIVEN} takes those that come with the data, and "
            f"{counted(len(without), 'photo has', 'photos have')} none, such as "
            f"{without[0].image}: name another one",
        )


def train_folder(job: TrainJob, log: Log, stop: Stop | None = None) -> None:
    """Train as the job specifies; weights, card and checkpoints go into its output.

    stop: requests an early end of a training in this process.

    Raises UsageError for unusable data, SettingError for unusable weights, and Drained once a
    training that was asked to stop has saved its state.
    """
    split = read_split(job.data, job.layout, job.limit, job.settings, log)
    check_objects(job.detector, split)
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
    with naming("detector"):
        detector = make_detector(job.detector, device)
    report = partial(log_epoch, log, job.settings.epochs)
    workers = Workers(device=str(device))
    watch = Watch(Ticker(log), stop or Stop())
    fit(split, job.settings, job.output, detector, job.start, workers, report, watch)
