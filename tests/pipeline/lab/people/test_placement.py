"""Training of the branch for placement, on synthetic photos."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from pipeline.cropping.rule import packaged_rule
from pipeline.detectors.placement_branch import PlacementBranch
from pipeline.detectors.subject_network import SubjectNetwork
from pipeline.lab.cli.learn_from_people import main
from pipeline.lab.datasets import Example, read_set
from pipeline.lab.fold_weights import held_out_sets, network_of
from pipeline.lab.folds import fold_of
from pipeline.lab.people import placement
from pipeline.lab.people.detector_tensors import (
    packaged_tensors,
    packaged_weights,
    without_placement,
)
from pipeline.lab.people.placement import PlacementView, placement_views, train_placement
from s2cnet import FastS2CNet, load_model

RED, SIZE = 96, (256, 192)
NARROW = 108  # width of the largest crop of 9:16


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """Make grey photos with two squares: for 9:16 it is acceptable to show the one that is grey."""
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    labels = {}
    for number in range(6):
        pixels = random.integers(110, 140, (SIZE[1], SIZE[0], 3), np.uint8)
        at = [0, SIZE[0] - RED]
        random.shuffle(at)
        pixels[48 : 48 + RED, at[0] : at[0] + RED] = (220, 20, 30)
        pixels[48 : 48 + RED, at[1] : at[1] + RED] = (60, 60, 60)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        edge = 0 if at[1] == 0 else SIZE[0] - NARROW
        labels[f"{number}.png"] = {"places": {"9:16": [[max(0, edge - 12), edge + 12]]}}
    (tmp_path / "photos.json").write_text(json.dumps(labels))
    return folder


@pytest.fixture(scope="module")
def network() -> SubjectNetwork:
    return network_of(packaged_weights())


@pytest.fixture(scope="module")
def scorer() -> FastS2CNet:
    return FastS2CNet(load_model("starter"), with_backbone=True)


def relabelled(folder: Path, labels: dict[str, object]) -> list[Example]:
    folder.with_suffix(".json").write_text(json.dumps({"0.png": labels}))
    return labelled(folder)


def labelled(folder: Path) -> list[Example]:
    return read_set("labels", folder, "test")[0]


def chosen_by(view: PlacementView, branch: PlacementBranch) -> float:
    """Return how acceptable the candidate of the largest value with placement is."""
    with torch.inference_mode():
        maps = branch(*(level[None].float() for level in view.levels))[0]
    (one,), (places,) = view.candidates, view.places
    values = one.values + one.weight * places(maps)
    return float(one.agreement[int(values.argmax())])


def test_the_branch_learns_which_of_the_rules_candidates_are_acceptable(
    places: Path, network: SubjectNetwork, scorer: FastS2CNet
) -> None:
    views = [v for one in labelled(places) for v in placement_views(network, scorer, "set", one)]
    assert len(views) == 2 * 6
    before = [chosen_by(view, PlacementBranch()) for view in views]
    assert np.mean(before) < 0.6, "or there is nothing to learn"
    branch = train_placement(views, epochs=40)
    assert not branch.training
    assert np.mean([chosen_by(view, branch) for view in views]) > 0.9


def test_a_mirrored_view_has_mirrored_candidates(
    places: Path, network: SubjectNetwork, scorer: FastS2CNet
) -> None:
    plain, mirrored = placement_views(network, scorer, "set", labelled(places)[0])
    ((one,), (other,)) = plain.candidates, mirrored.candidates
    torch.testing.assert_close(other.boxes[:, [0, 2]], 1 - one.boxes[:, [2, 0]])
    assert torch.equal(one.agreement, other.agreement)
    assert not one.is_measured
    assert one.weight == pytest.approx(packaged_rule().placement * 0.4)  # 9:16 is far from 4:3
    maps = torch.randn(3, *plain.levels[1].shape[-2:])
    good, of_mirrored = plain.places[0](maps), mirrored.places[0](maps.flip(-1))
    torch.testing.assert_close(of_mirrored, good, atol=1e-4, rtol=0)
    assert not torch.equal(plain.copy[0], plain.levels[0])


def test_gaze_gives_candidates_of_four_shapes(
    places: Path, network: SubjectNetwork, scorer: FastS2CNet
) -> None:
    """Half of the fixations are at the left end, half at .9: no place at 9:16 has both."""
    seen = [[10, 96, 200], [0.9 * SIZE[0], 96, 200]] * 20
    (one,) = relabelled(places, {"viewers": [seen]})
    view, _ = placement_views(network, scorer, "osie", one)
    assert len(view.candidates) == len(view.places) == 4
    for of_shape in view.candidates:
        assert of_shape.is_measured
        x0, _, x1, _ = of_shape.boxes.T
        expected = ((x0 <= 10 / SIZE[0]).float() + (x1 > 0.9).float()) / 2
        shown = (of_shape.boxes[:, 1] < 0.5) & (of_shape.boxes[:, 3] > 0.5)
        torch.testing.assert_close(of_shape.agreement, expected * shown)
    assert float(view.candidates[0].agreement.max()) == 0.5


def test_heads_that_a_crop_keeps_whole_count_beside_gaze(
    places: Path, network: SubjectNetwork, scorer: FastS2CNet
) -> None:
    heads = [{"box": [0, 60, 20, 90]}, {"box": [230, 60, 256, 90]}]
    (one,) = relabelled(places, {"viewers": [[[128, 96, 200]] * 40], "heads": heads})
    view, _ = placement_views(network, scorer, "eyecrowd", one)
    narrow = view.candidates[0]
    x0, y0, x1, y1 = narrow.boxes.T
    gaze = ((x0 <= 0.5) & (x1 > 0.5) & (y0 <= 0.5) & (y1 > 0.5)).float()
    left = (x0 == 0) & (y0 * SIZE[1] <= 60) & (y1 * SIZE[1] >= 90)
    right = (x1 == 1) & (y0 * SIZE[1] <= 60) & (y1 * SIZE[1] >= 90)
    assert left.any()
    assert right.any()
    expected = gaze + 0.5 * (left.float() + right.float()) / 2
    torch.testing.assert_close(narrow.agreement, expected)


def test_peoples_own_crops_give_every_third_of_their_ratios(
    places: Path, network: SubjectNetwork, scorer: FastS2CNet
) -> None:
    crops = [[0, 0, 90, 160], [0, 0, 50, 50], [9, 9, 99, 99], [60, 0, 150, 160]]
    (one,) = relabelled(places, {"crops": crops})
    view, _ = placement_views(network, scorer, "flms", one)
    assert len(view.candidates) == 2  # both of 9:16, for the first person and the fourth
    best = view.candidates[0].boxes[int(view.candidates[0].agreement.argmax())]
    assert float(best[0]) * SIZE[0] < 60, "between the two crops of this ratio"
    assert view.candidates[0].is_measured


def test_the_command_writes_the_detector_with_another_branch(
    places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "EPOCHS", 1)
    output = tmp_path / "made"
    assert main(["placement", "--places", str(places), "--output", str(output)]) == 0
    made, packaged = (
        safetensors.torch.load_file(output / "subjects.safetensors"),
        packaged_tensors(),
    )
    assert {name: tensor.dtype for name, tensor in made.items()} == {
        name: tensor.dtype for name, tensor in packaged.items()
    }
    changed = {name for name in made if not torch.equal(made[name], packaged[name])}
    assert changed
    assert all(name.startswith("placement.") for name in changed)
    network_of(packaged_weights() | {name: made[name] for name in changed})


def test_with_detectors_by_fold_each_is_trained_without_its_fold(
    places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []

    def train(views: Sequence[PlacementView], *_: int) -> PlacementBranch:
        counts.append(len(views))
        return PlacementBranch()

    monkeypatch.setattr(placement, "train_placement", train)
    gaze, folds, output = (tmp_path / name for name in ("osie", "folds", "made"))
    gaze.mkdir()
    folds.mkdir()
    for path in places.iterdir():
        (gaze / path.name).write_bytes(path.read_bytes())
    names = sorted(path.name for path in gaze.iterdir())
    seen = [[[20 * n, 90, 200] for n in range(1, 9)]]
    (tmp_path / "osie.json").write_text(json.dumps({name: {"viewers": seen} for name in names}))
    state = {name: tensor.contiguous() for name, tensor in packaged_weights().items()}
    for fold in range(5):
        safetensors.torch.save_file(state, folds / f"fold{fold}.safetensors", {"sets": "osie"})
    command = ["placement", "--places", str(places), "--osie", str(gaze)]
    assert main([*command, "--detectors", str(folds), "--output", str(output)]) == 0
    held = [sum(fold_of("osie", name) == fold for name in names) for fold in range(5)]
    assert any(held)
    assert counts == [2 * (6 + 6 - out) for out in (0, *held)]
    made = safetensors.torch.load_file(output / "fold1.safetensors")
    assert not made["placement.out.weight"].any()
    assert held_out_sets(output / "fold1.safetensors") == {"osie"}


def test_a_photo_is_of_the_places_or_of_a_fold(
    places: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of the places teach the detectors of all folds."""
    labels = json.loads(places.with_suffix(".json").read_text())
    labels["5.png"]["viewers"] = [[[20, 90, 200]]]
    places.with_suffix(".json").write_text(json.dumps(labels))
    given = ["--places", str(places), "--osie", str(places)]
    assert main(["placement", *given, "--output", str(places.parent / "made")]) == 2
    assert "5.png is given twice" in capsys.readouterr().err


def test_places_of_the_photos_own_shape_say_nothing(
    places: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places.with_suffix(".json").write_text(json.dumps({"0.png": {"places": {"4:3": [[0, 0]]}}}))
    made = places.parent / "made"
    assert main(["placement", "--places", str(places), "--output", str(made)]) == 2
    assert "no photo has people's labels, or places for a shape other" in capsys.readouterr().err


def test_branches_of_a_fold_prefer_no_place(network: SubjectNetwork) -> None:
    """The packaged branch was trained on all photos: out of fold it would know the answers."""
    without = network_of(without_placement(packaged_weights()))
    levels = without.levels(torch.rand(1, 3, 64, 96) * 255)[:4]
    assert not without.placement(*levels).any()
    assert network.placement(*levels).any()


def test_the_maps_have_stride_16(network: SubjectNetwork) -> None:
    levels = network.levels(torch.zeros(1, 3, 64, 96))
    assert network.placement(*levels[:4]).shape == (1, 3, 4, 6)
