"""What the setting `format` comes to where it says `auto`, and how a person reads it."""

from typing import Literal

from pipeline.photo.encoding.automatic import AUTO, OTHER, in_words
from pipeline.photo.encoding.jpegli import HOW_TO_INSTALL, PACKAGE, has_jpegli
from pipeline.settings.result import ThumbnailSettings

__all__ = ["AUTO", "chosen_format", "has_jpegli", "in_words"]


def chosen_format(
    asked: ThumbnailSettings, recorded: str | None = None
) -> tuple[Literal["auto", "webp"], str]:
    """What a run's settings hold for `auto`, and why it is not that, as the end of a sentence.

    recorded: what those of the run hold that is gone on with; None for a new one.
    Raises SettingError where that run needs a package that is missing.
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
