"""The training loop, step by step, on hand-made samples."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from pipeline.errors import UsageError
from pipeline.lab.training.history import Epoch
from pipeline.lab.training.loop import Trainer, Workers
from pipeline.lab.training.parameters import set_training_mode
from pipeline.lab.training.resume import EpochState
from pipeline.lab.training.samples import Sample, ScoredPhoto
from pipeline.lab.training.settings import TrainSettings
from s2cnet import S2CNet
from s2cnet.network.gaic import GAIC


@pytest.fixture
def group_of_one(tmp_path: Path) -> Iterator[None]:
    """A process group of this process alone."""
    store = f"file://{tmp_path / 'store'}"
    distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def sample(seed: int) -> Sample:
    return Sample(
        torch.randn(3, 256, 256, generator=torch.Generator().manual_seed(seed)),
        torch.tensor([[0.0, 0, 0, 200, 200], [0, 10, 10, 250, 250]]),
        torch.tensor([[0.0, 0, 100, 100]]),
        torch.tensor([0.0, 1.0]),
    )


def losses(settings: TrainSettings, wrap: Callable[[nn.Module], nn.Module]) -> list[float]:
    trainer = Trainer(S2CNet.untrained("gaicv1", 0), settings, Workers(wrap=wrap), {})
    set_training_mode(trainer.network, settings)
    return [trainer._step([sample(number)]) for number in range(3)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("live_norm", [False, True])
def test_processes_that_average_gradients_wait_for_no_frozen_norm(
    group_of_one: None, live_norm: bool
) -> None:
    """The average over one process is that process's own gradient."""
    settings = TrainSettings(live_norm=live_norm)
    alone = losses(settings, lambda network: network)
    assert losses(settings, DistributedDataParallel) == pytest.approx(alone, rel=1e-3)


def test_several_processes_do_not_go_on_within_one_process_s_epoch(tmp_path: Path) -> None:
    """They would take other photos than the steps that are left."""
    settings = TrainSettings(network="gaic")
    trainer = Trainer(GAIC.untrained(0), settings, Workers(), {})
    trainer.save(tmp_path / "whole.pt")
    trainer.epoch_state = EpochState.at(0, 3, 1.0, np.random.default_rng(0), "cpu")
    trainer.save(tmp_path / "last.pt")
    two = Trainer(GAIC.untrained(0), settings, Workers(count=2), {})
    two.restore(tmp_path / "whole.pt")
    with pytest.raises(UsageError, match="go on with one, without --workers"):
        two.restore(tmp_path / "last.pt")


def photo(number: int) -> ScoredPhoto:
    pixels = np.random.default_rng(number).integers(0, 256, (256, 256, 3), np.uint8)
    crops = np.array([[0, 0, 200, 200], [10, 10, 250, 250], [50, 50, 120, 120]], np.float64)
    return ScoredPhoto(str(number), pixels, crops, np.array([2, 3, 4], np.float32), crops[:1])


def test_a_loss_that_is_not_finite_ends_the_training_with_what_to_do() -> None:
    """The weights are made infinite after the first epoch, as a far too large step would do it."""
    settings = TrainSettings(network="gaic", epochs=3, learning_rate=0.25)
    trainer = Trainer(GAIC.untrained(0), settings, Workers(), {})

    def blow_up(trainer: Trainer, epoch: Epoch) -> None:
        for parameter in trainer.network.parameters():
            parameter.data.fill_(torch.inf)

    told = r"in epoch 2: the loss is not finite; the last good epoch is 1\. .* below 0\.25$"
    with pytest.raises(UsageError, match=told):
        trainer.train([photo(0), photo(1)], [photo(2)], blow_up)


def test_the_loss_of_an_epoch_is_the_mean_over_processes() -> None:
    """Each process sees only its share of the photos."""
    asked = []

    def mean(value: float) -> float:
        asked.append(value)
        return value + 1

    settings = TrainSettings(network="gaic", epochs=2)
    trainer = Trainer(GAIC.untrained(0), settings, Workers(mean=mean), {})
    history = trainer.train([photo(0)], [photo(1)], lambda *_: None)
    assert [epoch.loss for epoch in history.epochs] == [own + 1 for own in asked]


def test_scores_that_are_not_finite_are_not_blamed_on_annotations() -> None:
    settings = TrainSettings(network="gaic", learning_rate=0.5)
    trainer = Trainer(GAIC.untrained(0), settings, Workers(), {})
    for parameter in trainer.averaged.module.parameters():
        parameter.data.fill_(torch.nan)
    told = r"epoch 1: a score of .* no epoch before it was finished\. .* below 0\.5$"
    with pytest.raises(UsageError, match=told):
        trainer.validate([photo(0)])
