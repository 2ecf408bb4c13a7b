"""Resolve the setting `format=auto`, and describe the choice for a person."""

from typing import Literal

from pipeline.photo.encoding.automatic import AUTO, OTHER, in_words
from pipeline.photo.encoding.jpegli import HOW_TO_INSTALL, PACKAGE, has_jpegli
from pipeline.settings.result import ThumbnailSettings

__all__ = ["AUTO", "chosen_format", "has_jpegli", "in_words"]


def chosen_format(
    asked: ThumbnailSettings, recorded: str | None = None
) -> tuple[Literal["auto", "webp"], str]:
    """Return what `auto` becomes in a run's settings, and why if not `auto`, as a sentence's end.

    recorded: the format in the settings of the run that is resumed; None for a new run.
    Raises SettingError if the resumed run needs a package that is missing.
    """
    names = asked.crop_names
    if recorded == AUTO:
        asked.check_packages()
        return AUTO, ""
    if recorded == OTHER:
        return OTHER, ", as the run was begun"
    if names is not None and "format" not in names.fields:
        return OTHER, f", since {names.text!r} does not tell formats apart"
    if not has_jpegli():
        return OTHER, f", since the package {PACKAGE} is not installed here: {HOW_TO_INSTALL}"
    return AUTO, ""
