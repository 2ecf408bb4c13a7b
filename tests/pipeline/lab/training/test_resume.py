"""The file from which training resumes: which run it belongs to, and damaged files."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch

from pipeline.errors import UsageError
from pipeline.lab.training.resume import (
    check_same_run,
    is_of_earlier_version,
    read_state,
    write_state,
)

STATE = {
    "settings": {"seed": 1, "epochs": 2},
    "origin": {"training photos": "ab", "detector": ""},
    "network": {"w": torch.zeros(100)},
    "averaged": {},
    "optimizer": {},
    "epochs": [],
}


def test_what_differs_is_named() -> None:
    path, settings = Path("last.pt"), STATE["settings"]
    check_same_run(path, STATE, settings, STATE["origin"])
    with pytest.raises(UsageError, match=r"last\.pt is of a run with other settings: epochs; give"):
        check_same_run(path, STATE, {"seed": 1, "epochs": 3}, None)
    other = {"training photos": "cd", "detector": ""}
    with pytest.raises(UsageError, match=r"other training photos; give another .* --limit"):
        check_same_run(path, STATE, settings, other)
    check_same_run(path, {**STATE, "origin": None}, settings, other)  # nothing is known of it


def test_an_earlier_version_s_file_is_told(tmp_path: Path) -> None:
    assert not is_of_earlier_version(tmp_path)
    write_state(tmp_path / "last.pt", STATE)
    assert not is_of_earlier_version(tmp_path)
    torch.save({name: STATE[name] for name in STATE if name != "origin"}, tmp_path / "last.pt")
    assert is_of_earlier_version(tmp_path)


@pytest.mark.parametrize("length", [0, 1, 100, -100])
def test_a_damaged_file_says_what_to_do(tmp_path: Path, length: int) -> None:
    path = tmp_path / "last.pt"
    write_state(path, STATE)
    assert read_state(path)["origin"] == STATE["origin"]
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UsageError, match=r"last\.pt is damaged, .* or delete it to start over$"):
        read_state(path)


@pytest.mark.parametrize(
    "content",
    [[1, 2], {"model": {}}, {"settings": {}}, {"model": Namespace(names=["a"])}],
    ids=["list", "other names", "only settings", "objects"],
)
def test_another_program_s_file_is_refused(tmp_path: Path, content: object) -> None:
    """Others write a last.pt too, some of them with objects of their own classes."""
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(UsageError, match=r"last\.pt is .*(not|no checkpoint) of a training; give"):
        read_state(tmp_path / "last.pt")


def test_a_checkpoint_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "last.pt").mkdir()
    with pytest.raises(UsageError, match=r"last\.pt cannot be read: Is a directory"):
        is_of_earlier_version(tmp_path)
