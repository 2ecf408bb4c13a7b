"""A scoring actor of a run: its tasks and its node."""

from dataclasses import dataclass, field
from typing import Any

from ray._private.state import actors as actor_table  # no public call returns an actor's node

from pipeline.errors import GpuShareError


@dataclass
class Actor:
    """A scoring actor as the driver sees it."""

    handle: Any
    cpus: float  # that it requests from Ray
    is_ready: bool = False
    too_small: GpuShareError | None = None  # why it will not be: what its share of a GPU lacks
    leaves: bool = False  # its node is draining
    scoring: set[int] = field(default_factory=set)  # tasks that it has been given, not scored yet
    scored: set[int] = field(default_factory=set)  # those of its tasks that are not recorded yet

    @property
    def is_idle(self) -> bool:
        return self.is_ready and not self.scoring and not self.scored

    @property
    def node(self) -> str:
        """The id of the node that it is on; "" if it is on none."""
        return str((self._about.get("Address") or {}).get("NodeID", ""))

    @property
    def is_restarting(self) -> bool:
        """Whether Ray is looking for room for it, since its process or node was lost."""
        return self._about.get("State") == "RESTARTING"

    @property
    def _about(self) -> dict[str, Any]:
        """What Ray's control service knows of it, which is one call."""
        return actor_table(self.handle._actor_id.hex()) or {}
