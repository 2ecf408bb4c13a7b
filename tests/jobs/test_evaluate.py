"""The evaluation job from its command line, on a hand-made folder in the GAIC layout."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.cropping.candidates import grid
from pipeline.lab.cli.evaluate import main
from pipeline.lab.datasets import NAMES
from pipeline.lab.evaluation.baselines import NAMES as BASELINES
from pipeline.lab.evaluation.metrics import srcc
from pipeline.lab.evaluation.settings import EvaluationJob
from s2cnet import boxes_to_input, prepare_image
from s2cnet.checkpoints.published import to_gaic_state_dict
from s2cnet.network.gaic import GAIC

JOB = Path(__file__).resolve().parents[2] / "jobs" / "evaluate.py"
COMMON = ["--weights", "untrained", "--resamples", "50", "--device", "cpu", "--ratios", "1:1"]


@pytest.fixture(scope="module")
def gaic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("gaic")
    rng = np.random.default_rng(0)
    for name, split in (("1", "train"), ("2", "test"), ("3", "test"), ("4", "test")):
        for folder in ("images/" + split, "annotations", "bbox"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (96, 144, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / f"images/{split}/{name}.jpg")
        crops = grid(144, 96)[:6]
        lines = [
            f"{y0:.0f} {x0:.0f} {y1:.0f} {x1:.0f} {i % 5 + 1}"
            for i, (x0, y0, x1, y1) in enumerate(crops)
        ]
        (root / f"annotations/{name}.txt").write_text("\n".join(lines))
        (root / f"bbox/{name}.txt").write_text("10 20 60 90\n")
    return root


def run(gaic: Path, output: Path, *more: str) -> int:
    arguments = ["--dataset", "gaicv1", "--data", str(gaic), "--output", str(output)]
    return main([*arguments, *COMMON, *more])


def test_local_run_writes_both_files(
    gaic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baselines = "centre,centre_90,largest,anchor_prior"
    assert run(gaic, tmp_path, "--baselines", baselines, "--detector", "boxes") == 0
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert set(report["measures"]) == {"s2cnet", "network_score", *baselines.split(",")}
    assert report["measures"]["s2cnet"]["srcc"]["photos"] == 3
    # One training photo with the same anchors and scores: its prior knows the order.
    assert report["measures"]["anchor_prior"]["srcc"]["mean"] == pytest.approx(1)
    assert {row["method"] for row in report["published"]} >= {"S2CNet"}
    assert report["integrity"]["s2cnet"]["whole"]["photos"] == 3
    assert (report["dataset"], report["split"], report["notes"]) == ("gaicv1", "test", [])
    assert report["run"] == {
        "data": gaic.name, "weights": "untrained gaicv1, seed 0", "detector": "boxes",
        "judge": "boxes", "search": "coarse", "rank by": "overlap", "backbone": "own",
        "ratios": "1:1", "resamples": 50, "seed": 0,
    }  # fmt: skip
    assert "untrained gaicv1, seed 0" in (tmp_path / "report.html").read_text()
    assert "anchor prior" in capsys.readouterr().out


def test_a_folder_in_the_place_of_the_report_is_refused_before_the_work(
    gaic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "report.html").mkdir()
    assert run(gaic, tmp_path, "--baselines", "centre") == 2
    assert re.search(r"--output \S*report\.html is a folder", capsys.readouterr().err)
    assert not (tmp_path / "evaluation.json").exists()


@pytest.mark.slow
def test_ray_gives_the_same_rows(gaic: Path, tmp_path: Path) -> None:
    """In a process of its own, as a person runs it: Ray's import warns about itself."""
    arguments = ["--dataset", "gaicv1", "--data", str(gaic), *COMMON, "--baselines", "centre"]
    done = subprocess.run(
        [sys.executable, str(JOB), *arguments, "--output", str(tmp_path / "ray"), "--ray"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert run(gaic, tmp_path / "here", "--baselines", "centre") == 0
    there = json.loads((tmp_path / "ray/evaluation.json").read_text())
    here = json.loads((tmp_path / "here/evaluation.json").read_text())
    assert [row["id"] for row in there["rows"]] == [row["id"] for row in here["rows"]]
    for remote, local in zip(there["rows"], here["rows"], strict=True):
        for method, predicted in local["scored"]["predicted"].items():
            assert remote["scored"]["predicted"][method] == pytest.approx(predicted, abs=1e-4)


def test_gaic_stands_beside(gaic: Path, tmp_path: Path) -> None:
    network = GAIC.untrained(seed=1)
    torch.save(to_gaic_state_dict(network), tmp_path / "gaic.pth")
    weights = ["--gaic", str(tmp_path / "gaic.pth")]
    assert run(gaic, tmp_path, "--baselines", "largest", "--limit", "1", *weights) == 0
    report = json.loads((tmp_path / "evaluation.json").read_text())
    row = report["rows"][0]
    pixels = np.asarray(Image.open(row["file"]))
    image, scale_xy = prepare_image(pixels)
    crops = boxes_to_input(np.array(row["scored"]["boxes"], np.float32), scale_xy)
    rois = torch.cat([torch.zeros(len(crops), 1), crops], dim=1)
    with torch.inference_mode():
        scores = network(image[None], rois, [torch.zeros(0, 4)])
    expected = srcc(row["scored"]["mos"], scores)
    assert report["measures"]["gaic"]["srcc"]["mean"] == pytest.approx(expected)
    assert run(gaic, tmp_path, "--gaic", "/nowhere.pth") == 2


def test_fairness_from_a_list(
    gaic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = "photo,x0,y0,x1,y1,group\n2.jpg,0,0,40,96,x\n2.jpg,100,0,144,96,y\n"
    (tmp_path / "groups.csv").write_text(people)
    groups = ["--groups", str(tmp_path / "groups.csv")]
    assert run(gaic, tmp_path, "--baselines", "centre", "--limit", "1", *groups) == 0
    report = json.loads((tmp_path / "evaluation.json").read_text())
    centre = next(entry for entry in report["fairness"] if entry["method"] == "centre")
    # The centred square is [24, 120]: 16 of 40 columns of x, 20 of 44 of y, 5.5 points apart.
    assert (centre["first_kept"], centre["second_kept"]) == (0, 1)
    assert "not found in" not in capsys.readouterr().out
    (tmp_path / "groups.csv").write_text(people + "4.JPG,0,0,40,96,x\n")
    assert run(gaic, tmp_path, "--baselines", "centre", "--limit", "1", *groups) == 0
    note = "1 photo named in groups.csv not found in the data set, such as 4.JPG"
    assert note in capsys.readouterr().out
    assert note in json.loads((tmp_path / "evaluation.json").read_text())["notes"]
    (tmp_path / "groups.csv").write_text(people.replace("2.jpg", "two.jpg"))
    assert run(gaic, tmp_path, *groups) == 2
    assert "names no photo of the data set, only others such as two.jpg" in capsys.readouterr().err
    (tmp_path / "groups.csv").write_text(people.replace("group", "team"))
    assert run(gaic, tmp_path, *groups) == 2


def test_photos_that_fail_are_counted(
    gaic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.jpg").write_bytes(b"\xff\xd8\xff no jpeg")
    arguments = ["--dataset", "photos", "--data", str(tmp_path), "--output", str(tmp_path / "out")]
    assert main([*arguments, *COMMON, "--baselines", "centre"]) == 3
    report = json.loads((tmp_path / "out/evaluation.json").read_text())
    (status,) = report["statuses"]
    assert status in ("corrupt", "truncated")
    assert report["statuses"] == {status: 1}
    output = capsys.readouterr().out
    assert f"not judged: 1 photo, {status}; a: {report['rows'][0]['message']}" in output
    assert "exit code 3: 100 % of the photos could not be judged, more than the 5 % of" in output
    assert main([*arguments, *COMMON, "--max-error-rate", "1", "--baselines", "centre"]) == 0
    Image.new("RGB", (60, 40)).save(tmp_path / "images/b.jpg")
    assert main([*arguments, *COMMON, "--max-error-rate", "0.49", "--baselines", "centre"]) == 3
    told = "exit code 3: 50 % of the photos could not be judged, more than the 49 % of"
    assert told in capsys.readouterr().out


def test_gaze_and_heads_from_labels(
    gaic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two photos of 144 × 96; the centred square is [24, 120]."""
    shutil.copytree(gaic / "images" / "test", tmp_path / "set")
    fixations = [[[30, 40, 200], [10, 40, 100]], [[119, 40, 150], [100, 40, 90]]]
    labels = {"viewers": fixations, "heads": [{"box": [20, 0, 40, 20]}, {"box": [60, 0, 80, 20]}]}
    (tmp_path / "set.json").write_text(json.dumps({"2.jpg": labels, "3.jpg": labels}))
    arguments = ["--dataset", "labels", "--data", str(tmp_path / "set"), "--output", str(tmp_path)]
    assert main([*arguments, *COMMON, "--baselines", " centre, largest "]) == 0
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert {"centre", "largest"} & report["measures"].keys() == {"centre"}  # largest places nothing
    centre = {name: value["mean"] for name, value in report["measures"]["centre"].items()}
    assert centre["gaze_kept 1:1"] == 0.75
    assert (centre["heads_cut"], centre["heads_lost"]) == (0.5, 0)
    assert centre["head cut"] == 100
    assert report["measures"]["best_possible"]["gaze_kept"]["mean"] == 0.75
    for option in ("--judge", "--detector"):  # the set has no boxes
        assert main([*arguments, *COMMON, option, "boxes"]) == 2
        assert f"{option} boxes takes those that come with a data set" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [
        ["--data", "/nowhere"],
        ["--split", "val"],
        ["--baselines", "middle"],
        ["--baselines", ""],
        ["--baselines", " , "],
        ["--detector", "yolo"],
        ["--detector", "vg"],
        ["--judge", "yolo"],
        ["--focalnet", "/nowhere.onnx"],
        ["--device", "gpu"],
        ["--ratios", "wide"],
        ["--limit", "0"],
        ["--weights", "/nowhere.pth"],
        ["--output", __file__],
    ],
)
def test_wrong_usage_is_2_with_a_message(
    gaic: Path, tmp_path: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(gaic, tmp_path, *wrong) == 2
    assert len(capsys.readouterr().err) > 20
    assert not (tmp_path / "report.html").exists()


def test_the_options_know_every_data_set_and_baseline(tmp_path: Path) -> None:
    for name in NAMES:
        EvaluationJob(dataset=name, data=tmp_path, output=tmp_path)  # type: ignore[arg-type]
    (baselines,) = (f for f in fields(EvaluationJob) if f.name == "baselines")
    named = baselines.metadata["help"].partition(": ")[2].partition(";")[0]
    assert named.split(", ") == list(BASELINES)


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--data", "none", "is wrong: none is not a folder: give the one that holds photos"),
        ("--data", "empty", "is wrong: empty: photos has no photo in split 'test'"),
        ("--split", "nope", "'nope' does not exist: photos is one split, test"),
        ("--detectors", "empty", "is wrong: empty has no fold0.safetensors: each fold needs its "),
        ("--networks", "empty", "is wrong: empty has no fold0.safetensors: each fold needs its "),
        ("--ratios", "1;1", "is wrong: '1;1' is not a shape: "),
        ("--features", "empty", "empty need detectors of their folds"),
        ("--baselines", "nope", "is wrong: no baseline nope: choose from centre, "),
        ("--device", "nope", "is wrong: there is no device 'nope': use auto, cpu, "),
        ("--groups", "none.csv", "is wrong: none.csv is missing"),
        ("--detector", "yolo", "is wrong: no detector 'yolo': use embedded, "),
        ("--judge", "yolo", "is wrong: no detector 'yolo': use embedded, "),
        ("--weights", "none.pth", "is wrong: there is no weights file none.pth"),
        ("--weights", "photos/a.jpg", "is wrong: photos/a.jpg: neither a safetensors file nor "),
        ("--gaic", "none.pth", "is wrong: there is no weights file none.pth"),
        ("--gaic", "photos/a.jpg", "is wrong: photos/a.jpg: neither a safetensors file nor "),
        ("--focalnet", "none.onnx", "is wrong: none.onnx is no ONNX model: "),
        (
            "--focalnet",
            os.fsdecode(b"caf\xe9.onnx"),
            "is wrong: ONNX Runtime opens no caf",
        ),
        ("--detectors", "folds", "is wrong: folds/fold0.safetensors: damaged safetensors file"),
        ("--networks", "folds", "is wrong: folds/fold0.safetensors: damaged safetensors file"),
    ],
)
def test_a_wrong_value_of_an_evaluation_is_told_with_its_option(
    option: str, value: str, problem: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (60, 40)).save(tmp_path / "photos/a.jpg")
    (tmp_path / os.fsdecode(b"caf\xe9.onnx")).touch()
    (tmp_path / "folds").mkdir()
    for fold in range(5):
        (tmp_path / f"folds/fold{fold}.safetensors").write_bytes(bytes(8) + b"{")
    given = {"--dataset": "photos", "--data": "photos", "--output": "report", option: value}
    assert main([word for pair in given.items() for word in pair]) == 2
    printed = capsys.readouterr()
    assert f": {option} {problem}" in printed.err
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "report/report.html").exists()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("--device cuda:0", "--device is cuda:0, and with --ray Ray tells each worker its GPU: "),
        ("--device mps", "--device is mps, and with --ray Ray tells each worker its GPU: "),
        ("--device gpu", "--device is gpu, and with --ray Ray tells each worker its GPU: "),
        ("--gaic none.pth", "--gaic is wrong: there is no weights file none.pth\n"),
    ],
)
def test_what_is_wrong_on_ray_is_told_before_ray_starts(
    given: str, problem: str, gaic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(gaic, tmp_path, "--baselines", "centre", "--ray", *given.split()) == 2
    assert f": {problem}" in capsys.readouterr().err


def test_a_gpu_that_the_cluster_lacks_is_refused(gaic: Path, tmp_path: Path) -> None:
    arguments = ["--dataset", "gaicv1", "--data", str(gaic), "--output", str(tmp_path), *COMMON]
    done = subprocess.run(
        [sys.executable, str(JOB), *arguments, "--ray", "--device", "cuda"],
        capture_output=True, text=True, check=False, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 2
    told = "evaluate.py: --device is cuda, and the cluster has no GPU: use cpu, or auto"
    assert done.stderr.splitlines()[-1] == told
    assert "Traceback" not in done.stderr
