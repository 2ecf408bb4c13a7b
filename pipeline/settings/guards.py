"""Parse `--guards` and `--fallback`: what no crop may do, and what to try if every crop does.

docs/GUARDS.md defines each guard; `pipeline.cropping.guards` checks them.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal, get_args

from pipeline.errors import SettingError, did_you_mean

Fallback = Literal["next", "largest", "pad", "blur", "skip"]
FALLBACKS: tuple[Fallback, ...] = get_args(Fallback)
FINAL: tuple[Fallback, ...] = ("pad", "blur", "skip")  # fallbacks that always succeed
DEFAULT_PROFILE, DEFAULT_FALLBACK = "default", "next,largest"
OFF: Final = "off"
CUT: Final = "cut"


@dataclass(frozen=True)
class Guards:
    """What no crop may do; None for a guard that is off. docs/GUARDS.md has the exact definitions.

    heads: at most this share of a head's box may be outside if the head or its person shows.
    faces: at most this share of a face's box may be outside if the face shows.
    text: "cut" forbids crops that cut through a block of text.
    subject: at least this share of the main subject must be inside the crop.
    """

    heads: float | None = None
    faces: float | None = None
    text: Literal["cut"] | None = None
    subject: float | None = None

    def __str__(self) -> str:
        """Format the guards as `--guards` accepts them: equal guards give the same text."""
        asked = {item.name: getattr(self, item.name) for item in fields(self)}
        if not self:
            return OFF
        words = (f"{name}={OFF if value is None else value}" for name, value in asked.items())
        return ",".join(words)

    def __bool__(self) -> bool:
        """Return whether any guard is on."""
        return any(getattr(self, item.name) is not None for item in fields(self))


PROFILES: dict[str, Guards] = {
    # No profile guards the subject: that made more crops worse than better (docs/GUARDS.md).
    DEFAULT_PROFILE: Guards(heads=0.3, faces=0.3, text=CUT),
    "strict": Guards(heads=0.1, faces=0.1, text=CUT),
    "people": Guards(heads=0.1, faces=0.1),
    OFF: Guards(),
}


def parse_guards(text: str) -> Guards:
    """Parse guards such as "heads=0.1,text=cut" or "strict,text=off".

    A profile may come first. Without one, the changes apply to the default profile, so a guard is
    off only if it is named. Raises SettingError, also for a guard that is named twice.
    """
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    if not words:
        raise SettingError("guards", f"is empty: write {OFF} for no guards")
    guards = PROFILES[DEFAULT_PROFILE]
    changes: dict[str, Any] = {}
    for place, word in enumerate(words):
        name, is_change, value = word.partition("=")
        if is_change:
            name = _known(name.strip())
            if name in changes:
                raise SettingError("guards", f"names {name} twice: say it once")
            changes[name] = _limit(name, value.strip())
        elif word in PROFILES and place == 0:
            guards = PROFILES[word]
        else:
            problem = "must stand first" if word in PROFILES else "is no profile"
            profiles = ", ".join(PROFILES)
            raise SettingError(
                "guards",
                f"{word!r} {problem}: write one of {profiles}, then changes: heads=0.1"
                + ("" if word in PROFILES else did_you_mean(word, PROFILES)),
            )
    return replace(guards, **changes)


def _known(name: str) -> str:
    names = [item.name for item in fields(Guards)]
    if name not in names:
        raise SettingError(
            "guards",
            f"{name!r} is no guard: write one of {', '.join(names)}{did_you_mean(name, names)}",
        )
    return name


def _limit(name: str, value: str) -> float | str | None:
    """Parse the value of a guard; None if it is off."""
    if value == OFF:
        return None
    if name == "text":
        if value != CUT:
            raise SettingError("guards", f"text={value} is unknown: write text=cut or text=off")
        return CUT
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingError(
            "guards", f"{name}={value} is no share: write a number from 0 to 1, or {name}=off"
        )
    return share


def parse_fallback(text: str) -> tuple[Fallback, ...]:
    """Parse fallbacks such as "next,pad", tried in order; "none" gives (). Raises SettingError."""
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    if words == ["none"]:
        return ()
    fallbacks = tuple(fallback for word in words for fallback in FALLBACKS if fallback == word)
    known = f"write some of {', '.join(FALLBACKS)} separated by commas, or none"
    if not words or len(fallbacks) < len(words) or len(set(fallbacks)) < len(fallbacks):
        problem = "is empty" if not words else f"{text!r} has an unknown word or one twice"
        unknown = next((word for word in words if word not in FALLBACKS), "")
        raise SettingError("fallback", f"{problem}: {known}{did_you_mean(unknown, FALLBACKS)}")
    for fallback in fallbacks[:-1]:
        if fallback in FINAL:
            raise SettingError("fallback", f"{text!r}: {fallback} always decides, so put it last")
    return fallbacks
