"""The epochs of a training so far, and which of them is best."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Epoch:
    """Measures of one epoch; those of validation come from the averaged weights.

    rate: the learning rate at the start of the next epoch.
    """

    epoch: int
    rate: float
    loss: float
    validation_loss: float
    validation_srcc: float
    validation_acc5: float


@dataclass
class History:
    """The epochs of a run so far, which a checkpoint stores in addition to the tensors."""

    epochs: list[Epoch] = field(default_factory=list)

    @property
    def best(self) -> Epoch | None:
        """The epoch of the highest validation SRCC, the first of equals; no test photo counts."""
        return max(self.epochs, key=lambda epoch: epoch.validation_srcc, default=None)
