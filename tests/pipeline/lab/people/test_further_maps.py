"""Further training of the maps' branch, on synthetic photos and labels."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from pipeline.lab.cli.learn_from_people import main
from pipeline.lab.fold_weights import network_of
from pipeline.lab.people import further_maps
from pipeline.lab.people.detector_tensors import packaged_tensors, packaged_weights
from pipeline.lab.people.further_maps import LOOKS_WEIGHT, MAPS, stored_views, train_maps
from pipeline.lab.people.labels import LOOKS, PeopleLabels

WHERE = (0.25, 0.5)  # where all people look


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    folder = tmp_path / "looks"
    folder.mkdir()
    random = np.random.default_rng(0)
    pixels = random.integers(0, 255, (96, 128, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "0.png")
    seen = [[128 * WHERE[0], 96 * WHERE[1], 200]] * 40
    labels = {"0.png": {"size_wh": [128, 96], "viewers": [seen]}}
    (tmp_path / "looks.json").write_text(json.dumps(labels))
    return folder / "0.png"


def labels_of(photo: Path, set_name: str) -> PeopleLabels:
    return PeopleLabels(photo, set_name, np.tile(WHERE, (40, 1)), np.ones(40))


def test_the_map_moves_to_where_people_look_and_nothing_else_changes(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(further_maps, "VIEWS_PER_PHOTO", 8)
    network = network_of(packaged_weights())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    views = stored_views(network, [labels_of(photo, "osie")])
    losses = [mean_loss(network, views)]
    train_maps(network, views)
    losses.append(mean_loss(network, views))
    assert losses[1] < 0.8 * losses[0]
    after = network.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed
    assert all(name.startswith(MAPS) for name in changed)


def mean_loss(network: further_maps.SubjectNetwork, views: list[further_maps.StoredView]) -> float:
    """Mean divergence of the packaged branch's own gaze maps of the views from their targets."""
    found = []
    for one in views:
        levels = [level[:1].float() for level in one.levels]
        with torch.inference_mode():
            gaze, _ = network.people.maps(levels[0], levels[1], levels[2], levels[3])
        assert one.view.gaze is not None
        predicted = gaze.flatten().log_softmax(0).numpy()
        found.append(-float((one.view.gaze.ravel() * predicted).sum()))
    return float(np.mean(found))


def test_a_photo_with_predicted_fixations_counts_more(photo: Path) -> None:
    network = network_of(packaged_weights())
    own, predicted = (
        [one.view.gaze_weight for one in stored_views(network, [labels_of(photo, name)])]
        for name in ("osie", LOOKS)
    )
    assert predicted == [LOOKS_WEIGHT * weight for weight in own]


def test_the_command_writes_the_detector_with_other_maps(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(further_maps, "EPOCHS", 1)
    output = tmp_path / "made"
    assert main(["maps", "--looks", str(photo.parent), "--output", str(output)]) == 0
    made = safetensors.torch.load_file(output / "subjects.safetensors")
    packaged = packaged_tensors()
    assert made.keys() == packaged.keys()
    assert {name: tensor.dtype for name, tensor in made.items()} == {
        name: tensor.dtype for name, tensor in packaged.items()
    }
    changed = {name for name in made if not torch.equal(made[name], packaged[name])}
    assert changed
    assert all(name.startswith(MAPS) for name in changed)


def test_without_gaze_or_crops_nothing_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["maps", "--output", str(tmp_path / "made")]
    assert main(asked) == 2
    assert "give at least one of --osie, --eyecrowd and --flms" in capsys.readouterr().err
    (tmp_path / "osie").mkdir()
    Image.new("RGB", (60, 40)).save(tmp_path / "osie/a.png")
    (tmp_path / "osie.json").write_text('{"a.png": {"heads": []}}')
    assert main([*asked, "--osie", str(tmp_path / "osie")]) == 2
    assert "no photo has people's gaze or crops" in capsys.readouterr().err
