"""The numbers of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.errors import UsageError

MOS_MEAN, MOS_SPREAD = 2.95, 0.8
"""Scores are trained as (MOS - 2.95) / 0.8: mean and deviation of GAICv1's, as published."""


@dataclass(frozen=True)
class TrainSettings:
    """What makes two runs on the same data differ. The defaults follow GAIC's documented recipe.

    Attributes:
        network: "s2cnet" or "gaic", the baseline without a graph.
        preset: configuration of an S2CNet, see `s2cnet.PRESETS`.
        epochs: passes over the photos.
        crops_per_photo: scored crops drawn of a photo each time it is seen.
        photos_per_step: photos whose gradients are summed before the weights move. Photos differ
            in size, so each is a forward pass of its own.
        learning_rate: peak of Adam's, after `warmup_share` of the steps, then a cosine to 0.
        weight_decay: decoupled, on matrices and filters, not on biases and norms.
        rank_weight: of the pairwise rank loss beside the smooth L1 loss.
        live_norm: batch-norms learn; otherwise they keep their statistics and scales.
        backbone_rate: learning rate of the backbone as a share of the others'.
        ema: decay of the averaged weights, which are the ones validated and kept; 0 turns it off.
        mirror: probability that a photo is seen mirrored.
        colour: largest relative change of brightness, contrast and saturation.
        validation_share: of the training photos, where the data has no validation split.
        seed: of the weights, the order, the crops, the changes.
    """

    network: Literal["s2cnet", "gaic"] = "s2cnet"
    preset: str = "gaicv1"
    epochs: int = 80
    crops_per_photo: int = 64
    photos_per_step: int = 1
    learning_rate: float = 1e-4
    warmup_share: float = 0.05
    weight_decay: float = 1e-4
    rank_weight: float = 1.0
    live_norm: bool = False
    backbone_rate: float = 1.0
    ema: float = 0.999
    mirror: float = 0.5
    colour: float = 0.2
    validation_share: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "photos_per_step"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.crops_per_photo < 2:
            raise UsageError("crops_per_photo must be at least 2: one crop has no rank")
        for name in ("warmup_share", "mirror", "colour", "validation_share", "ema"):
            if not 0 <= getattr(self, name) < 1 and not (name == "mirror" and self.mirror == 1):
                raise UsageError(f"{name} must lie in 0..1, got {getattr(self, name)}")
        for name in ("learning_rate", "weight_decay", "rank_weight", "backbone_rate"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must not be negative, got {getattr(self, name)}")
