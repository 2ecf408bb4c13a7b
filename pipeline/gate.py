"""Parse and evaluate a gate: conditions on a run's figures that must hold before it goes live.

    head_cut_rate<=0.02, error_rate<=0.01, mean_overlap_with_current>=0.9

A gate is a comma-separated list of terms, each a figure, a comparison and a number; it holds if
every term does. A figure with nothing to measure (no photo in common with the live runs) breaks no
term. An unknown figure (the run has no such column) breaks a term that a person asked for, but no
term of the default gate.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipeline.errors import SettingError, did_you_mean

FIGURES = {
    "error_rate": "share of the photos that failed",
    "error_rate_low": "lower end of its 99 % interval, so that few photos say little",
    "review_rate": "share of the crops with the verdict `review`: a guard is broken",
    "review_rate_low": "lower end of its 99 % interval",
    "fallback_rate": "share of the crops that a fallback, or a rule for the kind of photo, decided",
    "head_cut_rate": "share of the crops that cut a head",
    "face_cut_rate": "share of the crops that cut a face",
    "text_cut_rate": "share of the crops that cut text",
    "mean_confidence": "mean probability that a person would accept the crop",
    "mean_subject_share": "mean share of the main subject inside the crop",
    "mean_overlap_with_current": "mean IoU with the live crops of the same, unchanged photos",
    "moved_rate": "share of these crops whose IoU is below 0.9",
}
DEFAULT_GATE = "error_rate_low<=0.15, review_rate_low<=0.5, mean_overlap_with_current>=0.5"
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=-]{0,63}")
_TERM = re.compile(r"([A-Za-z_]\w*)\s*(<=|>=|<|>)\s*(\S+)")


@dataclass(frozen=True)
class Term:
    """One condition of a gate."""

    figure: str
    comparison: str
    bound: float

    def __str__(self) -> str:
        return f"{self.figure}{self.comparison}{self.bound:g}"

    def holds(self, value: float) -> bool:
        """Return whether a measured value meets the condition."""
        return COMPARISONS[self.comparison](value, self.bound)


@dataclass(frozen=True)
class GateFigures:
    """The figures of a run.

    values: by name
    unknown: figures that cannot be computed, and why
    not_applicable: figures with nothing to measure, and why
    damaged: live runs that could not be compared with, and why, by run id
    """

    values: Mapping[str, float] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    not_applicable: Mapping[str, str] = field(default_factory=dict)
    damaged: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TermResult:
    """A term with its measured value. value: None if there is none; `remark` says why."""

    term: Term
    value: float | None
    held: bool
    remark: str = ""

    def __str__(self) -> str:
        found = self.remark if self.value is None else f"{self.value:.4g}"
        return f"{self.term}: {found}{'' if self.held else ', which does not hold'}"


@dataclass(frozen=True)
class GateResult:
    """The result of a gate for one run."""

    terms: tuple[TermResult, ...] = ()

    @property
    def held(self) -> bool:
        return all(result.held for result in self.terms)

    def __str__(self) -> str:
        return "; ".join(map(str, self.terms)) or "no gate had to be met"


@dataclass(frozen=True)
class Gate:
    """A parsed gate."""

    terms: tuple[Term, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.terms))

    def judge(self, measured: GateFigures, strict: bool) -> GateResult:
        """Evaluate every term. strict: an unknown figure breaks its term."""
        return GateResult(tuple(_judge(term, measured, strict) for term in self.terms))


def parse_gate(text: str) -> Gate:
    """Parse a gate; the empty text has no terms. Raises SettingError for the field `gate`."""
    terms = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = _TERM.fullmatch(part)
        if not found:
            raise SettingError(
                "gate", f"{part!r} is no term; separate terms such as error_rate<=0.01 by commas"
            )
        figure, comparison, number = found.groups()
        if figure not in FIGURES:
            known = ", ".join(FIGURES)
            raise SettingError(
                "gate",
                f"{figure!r} is no figure of a run; known are {known}"
                + did_you_mean(figure, FIGURES),
            )
        terms.append(Term(figure, comparison, _bound(part, number)))
    return Gate(tuple(terms))


def check_channel(name: str) -> None:
    """Raise SettingError for a name that no channel can have."""
    if not CHANNEL.fullmatch(name):
        raise SettingError(
            "channel", f"{name[:80]!r} is no name: up to 64 letters, digits, `.`, `_`, `=`, `-`"
        )


def _bound(part: str, number: str) -> float:
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if not 0 <= bound <= 1:  # every figure is a share or a probability
        raise SettingError("gate", f"{part!r} needs a number from 0 to 1, for instance 0.02")
    return bound


def _judge(term: Term, measured: GateFigures, strict: bool) -> TermResult:
    value = measured.values.get(term.figure)
    if value is not None:
        return TermResult(term, value, term.holds(value))
    if why := measured.not_applicable.get(term.figure):
        return TermResult(term, None, True, why)
    why = measured.unknown.get(term.figure, "it was not measured")
    return TermResult(term, None, not strict, why)
