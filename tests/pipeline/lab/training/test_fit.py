"""A training's folder: what is written at its end, and what a second call does with it."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from pipeline.lab.cli.train import main
from tests.pipeline.lab.training.scored_photos import write_data_set

QUICK = ["--network", "gaic", "--detector", "boxes", "--epochs", "1", "--crops-per-photo", "4"]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("gaic")
    write_data_set(root, train=4, test=1)
    return root


def run(data: Path, output: Path, *more: str) -> int:
    return main(["--data", str(data), "--output", str(output), *QUICK, *more])


def test_the_end_writes_cards_alone_and_damaged_weights_are_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, tmp_path) == 0
    best = tmp_path / "best.safetensors"
    written = best.stat().st_mtime_ns
    assert run(data, tmp_path) == 0, "all epochs are done: the test photos are measured again"
    assert best.stat().st_mtime_ns == written
    card = json.loads((tmp_path / "best.json").read_text())
    assert card["sha256"] == sha256(best.read_bytes()).hexdigest()
    assert card["measures"]["test_photos"] == 1
    best.write_bytes(best.read_bytes()[:5000])
    assert run(data, tmp_path) == 2
    assert f"{best}: damaged safetensors file" in capsys.readouterr().err
