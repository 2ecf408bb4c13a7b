"""Cached results for photos are reused, but only for the same networks and pixels."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import s2cnet
from pipeline.lab.datasets import Example
from pipeline.lab.fold_weights import FoldWeights
from pipeline.lab.folds import FOLDS
from pipeline.lab.people import held_out, held_out_cache
from pipeline.lab.people.held_out import PeoplePhoto, held_out_photos
from pipeline.report.progress import Log


@pytest.fixture
def weights(tmp_path: Path) -> FoldWeights:
    for folder in ("detectors", "networks"):
        (tmp_path / folder).mkdir()
        for fold in range(FOLDS):
            (tmp_path / folder / f"fold{fold}.safetensors").write_bytes(b"12345678 " + b"x" * 9)
    return FoldWeights(tmp_path / "detectors")


@pytest.fixture
def photo(tmp_path: Path) -> PeoplePhoto:
    Image.new("RGB", (96, 64), (200, 30, 30)).save(tmp_path / "a.png")
    crop = np.array([[10, 10, 80, 60]], np.float32)
    return PeoplePhoto.of("flms", Example("a", tmp_path / "a.png", human_px=crop))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The photos that networks looked at; what they tell of one is how many it was before."""
    calls: list[str] = []

    def run_networks(labels: PeoplePhoto, detector: object, network: object) -> str:
        calls.append(labels.example.id)
        return f"look {len(calls)}"

    monkeypatch.setattr(held_out, "run_networks", run_networks)
    monkeypatch.setattr(FoldWeights, "detector_with_branch", lambda self, fold: object())
    monkeypatch.setattr(FoldWeights, "network", lambda self, fold: object())
    monkeypatch.setattr(FoldWeights, "scorer", lambda self, fold, load_default: object())
    return calls


def test_the_same_photos_are_seen_once(
    photo: PeoplePhoto, weights: FoldWeights, seen: list[str], tmp_path: Path
) -> None:
    cache = tmp_path / "seen.bin"
    for _ in range(2):
        assert held_out_photos([photo], weights, cache, Log()) == ["look 1"]
    assert seen == ["a"]
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    "changed", ["pixels", "labels", "starter", "networks", "candidates", "operator"]
)
def test_it_answers_for_the_same_alone(
    changed: str,
    photo: PeoplePhoto,
    weights: FoldWeights,
    seen: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = tmp_path / "seen.bin"
    held_out_photos([photo], weights, cache, Log())
    sources = {
        "candidates": Path(held_out.__file__).parents[2] / "cropping/candidates.py",
        "operator": Path(s2cnet.__file__),
    }
    if changed == "pixels":
        Image.new("RGB", (96, 64), (0, 0, 0)).save(tmp_path / "a.png")
    elif changed == "labels":
        wider = np.array([[10, 10, 81, 60]], np.float32)
        photo = PeoplePhoto.of("flms", replace(photo.example, human_px=wider))
    elif changed == "starter":
        monkeypatch.setattr(held_out_cache, "read_weights", lambda name: b"another network")
    elif changed == "networks":
        weights = FoldWeights(weights.detectors, tmp_path / "networks")
    else:
        read = Path.read_bytes
        edited = {sources[changed]: b"# another line"}
        monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + edited.get(path, b""))
    assert held_out_photos([photo], weights, cache, Log()) == ["look 2"]


def test_a_damaged_file_is_told_and_made_anew(
    photo: PeoplePhoto,
    weights: FoldWeights,
    seen: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cache = tmp_path / "seen.bin"
    held_out_photos([photo], weights, cache, Log())
    whole = cache.read_bytes()
    for look, damaged in enumerate((whole[:-3], whole[:40], whole[:-1] + b"!"), start=2):
        cache.write_bytes(damaged)
        assert held_out_photos([photo], weights, cache, Log()) == [f"look {look}"]
        assert f"{cache} is damaged" in capsys.readouterr().out
        kept = cache.read_bytes()
        assert kept[32:64] == hashlib.sha256(kept[64:]).digest()


def test_a_write_that_ends_early_leaves_the_file_before(
    photo: PeoplePhoto,
    weights: FoldWeights,
    seen: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = tmp_path / "seen.bin"
    held_out_photos([photo], weights, cache, Log())
    before = cache.read_bytes()
    Image.new("RGB", (96, 64), (0, 0, 0)).save(tmp_path / "a.png")

    def full_disk(path: Path, other: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        held_out_photos([photo], weights, cache, Log())
    assert cache.read_bytes() == before
