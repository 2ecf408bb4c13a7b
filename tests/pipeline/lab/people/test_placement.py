"""Training of the branch for placement, on synthetic photos and crops."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from pipeline.boxes import iou
from pipeline.detectors.placement_branch import PlacementBranch
from pipeline.detectors.subject_network import SubjectNetwork
from pipeline.lab.cli.learn_from_people import main
from pipeline.lab.datasets import read_set
from pipeline.lab.fold_weights import held_out_sets, network_of
from pipeline.lab.folds import fold_of
from pipeline.lab.people import placement
from pipeline.lab.people.placement import PlacementView, placement_views, train_placement
from pipeline.lab.people.places import (
    SHAPES,
    near_crop,
    place_loss,
    places_of,
    sums_inside,
    target_of,
)
from pipeline.lab.people.recipe import packaged_tensors, packaged_weights, without_placement
from pipeline.shapes import parse_shape

RED, SIZE = 96, (256, 192)


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Make grey photos with a red square, and its place as the crop of 9:16."""
    (tmp_path / "json").mkdir()
    (tmp_path / "train").mkdir()
    random = np.random.default_rng(0)
    entries = []
    for number in range(8):
        pixels = random.integers(110, 140, (SIZE[1], SIZE[0], 3), np.uint8)
        x = int(random.integers(0, SIZE[0] - RED))
        pixels[48 : 48 + RED, x : x + RED] = (220, 20, 30)
        Image.fromarray(pixels).save(tmp_path / "train" / f"{number}.png")
        middle = (x + RED / 2) / SIZE[0]
        entries.append(
            {"filename": f"{number}.png", "crop_bboxes": {"9:16": [middle, 0, middle + 0.001, 1]}}
        )
    (tmp_path / "json" / "train.json").write_text(json.dumps(entries))
    return tmp_path


@pytest.fixture(scope="module")
def network() -> SubjectNetwork:
    return network_of(packaged_weights())


def test_the_branch_learns_to_place_crops_on_what_they_show(
    crops: Path, network: SubjectNetwork
) -> None:
    examples, _ = read_set("gnmc", crops, "train")
    views = [view for one in examples for view in placement_views(network, one)]
    assert len(views) == 2 * len(examples)
    branch = train_placement(views, epochs=30)
    for view in views:
        with torch.inference_mode():
            cells = branch(*(level[None].float() for level in view.levels))[0, 0]
        ((boxes, shares),) = view.targets
        chosen = boxes[int(sums_inside(cells, boxes).argmax())].numpy()
        assert iou(chosen, boxes[int(shares.argmax())].numpy()) > 0.7


def test_a_mirrored_view_has_mirrored_places(crops: Path, network: SubjectNetwork) -> None:
    (one, *_), _ = read_set("gnmc", crops, "train")
    plain, mirrored = placement_views(network, one)
    boxes, shares = plain.targets[0]
    of_mirrored, same_shares = mirrored.targets[0]
    torch.testing.assert_close(of_mirrored[:, [0, 2]], 1 - boxes[:, [2, 0]])
    torch.testing.assert_close(of_mirrored[:, [1, 3]], boxes[:, [1, 3]])
    assert torch.equal(shares, same_shares)
    assert not torch.equal(plain.copy[0], plain.levels[0])


def test_places_near_the_labelled_crop_are_likely() -> None:
    places = places_of("1:1", (200, 100))
    np.testing.assert_allclose(places[[0, -1]], [[0, 0, 0.5, 1], [0.5, 0, 1, 1]])
    overlap = near_crop(places, np.array([0.6, 0.0, 0.9, 1.0]))  # its centre is .75
    assert overlap[-1] == pytest.approx(1)
    before = 0.4875 / 0.5125  # the place before has .4875 of its .5 in common with the last
    assert overlap[-2] == pytest.approx(before)
    _, shares = target_of(places, overlap)
    assert float(shares[-2] / shares[-1]) == pytest.approx(np.exp((before - 1) / 0.05), rel=1e-4)
    assert float(shares.sum()) == pytest.approx(1)


@pytest.mark.parametrize("shape", ["1:1", "free"])
def test_a_shape_like_the_photo_or_without_a_ratio_has_no_places(shape: str) -> None:
    assert len(places_of(shape, (100, 101))) == 0


def test_places_with_much_of_the_gaze_are_likely(
    crops: Path, tmp_path: Path, network: SubjectNetwork
) -> None:
    """Half of the fixations are at the left end, half at .9: no place at 9:16 has both."""
    (tmp_path / "osie").mkdir()
    (crops / "train" / "0.png").rename(tmp_path / "osie" / "0.png")
    seen = [[10, 96, 200], [0.9 * SIZE[0], 96, 200]] * 20
    (tmp_path / "osie.json").write_text(json.dumps({"0.png": {"viewers": [seen]}}))
    (one,), _ = read_set("labels", tmp_path / "osie", "test")
    view, _ = placement_views(network, one)
    narrow, tall, square, wide = view.targets  # the photo is 4:3
    likely = narrow[1].numpy()
    assert likely[0] == pytest.approx(likely[-1])
    assert likely[0] > 1000 * likely[20]  # which has none: e to the power of .5 / .05
    for (boxes, _), ratio in zip((narrow, tall, square, wide), SHAPES, strict=True):
        sides = (boxes[0, 2:] - boxes[0, :2]) * torch.tensor(SIZE)
        assert float(sides[0] / sides[1]) == pytest.approx(parse_shape(ratio).ratio)


def test_sums_share_cells_that_a_box_cuts() -> None:
    cells = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    boxes = torch.tensor([[0, 0, 1, 1], [0, 0, 0.5, 0.5], [0.25, 0, 0.75, 0.5], [0.5, 0.75, 1, 1]])
    # Means over the boxes are 2.5, 1, 1.5 and 4; areas 1, 1/4, 1/4 and 1/8.
    torch.testing.assert_close(sums_inside(cells, boxes), torch.tensor([2.5, 0.25, 0.375, 0.5]))


def test_the_loss_is_the_entropy_where_the_map_says_nothing() -> None:
    boxes = torch.rand(8, 4)
    shares = torch.tensor([0.5, 0.5, *[0.0] * 6])
    loss = place_loss(torch.zeros(3, 4), torch.zeros(3, 4), (boxes, shares))
    torch.testing.assert_close(loss, torch.tensor(8.0).log())


def test_the_loss_grows_where_view_and_copy_prefer_different_places() -> None:
    """Logits of the two places are 10 · .25 and 0 with the map's left half 1, and with right 1."""
    boxes = torch.tensor([[0.0, 0, 0.5, 1], [0.5, 0, 1, 1]])
    left = torch.tensor([[0.5, 0.0]])
    target = boxes, torch.tensor([0.5, 0.5])
    likely = 1 / (1 + np.exp(-2.5))
    entropy = -(np.log(likely) + np.log(1 - likely)) / 2  # the same for both maps
    divergence = 2 * (2 * likely - 1) * 2.5
    for copied, apart in ((left, 0.0), (left.flip(1), divergence)):
        loss = place_loss(left, copied, target)
        assert float(loss) == pytest.approx(entropy + 2.0 * apart, rel=1e-4)


def test_the_command_writes_the_detector_with_another_branch(
    crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "EPOCHS", 1)
    output = tmp_path / "made"
    assert main(["placement", "--crops", str(crops), "--output", str(output)]) == 0
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
    crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "EPOCHS", 1)
    counts: list[int] = []

    def train(views: Sequence[PlacementView], *_: int) -> PlacementBranch:
        counts.append(len(views))
        return PlacementBranch()

    monkeypatch.setattr(placement, "train_placement", train)
    gaze, folds, output = (tmp_path / name for name in ("osie", "folds", "made"))
    gaze.mkdir()
    folds.mkdir()
    for path in (crops / "train").iterdir():
        (gaze / path.name).write_bytes(path.read_bytes())
    names = sorted(path.name for path in gaze.iterdir())
    seen = [[[20 * n, 90, 200] for n in range(1, 9)]]
    (tmp_path / "osie.json").write_text(json.dumps({name: {"viewers": seen} for name in names}))
    state = {name: tensor.contiguous() for name, tensor in packaged_weights().items()}
    for fold in range(5):
        safetensors.torch.save_file(state, folds / f"fold{fold}.safetensors", {"sets": "osie"})
    command = ["placement", "--crops", str(crops), "--osie", str(gaze)]
    assert main([*command, "--detectors", str(folds), "--output", str(output)]) == 0
    held = [sum(fold_of("osie", name) == fold for name in names) for fold in range(5)]
    assert any(held)
    assert counts == [2 * 8 + (8 - out) for out in (0, *held)]
    made = safetensors.torch.load_file(output / "fold1.safetensors")
    assert not made["placement.out.weight"].any()
    assert held_out_sets(output / "fold1.safetensors") == {"osie"}


def test_crops_of_the_photos_own_shape_say_nothing(
    crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = crops / "json" / "train.json"
    own = [{"filename": "0.png", "crop_bboxes": {"4:3": [0, 0, 0.5, 0.5]}}]
    path.write_text(json.dumps(own))
    assert main(["placement", "--crops", str(crops), "--output", str(crops / "made")]) == 2
    assert "no photo has gaze, or a crop of a shape other" in capsys.readouterr().err


def test_branches_of_a_fold_prefer_no_place(network: SubjectNetwork) -> None:
    """The packaged branch was trained on all photos: out of fold it would know the answers."""
    without = network_of(without_placement(packaged_weights()))
    levels = without.levels(torch.rand(1, 3, 64, 96) * 255)[:4]
    assert not without.placement(*levels).any()
    assert network.placement(*levels).any()


def test_the_map_has_stride_16(network: SubjectNetwork) -> None:
    levels = network.levels(torch.zeros(1, 3, 64, 96))
    assert network.placement(*levels[:4]).shape == (1, 1, 4, 6)
