"""The training loop, step by step, on samples made by hand."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from pipeline.errors import UsageError
from pipeline.lab.training.loop import Trainer, Workers
from pipeline.lab.training.parameters import set_training_mode
from pipeline.lab.training.partway import Partway
from pipeline.lab.training.samples import Sample
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
    trainer = Trainer(S2CNet.untrained("gaicv1", 0), settings, Workers(wrap=wrap))
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
    trainer = Trainer(GAIC.untrained(0), settings, Workers())
    trainer.save(tmp_path / "whole.pt")
    trainer.partway = Partway.at(0, 3, 1.0, np.random.default_rng(0), "cpu")
    trainer.save(tmp_path / "last.pt")
    two = Trainer(GAIC.untrained(0), settings, Workers(count=2))
    two.restore(tmp_path / "whole.pt")
    with pytest.raises(UsageError, match="go on with one, without --workers"):
        two.restore(tmp_path / "last.pt")
