"""How many actors and tasks of a flow run at once."""

from dataclasses import dataclass

PER_ACTOR = 2  # tasks per actor: one running, one whose pixels are being transferred meanwhile


@dataclass(frozen=True)
class Capacity:
    """How many actors and tasks run at once.

    actors: the number of scoring actors
    task_slots: how many tasks of the other stages run at the same time as all actors
    """

    actors: int
    task_slots: int

    @property
    def tasks(self) -> int:
        """The largest number of tasks in flight, from the first stage to the last."""
        return PER_ACTOR * self.actors + 2 * self.task_slots
