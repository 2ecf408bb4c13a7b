"""A scoring actor of a run: what it has to do, and where it is."""

from dataclasses import dataclass
from typing import Any

from ray._private.state import actors as actor_table  # no public call tells where an actor is


@dataclass
class Actor:
    """A scoring actor as the driver sees it."""

    handle: Any
    cpus: float  # that it asks Ray for
    is_ready: bool = False
    leaves: bool = False  # its node is to be taken away
    scoring: int = 0  # tasks that it has
    made: int = 0  # tasks that it has scored and that are not on record yet

    @property
    def is_idle(self) -> bool:
        return self.is_ready and not self.scoring and not self.made

    @property
    def node(self) -> str:
        """The id of the node that it is on; "" where it is on none."""
        about: dict[str, Any] = actor_table(self.handle._actor_id.hex()) or {}
        return str((about.get("Address") or {}).get("NodeID", ""))
