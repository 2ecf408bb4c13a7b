"""The folder of a training: what is written at the end, and how a second call uses it."""

import json
import shutil
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipeline.lab.cli.train import main
from pipeline.lab.datasets.example import Example
from pipeline.lab.training.fit import card_of
from pipeline.lab.training.settings import TrainSettings
from pipeline.lab.training.split import Split
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


def test_the_end_writes_cards_alone(data: Path, tmp_path: Path) -> None:
    assert run(data, tmp_path) == 0
    best = tmp_path / "best.safetensors"
    written = best.stat().st_mtime_ns
    assert run(data, tmp_path) == 0, "all epochs are done: the test photos are measured again"
    assert best.stat().st_mtime_ns == written
    card = json.loads((tmp_path / "best.json").read_text())
    assert card["sha256"] == sha256(best.read_bytes()).hexdigest()
    assert card["measures"]["test_photos"] == 1


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (lambda best: best.write_bytes(best.read_bytes()[:5000]), "{}: damaged safetensors file"),
        (lambda best: best.unlink(), "there is no weights file {}."),
        (lambda best: save_file({"w": torch.zeros(2)}, best), "{}: "),
    ],
    ids=["cut off", "gone", "other weights"],
)
def test_unusable_weights_of_the_best_epoch_are_not_those_of_the_start(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    harm: Callable[[Path], object],
    problem: str,
) -> None:
    """What the message says to delete is enough to train again."""
    assert run(data, tmp_path) == 0
    best, last = tmp_path / "best.safetensors", tmp_path / "last.pt"
    harm(best)
    capsys.readouterr()
    assert run(data, tmp_path) == 2
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "best.safe" in line]
    assert problem.format(best) in said
    assert "start is wrong" not in said
    assert said.endswith(f"restore the file from a copy, or delete {last} to train from the start")
    last.unlink()
    assert run(data, tmp_path) == 0
    card = json.loads((tmp_path / "best.json").read_text())
    assert card["sha256"] == sha256(best.read_bytes()).hexdigest()


def test_other_photos_or_another_start_are_not_resumed(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, tmp_path, "--limit", "3") == 0
    before = (tmp_path / "best.json").read_bytes()
    for more, named in (
        ((), "training photos"),
        (("--limit", "2"), "training photos"),
        (("--limit", "3", "--start", str(tmp_path / "best.safetensors")), "first weights"),
    ):
        assert run(data, tmp_path, *more) == 2
        error = capsys.readouterr().err
        assert "of a run with other" in error
        assert named in error
    assert (tmp_path / "best.json").read_bytes() == before
    assert run(data, tmp_path, "--limit", "3") == 0


def test_a_package_that_an_epoch_needs_at_its_end_is_asked_for_at_its_start(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    assert run(data, tmp_path) == 2
    shown = capsys.readouterr()
    assert "this needs the package scipy" in shown.err
    assert "reading training photos" not in shown.out


def test_given_boxes_are_asked_for_before_any_photo_is_read(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = tmp_path / "data"
    shutil.copytree(data, copied)
    (copied / "bbox" / "test000.txt").unlink()
    assert run(copied, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "--detector boxes takes those that come with the data, and 1 photo has none" in error
    assert f"such as {copied / 'images' / 'test' / 'test000.jpg'}: name another one" in error
    assert not (tmp_path / "out").exists()


def test_the_card_speaks_of_test_photos_only_where_there_are_some(tmp_path: Path) -> None:
    settings, some = TrainSettings(), [Example("a", Path("a.jpg"))]
    validated = {"validation_srcc": 0.5}
    without = card_of(settings, Split(some, some, []), None, validated)
    assert without.notes[1:] == ["Chosen by its SRCC on the validation photos."]
    tested = card_of(settings, Split(some, some, some), None, {**validated, "test_photos": 1})
    assert tested.notes[2:] == ["The test photos took no part in the choice."]


@pytest.mark.parametrize(
    ("start", "named"),
    [
        (None, "random weights"),
        ("starter", "starter"),
        ("runs/first/best.safetensors", "best.safetensors"),
        ("https://key:secret@example.com/ours/best.pth?token=a/b", "best.pth"),
    ],
)
def test_the_card_names_the_first_weights_without_their_address(
    start: str | None, named: str
) -> None:
    some = [Example("a", Path("a.jpg"))]
    card = card_of(TrainSettings(), Split(some, some, []), start, {})
    assert card.notes[0] == f"Started from {named}."


def test_a_measure_without_photos_is_null(tmp_path: Path) -> None:
    """Acc5 needs five scored crops; Python's own writer puts NaN, which is not valid JSON."""
    data = tmp_path / "few"
    write_data_set(data, train=4, test=1)
    for path in (data / "annotations").iterdir():
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:4]))
    assert run(data, tmp_path) == 0
    (epoch,) = json.loads((tmp_path / "epochs.json").read_text(), parse_constant=pytest.fail)
    card = json.loads((tmp_path / "best.json").read_text(), parse_constant=pytest.fail)
    assert epoch["validation_acc5"] is None
    assert card["measures"]["validation_acc5"] is None
    assert "| validation acc5 | – |" in (tmp_path / "best.md").read_text()
