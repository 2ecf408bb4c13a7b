"""The figures that `make bench` makes of its measurements, by hand calculation."""

import math
from pathlib import Path

import pytest

from tests.bench.bench_base import ROOT, git, overlap, ratio, worktree
from tests.bench.peers import sizes


def test_a_ratio_without_spread_has_no_width() -> None:
    assert ratio([5.0, 10.0, 1.0], [10.0, 20.0, 2.0]) == {"ratio": 0.5, "from": 0.5, "to": 0.5}


def test_the_interval_is_students() -> None:
    """Ratios 1 and 4: logarithms 0 and 2 ln 2, mean ln 2, standard error ln 2, t = 12.71."""
    found = ratio([1.0, 4.0], [1.0, 1.0])
    assert found["ratio"] == 2.0
    assert found["to"] == pytest.approx(2 * math.exp(12.71 * math.log(2)), rel=1e-3)
    assert found["from"] == pytest.approx(2 * math.exp(-12.71 * math.log(2)), abs=1e-3)


def test_crops_are_compared_by_their_keys() -> None:
    now = {"a 1:1": [0.0, 0.0, 10.0, 10.0], "b 1:1": [0.0, 0.0, 4.0, 4.0], "c 1:1": [0.0] * 4}
    before = {"a 1:1": [0.0, 0.0, 10.0, 10.0], "b 1:1": [0.0, 0.0, 4.0, 2.0]}
    assert overlap(now, before) == {"crops of both": 2, "the same": 1, "mean IoU": 0.75}


def test_thumbnails_have_a_long_side_of_512() -> None:
    assert sizes() == [(512, 512), (512, 384), (512, 288), (288, 512), (384, 512), (512, 512)]


def test_a_worktree_holds_its_commit_and_is_removed() -> None:
    with worktree("HEAD") as tree:
        assert (tree / "pipeline" / "run.py").is_file()
        assert tree != ROOT
        assert str(tree) in git("worktree", "list")
    assert not Path(tree).exists()
    assert str(tree) not in git("worktree", "list")
