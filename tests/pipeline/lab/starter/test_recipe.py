"""The recipe end to end on drawn photos, with a few steps: both files are written and load."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch

from pipeline.command_line import parser_of
from pipeline.detectors.embedded import detect_with
from pipeline.detectors.subject_network import SubjectNetwork
from pipeline.lab.cli.make_starter import main
from pipeline.lab.starter import recipe
from pipeline.lab.starter.crop_lists import FAR, FAR_WEIGHT, far_list, ratio_lists
from pipeline.lab.starter.graph_training import EncodedPhoto, sampling_probabilities
from pipeline.lab.starter.inputs import StarterJob
from pipeline.lab.starter.recipe import Budget, copy_graph, train_both
from pipeline.lab.starter.scored_crops import read_scored_crops
from pipeline.lab.starter.simulated_crops import simulate_crops
from pipeline.lab.starter.teacher_outputs import TeacherOutputs
from pipeline.report.progress import Log
from s2cnet import S2CNet, boxes_to_input, load_model, prepare_image
from tests.pipeline.lab.starter.drawn_scores import write_scores

torch.set_num_threads(1)

SMALL = Budget(
    held_out=1, detector_epochs=1, projection_views=3, map_steps=1, subject_rounds=1, teachers=1,
    teacher_epochs=1, graph_steps=2,
)  # fmt: skip
WIDTH, HEIGHT = 160, 120


def drawn_photos(folder: Path) -> list[TeacherOutputs]:
    """Three photos of a bright square on grey noise; all teachers find it."""
    random = np.random.default_rng(0)
    outputs = []
    for number in range(3):
        pixels = random.integers(90, 110, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        x, y = 20 + 40 * number, 30
        pixels[y : y + 50, x : x + 50] = (40, 90, 240)
        cv2.imwrite(str(folder / f"{number}.png"), pixels)
        box = [x / WIDTH, y / HEIGHT, (x + 50) / WIDTH, (y + 50) / HEIGHT]
        rows = np.array([[*box, 0.9, 16]], np.float32)
        seen = np.zeros((4, 5), np.float32)
        seen[1:3, number + 1] = 1
        front = cv2.resize(seen[:, :4].repeat(24, 0), (96, 96), interpolation=cv2.INTER_NEAREST)
        faces, nothing = np.zeros((0, 5), np.float32), np.zeros((0, 6), np.float32)
        text = np.array([[*box[:3], (y + 12) / HEIGHT, 0.9]], np.float32)
        objects = {"nanodet": rows, "centernet": rows}
        size = (WIDTH, HEIGHT)
        outputs.append(
            TeacherOutputs(f"{number}.png", size, objects, faces, seen, seen, front, text, nothing)
        )
    return outputs


def test_a_little_of_everything_makes_two_files_that_load(tmp_path: Path) -> None:
    outputs = drawn_photos(tmp_path)
    layouts = read_scored_crops(write_scores(tmp_path / "scores.json"))["train"]
    torch.manual_seed(0)
    detector, network = SubjectNetwork().eval(), S2CNet.untrained("gaicv1", 0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    train_both(detector, network, outputs, layouts, tmp_path, tmp_path, SMALL, 0, Log())

    made = safetensors.torch.load_file(tmp_path / "subjects.safetensors")
    assert made["head.out.weight"].dtype == torch.float16
    fresh = SubjectNetwork()
    fresh.load_state_dict({name: tensor.float() for name, tensor in made.items()})
    pixels = cv2.imread(str(tmp_path / "0.png"))[..., ::-1].copy()
    objects = detect_with(fresh.eval(), pixels)
    assert len(objects.boxes) == len(objects.scores) == len(objects.labels)

    starter = load_model(str(tmp_path / "starter.safetensors"))
    image, scale_xy = prepare_image(pixels)
    crops = torch.tensor([[0, 0.0, 0, 200, 200], [0, 50, 50, 250, 250]])
    scores = starter.score(image[None], crops, [boxes_to_input(objects.boxes, scale_xy)])
    assert torch.isfinite(scores).all()
    moved = {  # beyond the rounding to half precision
        name.split(".")[0]
        for name, tensor in starter.state_dict().items()
        if not torch.equal(tensor, before[name].half().float())
    }
    assert {"backbone", "embedding", "transformer"} <= moved


def test_another_seed_makes_other_teachers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of seed 0 are the ones that the packaged weights were trained with."""
    seeds: list[int] = []
    monkeypatch.setattr(recipe, "find_subjects", lambda *_: (None, []))
    monkeypatch.setattr(recipe, "fit_teacher", lambda *given: seeds.append(given[-1]))
    monkeypatch.setattr(recipe, "train_graph", lambda *_: None)
    for seed in (0, 5):
        recipe.fit_graph(S2CNet.untrained(), [], [], Budget(), seed, Log())
    assert seeds == [10, 11, 15, 16]


def test_an_earlier_graph_is_taken_without_its_backbone() -> None:
    network, earlier = S2CNet.untrained("gaicv1", 1), S2CNet.untrained("gaicv1", 2)
    own = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    copy_graph(network, earlier)
    for name, tensor in network.state_dict().items():
        source = own if name.startswith("backbone.") else earlier.state_dict()
        assert torch.equal(tensor, source[name]), name


def test_the_trial_is_an_option() -> None:
    names = (
        "photos",
        "objects",
        "scored-crops",
        "lite0",
        "centerface",
        "isnet",
        "mobilenet",
        "output",
    )
    needed = [word for name in names for word in (f"--{name}", "x")]
    parser = parser_of(StarterJob, "")
    assert parser.parse_args([*needed, "--trial"]).trial
    assert not parser.parse_args(needed).trial
    assert parser.parse_args(needed).graph_from is None


def test_lists_that_are_far_from_the_photo_s_own_ratio() -> None:
    random = np.random.default_rng(0)
    people = simulate_crops(np.array([[0.1, 0.3, 0.3, 0.7]]), np.ones(1), 64, random)
    for width, height in ((384, 256), (256, 384)):
        for _ in range(8):
            made = far_list(width, height, people, 12, random)
            x0, y0, x1, y1 = made.crops[0]
            assert abs(np.log((x1 - x0) / (y1 - y0) * height / width)) > FAR - 0.2
            assert (made.weight, made.choice) == (FAR_WEIGHT, True)
            assert len(made.crops) == len(made.truth) <= 12
    # People are on the left: on a wide photo the best narrow crop is there.
    narrow = [far_list(384, 256, people, 40, random) for _ in range(4)]
    best = [each.crops[each.truth.argmax()] for each in narrow]
    assert np.mean([(b[0] + b[2]) / 2 for b in best]) < 384 / 2
    assert len(ratio_lists(384, 256, people, 9, random)) == 3


def test_photos_with_something_off_centre_are_seen_more_often() -> None:
    def photo(*subject: float) -> EncodedPhoto:
        nothing = np.zeros((8, 2, 2), np.float16)
        boxes = np.array([subject])
        return EncodedPhoto(nothing, (32, 32), np.zeros((0, 4), np.float32), boxes, np.ones(1))

    chances = sampling_probabilities(
        [photo(0.1, 0.1, 0.9, 0.9), photo(0, 0.6, 0.3, 0.9)], np.random.default_rng(0)
    )
    assert chances.sum() == pytest.approx(1)
    assert chances[1] > 2 * chances[0]


def test_an_input_that_is_missing_is_told_with_its_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, files = tmp_path / "photos", tmp_path / "files"
    photos.mkdir()
    names = ("objects", "scored-crops", "lite0", "centerface", "mobilenet")
    words = [word for name in names for word in (f"--{name}", str(files / name))]
    words += ["--photos", str(photos), "--isnet", str(files), "--output", str(tmp_path / "made")]

    def told() -> str:
        assert main(words) == 2
        return capsys.readouterr().err

    assert f"--isnet {files} is not a folder" in told()
    files.mkdir()
    assert f"--photos {photos} has no index.json" in told()
    (photos / "index.json").write_text("[]")
    for name in names:
        assert f"--{name} {files / name} is missing" in told()
        (files / name).touch()
    assert not (tmp_path / "made").exists()
    words += ["--seed", "-1"]
    assert "--seed must be at least 0" in told()


def test_photos_that_are_all_kept_out_of_training_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A trial keeps two out."""
    outputs = drawn_photos(tmp_path)[:2]
    monkeypatch.setattr(recipe, "run_teachers", lambda *_: outputs)
    (tmp_path / "index.json").touch()
    names = ("objects", "lite0", "centerface", "mobilenet")
    words = [word for name in names for word in (f"--{name}", str(tmp_path / "index.json"))]
    words += ["--scored-crops", str(write_scores(tmp_path / "scores.json")), "--trial"]
    words += ["--photos", str(tmp_path), "--isnet", str(tmp_path), "--output", str(tmp_path / "o")]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert f"{tmp_path / 'index.json'} names 2 photos with a line in" in told
    assert "and 2 are kept out of training: give more" in told
    monkeypatch.setattr(recipe, "run_teachers", lambda *_: pytest.fail("hours of work began"))
    (tmp_path / "odd.pth").touch()
    assert main([*words, "--graph-from", str(tmp_path / "odd.pth")]) == 2
    assert f"--graph-from is wrong: {tmp_path / 'odd.pth'}: neither" in capsys.readouterr().err
