"""The branch for animal heads: its views, its training, and the command, on synthetic photos."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from pipeline.detectors.head_branch import LEVELS, HeadBranch
from pipeline.detectors.packaged import embedded_weights
from pipeline.lab.cli.learn_from_people import main
from pipeline.lab.people.animals import PASSES, animal_views, train_animals
from pipeline.lab.people.branches import PeopleView
from pipeline.lab.people.detector_tensors import packaged_weights, trunk_of
from pipeline.lab.people.labels import PeopleLabels
from pipeline.lab.people.targets import head_target

torch.set_num_threads(1)


def draw(folder: Path, *names: str) -> list[Path]:
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in names:
        pixels = random.integers(0, 256, (6, 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize((128, 96)).save(folder / name)
    return [folder / name for name in names]


def view(random: np.random.Generator, column: int | None) -> PeopleView:
    """Levels of noise about 9; a head of 4 × 4 cells is where twenty channels are bright."""
    sides = 12, 6, 3, 12
    levels = [
        torch.from_numpy(random.normal(9, 3, (c, side, side)).astype(np.float32))
        for c, side in zip(LEVELS, sides, strict=True)
    ]
    heads = np.zeros((0, 4))
    if column is not None:
        levels[0][:20, 4:8, column : column + 4] += 18
        heads = np.array([[column, 4, column + 4, 8]]) / 12
    return PeopleView(levels, head_target(heads, 12, 12))


def test_training_finds_heads_where_they_were_told() -> None:
    random = np.random.default_rng(0)
    views = [view(random, column) for column in (1, 3, 6, None) * 12]
    branch = train_animals(views, epochs=25)
    with torch.no_grad():
        for column in (2, 5):
            levels = [level[None] for level in view(random, column).levels]
            likely = branch(*levels)[0, 0]
            row, found = divmod(int(likely.argmax()), 12)
            assert 4 <= row < 8  # inside the head
            assert column <= found < column + 4
            assert likely.max().sigmoid() > 0.25
            none = branch(*(level[None] for level in view(random, None).levels))[0, 0]
            assert none.max().sigmoid() < 0.15  # LEAST_ANIMAL_HEAD


def test_an_untrained_branch_finds_none() -> None:
    levels = (torch.randn(1, c, side, side) for c, side in zip(LEVELS, (8, 4, 2, 8), strict=True))
    with torch.no_grad():
        likely = HeadBranch()(*levels)[:, 0].sigmoid()
    assert likely.max() < 0.15  # LEAST_ANIMAL_HEAD


def test_views_of_animals_and_of_photos_without(tmp_path: Path) -> None:
    cat, street = draw(tmp_path / "a", "cat.png", "street.png")
    network = trunk_of(packaged_weights())
    labels = PeopleLabels(cat, "animals", heads=np.array([[0.2, 0.2, 0.6, 0.7]]))
    views = list(animal_views(network, [labels], [street], 0))
    assert len(views) == 2 + 2 * PASSES + 4
    assert all(one.copy is None for one in views)
    # the whole photo, mirrored next: the head's centre is at .4 of the width, then at .6
    places = [int(one.heads.centres.max(axis=0).argmax()) / one.heads.centres.shape[1]
              for one in views[:2]]  # fmt: skip
    assert places == pytest.approx([0.4, 0.6], abs=0.1)
    assert not views[-1].heads.centres.any()
    assert (views[-1].heads.negative_weights == 1).all()
    unsure = replace(labels, heads=None)  # heads that nobody looked for: the faces tell them
    assert (next(iter(animal_views(network, [unsure], [], 0))).heads.negative_weights != 1).any()


def test_the_command_changes_this_branch_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path / "cats", "0.png", "1.png")
    draw(tmp_path / "streets", "0.png")
    heads = {"size_wh": [128, 96], "heads": [{"box": [20, 10, 70, 60]}]}
    (tmp_path / "cats.json").write_text(json.dumps({"0.png": heads, "1.png": heads}))
    asked = ["animals", "--heads", str(tmp_path / "cats"), str(tmp_path / "streets")]
    made = tmp_path / "made"
    assert main([*asked, "--output", str(made)]) == 0
    # 2 photos of 4 views and, once more, 2 parts of each; 4 views of the one without
    assert "16 views of 2 photos with animals and 1 without" in capsys.readouterr().out
    written = safetensors.torch.load_file(made / "subjects.safetensors")
    before = safetensors.torch.load(embedded_weights())
    assert written.keys() == before.keys()
    changed = {name for name in before if not torch.equal(before[name], written[name])}
    assert changed == {name for name in before if name.startswith("animals.")}
    # Photos with animals would also be examples of none.
    assert main([*asked, str(tmp_path / "cats"), "--output", str(made)]) == 2
    assert "cats/0.png is given twice" in capsys.readouterr().err
    (tmp_path / "cats.json").write_text(json.dumps({"0.png": {"size_wh": [128, 96]}}))
    assert main([*asked, "--output", str(made)]) == 2
    assert "no photo has heads" in capsys.readouterr().err
