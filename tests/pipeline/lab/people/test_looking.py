"""End-to-end training of the branches that predict maps, on synthetic photos and labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from pipeline.detectors.differences import LOOKING, as_differences, from_differences, of_trunk
from pipeline.detectors.subject_network import SubjectNetwork
from pipeline.lab.cli.learn_from_people import main
from pipeline.lab.fold_weights import fold_metadata, held_out_sets, network_of
from pipeline.lab.people import looking, recipe
from pipeline.lab.people.detector_tensors import packaged_weights
from pipeline.lab.people.labels import PeopleLabels
from pipeline.lab.people.looking import train_looking
from pipeline.lab.people.looking_views import jitter_colours, random_part, random_view


@pytest.fixture
def labels(tmp_path: Path) -> PeopleLabels:
    random = np.random.default_rng(0)
    path = tmp_path / "0.png"
    Image.fromarray(random.integers(0, 255, (96, 128, 3), np.uint8)).save(path)
    left = np.tile([0.25, 0.5], (40, 1))  # all people look at the left
    crops = np.array([[0.0, 0.0, 0.5, 1.0]])
    return PeopleLabels(path, "osie", left, np.ones(40), crops)


def test_only_what_tells_maps_is_trained(
    labels: PeopleLabels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "VIEWS_PER_STEP", 2)
    monkeypatch.setattr(looking, "WARMUP_STEPS", 1)
    network = network_of(packaged_weights())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    train_looking(network, [labels], steps=3)
    after = network.state_dict()
    maps = {n for n in after if n.startswith((LOOKING, "people.map_"))}
    assert all(torch.equal(after[name], before[name]) for name in after if name not in maps)
    assert all(torch.isfinite(after[name]).all() for name in maps)
    assert not torch.equal(
        after["looking.0.0.project.1.weight"], before["looking.0.0.project.1.weight"]
    )
    assert not torch.equal(after["people.map_out.weight"], before["people.map_out.weight"])


def test_a_view_shows_fixations_where_its_part_has_them(labels: PeopleLabels) -> None:
    views = [random_view(labels, np.random.default_rng(seed)) for seed in range(12)]
    seen = [view for view in views if view is not None]
    assert len(seen) > 6
    for view in seen:
        assert view.pixels.shape == view.degraded.shape
        assert view.gaze is not None
        assert view.kept is not None
        # fixations lie in the middle of the kept half, mirrored or not
        column = int(view.gaze.sum(axis=0).argmax())
        assert view.kept[:, column // 2].mean() > 0.9
        assert view.gaze.sum() == pytest.approx(1, abs=1e-4)


def test_parts_lie_inside_and_near_ones_show_nearly_all() -> None:
    random = np.random.default_rng(0)
    far = np.array([random_part(random, near=False) for _ in range(200)])
    near = np.array([random_part(random, near=True) for _ in range(200)])
    for parts in (far, near):
        assert (parts[:, :2] >= 0).all()
        assert (parts[:, 2:] <= 1 + 1e-9).all()
    assert (near[:, 2:] - near[:, :2]).min() > 0.65
    assert (far[:, 2:] - far[:, :2]).min() < 0.5


def test_other_colours_keep_an_even_grey_even() -> None:
    grey = np.full((4, 4, 3), 128, np.uint8)
    changed = {int(jitter_colours(grey, np.random.default_rng(seed))[0, 0, 0]) for seed in range(5)}
    assert len(changed) > 1
    assert np.ptp(jitter_colours(grey, np.random.default_rng(0))) == 0


def test_differences_tell_the_stages_to_half_a_step() -> None:
    state = packaged_weights()
    random = torch.Generator().manual_seed(0)
    for name in [name for name in state if name.startswith(LOOKING)]:
        trunk = state[of_trunk(name)].float()
        state[name] = (trunk + 0.01 * torch.randn(trunk.shape, generator=random)).half()
    packed = as_differences(state)
    told = from_differences(packed)
    assert told.keys() == state.keys()
    name = "looking.0.0.project.1.weight"
    assert packed[name].dtype == torch.int8
    step = packed[name + ".step"].float().max()
    assert (told[name].float() - state[name].float()).abs().max() <= 0.51 * step + 2e-4
    assert all(torch.equal(told[n], state[n]) for n in state if not n.startswith(LOOKING))
    assert from_differences(told).keys() == told.keys()


def test_the_command_writes_what_the_detector_reads(
    labels: PeopleLabels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[int, int, str]] = []

    def train(
        network: SubjectNetwork, photos: list[PeopleLabels], steps: int, *rest: object
    ) -> None:
        trained.append((len(photos), steps, str(rest[1])))
        weight = network.state_dict()["looking.0.0.project.1.weight"]
        weight += 0.01

    monkeypatch.setattr(recipe, "train_looking", train)
    other = replace(labels, photo=labels.photo.with_name("other.png"))
    assert other.fold != labels.fold
    monkeypatch.setattr(recipe, "read_people_labels", lambda *folders: [labels, other])
    start, made = tmp_path / "start", tmp_path / "made"
    start.mkdir()
    names = ("subjects.safetensors", *(f"fold{i}.safetensors" for i in range(5)))
    for name in names:
        told = fold_metadata(["flms"]) if name.startswith("fold") else None
        safetensors.torch.save_file(packaged_weights(), start / name, told)
    asked = ["--detectors", str(start), "--output", str(made), "--steps", "7", "--device", "cpu"]
    assert main(["looking", "--osie", str(tmp_path), *asked]) == 0
    assert [steps for _, steps, _ in trained] == [7] * 6
    assert {device for _, _, device in trained} == {"cpu"}
    # each photo is held out from one fold
    assert sorted(photos for photos, _, _ in trained) == [1, 1, 2, 2, 2, 2]
    before = packaged_weights()["looking.0.0.project.1.weight"].float()
    for name in names:
        state = from_differences(safetensors.torch.load_file(made / name))
        moved = network_of(state).state_dict()["looking.0.0.project.1.weight"] - before
        assert float(moved.mean()) == pytest.approx(0.01, abs=1e-3)
        # `branches` held out photos of flms, this training those of osie
        held_out = {"flms", "osie"} if name.startswith("fold") else None
        assert held_out_sets(made / name) == held_out
    assert (made / names[0]).stat().st_size < 0.8 * (made / names[1]).stat().st_size


def test_all_weights_are_read_before_the_first_training(
    labels: PeopleLabels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = replace(labels, photo=labels.photo.with_name("other.png"))
    monkeypatch.setattr(recipe, "read_people_labels", lambda *folders: [labels, other])
    monkeypatch.setattr(recipe, "train_looking", lambda *_: pytest.fail("it was trained"))
    start = tmp_path / "start"
    start.mkdir()
    asked = ["looking", "--osie", str(tmp_path), "--output", str(tmp_path / "made")]
    asked += ["--detectors", str(start), "--device", "cpu"]
    assert main(asked) == 2
    assert f"{start} has no subjects.safetensors" in capsys.readouterr().err
    for name in ("subjects", *(f"fold{i}" for i in (0, 1, 2, 4))):
        safetensors.torch.save_file(packaged_weights(), start / f"{name}.safetensors")
    assert main(asked) == 2
    assert f"{start} has no fold3.safetensors" in capsys.readouterr().err
    another = safetensors.torch.save({"weight": torch.zeros(1)})
    for data, told in ((b"damaged", ""), (another, "no embedded detector")):
        (start / "fold3.safetensors").write_bytes(data)
        assert main(asked) == 2
        assert f"{start / 'fold3.safetensors'}: {told}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("device", "told"),
    [("cuda", "torch finds no CUDA GPU here"), ("tpu", "use auto, cpu, cuda")],
)
def test_a_device_that_is_not_there_is_wrong_usage(
    device: str,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    asked = ["--detectors", str(tmp_path), "--output", str(tmp_path), "--device", device]
    assert main(["looking", "--osie", str(tmp_path), *asked]) == 2
    assert told in capsys.readouterr().err


def test_labels_too_few_to_learn_from_are_told_before(
    labels: PeopleLabels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It would look for a view of use for ever, or start a training on nothing."""
    few = replace(labels, fixations=np.full((29, 2), 0.5), crops=np.zeros((0, 4)))
    asked = ["--detectors", str(tmp_path), "--output", str(tmp_path / "made"), "--device", "cpu"]
    monkeypatch.setattr(recipe, "train_looking", lambda *_: pytest.fail("it was trained"))
    for photos, told in (
        ([few], "no photo has people's crops or 30 fixations"),
        ([labels, replace(few, photo=few.photo.with_name("other.png"))], "held out from fold"),
    ):
        monkeypatch.setattr(recipe, "read_people_labels", lambda *_, photos=photos: photos)
        assert main(["looking", "--osie", str(tmp_path), *asked]) == 2
        assert told in capsys.readouterr().err
    monkeypatch.setattr(recipe, "read_people_labels", lambda *folders: [labels])
    assert main(["branches", "--osie", str(tmp_path), "--output", str(tmp_path / "made")]) == 2
    assert "held out from fold" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()
