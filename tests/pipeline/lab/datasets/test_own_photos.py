"""Readers' smaller forms: photos without labels, folders by other names, and splits."""

import json
from pathlib import Path

import pytest
from PIL import Image

from pipeline.errors import UsageError
from pipeline.lab.datasets import load_dataset, log_notes
from pipeline.report.progress import Log


def photo(path: Path, size: tuple[int, int] = (60, 40)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 120, 40)).save(path)
    return path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("folder", ["", "images/"])
def test_photos_may_have_boxes_of_objects(tmp_path: Path, folder: str) -> None:
    first = photo(tmp_path / f"{folder}a.jpg")
    photo(tmp_path / f"{folder}b.jpg")
    write(tmp_path / "boxes/a.txt", "1 2 30 40\n")
    one, two = load_dataset("photos", tmp_path).examples
    assert (one.id, one.image) == ("a", first)
    assert one.objects_px is not None
    assert one.objects_px.tolist() == [[2, 1, 40, 30]]  # y1 x1 y2 x2 in the file
    assert two.objects_px is None
    assert len(one.human_px) == len(one.mos) == 0
    assert load_dataset("photos", tmp_path).notes == []
    with pytest.raises(UsageError, match=r"^split 'val' does not exist: photos is one split, test"):
        load_dataset("photos", tmp_path, "val")


def test_a_set_without_photos_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"photos has no photo in split 'test'$"):
        load_dataset("photos", tmp_path)


@pytest.mark.parametrize(("name", "folder"), [("flms", "images"), ("fcdb", "images")])
def test_mirrors_have_their_photos_in_another_folder(
    tmp_path: Path, name: str, folder: str
) -> None:
    path = photo(tmp_path / folder / "a.jpg")
    write(tmp_path / "annotations/a.txt", "1 2 50 30\n")
    entry = {"url": "a.jpg", "crop": [1, 2, 49, 28]}
    write(tmp_path / "cropping_testing_set.json", json.dumps([entry]))
    (example,) = load_dataset(name, tmp_path).examples
    assert (example.id, example.image) == ("a", path)
    assert example.human_px.tolist() == [[1, 2, 50, 30]]
    assert example.objects_px is None


def test_the_training_photos_of_fcdb_have_a_list_of_their_own(tmp_path: Path) -> None:
    photo(tmp_path / "data/a.jpg")
    entry = {"url": "http://x.example/9/a.jpg", "crop": [1, 2, 49, 28]}
    write(tmp_path / "cropping_training_set.json", json.dumps([entry]))
    assert len(load_dataset("fcdb", tmp_path, "train").examples) == 1
    wrong = {**entry, "crop": [1, 2, 0, 28]}
    write(tmp_path / "cropping_training_set.json", json.dumps([entry, wrong]))
    with pytest.raises(UsageError, match=r"training_set\.json: entry 1: .* has no area"):
        load_dataset("fcdb", tmp_path, "train")


@pytest.mark.parametrize("crop", [3, [1, 2, "a", 4], [1, 2, None, 4], [1, 2, 3, 4, 5]])
def test_a_crop_of_fcdb_that_is_none_is_told(tmp_path: Path, crop: object) -> None:
    photo(tmp_path / "data/a.jpg")
    write(tmp_path / "cropping_testing_set.json", json.dumps([{"url": "a.jpg", "crop": crop}]))
    with pytest.raises(UsageError, match=r"entry 0: expected .*h\]}$"):
        load_dataset("fcdb", tmp_path)


def test_a_photo_that_is_left_out_does_not_end_the_list(tmp_path: Path) -> None:
    """One that is gone, one that is no photo, one without a file of crops, one without crops."""
    photo(tmp_path / "images/z.jpg")
    for name in "bcd":
        photo(tmp_path / f"images/{name}.jpg")
    (tmp_path / "test").mkdir()
    (tmp_path / "test/b.jpg").write_text("no photo")
    photo(tmp_path / "test/z.jpg")
    names = ("a.jpg", "b.jpg", "z.jpg")
    shares = {"1:1": [0, 0, 1, 1]}
    entries = [{"filename": name, "crop_bboxes": shares} for name in names]
    write(tmp_path / "json/test.json", json.dumps(entries))
    urls = [{"url": name, "crop": [1, 2, 9, 8]} for name in ("a.jpg", "z.jpg")]
    write(tmp_path / "cropping_testing_set.json", json.dumps(urls))
    write(tmp_path / "annotations/c.txt", "\n")
    write(tmp_path / "annotations/z.txt", "1 2 50 30\n")
    write(
        tmp_path / "CollectedAnnotationsRaw/z.jpg.txt",
        '{"scores": [[1]], "bboxes": [[0, 0, 9, 9]]}',
    )
    for name, notes in (("gnmc", 2), ("fcdb", 1), ("flms", 2), ("sacd", 2), ("cpc", 1)):
        dataset = load_dataset(name, tmp_path)
        assert [example.id for example in dataset.examples] == ["z"], name
        assert len(dataset.notes) == notes, name
    write(tmp_path / "annotations/z.txt", "1 2 30 50 3\n")
    for name, text in (("b", "1 2 30 50 -2\n"), ("c", "1 2 30 50 -2\n"), ("d", "0 0 9 9 1\n")):
        write(tmp_path / f"annotations/{name}.txt", text)
    (tmp_path / "test/b.jpg").unlink()
    (tmp_path / "images").rename(tmp_path / "test/test")
    (tmp_path / "test").rename(tmp_path / "images")
    gaic = load_dataset("gaicv1", tmp_path)
    assert [example.id for example in gaic.examples] == ["d", "z"]


def test_photos_of_sacd_may_lack_crops_and_a_subject(tmp_path: Path) -> None:
    for name in "abc":
        photo(tmp_path / f"images/val/{name}.jpg")
    write(tmp_path / "annotations/val/a.txt", "1 2 50 30 .5\n")
    write(tmp_path / "annotations/val/b.txt", "\n")
    dataset = load_dataset("sacd", tmp_path, "val")
    (example,) = dataset.examples
    assert example.objects_px is None
    expected = ["1 photo without annotations left out", "1 photo without crops left out"]
    assert dataset.notes == expected
    write(tmp_path / "subject/b.txt", "1 2 30 40\n")
    assert load_dataset("sacd", tmp_path, "val").examples[0].objects_px is None
    write(tmp_path / "subject/val/a.txt", "30 2 1 40\n")
    with pytest.raises(UsageError, match=r"subject/val/a\.txt: .* has no area"):
        load_dataset("sacd", tmp_path, "val")


@pytest.mark.parametrize("folder", ["", "images/"])
def test_crops_of_one_s_own_are_beside_the_photos_or_above(tmp_path: Path, folder: str) -> None:
    path = photo(tmp_path / f"{folder}a.jpg")
    write(tmp_path / "crops.csv", "photo,x0,y0,x1,y1\na.jpg,0,0,30,40\n")
    dataset = load_dataset("crops", tmp_path)
    (example,) = dataset.examples
    assert (example.id, example.image, dataset.notes) == ("a", path, [])
    assert example.human_px.tolist() == [[0, 0, 30, 40]]


def test_notes_are_lines_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    log_notes(["one", "two"], Log())
    assert capsys.readouterr().out == "one\ntwo\n"
    log_notes(["one"], None)
    assert capsys.readouterr().out == ""
