"""Every photo of a data set has a unique id, by which figures are paired."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from pipeline.errors import UsageError
from pipeline.lab.cli.evaluate import main
from pipeline.lab.datasets import load_dataset


@pytest.fixture
def same_names(tmp_path: Path) -> Path:
    """Crops of four photos, three of which are called a, whose crops differ."""
    (tmp_path / "images/more").mkdir(parents=True)
    rows = ["photo,x0,y0,x1,y1"]
    for name, box in (
        ("a.png", "0,0,60,100"), ("a.webp", "90,0,150,100"), ("more/a.png", "45,0,105,100"),
        ("b.png", "45,0,105,100"),
    ):  # fmt: skip
        Image.new("RGB", (150, 100), (200, 120, 40)).save(tmp_path / "images" / name)
        rows.append(f"{name},{box}")
    (tmp_path / "crops.csv").write_text("\n".join(rows))
    return tmp_path


def test_photos_of_one_name_have_ids_of_their_own(same_names: Path) -> None:
    dataset = load_dataset("crops", same_names)
    ids = [example.id for example in dataset.examples]
    assert ids == ["b", "images/a.png", "images/a.webp", "images/more/a.png"]
    names = [example.image.name for example in dataset.examples]
    assert names == ["b.png", "a.png", "a.webp", "a.png"]
    ids = [example.id for example in load_dataset("photos", same_names).examples]
    assert ids == ["b", "images/a.png", "images/a.webp"]


def test_photos_elsewhere_have_their_whole_paths(tmp_path: Path) -> None:
    rows = ["photo,x0,y0,x1,y1"]
    paths = [tmp_path / "else" / name / "1.png" for name in ("x", "y")]
    for path in paths:
        path.parent.mkdir(parents=True)
        Image.new("RGB", (150, 100)).save(path)
        rows.append(f"{path},0,0,60,100")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "crops.csv").write_text("\n".join(rows))
    found = load_dataset("crops", tmp_path / "set").examples
    assert [example.id for example in found] == [path.as_posix() for path in paths]


def test_a_name_that_is_no_text_is_written_as_one(tmp_path: Path) -> None:
    """As of an archive from before UTF-8: an evaluation writes ids into JSON and tables."""
    names = [b"caf\xe9.png", b"caf\xe8.png", "caf\u00e9.png".encode()]
    for name in names:
        Image.new("RGB", (150, 100)).save(tmp_path / os.fsdecode(name))
    found = load_dataset("photos", tmp_path).examples
    assert [example.id for example in found] == ["caf\\xe8", "caf\\xe9", "caf\u00e9"]
    assert all(example.image.is_file() for example in found)
    output = tmp_path / "report"
    asked = ["--dataset", "photos", "--data", str(tmp_path), "--output", str(output)]
    asked += ["--weights", "untrained", "--resamples", "20", "--device", "cpu", "--ratios", "1:1"]
    assert main([*asked, "--baselines", "centre"]) == 0
    report = json.loads((output / "evaluation.json").read_text())
    assert {row["status"] for row in report["rows"]} == {"ok"}


def test_their_figures_are_paired_one_by_one(same_names: Path, tmp_path: Path) -> None:
    """The centred 60 × 100 crop of a photo of 150 × 100 is [45, 105]; people's are off by 45."""
    output = tmp_path / "report"
    asked = ["--dataset", "crops", "--data", str(same_names), "--output", str(output)]
    asked += ["--weights", "untrained", "--resamples", "20", "--device", "cpu", "--ratios", "1:1"]
    assert main([*asked, "--baselines", "centre"]) == 0
    report = json.loads((output / "evaluation.json").read_text())
    # 15 of 105 columns are shared with two people's crops, all with the other two's
    assert report["measures"]["centre"]["iou"]["mean"] == pytest.approx((2 * 15 / 105 + 2) / 4)
    ours = {row["id"]: row["human"]["measures"]["s2cnet"]["iou"][0] for row in report["rows"]}
    assert len(ours) == 4
    difference = report["differences"]["centre"]["iou"]
    assert difference["photos"] == 4
    centre = report["measures"]["centre"]["iou"]["mean"]
    assert difference["mean"] == pytest.approx(sum(ours.values()) / 4 - centre)


def test_people_of_a_name_that_two_photos_have_are_refused(
    same_names: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = tmp_path / "groups.csv"
    groups.write_text("photo,x0,y0,x1,y1,group\na.png,0,0,9,9,x\n")
    asked = ["--dataset", "crops", "--data", str(same_names), "--output", str(tmp_path / "report")]
    assert main([*asked, "--baselines", "centre", "--groups", str(groups)]) == 2
    assert "2 photos of the data set are called a.png" in capsys.readouterr().err


def test_a_photo_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    Image.new("RGB", (60, 40)).save(tmp_path / "data/1.jpg")
    entry = {"url": "https://farm.example/1.jpg", "crop": [5, 6, 50, 30]}
    (tmp_path / "cropping_testing_set.json").write_text(json.dumps([entry, entry]))
    with pytest.raises(UsageError, match=r"photo data/1\.jpg is listed 2 times"):
        load_dataset("fcdb", tmp_path)
