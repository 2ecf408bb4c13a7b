"""Report the progress of a training, and stop it early on request."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pipeline.lab.training.history import Epoch
from pipeline.report.progress import Log, duration
from pipeline.stop import Drained, Stop

T = TypeVar("T")
INTERVAL_S = 10.0  # between two lines; the first line comes with the first photo

ProgressCallback = Callable[[str, int, int], None]  # the current activity, items done, items in all


@dataclass(frozen=True)
class Watch:
    """The receiver of a training's progress, and the request to stop it.

    on_progress: called with the current activity, the number of items done, and the number in all.
    stop: requests an early end.
    """

    on_progress: ProgressCallback = lambda what, done, of: None
    stop: Stop = field(default_factory=Stop)

    def each(self, what: str, items: Sequence[T]) -> Iterator[T]:
        """Yield the items; each is reported when the caller asks for the next. Raises Drained."""
        for done, item in enumerate(items):
            self.check()
            yield item
            self.on_progress(what, done + 1, len(items))

    def check(self) -> None:
        """Raise Drained if the training is asked to stop."""
        if self.stop.asked:
            raise Drained


def log_epoch(log: Log, epochs: int, epoch: Epoch) -> None:
    """Write a line about a finished epoch. epochs: how many the training has."""
    log.say(
        "epoch",
        f"epoch {epoch.epoch + 1}/{epochs}: loss {epoch.loss:.4f}, validation loss "
        f"{epoch.validation_loss:.4f}, SRCC {epoch.validation_srcc:.4f}",
        **vars(epoch),
    )


class Ticker:
    """Writes a line about the current activity, at once and then every INTERVAL_S seconds."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.what, self.first, self.began_s, self.last_report_s = "", 0, 0.0, 0.0

    def __call__(self, what: str, done: int, of: int) -> None:
        """See `ProgressCallback`."""
        now = self.log.clock()
        if what != self.what:
            self.what, self.first, self.began_s = what, done - 1, now
        elif now - self.last_report_s < INTERVAL_S or done == of:
            return
        self.last_report_s = now
        rate = (done - self.first) / (now - self.began_s) if now > self.began_s else 0.0
        left = f", {duration((of - done) / rate)} left of it" if rate else ""
        self.log.say("progress", f"{what}: {done:,} of {of:,}{left}", what=what, done=done, of=of)
