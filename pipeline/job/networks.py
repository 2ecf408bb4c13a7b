"""What the settings of a job come to for its networks: weights that are read, a backbone chosen."""

import dataclasses

from pipeline.cropping.build import choose_backbone
from pipeline.cropping.weights import DEFAULT, STARTER, UNTRAINED, Weights, choose_weights
from pipeline.errors import SettingError
from pipeline.settings import InputSettings, Settings


def pin_weights(settings: InputSettings) -> Weights:
    """Read and check the job's weights once. Raises UsageError where they are not usable.

    Those of the package and drawn ones need no check, and torch is not loaded for them.
    """
    if settings.weights in (DEFAULT, STARTER, UNTRAINED):
        known = choose_weights(settings.weights, settings.preset, settings.seed)
        if known.kind != "file":
            return known
    from s2cnet import WeightsError

    try:
        weights = choose_weights(settings.weights, settings.preset, settings.seed)
        weights.load("cpu")  # a wrong layout is found here, not by a worker an hour later
    except WeightsError as error:
        raise SettingError("weights", f"{settings.weights}: {error}") from error
    return weights


def with_chosen_backbone(settings: Settings, weights: Weights) -> Settings:
    """The settings of a job with the backbone that it has: what a run is does not say `auto`.

    So runs of other weights keep the identity that they had before there was a choice. Raises
    SettingError.
    """
    asked = settings.cropping
    how = (asked.backbone, weights.sha256, settings.input.detector, asked.rank_by)
    found = choose_backbone(*how)
    return dataclasses.replace(settings, cropping=dataclasses.replace(asked, backbone=found))
