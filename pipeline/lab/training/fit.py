"""A training run from folders to a weights file: reading, splitting, training, testing, writing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from pipeline.detectors import Detector
from pipeline.errors import UsageError
from pipeline.lab.datasets.example import Example
from pipeline.lab.training.card import Card, write_weights
from pipeline.lab.training.curves import draw_curves
from pipeline.lab.training.loop import Epoch, History, Trainer, Workers
from pipeline.lab.training.samples import ScoredPhoto, read_photo
from pipeline.lab.training.settings import TrainSettings
from s2cnet import S2CNet, from_published_state_dict, load_model, to_published_state_dict
from s2cnet.gaic import GAIC, load_gaic, to_gaic_state_dict

CHECKPOINT = "last.pt"
Report = Callable[[Epoch], None]


@dataclass(frozen=True)
class Split:
    """Photos to learn from, to choose the epoch by, and to test on once at the end."""

    train: list[Example]
    validation: list[Example]
    test: list[Example]


def split_off(examples: Sequence[Example], share: float, seed: int) -> tuple[list[Example], ...]:
    """Part `share` of the examples off, whole photos, the same ones for a seed: (rest, part)."""
    if len(examples) < 2:
        raise UsageError("training needs at least two scored photos: one is for validation")
    count = min(len(examples) - 1, max(1, round(share * len(examples))))
    order = np.random.default_rng(seed).permutation(len(examples))
    part = set(order[:count].tolist())
    rest = [example for i, example in enumerate(examples) if i not in part]
    return rest, [example for i, example in enumerate(examples) if i in part]


def build_network(settings: TrainSettings, start: str | None) -> nn.Module:
    """A new network drawn from the seed, or one that goes on from the weights `start`."""
    if settings.network == "gaic":
        if start is None:
            return GAIC.untrained(seed=settings.seed)
        from s2cnet.checkpoint import parse_weights, read_weights

        return load_gaic(parse_weights(read_weights(start)))
    if start is None:
        return S2CNet.untrained(settings.preset, settings.seed)
    return load_model(start, settings.preset)


def tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """A network's tensors under the names of its weights files."""
    if isinstance(network, GAIC):
        return to_gaic_state_dict(network)
    assert isinstance(network, S2CNet)
    return to_published_state_dict(network)


def train(
    split: Split,
    settings: TrainSettings,
    folder: Path,
    detector: Detector | None = None,
    start: str | None = None,
    workers: Workers | None = None,
    report: Report = lambda epoch: None,
) -> History:
    """Train, and leave in `folder`: the best epoch's weights with their card, curves, a checkpoint.

    A folder with a checkpoint of the same settings goes on where that stopped. Raises UsageError
    where it is of other settings or a photo cannot be read. With several workers, all call this
    and the first one writes. Photos are kept decoded, about 2 MB each in every process.
    """
    workers = workers or Workers()
    folder.mkdir(parents=True, exist_ok=True)
    network = build_network(settings, start)
    trainer = Trainer(network, settings, workers)
    checkpoint = folder / CHECKPOINT
    if checkpoint.exists():
        try:
            trainer.restore(checkpoint)
        except ValueError as error:
            raise UsageError(f"{error}; give another folder, or the same settings") from error
    photos = [read_photo(example, detector) for example in split.train]
    validation = [read_photo(example, detector) for example in split.validation]

    def after_epoch(trainer: Trainer, epoch: Epoch) -> None:
        if workers.rank:
            return
        if trainer.history.best is epoch:
            _write(folder, trainer, split, settings, {"validation": _measures(epoch)})
        trainer.save(checkpoint)
        rows = [vars(each) for each in trainer.history.epochs]
        (folder / "epochs.json").write_text(json.dumps(rows, indent=1) + "\n")
        draw_curves(trainer.history.epochs, folder / "curves.png")
        report(epoch)

    history = trainer.train(photos, validation, after_epoch)
    if not workers.rank and split.test:
        measure_best(
            folder, trainer, split, settings, [read_photo(e, detector) for e in split.test]
        )
    return history


def measure_best(
    folder: Path,
    trainer: Trainer,
    split: Split,
    settings: TrainSettings,
    photos: Sequence[ScoredPhoto],
) -> None:
    """Measure the weights of the best epoch on the test photos and add it to their card."""
    best = trainer.history.best
    if best is None:
        return
    tensors = _read(folder / "best.safetensors")
    network = load_gaic(tensors) if settings.network == "gaic" else None
    chosen = network or from_published_state_dict(tensors, settings.preset)
    trainer.averaged.module.load_state_dict(chosen.state_dict())
    loss, correlation, hits = trainer.validate(photos)
    measures = {"loss": loss, "srcc": correlation, "acc5": hits, "photos": len(photos)}
    _write(folder, trainer, split, settings, {"validation": _measures(best), "test": measures})


def _write(
    folder: Path,
    trainer: Trainer,
    split: Split,
    settings: TrainSettings,
    measures: dict[str, dict[str, float]],
) -> None:
    data = {name: len(part) for name, part in vars(split).items()}
    card = Card(
        title=f"{settings.network} trained on {len(split.train)} photos",
        network=settings.network,
        preset=settings.preset if settings.network == "s2cnet" else None,
        data={f"photos_{name}": count for name, count in data.items()},
        settings=asdict(settings),
        measures={
            f"{part}_{name}": value for part, row in measures.items() for name, value in row.items()
        },
        notes=["Chosen by its SRCC on the validation photos; the test photos were used once."],
    )
    write_weights(folder, "best", tensors_of(trainer.averaged.module), card)


def _measures(epoch: Epoch) -> dict[str, float]:
    return {
        "epoch": epoch.epoch + 1,
        "loss": epoch.validation_loss,
        "srcc": epoch.validation_srcc,
        "acc5": epoch.validation_acc5,
    }


def _read(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load

    tensors: dict[str, Tensor] = load(path.read_bytes())
    return tensors
