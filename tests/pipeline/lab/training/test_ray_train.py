"""Two processes train together; slow, because Ray has to start."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline.lab.cli.train import main
from s2cnet.checkpoints.published import load_gaic
from tests.pipeline.lab.training.scored_photos import write_data_set


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_processes_leave_one_set_of_weights(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    write_data_set(tmp_path / "data", train=6, test=0)
    arguments = ["--data", str(tmp_path / "data"), "--output", str(tmp_path / "out")]
    few = ["--network", "gaic", "--epochs", "2", "--crops-per-photo", "8", "--detector", "boxes"]
    try:
        assert main([*arguments, *few, "--workers", "2"]) == 0
    finally:
        ray.shutdown()
    epochs = json.loads((tmp_path / "out" / "epochs.json").read_text())
    checkpoint = torch.load(tmp_path / "out" / "last.pt", weights_only=True)
    assert len(checkpoint["epochs"]) == 2
    assert len(epochs) == 2
    load_gaic(load_file(tmp_path / "out" / "best.safetensors"))
