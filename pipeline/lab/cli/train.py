"""Train S2CNet, or the GAIC baseline, on photos with scored crops.

    python jobs/train.py --data GAICv1/ --output runs/s2cnet
    python jobs/train.py --data UGCrop5K/ --output runs/ours --start starter --epochs 20
    ray job submit --working-dir . -- python jobs/train.py --data /mnt/GAICv2 \\
        --output /mnt/runs/s2cnet --workers 4 --gpu

--data has the GAIC layout: images/<split>/, annotations/, optionally bbox/ (pipeline/lab/datasets).
Writes best.safetensors with its card (best.json, best.md), curves.png, epochs.json and last.pt into
--output; called again with the same settings it goes on from last.pt. The epoch is chosen on photos
held out of the training split (or on the split `val`), never on the test split, which is measured
once at the end. Exit codes: 0 done; 1 failed; 2 wrong usage.
"""

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from pipeline.detectors import make_detector
from pipeline.device import choose_device
from pipeline.errors import UsageError
from pipeline.lab.datasets import load_dataset
from pipeline.lab.datasets.example import Example
from pipeline.lab.training.fit import Split, split_off, train
from pipeline.lab.training.loop import Epoch, Workers
from pipeline.lab.training.settings import TrainSettings
from pipeline.report.progress import Log
from s2cnet import PRESETS, WeightsError

USAGE = 2
HELP = {
    "epochs": "passes over the photos",
    "crops_per_photo": "crops drawn of a photo each time",
    "photos_per_step": "photos a process sees before the weights move",
    "learning_rate": "peak of Adam's, after the warm-up",
    "warmup_share": "share of the steps in which the rate rises",
    "weight_decay": "decoupled, on matrices and filters",
    "rank_weight": "of the rank loss beside smooth L1",
    "backbone_rate": "the backbone's learning rate as a share of the others'",
    "ema": "decay of the averaged weights, 0 for none",
    "mirror": "probability that a photo is seen mirrored",
    "colour": "largest relative change of colours",
    "validation_share": "of the training photos, where the data has no split val",
    "seed": "of weights, order, crops and changes",
}


def parser() -> argparse.ArgumentParser:
    """The command line, with units and defaults."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add("--data", required=True, type=Path, metavar="FOLDER", help="scored photos, GAIC layout")
    add("--output", required=True, type=Path, metavar="FOLDER", help="where the weights go")
    add("--layout", default="gaicv1", choices=("gaicv1", "gaicv2", "ugcrop5k"), help="of --data")
    add("--network", default="s2cnet", choices=("s2cnet", "gaic"), help="(default: s2cnet)")
    add("--preset", default="gaicv1", choices=tuple(PRESETS), help="of s2cnet (default: gaicv1)")
    add("--start", metavar="WEIGHTS", help="file, URI or starter to go on from (default: random)")
    add(
        "--detector",
        default="embedded",
        help="for photos whose object boxes the data does not have (default: embedded)",
    )
    add("--live-norm", action="store_true", help="batch-norms learn (default: they are frozen)")
    add("--limit", type=int, metavar="PHOTOS", help="of each split, the first (default: all)")
    add("--workers", type=int, default=0, help="Ray Train processes (default: 0, this one)")
    add("--gpu", action="store_true", help="one GPU for each of --workers")
    defaults = TrainSettings()
    for name, text in HELP.items():
        value = getattr(defaults, name)
        flag = "--" + name.replace("_", "-")
        add(flag, type=type(value), default=value, help=f"{text} (default: {value})")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Read the data, train, say where the weights are."""
    given = parser().parse_args(arguments)
    log = Log()
    try:
        settings = TrainSettings(
            **{each.name: getattr(given, each.name) for each in fields(TrainSettings)}
        )
        split = read_split(given.data, given.layout, given.limit, settings)
        counts = ", ".join(f"{len(part)} {name}" for name, part in vars(split).items())
        log.say("start", f"photos: {counts}")
        _train(given, split, settings, log)
    except (UsageError, WeightsError) as error:
        log.say("error", str(error))
        return USAGE
    log.say("done", f"weights and card: {given.output / 'best.safetensors'}")
    return 0


def _train(given: argparse.Namespace, split: Split, settings: TrainSettings, log: Log) -> None:
    if given.workers:
        from pipeline.lab.training.ray_train import SharedRun, train_with_ray

        run = SharedRun(split, settings, given.output, given.detector, given.start)
        train_with_ray(run, given.workers, given.gpu)
        return
    device = choose_device()
    detector = make_detector(given.detector, device)

    def report(epoch: Epoch) -> None:
        log.say(
            "epoch",
            f"epoch {epoch.epoch + 1}/{settings.epochs}: loss {epoch.loss:.4f}, validation loss "
            f"{epoch.validation_loss:.4f}, SRCC {epoch.validation_srcc:.4f}",
            **vars(epoch),
        )

    train(split, settings, given.output, detector, given.start, Workers(device=str(device)), report)


def read_split(folder: Path, layout: str, limit: int | None, settings: TrainSettings) -> Split:
    """The photos of a data set: its splits train and test, and val or a part of train.

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


if __name__ == "__main__":
    sys.exit(main())
