"""Count what tasks did in figures that can be added up: photos, bytes, seconds, requests."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from pipeline.schema import NOT_FAILED, OK

RETRY = "retry_"  # `Store` counts its retries as retry_<reason>


class Cost(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The resources that one stage of a task used, or the sum of several.

    cpu_s:         CPU time of the worker, its threads and its decoding child, seconds
    gpu_s:         seconds of work on a GPU, times the share of it that the worker holds
    wait_s:        seconds that threads waited for a store, disk or network, summed over threads
    requests:      to the stores, including retries
    read_bytes:    of objects fetched
    written_bytes: of objects written
    starts:        worker processes that started here
    """

    cpu_s: float = 0.0
    gpu_s: float = 0.0
    wait_s: float = 0.0
    requests: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    starts: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        names = self.__struct_fields__
        return Cost(**{name: getattr(self, name) + getattr(other, name) for name in names})


class Figures(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The figures of one task, or the sum of several. A figure that is 0 or empty is not written.

    statuses:   photos by status
    verdicts:   crops by shape and verdict, keyed `16:9|review`; empty in old runs
    reasons:    crops whose verdict has a reason, keyed `review|head_cut`
    kinds:      photos by kind; empty in old runs
    shared:     photos with the same bytes as another, whose result they have
    overridden: photos that a person's decision applies to
    bytes:      of photos read
    crop_bytes: of encoded crops
    seconds:    of work, by stage, all workers together
    requests:   to the stores, by operation; `retry_<reason>` counts retries
    costs:      by stage; runs of earlier releases have none. In addition to a photo's stages:
                `start` (worker processes), `hand_over` (tasks between stages), `commit`
    confidence: crops by the upper end of their tenth of confidence, see `confidence_counts`
    confidence_sum: sum of these crops' confidences
    """

    statuses: Mapping[str, int] = {}
    crops: int = 0
    verdicts: Mapping[str, int] = {}
    reasons: Mapping[str, int] = {}
    kinds: Mapping[str, int] = {}
    shared: int = 0
    overridden: int = 0
    bytes: int = 0
    crop_bytes: int = 0
    seconds: Mapping[str, int | float] = {}
    requests: Mapping[str, int] = {}
    costs: Mapping[str, Cost] = {}
    confidence: Mapping[str, int] = {}
    confidence_sum: float = 0.0

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            statuses=_sum(self.statuses, other.statuses),
            crops=self.crops + other.crops,
            verdicts=_sum(self.verdicts, other.verdicts),
            reasons=_sum(self.reasons, other.reasons),
            kinds=_sum(self.kinds, other.kinds),
            shared=self.shared + other.shared,
            overridden=self.overridden + other.overridden,
            bytes=self.bytes + other.bytes,
            crop_bytes=self.crop_bytes + other.crop_bytes,
            seconds=_sum(self.seconds, other.seconds),
            requests=_sum(self.requests, other.requests),
            costs=_sum(self.costs, other.costs, Cost()),
            confidence=_sum(self.confidence, other.confidence),
            confidence_sum=self.confidence_sum + other.confidence_sum,
        )

    @property
    def photos(self) -> int:
        """Number of photos that have a status."""
        return sum(self.statuses.values())

    @property
    def ok(self) -> int:
        """Number of photos that have their crops."""
        return self.statuses.get(OK, 0)

    @property
    def failures(self) -> dict[str, int]:
        """Number of failed photos by status, not counting those that a setting leaves out."""
        return {one: n for one, n in self.statuses.items() if one not in NOT_FAILED}

    @property
    def failed(self) -> int:
        """Number of failed photos in all."""
        return sum(self.failures.values())


def add_figures(figures: Iterable[Figures]) -> Figures:
    """Add up figures."""
    return sum(figures, Figures())


def confidence_counts(values: Iterable[float | None]) -> dict[str, int]:
    """Count confidences by the upper end of their tenth, "0.1" to "1.0"; None is left out."""
    known = [value for value in values if value is not None]
    tenths = (min(10, max(1, math.ceil(round(10 * value, 6)))) for value in known)
    return {str(tenth / 10): count for tenth, count in sorted(Counter(tenths).items())}


def _sum(one: Mapping[str, Any], other: Mapping[str, Any], none: Any = 0) -> dict[str, Any]:
    return {name: one.get(name, none) + other.get(name, none) for name in {**one, **other}}
