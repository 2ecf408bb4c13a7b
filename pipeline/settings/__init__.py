"""Every setting of a crop job, declared once for the command line, run id and manifest.

The settings in `result.py` and `decoding.py` determine the result and form a run's identity; those
in `input.py`, `job.py` and `estimate.py` do not.
The same photos with other task sizes or another number of workers are the same run.
"""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_type_hints

from pipeline.options import identity_of
from pipeline.settings.decoding import DecodingSettings
from pipeline.settings.estimate import EstimateSettings
from pipeline.settings.input import InputSettings
from pipeline.settings.job import RunningSettings
from pipeline.settings.result import CroppingSettings, ThumbnailSettings

__all__ = [
    "CroppingSettings",
    "DecodingSettings",
    "EstimateSettings",
    "InputSettings",
    "RunningSettings",
    "Settings",
    "ThumbnailSettings",
    "Verdict",
]

Verdict = Literal["done", "over_error_rate"]


@dataclass(frozen=True)
class Settings:
    """What a crop job is asked to do, in six parts. No two parts share a field name.

    A part raises SettingError if a value is invalid.
    """

    input: InputSettings = field(default_factory=InputSettings)
    decoding: DecodingSettings = field(default_factory=DecodingSettings)
    cropping: CroppingSettings = field(default_factory=CroppingSettings)
    thumbnails: ThumbnailSettings = field(default_factory=ThumbnailSettings)
    running: RunningSettings = field(default_factory=RunningSettings)
    estimating: EstimateSettings = field(default_factory=EstimateSettings)

    @classmethod
    def of(cls, **values: Any) -> "Settings":
        """Make settings from field names, whichever part has them; see `flat`.

        Fields that are not named have their defaults. Raises TypeError for an unknown name.
        """
        parts: dict[str, Any] = {}
        for name, kind in get_type_hints(cls).items():
            own = {item.name for item in fields(kind)} & values.keys()
            parts[name] = kind(**{each: values.pop(each) for each in own})
        if values:
            raise TypeError(f"no such settings: {', '.join(sorted(values))}")
        return cls(**parts)

    @property
    def decoded_side(self) -> int:
        """Long side of the view that is decoded, pixels.

        The smallest candidates have sides of about half the photo's, so in a view of twice the
        thumbnail's side hardly any has to be enlarged. Photos with smaller boxes, which a person
        locked or which lie within wide borders, are decoded finer (`stages.fine_view`).
        """
        return max(self.decoding.view_side, 2 * self.thumbnails.thumbnail_size)

    def identity(self) -> dict[str, Any]:
        """Return the settings that change the result, for the run id: flat, JSON values.

        A setting at the value that reproduces results from before it existed is left out, see
        `result.py`.
        """
        parts = (self.decoding, self.cropping.canonical(), self.thumbnails.canonical())
        return {name: value for part in parts for name, value in identity_of(part).items()}

    def flat(self) -> dict[str, Any]:
        """Return every setting by its own name, for the manifest: JSON values."""
        parts = (getattr(self, item.name) for item in fields(self))
        return {name: value for part in parts for name, value in asdict(part).items()}
