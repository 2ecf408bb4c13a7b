"""Count what tasks did: photos, bytes, seconds and requests, which can be added up."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from pipeline.schema import OK

RETRY = "retry_"  # `Store` counts what it did again as retry_<reason>


class Figures(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one task did, or several added up. A figure that is 0 or empty is not written.

    statuses:   photos by status
    verdicts:   crops by shape and verdict, keyed `16:9|review`; empty in old runs
    reasons:    crops whose verdict has a reason, keyed `review|head_cut`
    bytes:      of photos read
    crop_bytes: of encoded crops
    seconds:    of work, by stage, all workers together
    requests:   to the stores, by operation; `retry_<reason>` counts those made again
    """

    statuses: Mapping[str, int] = {}
    crops: int = 0
    verdicts: Mapping[str, int] = {}
    reasons: Mapping[str, int] = {}
    bytes: int = 0
    crop_bytes: int = 0
    seconds: Mapping[str, int | float] = {}
    requests: Mapping[str, int] = {}

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            statuses=_sum(self.statuses, other.statuses),
            crops=self.crops + other.crops,
            verdicts=_sum(self.verdicts, other.verdicts),
            reasons=_sum(self.reasons, other.reasons),
            bytes=self.bytes + other.bytes,
            crop_bytes=self.crop_bytes + other.crop_bytes,
            seconds=_sum(self.seconds, other.seconds),
            requests=_sum(self.requests, other.requests),
        )

    @property
    def photos(self) -> int:
        """How many photos had a status."""
        return sum(self.statuses.values())

    @property
    def ok(self) -> int:
        """How many of them have their crops."""
        return self.statuses.get(OK, 0)


def add_figures(figures: Iterable[Figures]) -> Figures:
    """Add up figures."""
    return sum(figures, Figures())


def _sum(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
