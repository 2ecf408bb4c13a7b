"""Files stay as they were if writing is interrupted, for instance by a full disk."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pipeline.errors import SettingError
from pipeline.lab.evaluation.report import write_report
from pipeline.lab.evaluation.summary import summarise
from pipeline.lab.training.card import Card, write_weights
from pipeline.lab.training.history import Epoch, draw_curves
from pipeline.lab.weight_files import write_tensors
from pipeline.output_files import make_folder, make_parent_folder, replacing, write_atomic

CARD = Card("a card", "s2cnet", "gaicv1", data={}, settings={}, measures={})


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    write_atomic(path, b"old")
    with at_most(100), pytest.raises(OSError, match="too large"):
        write_atomic(path, bytes(1000))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_processes_that_write_one_file_do_not_mix(tmp_path: Path) -> None:
    """Another process writes the whole file between two parts of ours, which ends last."""
    path = tmp_path / "list.json"
    code = "import sys; from pathlib import Path; from pipeline.output_files import write_atomic; "
    code += "write_atomic(Path(sys.argv[1]), b'theirs, and longer than ours')"
    with replacing(path) as draft, draft.open("wb") as file:
        file.write(b"ou")
        file.flush()
        subprocess.run([sys.executable, "-c", code, str(path)], check=True)
        assert path.read_bytes() == b"theirs, and longer than ours"
        file.write(b"rs")
    assert path.read_bytes() == b"ours"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a" * 255, "ä" * 127, "漢" * 80 + "abcdefghijklmno"])
def test_a_file_may_have_the_longest_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for data in (b"old", b"new"):
        write_atomic(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_drafts_of_killed_processes_are_removed_a_day_later(tmp_path: Path) -> None:
    now, day = time.time(), 86_400
    left = {
        "a.csv.0123abcd.part": 1.1 * day,  # the only one that is certain to be left over
        "a.csv.89abcdef.part": 0.9 * day,
        "a.csv.part": 9 * day,  # a file of somebody else
        "a.csv.01234567.part.csv": 9 * day,
        "b-a.csv.01234567.part": 9 * day,
        "aXcsv.01234567.part": 9 * day,
    }
    for name, age_s in left.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (now - age_s, now - age_s))
    write_atomic(tmp_path / "a.csv", b"new")
    kept = {"a.csv", *left} - {"a.csv.0123abcd.part"}
    assert {path.name for path in tmp_path.iterdir()} == kept


@pytest.mark.parametrize(
    "write",
    [
        lambda folder, tensors: write_weights(folder, "best", tensors, CARD),
        lambda folder, tensors: write_tensors(folder / "best.safetensors", tensors),
    ],
    ids=["of a training", "of the starter"],
)
def test_weights_outlive_a_write_that_fails(
    tmp_path: Path, write: Callable[[Path, dict[str, Tensor]], object]
) -> None:
    write(tmp_path, {"w": torch.full((500,), 3.0)})
    with at_most(700), pytest.raises(OSError, match="too large"):
        write(tmp_path, {"w": torch.full((500,), 4.0)})
    kept = load_file(tmp_path / "best.safetensors")["w"]
    assert kept.tolist() == [3.0] * 500


def test_curves_outlive_a_write_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    draw_curves([Epoch(0, 1e-4, 1.0, 1.0, 0.5, 0.5)], path)
    before = path.read_bytes()
    with at_most(1000), pytest.raises(OSError, match="too large"):
        draw_curves([Epoch(0, 1e-4, 2.0, 2.0, 0.1, 0.1)], path)
    assert path.read_bytes() == before


def test_a_report_outlives_a_write_that_fails(tmp_path: Path) -> None:
    report: dict[str, Any] = {
        "dataset": "photos", "split": "test", "notes": [], "run": {}, **summarise([], 1, 0),
        "rows": [],
    }  # fmt: skip
    paths = write_report(report, tmp_path)
    before = [path.read_bytes() for path in paths]
    with at_most(100), pytest.raises(OSError, match="too large"):
        write_report({**report, "notes": ["another"]}, tmp_path)
    assert [path.read_bytes() for path in paths] == before


def test_a_device_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "null"
    path.symlink_to("/dev/null")
    write_atomic(path, b"new")
    assert path.is_char_device()


def test_folders_to_write_to_are_made_or_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    make_folder(tmp_path / "a/b", "output")
    make_parent_folder(tmp_path / "c/d.json", "output")
    make_parent_folder(file, "output")  # it is replaced
    assert (tmp_path / "a/b").is_dir()
    assert [path.name for path in (tmp_path / "c").iterdir()] == []
    for folder in (file, file / "below"):
        with pytest.raises(SettingError, match=f"output {folder} is no folder to write to"):
            make_folder(folder, "output")
    with pytest.raises(SettingError, match=f"cache {tmp_path} is a folder"):
        make_parent_folder(tmp_path, "cache")
    with pytest.raises(SettingError, match=f"cache {file} is no folder"):
        make_parent_folder(file / "seen.bin", "cache")
