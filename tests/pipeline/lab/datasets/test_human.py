"""Readers of FLMS, FCDB, SACD and the plain CSV, on hand-made folders."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from pipeline.errors import UsageError
from pipeline.lab.datasets import load_dataset
from pipeline.lab.datasets.layout import photos_of_set, read_upright_pixels


def photo(path: Path, size: tuple[int, int] = (60, 40)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 120, 40)).save(path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_flms_text(tmp_path: Path) -> None:
    photo(tmp_path / "image/a.jpg")
    photo(tmp_path / "image/b.jpg")
    write(tmp_path / "annotations/a.txt", "1 2 50 30\n3,4,51,31\n")
    dataset = load_dataset("flms", tmp_path)
    (example,) = dataset.examples
    assert example.human_px.tolist() == [[1, 2, 50, 30], [3, 4, 51, 31]]
    assert dataset.notes == ["1 photo without annotations left out"]


def save_mat(
    path: Path,
    rows: dict[str, list[list[float]]] | list[tuple[str, list[list[float]]]],
    across: bool = False,
) -> None:
    table = np.empty((len(rows), 1), dtype=[("filename", object), ("bbox", object)])
    for i, (name, crops) in enumerate(rows.items() if isinstance(rows, dict) else rows):
        table[i, 0] = (name, np.array(crops, np.float64))
    savemat(path, {"img_gt": table.T if across else table})


def test_flms_mat_may_have_its_photos_in_a_row(tmp_path: Path) -> None:
    """As MATLAB makes a struct whose entries are assigned one by one."""
    crops: dict[str, list[list[float]]] = {}
    for n, name in enumerate(("a", "b", "c")):
        photo(tmp_path / f"image/{name}.jpg")
        crops[f"{name}.jpg"] = [[n, 4.0, 55.0, 36.0]]
    save_mat(tmp_path / "500_image_dataset.mat", crops, across=True)
    found = load_dataset("flms", tmp_path).examples
    assert {example.image.name: example.human_px.tolist() for example in found} == crops


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [1, 0, 3, 2]])
def test_flms_mat_finds_out_its_column_order(tmp_path: Path, order: list[int]) -> None:
    photo(tmp_path / "image/a.jpg", (60, 40))  # x up to 55 would leave a photo 40 high
    xyxy = [[5.0, 4.0, 55.0, 36.0], [-1.0, -1.0, -1.0, -1.0], [10.0, 0.0, 60.0, 40.0]]
    xyxy += [[10.0, 10.0, 10.0, 30.0], [10.0, 10.0, 30.0, 10.0], [0.0, 0.0, 0.0, 0.0]]
    crops = [[row[i] for i in order] for row in xyxy]
    save_mat(tmp_path / "500_image_dataset.mat", {"a.jpg": crops, "gone.jpg": crops})
    dataset = load_dataset("flms", tmp_path)
    (example,) = dataset.examples
    assert example.human_px.tolist() == [xyxy[0], xyxy[2]]  # the others are void
    assert "1 photo named in 500_image_dataset.mat not found" in dataset.notes[0]


def test_a_crop_of_flms_that_is_no_number_is_not_void(tmp_path: Path) -> None:
    photo(tmp_path / "image/a.jpg")
    save_mat(tmp_path / "500_image_dataset.mat", {"a.jpg": [[5, 4, 55, 36], [5, np.nan, 55, 36]]})
    with pytest.raises(UsageError, match=r"a\.jpg: crops: row 1: .* finite numbers"):
        load_dataset("flms", tmp_path)


def test_photos_without_crops_are_told(tmp_path: Path) -> None:
    photo(tmp_path / "image/a.jpg")
    photo(tmp_path / "image/b.jpg")
    crop, void = [5.0, 4.0, 55.0, 36.0], [-1.0, -1.0, -1.0, -1.0]
    save_mat(tmp_path / "500_image_dataset.mat", {"a.jpg": [crop], "b.jpg": [void]})
    dataset = load_dataset("flms", tmp_path)
    assert [example.id for example in dataset.examples] == ["a"]
    assert dataset.notes == ["1 photo without crops left out"]
    write(tmp_path / "annotations/a.txt", "5 4 55 36\n")
    write(tmp_path / "annotations/b.txt", "\n")
    assert load_dataset("flms", tmp_path).notes == ["1 photo without crops left out"]


def test_a_photo_that_flms_lists_twice_is_refused(tmp_path: Path) -> None:
    photo(tmp_path / "image/a.jpg")
    twice = [("a.jpg", [[5.0, 4.0, 55.0, 36.0]]), ("a.jpg", [[1.0, 4.0, 55.0, 36.0]])]
    save_mat(tmp_path / "500_image_dataset.mat", twice)
    with pytest.raises(UsageError, match=r"dataset\.mat: the photo a\.jpg is listed twice"):
        load_dataset("flms", tmp_path)


def test_one_broken_photo_does_not_end_flms(tmp_path: Path) -> None:
    photo(tmp_path / "image/a.jpg", (60, 40))
    write(tmp_path / "image/b.jpg", "no photo")
    crops = [[4.0, 5.0, 36.0, 55.0]]  # y first
    save_mat(tmp_path / "500_image_dataset.mat", {"a.jpg": crops, "b.jpg": crops})
    examples = load_dataset("flms", tmp_path).examples
    assert [example.human_px.tolist() for example in examples] == [[[5, 4, 55, 36]]] * 2


def test_flms_errors(tmp_path: Path) -> None:
    photo(tmp_path / "image/a.jpg")
    with pytest.raises(UsageError, match=r"neither 500_image_dataset\.mat nor a folder"):
        load_dataset("flms", tmp_path)
    write(tmp_path / "500_image_dataset.mat", "no matlab file at all, only text " * 20)
    with pytest.raises(UsageError, match="expected img_gt"):
        load_dataset("flms", tmp_path)
    with pytest.raises(UsageError, match="one split"):
        load_dataset("flms", tmp_path, "train")


def test_the_order_of_flms_follows_from_the_crops_that_leave_their_photos(tmp_path: Path) -> None:
    """Two of three photos are high: their crops reach 60 of 60 rows if y is second, x first."""
    photo(tmp_path / "image/a.jpg", (60, 40))
    photo(tmp_path / "image/b.jpg", (40, 60))
    listed = {"a.jpg": [[0.0, 0, 38, 39]], "b.jpg": [[0.0, 0, 40, 60], [1.0, 2, 30, 55]]}
    save_mat(tmp_path / "500_image_dataset.mat", listed)
    first, second = load_dataset("flms", tmp_path).examples
    assert first.human_px.tolist() == [[0, 0, 38, 39]]
    assert second.human_px.tolist() == [[0, 0, 40, 60], [1, 2, 30, 55]]
    listed = {"a.jpg": [[1.0, 2, 40, 60]], "b.jpg": [[2.0, 1, 30, 38], [4.0, 3, 60, 40]]}
    save_mat(tmp_path / "500_image_dataset.mat", listed)
    first, second = load_dataset("flms", tmp_path).examples
    assert first.human_px.tolist() == [[2, 1, 60, 40]]
    assert second.human_px.tolist() == [[1, 2, 38, 30], [3, 4, 40, 60]]
    fits_both = {"a.jpg": [[1.0, 2, 30, 40]]}
    save_mat(tmp_path / "500_image_dataset.mat", fits_both)
    (only,) = load_dataset("flms", tmp_path).examples
    assert only.human_px.tolist() == fits_both["a.jpg"]  # x first


def test_flms_of_another_form_is_told(tmp_path: Path) -> None:
    photo(tmp_path / "image/a.jpg")
    form = r"dataset\.mat: expected img_gt, rows of \(name, crops \[M, 4\]\)$"
    for wrong in ([[1, 2], [3, 4]], [], np.array([["a.jpg", "b"]], dtype=object)):
        savemat(tmp_path / "500_image_dataset.mat", {"img_gt": wrong})
        with pytest.raises(UsageError, match=form):
            load_dataset("flms", tmp_path)
    save_mat(tmp_path / "500_image_dataset.mat", {"a.jpg": [[1, 2, 3]]})
    with pytest.raises(UsageError, match=form):
        load_dataset("flms", tmp_path)


def test_fcdb(tmp_path: Path) -> None:
    photo(tmp_path / "data/1_b.jpg")
    entries = [
        {"flickr_photo_id": 1, "url": "https://farm.example/9/1_b.jpg", "crop": [5, 6, 50, 30]},
        {"flickr_photo_id": 2, "url": "https://farm.example/9/2_b.jpg", "crop": [0, 0, 9, 9]},
    ]
    write(tmp_path / "cropping_testing_set.json", json.dumps(entries))
    dataset = load_dataset("fcdb", tmp_path)
    (example,) = dataset.examples
    assert example.human_px.tolist() == [[5, 6, 55, 36]]  # x y w h in the file
    assert dataset.notes == [
        f"1 photo named in cropping_testing_set.json not found in {tmp_path / 'data'}, such as "
        "2_b.jpg"
    ]
    with pytest.raises(UsageError, match=r"cropping_training_set\.json is missing"):
        load_dataset("fcdb", tmp_path, "train")
    with pytest.raises(UsageError, match="fcdb has test and train"):
        load_dataset("fcdb", tmp_path, "val")


@pytest.mark.parametrize("entry", [{"url": "a"}, {"url": "a", "crop": [1, 2, 3]}, [], None])
def test_fcdb_refuses_other_contents(tmp_path: Path, entry: object) -> None:
    photo(tmp_path / "data/a.jpg")
    write(tmp_path / "cropping_testing_set.json", json.dumps([entry]))
    with pytest.raises(UsageError, match=r"entry 0: expected .*h\]}$"):
        load_dataset("fcdb", tmp_path)
    write(tmp_path / "cropping_testing_set.json", "3")
    with pytest.raises(UsageError, match=r"set\.json: expected \["):
        load_dataset("fcdb", tmp_path)


@pytest.mark.parametrize("nested", ["", "test/"])
def test_sacd(tmp_path: Path, nested: str) -> None:
    photo(tmp_path / f"images/{nested}5.jpg")
    write(tmp_path / f"annotations/{nested}5.txt", "1 2 50 30 0.9\n3 4 51 31 0.7\n")
    write(tmp_path / f"subject/{nested}5.txt", "20 10 30 20\n")
    (example,) = load_dataset("sacd", tmp_path).examples
    assert example.human_px.tolist() == [[1, 2, 50, 30], [3, 4, 51, 31]]
    assert example.objects_px is not None
    assert example.objects_px.tolist() == [[20, 10, 30, 20]]


def test_sacd_that_is_flat_is_the_split_test(tmp_path: Path) -> None:
    """Else its baselines would be fitted on the photos that they are judged on."""
    photo(tmp_path / "images/5.jpg")
    write(tmp_path / "annotations/5.txt", "1 2 50 30\n")
    assert len(load_dataset("sacd", tmp_path).examples) == 1
    for split in ("train", "val"):
        why = f"split '{split}' does not exist: sacd with its photos in .*images is one split"
        with pytest.raises(UsageError, match=why):
            load_dataset("sacd", tmp_path, split)
    photo(tmp_path / "images/train/7.jpg")
    write(tmp_path / "annotations/7.txt", "1 2 50 30\n")
    assert [e.id for e in load_dataset("sacd", tmp_path, "train").examples] == ["7"]
    (tmp_path / "images/5.jpg").unlink()
    with pytest.raises(UsageError, match="no folder test; it holds: train"):
        load_dataset("sacd", tmp_path)


def test_crops_of_ones_own(tmp_path: Path) -> None:
    photo(tmp_path / "images/a.jpg")
    write(
        tmp_path / "crops.csv",
        "person,photo,x0,y0,x1,y1\n1,a.jpg,0,0,30,40\n2,a.jpg,1,0,31,40\n1,gone.jpg,0,0,1,1\n",
    )
    dataset = load_dataset("crops", tmp_path)
    (example,) = dataset.examples
    assert example.human_px.tolist() == [[0, 0, 30, 40], [1, 0, 31, 40]]
    assert dataset.notes == [
        f"1 photo named in crops.csv not found in {tmp_path / 'images'}, such as gone.jpg"
    ]
    write(tmp_path / "crops.csv", "photo, x0 , y0, x1, y1\n\na.jpg, 0, 0, 30, 40 \n")
    (example,) = load_dataset("crops", tmp_path).examples
    assert example.human_px.tolist() == [[0, 0, 30, 40]]
    with pytest.raises(UsageError, match="split 'train' does not exist: crops is one split, test"):
        load_dataset("crops", tmp_path, "train")
    write(tmp_path / "crops.csv", "photo,x0,y0,x1,y1\na.jpg,0,0,30\n")
    with pytest.raises(UsageError, match=r"crops\.csv:2: no y1$"):
        load_dataset("crops", tmp_path)
    write(tmp_path / "crops.csv", "photo,left,top\n")
    with pytest.raises(UsageError, match="no column x0, x1, y0, y1; it has photo, left, top; "):
        load_dataset("crops", tmp_path)
    write(tmp_path / "crops.csv", "photo;x0;y0;x1;y1\n")
    with pytest.raises(UsageError, match=r"photo, x0.*; it has photo;x0;y0;x1;y1; .* by commas"):
        load_dataset("crops", tmp_path)


@pytest.mark.parametrize("row", ["a.jpg,nan,0,30,40", "a.jpg,0,0,inf,40", "a.jpg,30,0,30,40"])
def test_a_crop_that_is_none_is_told_with_its_line(tmp_path: Path, row: str) -> None:
    photo(tmp_path / "images/a.jpg")
    write(tmp_path / "crops.csv", f"photo,x0,y0,x1,y1\na.jpg,0,0,30,40\n{row}\n")
    with pytest.raises(UsageError, match=r"crops\.csv:3: .*(finite numbers|no area)"):
        load_dataset("crops", tmp_path)
    write(tmp_path / "crops.csv", "photo,x0,y0,x1,y1\n,0,0,30,40\n")
    with pytest.raises(UsageError, match=r"crops\.csv:2: no photo"):
        load_dataset("crops", tmp_path)


def test_files_that_excel_saved_as_utf_8(tmp_path: Path) -> None:
    """They begin with a byte order mark."""
    photo(tmp_path / "images/a.jpg")
    text = "photo,x0,y0,x1,y1\na.jpg,0,0,30,40\n"
    (tmp_path / "crops.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (example,) = load_dataset("crops", tmp_path).examples
    assert example.human_px.tolist() == [[0, 0, 30, 40]]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/a.txt").write_bytes(b"\xef\xbb\xbf1 2 50 30\n")
    (example,) = load_dataset("flms", tmp_path).examples
    assert example.human_px.tolist() == [[1, 2, 50, 30]]
    (tmp_path / "images.json").write_bytes(b'\xef\xbb\xbf{"a.jpg": {"crops": [[1, 2, 5, 6]]}}')
    (example,) = load_dataset("labels", tmp_path / "images").examples
    assert example.human_px.tolist() == [[1, 2, 5, 6]]


def test_gnmc(tmp_path: Path) -> None:
    photo(tmp_path / "val/b.jpg", (80, 60))
    entries = [
        {"filename": "b.jpg", "crop_bboxes": {"16:9": [0, 0.25, 1, 1], "1:1": [0.25, 0, 1, 1]}},
        {"filename": "gone.jpg", "crop_bboxes": {"1:1": [0.25, 0, 1, 1]}},
    ]
    write(tmp_path / "json/val.json", json.dumps(entries))
    dataset = load_dataset("gnmc", tmp_path, "val")
    (example,) = dataset.examples
    assert example.human_px.tolist() == [[0, 15, 80, 60], [20, 0, 80, 60]]
    assert example.asked == ("16:9", "1:1")
    assert dataset.notes == [
        f"1 photo named in val.json not found in {tmp_path / 'val'}, such as gone.jpg"
    ]
    with pytest.raises(UsageError, match=r"test\.json is missing"):
        load_dataset("gnmc", tmp_path)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (80, 60)).save(tmp_path / "val/b.jpg", exif=turned)  # shown as 60 × 80
    (tmp_path / "val/gone.jpg").write_bytes(b"no photo")
    dataset = load_dataset("gnmc", tmp_path, "val")
    (example,) = dataset.examples
    assert example.human_px.tolist() == [[0, 20, 60, 80], [15, 0, 60, 80]]
    assert dataset.notes[0].startswith(f"left out: {tmp_path / 'val/gone.jpg'} cannot be read")


@pytest.mark.parametrize(
    ("crops", "told"),
    [
        ([1], 'expected {"filename"'),
        (None, 'expected {"filename"'),
        ({"1:1": [0, 0, 1]}, 'expected {"filename"'),
        ({"1:1": [0, 0, 1, "a"]}, 'expected {"filename"'),
        ({"wide": [0, 0, 1, 1]}, ".*wide"),
        ({"1:1": [1, 0, 0, 1]}, ".* has no area"),
    ],
)
def test_an_entry_of_gnmc_of_another_form_is_told(tmp_path: Path, crops: object, told: str) -> None:
    photo(tmp_path / "val/b.jpg")
    good = {"filename": "b.jpg", "crop_bboxes": {"1:1": [0, 0, 1, 1]}}
    for wrong in ({**good, "crop_bboxes": crops}, {"crop_bboxes": crops}):
        write(tmp_path / "json/val.json", json.dumps([good, wrong]))
        expected = told if "filename" in wrong else "expected"
        with pytest.raises(UsageError, match=rf"val\.json: entry 1: {expected}"):
            load_dataset("gnmc", tmp_path, "val")


def test_hidden_files_are_no_photos(tmp_path: Path) -> None:
    """macOS writes `._a.jpg` beside `a.jpg` on other file systems, with attributes of it."""
    photo(tmp_path / "a.jpg")
    write(tmp_path / "._a.jpg", "Mac OS X")
    (example,) = load_dataset("photos", tmp_path).examples
    assert example.id == "a"
    assert photos_of_set(tmp_path) == [tmp_path / "a.jpg"]


def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path) -> None:
    """By 257: black, a grey of 100 and white."""
    deep = np.array([[0, 100 * 257, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert read_upright_pixels(tmp_path / "deep.png")[0, :, 0].tolist() == [0, 100, 255]


def test_an_open_quotation_mark_is_told(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    rows = "a.jpg,1,2,30,40\n" * 9000  # longer than a field of a CSV may be
    write(tmp_path / "crops.csv", f'photo,x0,y0,x1,y1\n"a.jpg,1,2,30,40\n{rows}')
    with pytest.raises(UsageError, match=r"crops\.csv is no CSV: .* mark that is not closed"):
        load_dataset("crops", tmp_path)
