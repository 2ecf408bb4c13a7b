"""Which runs an Iceberg table has, and in which channels they are live; its properties say so."""

from collections.abc import Mapping
from dataclasses import dataclass

RUNS = "s2cnet.runs"  # ids, comma-separated, in order of precedence
LAYERS = "s2cnet.layers"  # for each run the number of its channel, if what is live was published


@dataclass(frozen=True)
class PublishedRuns:
    """The runs of a table, in order of precedence.

    layers: number of the channel that each is live in; empty: each counts in the one it was made
        for
    """

    ids: tuple[str, ...] = ()
    layers: tuple[int, ...] = ()

    @classmethod
    def of(cls, properties: Mapping[str, str]) -> "PublishedRuns":
        """Read the runs from a table's properties."""
        ids, layers = (properties.get(name, "").split(",") for name in (RUNS, LAYERS))
        return cls(tuple(filter(None, ids)), tuple(map(int, filter(None, layers))))

    @property
    def properties(self) -> dict[str, str]:
        """Return the properties of a table that has these runs."""
        layers = {LAYERS: ",".join(map(str, self.layers))} if self.layers else {}
        return {RUNS: ",".join(self.ids), **layers}
