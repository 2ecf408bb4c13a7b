"""The options of a training: the data, the recipe, the processes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.errors import SettingError
from pipeline.options import check, option

MOS_MEAN, MOS_SPREAD = 2.95, 0.8
"""Scores are trained as (MOS - 2.95) / 0.8: mean and deviation of GAICv1's, as published."""


@dataclass(frozen=True)
class TrainSettings:
    """Network and recipe of a training.

    Two runs with the same settings on the same data give the same result. The defaults follow
    GAIC's documented recipe. Raises SettingError for an invalid value.
    """

    network: Literal["s2cnet", "gaic"] = option(
        "s2cnet", "network to train; `gaic` is the baseline without a graph"
    )
    preset: Literal["gaicv1", "gaicv2"] = option("gaicv1", "configuration of an S2CNet")
    epochs: int = option(80, "passes over the photos", placeholder="EPOCHS", least=1)
    crops_per_photo: int = option(
        64,
        "scored crops drawn per photo each time; the rank loss needs at least two",
        placeholder="CROPS",
        least=2,
    )
    photos_per_step: int = option(
        1,
        "photos whose gradients a process sums before it updates the weights",
        placeholder="PHOTOS",
        least=1,
    )
    learning_rate: float = option(
        1e-4,
        "Adam's peak learning rate, after the warm-up; then a cosine to 0",
        placeholder="RATE",
        least=0,
    )
    warmup_share: float = option(
        0.05,
        "share of the steps in which the learning rate rises",
        placeholder="SHARE",
        least=0,
        below=1,
    )
    weight_decay: float = option(
        1e-4,
        "decoupled weight decay of matrices and filters, not of biases and norms",
        placeholder="RATE",
        least=0,
    )
    rank_weight: float = option(
        1.0,
        "weight of the pairwise rank loss relative to the smooth L1 loss",
        placeholder="WEIGHT",
        least=0,
    )
    live_norm: bool = option(False, "train the batch norms instead of keeping their statistics")
    backbone_rate: float = option(
        1.0, "learning rate of the backbone as a share of the others'", placeholder="SHARE", least=0
    )
    ema: float = option(
        0.999,
        "decay of the averaged weights, which are validated and saved; 0 averages nothing",
        placeholder="DECAY",
        least=0,
        below=1,
    )
    mirror: float = option(
        0.5, "probability that a photo is mirrored", placeholder="PROBABILITY", least=0, most=1
    )
    colour: float = option(
        0.2,
        "largest relative change of brightness, contrast and saturation",
        placeholder="SHARE",
        least=0,
        below=1,
    )
    validation_share: float = option(
        0.1,
        "share of the training photos used for validation if the data has no split val",
        placeholder="SHARE",
        least=0,
        below=1,
    )
    seed: int = option(0, "random seed of weights, order, crops and augmentation", least=0)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    """A training on one folder."""

    data: Path = option(help="scored photos in the GAIC layout", placeholder="FOLDER")
    output: Path = option(help="folder for weights, card and checkpoints", placeholder="FOLDER")
    layout: Literal["gaicv1", "gaicv2", "ugcrop5k"] = option("gaicv1", "layout of `data`")
    start: str | None = option(
        None,
        "weights to start from: file, URI or `starter`; default: random ones",
        placeholder="WEIGHTS",
    )
    detector: str = option(
        "embedded",
        "detector for photos for which the data has no object boxes",
        placeholder="DETECTOR",
    )
    limit: int | None = option(
        None, "only the first PHOTOS photos of each split", placeholder="PHOTOS", least=1
    )
    workers: int = option(
        0, "Ray Train processes; 0 trains in this process", placeholder="PROCESSES", least=0
    )
    gpu: bool = option(False, "use one GPU for each of the `workers`")
    settings: TrainSettings = field(default_factory=TrainSettings)

    def __post_init__(self) -> None:
        check(self)
        if self.gpu and not self.workers:
            raise SettingError("gpu", "is for the processes of --workers: give their number")
