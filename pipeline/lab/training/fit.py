"""One training: split the photos, train, choose the epoch, test once, write weights and card."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib import import_module
from pathlib import Path

from torch import Tensor, nn

from pipeline.detectors import Detector
from pipeline.errors import UsageError
from pipeline.extras import extra_needed
from pipeline.lab.json_text import json_text
from pipeline.lab.training.card import Card, write_cards, write_weights
from pipeline.lab.training.history import Epoch, History, draw_curves
from pipeline.lab.training.loop import Trainer, Workers
from pipeline.lab.training.resume import CHECKPOINT
from pipeline.lab.training.samples import ScoredPhoto, read_scored_photo
from pipeline.lab.training.settings import TrainSettings
from pipeline.lab.training.split import Split, hash_of_photos
from pipeline.lab.training.watch import Watch
from pipeline.lab.weight_files import naming_weights
from pipeline.output_files import write_text_atomic
from pipeline.stop import Drained
from pipeline.words import counted
from s2cnet import S2CNet, WeightsError, load_model, to_published_state_dict
from s2cnet.checkpoints.published import load_gaic, to_gaic_state_dict
from s2cnet.network.gaic import GAIC

BEST = "best"  # name of the weights file and its cards
EpochReport = Callable[[Epoch], None]


def build_network(settings: TrainSettings, start: str | None) -> nn.Module:
    """Make a network with random weights drawn from the seed, or with those of `start`.

    start: path, fsspec URI or "starter". Raises SettingError.
    """
    with naming_weights("start"):
        if start is not None:
            return _network_of(settings, start)
        if settings.network == "gaic":
            return GAIC.untrained(seed=settings.seed)
        return S2CNet.untrained(settings.preset, settings.seed)


def _network_of(settings: TrainSettings, weights: str) -> nn.Module:
    """Read a network. Raises WeightsError that names the file."""
    if settings.network == "gaic":
        return load_gaic(weights)
    return load_model(weights, settings.preset)


def tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """Return a network's tensors under the names of its weights files."""
    if isinstance(network, GAIC):
        return to_gaic_state_dict(network)
    assert isinstance(network, S2CNet)
    return to_published_state_dict(network)


def origin_of(
    split: Split, network: nn.Module, start: str | None, detector: Detector | None
) -> dict[str, str]:
    """Hash, by name, everything but the settings that must be unchanged to resume a training.

    network: with the weights of `start`; random ones follow from the settings.
    """
    digest = hashlib.sha256()
    if start is not None:
        for name, tensor in sorted(tensors_of(network).items()):
            digest.update(name.encode() + tensor.numpy().tobytes())
    asked = None if split.has_objects() else detector
    return {
        "training photos": hash_of_photos(split.train),
        "validation photos": hash_of_photos(split.validation),
        "first weights": digest.hexdigest(),
        "detector": f"{asked.name} {asked.identity}" if asked else "",
    }


def fit(
    split: Split,
    settings: TrainSettings,
    folder: Path,
    detector: Detector | None = None,
    start: str | None = None,
    workers: Workers | None = None,
    report: EpochReport = lambda epoch: None,
    watch: Watch | None = None,
) -> History:
    """Train, and write the best epoch's weights with card, curves, and a checkpoint into `folder`.

    A checkpoint of the same settings, photos and start in the folder is resumed. With several
    workers, all call this and the first one writes. Photos are kept decoded, about 2 MB each in
    every process.

    watch: receives the progress, and may request an early end.

    Raises UsageError where a package is missing, the checkpoint is of another run, a photo cannot
    be used or the training diverges, or the best epoch's weights are gone or damaged when they are
    tested, SettingError where `start` is unusable, and Drained when `watch` requests an end; the
    checkpoint then has all steps so far.
    """
    workers, watch = workers or Workers(), watch or Watch()
    with extra_needed():  # what measures and plots an epoch, before the first one is trained
        for package in ("scipy", "matplotlib"):
            import_module(package)
    folder.mkdir(parents=True, exist_ok=True)
    network = build_network(settings, start)
    trainer = Trainer(network, settings, workers, origin_of(split, network, start, detector))
    if (folder / CHECKPOINT).exists():
        trainer.restore(folder / CHECKPOINT)
    read = partial(read_scored_photo, detector=detector)
    photos = [read(one) for one in watch.each("reading training photos", split.train)]
    validation = [read(one) for one in watch.each("reading validation photos", split.validation)]
    card = partial(card_of, settings, split, start)
    try:
        history = trainer.train(
            photos, validation, partial(_write_epoch, folder, card, report), watch
        )
    except Drained:
        if not workers.rank:
            trainer.save(folder / CHECKPOINT)
        raise
    if history.best is not None and split.test and not workers.rank:
        tested = [read(one) for one in watch.each("reading test photos", split.test)]
        measures = {**_validation(history.best), **_test_best(trainer, tested, folder, watch)}
        write_cards(folder, BEST, card(measures))
    return history


def _write_epoch(
    folder: Path,
    card: Callable[[dict[str, float]], Card],
    report: EpochReport,
    trainer: Trainer,
    epoch: Epoch,
) -> None:
    """Write an epoch's weights if they are the best so far, the checkpoint, figures and plot.

    card: makes the card of weights from their measures. Only the first worker writes.
    """
    if trainer.workers.rank:
        return
    if trainer.history.best is epoch:
        tensors = tensors_of(trainer.averaged.module)
        write_weights(folder, BEST, tensors, card(_validation(epoch)))
    trainer.save(folder / CHECKPOINT)
    rows = [vars(each) for each in trainer.history.epochs]
    write_text_atomic(folder / "epochs.json", json_text(rows, 1) + "\n")
    draw_curves(trainer.history.epochs, folder / "curves.png")
    report(epoch)


def _test_best(
    trainer: Trainer, photos: list[ScoredPhoto], folder: Path, watch: Watch
) -> dict[str, float]:
    """Measure the best epoch's weights, as written into `folder`, on the test photos.

    They replace the trainer's averaged weights. Raises UsageError where they cannot be read.
    """
    try:
        best = _network_of(trainer.settings, str(folder / f"{BEST}.safetensors"))
    except WeightsError as error:
        raise UsageError(
            f"{error}. These are the best epoch's weights, which are kept nowhere else: restore "
            f"the file from a copy, or delete {folder / CHECKPOINT} to train from the start"
        ) from error
    trainer.averaged.module.load_state_dict(best.state_dict())
    loss, correlation, hits = trainer.validate(photos, watch)
    test = {"test_loss": loss, "test_srcc": correlation, "test_acc5": hits}
    return {**test, "test_photos": len(photos)}


def card_of(
    settings: TrainSettings, split: Split, start: str | None, measures: dict[str, float]
) -> Card:
    """Make the card of the best epoch's weights. start: as for `build_network`."""
    # Only the file's name: an address may contain a key.
    first = "random weights" if start is None else start.partition("?")[0].rpartition("/")[2]
    notes = [f"Started from {first}.", "Chosen by its SRCC on the validation photos."]
    if "test_photos" in measures:
        notes.append("The test photos took no part in the choice.")
    return Card(
        title=f"{settings.network} trained on {counted(len(split.train), 'photo')}",
        network=settings.network,
        preset=settings.preset if settings.network == "s2cnet" else None,
        data={f"photos_{name}": len(part) for name, part in vars(split).items()},
        settings=asdict(settings),
        measures=measures,
        notes=notes,
    )


def _validation(epoch: Epoch) -> dict[str, float]:
    return {
        "validation_epoch": epoch.epoch + 1,
        "validation_loss": epoch.validation_loss,
        "validation_srcc": epoch.validation_srcc,
        "validation_acc5": epoch.validation_acc5,
    }
