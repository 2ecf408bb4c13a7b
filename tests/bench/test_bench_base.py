"""The figures that `make bench` computes from its measurements, calculated by hand."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.photo.decode import Photo
from tests.bench import bench_base, peers
from tests.bench.bench_base import (
    ROOT,
    git,
    naive_row,
    overlap,
    previous_release,
    ratio,
    worktree,
)
from tests.bench.peers import focalnet, sizes
from tests.bench.process_tree import Cost


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


def test_the_naive_script_costs_what_more_photos_cost_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight photos take 40 s of CPU time and two 10 s: 5 s each, ten times as long as ours."""
    (tmp_path / "few").mkdir()
    for number in range(8):
        (tmp_path / f"few/{number}").touch()
    seen = {}

    def measure(command: Sequence[str]) -> Cost:
        photos = len(list(Path(command[2]).iterdir()))
        seen[photos] = command[3]
        return Cost(0.0, 5.0 * photos, 0.0)

    monkeypatch.setattr(bench_base, "measure", measure)
    row = naive_row(tmp_path, 500.0)
    assert (row["CPU ms a photo"], row["times ours"]) == (5000, 10)
    assert set(seen) == {8, 2}
    assert len({*seen.values()}) == 2


def test_focalnet_cuts_six_thumbnails_where_its_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Ranker:
        def __init__(self, path: str) -> None:
            assert path == "ranker.onnx"

        def crops(self, photo: Photo, ratios: Sequence[float]) -> list[np.ndarray]:
            asked.append((photo.pixels.shape, list(ratios)))
            return [np.float32([-0.01, 0, 100, 60]) for _ in ratios]

    photo = tmp_path / "a.jpg"
    Image.new("RGB", (100, 60)).save(photo)
    monkeypatch.delenv("FOCALNET", raising=False)
    assert focalnet([photo]) is None
    monkeypatch.setenv("FOCALNET", "ranker.onnx")
    monkeypatch.setattr(peers, "FocalNet", Ranker)
    cost = focalnet([photo])
    assert cost is not None
    assert cost > 0
    ratios = [1, 512 / 384, 512 / 288, 288 / 512, 384 / 512, 1]
    assert asked == [((60, 100, 3), ratios)] * 2


def test_the_default_base_is_the_release_that_the_page_compares_with() -> None:
    page = (ROOT / "docs/PERFORMANCE.md").read_text()
    assert f"`make bench BASE={previous_release()}`" in page
