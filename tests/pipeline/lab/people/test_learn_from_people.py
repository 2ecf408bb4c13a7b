"""All steps on a synthetic data set: labels, views, branches, the rule, the confidence."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from scipy.io import savemat

import pipeline.cropping.rule
from pipeline.cropping.confidence import ConfidenceModel
from pipeline.cropping.rule import Rule
from pipeline.detectors.feature_head import FeatureHead
from pipeline.lab.cli.learn_from_people import main
from pipeline.lab.datasets import layout
from pipeline.lab.datasets.gaze import FIRST_WEIGHT
from pipeline.lab.datasets.layout import read_upright_pixels
from pipeline.lab.folds import FOLDS
from pipeline.lab.people import recipe
from pipeline.lab.people.detector_tensors import packaged_weights, trunk_of
from pipeline.lab.people.held_out import labelled_photos
from pipeline.lab.people.labels import PeopleLabels, read_people_labels
from pipeline.lab.people.settings import LabelsJob
from pipeline.lab.people.views import boxes_in_view, people_views

torch.set_num_threads(1)
CHOICE = Path(pipeline.cropping.rule.__file__).with_name("choice.json")


def cells(*values: object) -> np.ndarray:
    found = np.empty((len(values), 1), object)
    for index, value in enumerate(values):
        found[index, 0] = value
    return found


def draw(folder: Path, names: Sequence[str]) -> None:
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for name in names:
        pixels = random.integers(0, 256, (5, 10, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize((200, 100)).save(folder / name)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of 200 × 100 px, one for each fold; two viewers and one head in each."""
    root = tmp_path_factory.mktemp("crowd")
    names = ["0.jpg", "1.jpg"]
    draw(root / "stimuli", names)
    (root / "eye").mkdir()
    random = np.random.default_rng(1)
    many = {"fix_x": random.uniform(1, 200, 40), "fix_y": random.uniform(1, 100, 40)}
    few = {"fix_x": np.array([100.5, 50.5, 250.5]), "fix_y": np.array([50.5, 20.5, 10.5])}
    photos = [{"img": name, "subjects": cells(few, many)} for name in names]
    savemat(root / "eye" / "fixations.mat", {"fixations": cells(*photos)})
    face = {"center": np.array([60.5, 40.5]), "width": 20.0, "height": 30.0}
    label = {"nFaces": 1, "faces": cells(face)}
    savemat(root / "labels.mat", {"labels": cells(label, label)})
    return root


@pytest.fixture(scope="module")
def drawn_crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("flms")
    draw(root / "image", ["a.jpg"])
    (root / "annotations").mkdir()
    (root / "annotations" / "a.txt").write_text("20 10 120 60\n0 0 200 100\n")
    return root


def test_labels_are_shares_and_first_fixations_weigh_less(crowd: Path, drawn_crops: Path) -> None:
    first, _, crops = read_people_labels(LabelsJob(eyecrowd=crowd, flms=drawn_crops))
    # 250 px are outside; the viewer's first fixation is at (100, 50) of 200 × 100
    assert first.fixations[:2] == pytest.approx(np.array([[0.5, 0.5], [0.25, 0.2]]))
    assert first.fixation_weights[:4].tolist() == [FIRST_WEIGHT, 1.0, FIRST_WEIGHT, 1.0]
    assert first.heads == pytest.approx(np.array([[0.25, 0.25, 0.35, 0.55]]))
    assert crops.crops == pytest.approx(np.array([[0.1, 0.1, 0.6, 0.6], [0, 0, 1, 1]]))
    assert crops.heads is None
    assert len(crops.fixations) == 0


def test_labels_are_those_of_the_upright_photo(tmp_path: Path) -> None:
    """A phone's photo, stored as 200 × 100 and shown as 100 × 200: white above, black below."""
    (tmp_path / "osie").mkdir()
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[:, :100] = 255
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "osie/0.png", exif=turned)
    labels = {"crops": [[0, 0, 100, 50]], "viewers": [[[50, 150, 9], [50, 150, 9]]]}
    (tmp_path / "osie.json").write_text(json.dumps({"0.png": labels}))
    (found,) = read_people_labels(LabelsJob(osie=tmp_path / "osie"))
    assert found.crops.tolist() == [[0, 0, 1, 0.25]]
    assert found.fixations.tolist() == [[0.5, 0.75], [0.5, 0.75]]
    shown = read_upright_pixels(found.photo)
    assert shown.shape == (200, 100, 3)
    assert (int(shown[:100].min()), int(shown[100:].max())) == (255, 0)
    (view, *_) = people_views(trunk_of(packaged_weights()), [found])
    height, width = view.levels[0].shape[-2:]
    assert height > width


@pytest.mark.parametrize("name", ["osie", "osie-1.0"])
def test_a_folder_beside_a_json_file_of_labels(tmp_path: Path, name: str) -> None:
    draw(tmp_path / name, ["0.jpg"])
    label = {"size_wh": [200, 100], "viewers": [[[100, 50, 200], [20, 80, 150]]]}
    (tmp_path / f"{name}.json").write_text(json.dumps({"0.jpg": label}))
    (found,) = read_people_labels(LabelsJob(osie=tmp_path / name))
    (seen,) = labelled_photos(LabelsJob(osie=tmp_path / name))
    assert (seen.set_name, seen.fold) == ("osie", found.fold)
    assert found.set_name == "osie"
    assert found.fixations == pytest.approx(np.array([[0.5, 0.5], [0.1, 0.8]]))
    assert found.fixation_weights.tolist() == [FIRST_WEIGHT, 1.0]
    assert found.is_labelled


def test_views_have_a_copy_and_chance_follows_the_photo(tmp_path: Path) -> None:
    draw(tmp_path / "a", ["0.jpg", "1.jpg"])
    first, second = (
        PeopleLabels(tmp_path / "a" / name, "osie", np.array([[0.5, 0.5]]), np.ones(1))
        for name in ("0.jpg", "1.jpg")
    )
    network = trunk_of(packaged_weights())
    (*views, alone) = people_views(network, [first, replace(first, fixations=np.zeros((0, 2)))])
    assert len(views) == 4
    assert [view.copy is not None for view in (*views, alone)] == [True, False, False, False, True]
    again = list(people_views(network, [second, first]))[4:]
    for view, same in zip(views, again, strict=True):
        assert all(map(torch.equal, view.levels, same.levels))
    # the same pixels under another name have other parts
    renamed = tmp_path / "a" / "2.jpg"
    renamed.write_bytes(first.photo.read_bytes())
    others = list(people_views(network, [replace(first, photo=renamed)]))
    assert torch.equal(views[0].levels[0], others[0].levels[0])
    assert not torch.equal(views[2].levels[0], others[2].levels[0])


def test_a_box_in_a_mirrored_half() -> None:
    box = boxes_in_view(np.array([[0.1, 0.2, 0.2, 0.4]]), np.array([0.0, 0, 0.5, 1]), True)
    assert box == pytest.approx(np.array([[0.6, 0.2, 0.8, 0.4]]))


@pytest.mark.slow
def test_all_steps(
    crowd: Path, drawn_crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(crowd, tmp_path / "copy")  # a folder is one set only
    folders = ["--osie", str(crowd), "--eyecrowd", str(copy), "--flms", str(drawn_crops)]
    made = tmp_path / "made"
    assert main(["branches", *folders, "--output", str(made)]) == 0
    written = {path.name for path in made.iterdir()}
    assert written == {"subjects.safetensors", *(f"fold{i}.safetensors" for i in range(5))}
    state = safetensors.torch.load_file(made / "subjects.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in state.values())
    rule = tmp_path / "choice.json"
    assert main(["rule", *folders, "--detectors", str(made), "--output", str(rule)]) == 0
    fitted = Rule.from_json(json.loads(rule.read_text()))
    assert np.isfinite(fitted.overlap).all()
    assert np.abs(fitted.gaze).max() > 0

    drawn = FeatureHead().state_dict()
    for fold in range(FOLDS):
        (tmp_path / "features").mkdir(exist_ok=True)
        safetensors.torch.save_file(drawn, tmp_path / "features" / f"fold{fold}.safetensors")
    branches = ["--features", str(tmp_path / "features"), "--output", str(tmp_path / "shared.json")]
    assert main(["rule", *folders, "--detectors", str(made), *branches]) == 0
    of_branches = Rule.from_json(json.loads((tmp_path / "shared.json").read_text()))
    assert not np.allclose(of_branches.overlap, fitted.overlap, atol=1e-6)  # other scores

    wanted, cache = tmp_path / "confidence.json", tmp_path / "cache"
    asked = ["confidence", *folders, "--detectors", str(made), "--cache", str(cache)]
    asked += ["--output", str(wanted), "--figures", str(tmp_path / "figures.json")]
    assert main(asked) == 0
    first = json.loads(wanted.read_text())
    assert np.isfinite(ConfidenceModel.from_json(first).weights).all()
    assert json.loads((tmp_path / "figures.json").read_text())["parts"]["flms own"]["crops"] == 2
    assert "as kept" not in capsys.readouterr().out
    assert main(asked) == 0  # again, from what was kept
    assert f"as kept in {cache}" in capsys.readouterr().out
    assert json.loads(wanted.read_text()) == first

    figures = tmp_path / "compared.json"
    other = ["compare", *folders, "--detectors", str(made), "--cache", str(cache)]
    assert main([*other, "--rule", str(rule), "--output", str(figures)]) == 0
    printed = capsys.readouterr().out
    assert f"as kept in {cache}" in printed
    report = json.loads(figures.read_text())
    assert {"osie, gaze kept, 9:16", "eyecrowd, heads cut or lost, 1:1", "flms, overlap, own"} < {
        *report
    }
    assert all(name in printed for name in report)

    (made / "fold0.safetensors").write_bytes((made / "fold1.safetensors").read_bytes())
    assert main(asked) == 0  # other networks: seen anew
    assert "as kept" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("step", "wrong"),
    [
        ("compare", ["--resamples", "0"]),
        ("looking", ["--steps", "0"]),
        ("looking", ["--seed", "-1"]),
        ("branches", ["--seed", "-1"]),
        ("animals", ["--seed", "-1"]),
        ("features", ["--seed", "-1"]),
    ],
)
def test_a_number_that_makes_no_sense_is_wrong_usage(
    step: str, wrong: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = {
        "compare": ["--detectors", str(tmp_path), "--rule", str(CHOICE)],
        "looking": ["--detectors", str(tmp_path), "--device", "cpu"],
        "animals": ["--heads", str(tmp_path), str(tmp_path)],
        "features": [str(tmp_path)],
    }
    asked = [step, *needed.get(step, []), "--output", str(tmp_path)]
    assert main([*asked, *wrong]) == 2
    assert f"{wrong[0]} must be at least" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("step", "option"),
    [
        ("branches", "output"),
        ("rule", "output"),
        ("compare", "output"),
        ("compare", "cache"),
        ("confidence", "output"),
        ("confidence", "figures"),
        ("confidence", "cache"),
    ],
)
def test_where_nothing_can_be_written_is_told_before_the_first_photo(
    step: str,
    option: str,
    crowd: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(layout, "decode", lambda _: pytest.fail("a photo was read"))
    monkeypatch.setattr(recipe, "people_views", lambda *_: pytest.fail("a photo was read"))
    for fold in range(FOLDS):
        (tmp_path / f"fold{fold}.safetensors").touch()
    asked = [step, "--osie", str(crowd)]
    asked += [] if step == "branches" else ["--detectors", str(tmp_path)]
    asked += ["--rule", str(CHOICE)] if step == "compare" else []
    asked += [] if option == "output" else ["--output", str(tmp_path / "made.json")]
    (tmp_path / "file").touch()
    assert main([*asked, f"--{option}", str(tmp_path / "file/made")]) == 2
    assert f"--{option} {tmp_path / 'file'}" in capsys.readouterr().err


@pytest.mark.parametrize("step", ["branches", "rule", "compare"])
def test_a_folder_that_is_not_there_is_wrong_usage(
    step: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [step, "--osie", str(tmp_path / "none"), "--output", str(tmp_path / "made")]
    asked += [] if step == "branches" else ["--detectors", str(tmp_path)]
    asked += ["--rule", str(CHOICE)] if step == "compare" else []
    assert main(asked) == 2
    assert f"{tmp_path / 'none'} is not a folder: give the one that holds osie" in (
        capsys.readouterr().err
    )


def test_weights_of_another_kind_are_told_before_the_first_photo(
    drawn_crops: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(layout, "decode", lambda _: pytest.fail("a photo was read"))
    another = safetensors.torch.save({"weight": torch.zeros(1)})
    asked = ["rule", "--flms", str(drawn_crops), "--output", str(tmp_path / "choice.json")]
    for data, told in ((another, "no embedded detector"), (b"damaged", "neither a safetensors")):
        for fold in range(FOLDS):
            safetensors.torch.save_file(packaged_weights(), tmp_path / f"fold{fold}.safetensors")
        (tmp_path / "fold4.safetensors").write_bytes(data)  # the last one
        assert main([*asked, "--detectors", str(tmp_path)]) == 2
        assert f"{tmp_path / 'fold4.safetensors'}: {told}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "missing"), [("--flms", "gaze:"), ("--eyecrowd", "overlap, free:")]
)
def test_labels_that_a_rule_lacks_are_told_before_the_first_photo(
    option: str,
    missing: str,
    crowd: Path,
    drawn_crops: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(layout, "decode", lambda _: pytest.fail("a photo was read"))
    for fold in range(FOLDS):
        safetensors.torch.save_file(packaged_weights(), tmp_path / f"fold{fold}.safetensors")
    folder = drawn_crops if option == "--flms" else crowd
    asked = ["rule", option, str(folder), "--detectors", str(tmp_path)]
    assert main([*asked, "--output", str(tmp_path / "choice.json")]) == 2
    assert f": no labels for {missing} FLMS tells" in capsys.readouterr().err


def test_a_photo_that_is_cut_short_is_wrong_usage(
    drawn_crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "flms").mkdir()
    whole = (drawn_crops / "image/a.jpg").read_bytes()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / "flms" / name).write_bytes(whole[: len(whole) // 2])
    label = {"crops": [[20, 10, 120, 60]], "viewers": [[[9, 9, 200]]]}
    (tmp_path / "flms.json").write_text(json.dumps(dict.fromkeys(("a.jpg", "b.jpg"), label)))
    for fold in range(FOLDS):
        safetensors.torch.save_file(packaged_weights(), tmp_path / f"fold{fold}.safetensors")
    asked = ["--flms", str(tmp_path / "flms"), "--output"]
    detectors = ["--detectors", str(tmp_path)]
    for step, more in (("branches", []), ("rule", detectors), ("confidence", detectors)):
        assert main([step, *asked, str(tmp_path / f"of_{step}"), *more]) == 2
        assert f"{tmp_path}/flms/" in (err := capsys.readouterr().err)
        assert ".jpg cannot be read: " in err


@pytest.mark.parametrize(
    ("label", "told"),
    [
        (
            {"crops": [[0, 0, 202, 90], [0, 0, 203, 90]]},
            "1 of 2 crops of people leave the photo of",
        ),
        ({"crops": [[200, 0, 300, 90]]}, "1 of 1 crops of people leave the photo of 200 × 100: is"),
        ({"viewers": [[[10, 100, 9], [300, 50, 9]]]}, "all fixations (2) are outside of the photo"),
        ({"crops": [[0, 0, 90, 90]], "heads": [{"box": [0, 120, 20, 140]}]}, "all heads (1) are "),
    ],
)
def test_labels_off_the_photo_are_told_before_the_work(
    label: dict[str, object], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path / "flms", ["a.jpg"])
    (tmp_path / "flms.json").write_text(json.dumps({"a.jpg": label, "b.jpg": label}))
    for fold in range(FOLDS):
        safetensors.torch.save_file(packaged_weights(), tmp_path / f"fold{fold}.safetensors")
    asked = ["--flms", str(tmp_path / "flms"), "--detectors", str(tmp_path)]
    for step, more in (("rule", []), ("compare", ["--rule", str(CHOICE)])):
        output = ["--output", str(tmp_path / f"{step}.json")]
        assert main([step, *asked, *more, *output]) == 2
        shown = capsys.readouterr()
        assert f": --flms is wrong: {tmp_path}/flms/a.jpg: {told}" in shown.err
        assert "1 photo named in flms.json not found" in shown.out


def test_without_labels_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["branches", "--output", str(tmp_path)]) == 2
    assert "at least one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("looking --detectors made --device gpu", "--device is wrong: there is no device 'gpu'"),
        ("looking --detectors none --device cpu", "--detectors is wrong: none has no subjects."),
        ("looking --detectors made --device cpu", "--detectors is wrong: made/subjects.safe"),
        ("branches --photos none", "--photos is wrong: no photos in none"),
        ("branches --photos OSIE/stimuli", "--photos is wrong: the photo OSIE/stimuli/0.jpg is gi"),
    ],
)
def test_a_wrong_value_is_told_with_its_option_before_the_work(
    words: str, told: str, crowd: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "made").mkdir()
    for name in ("subjects", *(f"fold{fold}" for fold in range(FOLDS))):
        (tmp_path / f"made/{name}.safetensors").write_bytes(b"nothing of the kind")
    (tmp_path / "OSIE").symlink_to(crowd)
    assert main([*words.split(), "--osie", str(crowd), "--output", "out"]) == 2
    assert f": {told}" in (shown := capsys.readouterr().err)
    assert shown.count("\n") == 1
    assert not (tmp_path / "out").exists()
