"""Find what a job asks for that has no effect without another setting."""

from dataclasses import fields
from typing import Literal

from pipeline.settings import EstimateSettings, Settings

ENCODING = ("format", "quality", "jpeg_encoder", "colour", "background", "picture_column")


def unused_settings(
    settings: Settings, weights_kind: Literal["starter", "untrained", "file"]
) -> dict[str, str]:
    """Return the settings that differ from their defaults and have no effect, and why.

    weights_kind: of the network that `settings.input.weights` names.

    A reason ends the sentence "... has no effect" and names options as a command line does.
    Settings whose effect depends on the photos, such as `max_frames` with `animated=all`, count
    as used.
    """
    given, defaults = settings.flat(), Settings().flat()
    reasons = {name: why for name, why in _reasons(settings, weights_kind) if why}
    return {name: why for name, why in reasons.items() if given[name] != defaults[name]}


def _reasons(settings: Settings, weights_kind: str) -> list[tuple[str, str]]:
    """Return settings with why they have no effect, or an empty text where they have one."""
    asked, thumbnails, running = settings.input, settings.thumbnails, settings.running
    is_format = thumbnails.format
    untrained = "" if weights_kind == "untrained" else "without --weights untrained"
    all_frames = "" if settings.decoding.animated == "all" else "without --animated all"
    estimate = "" if settings.estimating.estimate else "without --estimate"
    reasons = [
        ("preset", untrained),
        ("seed", untrained),
        ("retry_kind", "" if asked.retry else "without --retry"),
        ("max_frames", all_frames),
        ("max_animation_pixels", all_frames),
        ("quality", "with --format png" if is_format == "png" else ""),
        ("jpeg_encoder", "" if is_format == "jpeg" else "without --format jpeg"),
        ("prune_most", "" if running.prune else "without --prune"),
        ("metrics_host", "" if running.metrics_port else "without --metrics-port"),
    ]
    if running.local and running.gpus_per_actor:
        reasons.append(("gpus_per_actor", "with --local, which scores on the CPU"))
    if thumbnails.boxes_only:
        reasons += [(name, "with --boxes-only, which encodes no crops") for name in ENCODING]
    names = (item.name for item in fields(EstimateSettings))
    return reasons + [(name, estimate) for name in names if name != "estimate"]
