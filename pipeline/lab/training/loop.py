"""The training loop of one process. Several processes differ only in their `Workers`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from pipeline.errors import UsageError
from pipeline.lab.evaluation.metrics import mean_acc, srcc
from pipeline.lab.training.history import Epoch, History
from pipeline.lab.training.losses import crop_loss
from pipeline.lab.training.parameters import parameter_groups, set_trainable, set_training_mode
from pipeline.lab.training.resume import (
    ORIGIN,
    PARTWAY,
    EpochState,
    check_same_run,
    read_state,
    write_state,
)
from pipeline.lab.training.samples import Sample, ScoredPhoto, plain_sample, random_sample
from pipeline.lab.training.schedule import moving_average, rate_at
from pipeline.lab.training.settings import TrainSettings
from pipeline.lab.training.watch import Watch

CLIP_NORM = 10.0  # of a step's gradient; set by hand so that no single photo undoes an epoch


@dataclass(frozen=True)
class Workers:
    """One of the processes that train together; the defaults are for a single process."""

    rank: int = 0
    count: int = 1
    device: str = "cpu"
    # Averages over processes the gradients of the parameters that require them when it is called.
    wrap: Callable[[nn.Module], nn.Module] = lambda network: network
    # Averages a number over processes, all of which call it.
    mean: Callable[[float], float] = lambda value: value


class Trainer:
    """A network with its optimiser, the moving average of its weights, and its history."""

    def __init__(
        self,
        network: nn.Module,
        settings: TrainSettings,
        workers: Workers,
        origin: Mapping[str, str],
    ) -> None:
        """Prepare a training from its start.

        origin: hashes, by name, of what it starts from and learns from; `restore` refuses a
            checkpoint with others.
        """
        self.settings, self.workers, self.origin = settings, workers, origin
        self.network = network.to(workers.device)
        set_trainable(self.network, settings)  # before `wrap`, which depends on requires_grad
        self.wrapped = workers.wrap(self.network)
        self.optimizer = torch.optim.AdamW(parameter_groups(self.network, settings))
        self.averaged = moving_average(self.network, settings.ema)
        self.history = History()
        self.epoch_state: EpochState | None = None

    def train(
        self,
        photos: Sequence[ScoredPhoto],
        validation: Sequence[ScoredPhoto],
        after_epoch: Callable[[Trainer, Epoch], None],
        watch: Watch | None = None,
    ) -> History:
        """Run the remaining epochs. `after_epoch` runs in every process.

        Raises Drained when `watch` requests it, after a whole step; `save` then stores the
        progress. Raises UsageError where the loss or a score is not finite.
        """
        watch = watch or Watch()
        steps = self.steps_per_epoch(len(photos))
        done = len(self.history.epochs)
        first = self.epoch_state.steps if self.epoch_state else 0
        schedule = LambdaLR(
            self.optimizer,
            partial(
                rate_at,
                steps=steps * self.settings.epochs,
                warmup_share=self.settings.warmup_share,
            ),
            last_epoch=done * steps + first - 1,  # in torch's terms, the last step taken
        )
        for epoch in range(done, self.settings.epochs):
            loss = self._epoch(photos, epoch, schedule, watch)
            measures = self.validate(validation, watch)
            self.epoch_state = None
            rate = self.optimizer.param_groups[-1]["lr"]
            self.history.epochs.append(Epoch(epoch, rate, loss, *measures))
            after_epoch(self, self.history.epochs[-1])
        return self.history

    def steps_per_epoch(self, photos: int) -> int:
        """Return the steps of an epoch, equal in all processes, which synchronise in every step."""
        return math.ceil(photos / (self.settings.photos_per_step * self.workers.count))

    def _epoch(
        self, photos: Sequence[ScoredPhoto], epoch: int, schedule: LambdaLR, watch: Watch
    ) -> float:
        set_training_mode(self.network, self.settings)
        settings, workers = self.settings, self.workers
        order = np.random.default_rng([settings.seed, epoch]).permutation(len(photos))
        # One random stream per process and epoch: a resumed run then equals an uninterrupted one.
        random = np.random.default_rng([settings.seed, epoch, workers.rank])
        torch.manual_seed(settings.seed * 1_000_003 + epoch * 1_009 + workers.rank)
        steps = self.steps_per_epoch(len(photos))
        device = workers.device
        done, total = self.epoch_state.resume(random, device) if self.epoch_state else (0, 0.0)
        for step in range(done, steps):
            first = (step * workers.count + workers.rank) * settings.photos_per_step
            drawn = [order[(first + i) % len(order)] for i in range(settings.photos_per_step)]
            total += self._step([random_sample(photos[i], settings, random) for i in drawn])
            if not math.isfinite(total):
                raise self._diverged("the loss")
            schedule.step()
            watch.on_progress(f"epoch {epoch + 1} of {settings.epochs}, steps", step + 1, steps)
            self.epoch_state = EpochState.at(epoch, step + 1, total, random, device)
            watch.check()
        return workers.mean(total / steps)

    def _step(self, samples: list[Sample]) -> float:
        total = 0.0
        for index, sample in enumerate(samples):
            # Processes exchange gradients once a step, with the last photo.
            with nullcontext() if index + 1 == len(samples) else self._local_gradients():
                loss = self._loss(sample) / len(samples)
                loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        nn.utils.clip_grad_norm_(self.network.parameters(), CLIP_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.averaged.update_parameters(self.network)
        return total

    def _local_gradients(self) -> AbstractContextManager[None]:
        no_sync = getattr(self.wrapped, "no_sync", None)
        return no_sync() if no_sync else nullcontext()

    def _loss(self, sample: Sample) -> Tensor:
        predicted = self._scores(self.wrapped, sample)
        truth = sample.truth.to(predicted.device)
        return crop_loss(predicted, truth, self.settings.rank_weight)

    def _scores(self, network: nn.Module, sample: Sample) -> Tensor:
        device = self.workers.device
        scores: Tensor = network(
            sample.image[None].to(device), sample.crops.to(device), [sample.objects.to(device)]
        )
        return scores

    @torch.no_grad()
    def validate(
        self, photos: Sequence[ScoredPhoto], watch: Watch | None = None
    ) -> tuple[float, float, float]:
        """Compute mean loss, SRCC and Acc5 of the averaged weights over photos, on all crops.

        Raises Drained when `watch` requests it, UsageError where a score is not finite.
        """
        network = self.averaged.module.eval()
        losses, correlations, hits = [], [], []
        for photo in (watch or Watch()).each("validating, photos", photos):
            sample = plain_sample(photo)
            predicted = self._scores(network, sample).cpu()
            if not predicted.isfinite().all():
                raise self._diverged("a score of the averaged weights")
            losses.append(float(crop_loss(predicted, sample.truth, self.settings.rank_weight)))
            correlations.append(srcc(photo.mos, predicted.numpy()))
            if len(photo.mos) >= 5:
                hits.append(mean_acc(photo.mos, predicted.numpy(), 5))
        return tuple(float(np.mean(x)) if x else math.nan for x in (losses, correlations, hits))  # type: ignore[return-value]

    def _diverged(self, what: str) -> UsageError:
        good = len(self.history.epochs)
        last = f"the last good epoch is {good}" if good else "no epoch before it was finished"
        rate = self.settings.learning_rate
        return UsageError(
            f"the training diverged in epoch {good + 1}: {what} is not finite; {last}. Start over "
            f"in another folder with a --learning-rate below {rate:g}"
        )

    def save(self, path: Path) -> None:
        """Write a checkpoint atomically."""
        state = {
            ORIGIN: dict(self.origin),
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epochs": [vars(epoch) for epoch in self.history.epochs],
            "settings": vars(self.settings),
            PARTWAY: None if self.epoch_state is None else vars(self.epoch_state),
        }
        write_state(path, state)

    def restore(self, path: Path) -> None:
        """Resume from a checkpoint.

        Raises UsageError for other settings, another origin, or an incompatible version's file.
        """
        state = read_state(path)
        check_same_run(path, state, vars(self.settings), self.origin)
        self.network.load_state_dict(state["network"])
        try:
            self.averaged.load_state_dict(state["averaged"])
        except RuntimeError as error:
            raise UsageError(
                f"{path} was written by another version of this program; give another folder"
            ) from error
        self.optimizer.load_state_dict(state["optimizer"])
        self.history = History([Epoch(**epoch) for epoch in state["epochs"]])
        epoch_state = state[PARTWAY]
        self.epoch_state = None if epoch_state is None else EpochState(**epoch_state)
        if self.epoch_state and self.workers.count > 1:
            raise UsageError(
                f"{path} is of a run that one process stopped within an epoch; go on with one, "
                "without --workers, or give another folder"
            )
