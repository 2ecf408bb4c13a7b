"""Resolve a job's settings of its networks: read the weights and choose the backbone."""

import dataclasses

from pipeline.cropping.build import choose_backbone
from pipeline.cropping.weights import DEFAULT, STARTER, UNTRAINED, Weights, choose_weights
from pipeline.errors import SettingError
from pipeline.settings import InputSettings, Settings


def pin_weights(settings: InputSettings) -> Weights:
    """Read and check the job's weights once. Raises UsageError if they are not usable.

    The package's weights and random ones need no check, and torch is not loaded for them.
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
        raise SettingError("weights", f"is wrong: {error}") from error
    return weights


def with_chosen_backbone(settings: Settings, weights: Weights) -> Settings:
    """Return a job's settings with the chosen backbone, since a run's spec never says `auto`.

    So runs with other weights keep the id that they had before the backbone could be chosen.
    Raises SettingError.
    """
    asked = settings.cropping
    how = (asked.backbone, weights.sha256, settings.input.detector, asked.rank_by)
    found = choose_backbone(*how)
    return dataclasses.replace(settings, cropping=dataclasses.replace(asked, backbone=found))
