"""Readers of OSIE, EyeCrowd and the label JSON, on hand-made folders."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from pipeline.errors import UsageError
from pipeline.lab.datasets import load_dataset
from pipeline.lab.datasets.gaze import FIRST_WEIGHT


def photo(path: Path, size: tuple[int, int] = (60, 40)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 120, 40)).save(path)


def cells(*values: Any) -> np.ndarray:
    """A MATLAB cell array, one column as in the published files."""
    made = np.empty((len(values), 1), dtype=object)
    for index, value in enumerate(values):
        made[index, 0] = value
    return made


def viewer(xs: list[float], ys: list[float]) -> dict[str, np.ndarray]:
    """One person's fixations, row vectors as in the published files."""
    return {
        "fix_x": np.array([xs]),
        "fix_y": np.array([ys]),
        "fix_duration": np.array([[9] * len(xs)]),
    }


def write_fixations(root: Path) -> None:
    """Two viewers of a.jpg, the second with one fixation; one viewer of b.jpg."""
    (root / "eye").mkdir(parents=True)
    first = {"img": "a.jpg", "subjects": cells(viewer([1.0, 30.5], [1.0, 20.5]), viewer([8], [9]))}
    second = {"img": "b.jpg", "subjects": cells(viewer([-3.0, 5.0], [2.0, 6.0]))}
    savemat(root / "eye/fixations.mat", {"fixations": cells(first, second)})


def test_osie(tmp_path: Path) -> None:
    photo(tmp_path / "data/stimuli/a.jpg")
    write_fixations(tmp_path / "data")
    dataset = load_dataset("osie", tmp_path)
    (example,) = dataset.examples
    # MATLAB's pixel (1, 1) is the first one; its centre is half a pixel from the corner.
    assert example.fixations_px is not None
    assert example.fixations_px.tolist() == [[0.5, 0.5], [30, 20], [7.5, 8.5]]
    assert example.first_fixations is not None
    assert example.first_fixations.tolist() == [True, False, True]
    assert example.heads_px is None
    folder = tmp_path / "data/stimuli"
    assert dataset.notes == [
        f"1 photo named in eye/fixations.mat not found in {folder}, such as b.jpg"
    ]
    (folder / "a.jpg").unlink()
    with pytest.raises(UsageError, match=r"no photo in split 'test'; 2 photos .*, such as a\.jpg"):
        load_dataset("osie", tmp_path)


def test_eyecrowd(tmp_path: Path) -> None:
    photo(tmp_path / "stimuli/a.jpg")
    photo(tmp_path / "stimuli/b.jpg")
    write_fixations(tmp_path)
    face = {"center": np.array([[20, 15]]), "width": 10, "height": 14, "isFrontalFace": 1}
    labels = cells({"nFaces": 1, "faces": cells(face)}, {"nFaces": 0, "faces": cells()})
    savemat(tmp_path / "labels.mat", {"labels": labels})
    first, second = load_dataset("eyecrowd", tmp_path).examples
    assert first.heads_px is not None
    assert first.heads_px.tolist() == [[14.5, 7.5, 24.5, 21.5]]
    assert second.heads_px is not None
    assert second.heads_px.shape == (0, 4)
    assert second.fixations_px is not None
    assert second.fixations_px.tolist() == [[-3.5, 1.5], [4.5, 5.5]]
    assert second.first_fixations is not None
    assert second.first_fixations.tolist() == [True, False]
    photo(tmp_path / "stimuli/c.jpg")
    with pytest.raises(UsageError, match=r"3 photos and labels\.mat describes 2"):
        load_dataset("eyecrowd", tmp_path)


def test_a_photo_of_eyecrowd_without_fixations_is_told(tmp_path: Path) -> None:
    photo(tmp_path / "stimuli/a.JPG")  # a.jpg in the file
    photo(tmp_path / "stimuli/b.jpg")
    write_fixations(tmp_path)
    none = {"nFaces": 0, "faces": cells()}
    savemat(tmp_path / "labels.mat", {"labels": cells(none, none)})
    dataset = load_dataset("eyecrowd", tmp_path)
    assert [example.fixations_px is None for example in dataset.examples] == [True, False]
    assert dataset.notes == [
        "1 photo named in stimuli not found in eye/fixations.mat, such as a.JPG"
    ]


def test_a_photo_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    """Of two entries, the second would silently replace the first."""
    photo(tmp_path / "stimuli/a.jpg")
    (tmp_path / "eye").mkdir()
    seen = [{"img": "a.jpg", "subjects": cells(viewer([x], [9]))} for x in (8.0, 30.0)]
    savemat(tmp_path / "eye/fixations.mat", {"fixations": cells(*seen)})
    with pytest.raises(UsageError, match=r"fixations\.mat: the photo a\.jpg is listed twice"):
        load_dataset("osie", tmp_path)
    own = '{"a.jpg": {"heads": []}, "a.jpg": {"crops": [[1, 2, 30, 40]]}}'
    (tmp_path / "stimuli.json").write_text(own)
    with pytest.raises(UsageError, match=r"stimuli\.json: the key 'a\.jpg' is there twice"):
        load_dataset("labels", tmp_path / "stimuli")


def test_each_head_of_a_photo_is_where_its_centre_and_sides_say(tmp_path: Path) -> None:
    """MATLAB's (1, 1) is our (.5, .5). A photo's heads need no fixations."""
    photo(tmp_path / "stimuli/a.jpg")
    photo(tmp_path / "stimuli/b.jpg")
    write_fixations(tmp_path)
    faces = [
        {"center": np.array([[20.5, 15.5]]), "width": 10, "height": 14},
        {"center": np.array([[40.5, 30.5]]), "width": 4, "height": 6},
    ]
    none = {"nFaces": 0, "faces": cells()}
    savemat(tmp_path / "labels.mat", {"labels": cells({"nFaces": 2, "faces": cells(*faces)}, none)})
    first, second = load_dataset("eyecrowd", tmp_path).examples
    assert (first.id, first.image) == ("a", tmp_path / "stimuli/a.jpg")
    assert first.heads_px is not None
    assert first.heads_px.tolist() == [[15, 8, 25, 22], [38, 27, 42, 33]]
    assert first.fixations_px is not None
    assert first.fixations_px.tolist() == [[0.5, 0.5], [30, 20], [7.5, 8.5]]
    assert len(second.human_px) == 0


@pytest.mark.parametrize(
    "label",
    [
        {"nFaces": 1},
        {"nFaces": 1, "faces": cells({"center": np.array([[20, 15]]), "width": 10})},
        {"nFaces": 1, "faces": cells({"center": np.array([20, 15, 3]), "width": 1, "height": 1})},
        {"nFaces": 1, "faces": cells({"center": np.array([2, 1]), "width": "a", "height": 1})},
        {
            "nFaces": 2,
            "faces": cells(*[{"center": np.array([20, 15, 3]), "width": 1, "height": 1}] * 2),
        },
        {"nFaces": 1, "faces": cells("a face")},
        {"nFaces": 1, "faces": 3},
        {"faces": cells()},
        4,
    ],
)
def test_heads_of_another_form_are_told_with_their_photo(tmp_path: Path, label: object) -> None:
    photo(tmp_path / "stimuli/a.jpg")
    photo(tmp_path / "stimuli/b.jpg")
    write_fixations(tmp_path)
    savemat(tmp_path / "labels.mat", {"labels": cells({"nFaces": 0, "faces": cells()}, label)})
    form = r"labels\.mat: b\.jpg: expected nFaces and faces{center, width, height}$"
    with pytest.raises(UsageError, match=form):
        load_dataset("eyecrowd", tmp_path)


@pytest.mark.parametrize(
    "seen",
    [
        {"img": "a.jpg", "subjects": cells({"fix_x": [[1.0]]})},
        {"img": "a.jpg", "subjects": cells(viewer([1.0, 2.0], [1.0]))},
        {"img": "a.jpg", "subjects": cells("a viewer")},
        {"subjects": cells(viewer([1.0], [1.0]))},
        3,
    ],
)
def test_fixations_of_another_form_are_told(tmp_path: Path, seen: object) -> None:
    photo(tmp_path / "stimuli/a.jpg")
    (tmp_path / "eye").mkdir()
    savemat(tmp_path / "eye/fixations.mat", {"fixations": cells(seen)})
    form = r"fixations\.mat: expected fixations, a cell of structs img, subjects{fix_x, fix_y}$"
    with pytest.raises(UsageError, match=form):
        load_dataset("osie", tmp_path)


def test_gaze_is_one_split_and_has_a_folder(tmp_path: Path) -> None:
    for name in ("osie", "eyecrowd"):
        with pytest.raises(
            UsageError, match=f"split 'train' does not exist: {name} is one split, test"
        ):
            load_dataset(name, tmp_path, "train")
        with pytest.raises(UsageError, match="has no folder stimuli or data/stimuli; it holds: no"):
            load_dataset(name, tmp_path)
    assert 0 < FIRST_WEIGHT < 1  # less than other fixations


def test_gaze_errors(tmp_path: Path) -> None:
    photo(tmp_path / "stimuli/a.jpg")
    with pytest.raises(UsageError, match=r"fixations\.mat is missing"):
        load_dataset("osie", tmp_path)
    (tmp_path / "eye").mkdir()
    savemat(tmp_path / "eye/fixations.mat", {"fixations": cells({"img": "a.jpg"})})
    with pytest.raises(UsageError, match="expected fixations, a cell of structs"):
        load_dataset("osie", tmp_path)
    for value in (float("nan"), float("inf")):
        seen = {"img": "a.jpg", "subjects": cells(viewer([1.0], [2.0]), viewer([3.0], [value]))}
        savemat(tmp_path / "eye/fixations.mat", {"fixations": cells(seen)})
        with pytest.raises(UsageError, match=r"a\.jpg: fixations: row 1: .* finite numbers"):
            load_dataset("osie", tmp_path)
    seen = {"img": "a.jpg", "subjects": cells(viewer([], []))}
    savemat(tmp_path / "eye/fixations.mat", {"fixations": cells(seen)})
    with pytest.raises(UsageError, match=r"fixations\.mat: a\.jpg has no fixation"):
        load_dataset("osie", tmp_path)
    seen = {"img": "a.jpg", "subjects": cells()}
    savemat(tmp_path / "eye/fixations.mat", {"fixations": cells(seen)})
    with pytest.raises(UsageError, match=r"fixations\.mat: a\.jpg has no viewer"):
        load_dataset("osie", tmp_path)
    whole = (tmp_path / "eye/fixations.mat").read_bytes()
    for size in (0, len(whole) // 2, len(whole) - 8):
        (tmp_path / "eye/fixations.mat").write_bytes(whole[:size])
        with pytest.raises(UsageError, match=r"fixations\.mat: expected fixations"):
            load_dataset("osie", tmp_path)
    savemat(tmp_path / "eye/fixations.mat", {"other": 1})
    with pytest.raises(UsageError, match=r"expected fixations in a MATLAB file, found other$"):
        load_dataset("osie", tmp_path)
    (tmp_path / "eye/fixations.mat").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(UsageError, match=r"expected fixations in a MATLAB file, found another$"):
        load_dataset("osie", tmp_path)
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "eye/fixations.mat").write_bytes(header.ljust(512, b"\0") + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(UsageError, match=r"fixations\.mat is of MATLAB 7\.3, .* with -v7$"):
        load_dataset("osie", tmp_path)


def test_labels(tmp_path: Path) -> None:
    photo(tmp_path / "set.v1/a.jpg")
    photo(tmp_path / "set.v1/b.jpg")
    head = {"box": [5, 6, 15, 20], "kind": "frontal", "occluded": False}
    entries = {
        "a.jpg": {"size_wh": [60, 40], "crops": [[0, 0, 30, 40], [1, 2, 50, 39.5]]},
        "b.jpg": {
            "viewers": [[[1, 2, 200], [3, 4, 100]], [], [[5, 6, 90]]],
            "heads": [head],
            "licence": "of its author",
        },  # which is nobody's label
        "gone.jpg": {"size_wh": [60, 40]},
        "c.jpg": {"size_wh": [60, 40], "crops": None, "viewers": [[]]},
        "d.jpg": {"heads": []},
    }
    for name in ("c.jpg", "d.jpg"):
        photo(tmp_path / "set.v1" / name)
    (tmp_path / "set.v1.json").write_text(json.dumps(entries))
    dataset = load_dataset("labels", tmp_path / "set.v1")
    first, second, *_ = dataset.examples
    assert first.human_px.tolist() == [[0, 0, 30, 40], [1, 2, 50, 39.5]]
    assert first.fixations_px is None
    assert second.fixations_px is not None
    assert second.fixations_px.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert second.first_fixations is not None
    assert second.first_fixations.tolist() == [True, False, True]
    assert second.heads_px is not None
    assert second.heads_px.tolist() == [[5, 6, 15, 20]]
    assert len(second.human_px) == 0
    assert dataset.notes == [
        f"1 photo named in set.v1.json not found in {tmp_path / 'set.v1'}, such as gone.jpg",
        "1 photo has no label in set.v1.json",  # of d.jpg it is told that there is no head
    ]
    (tmp_path / "set.v1.json").write_text(json.dumps({"a.jpg": {"heads": [[5, 6, 15, 20]]}}))
    with pytest.raises(UsageError, match=r"a\.jpg: heads: expected"):
        load_dataset("labels", tmp_path / "set.v1")


def test_labels_may_be_next_to_a_link(tmp_path: Path) -> None:
    photo(tmp_path / "disk/photos/a.jpg")
    (tmp_path / "mine").symlink_to(tmp_path / "disk/photos")
    beside_folder, beside_link = tmp_path / "disk/photos.json", tmp_path / "mine.json"
    for path, crop in ((beside_folder, [0, 0, 30, 40]), (beside_link, [1, 2, 50, 39])):
        path.write_text(json.dumps({"a.jpg": {"crops": [crop]}}))
        (example,) = load_dataset("labels", tmp_path / "mine").examples
        assert example.human_px.tolist() == [crop]
    (example,) = load_dataset("labels", tmp_path / "disk/photos").examples
    assert example.human_px.tolist() == [[0, 0, 30, 40]]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"crops": [[0, 0, 30, 40], [1, 2, None, 40]]}, "crops: row 1: .* finite numbers"),
        ({"heads": [{"box": [1, float("nan"), 5, 6]}]}, "heads: row 0: .* finite numbers"),
        ({"viewers": [[[1, 2, 200], [3, None, 100]]]}, "viewers: row 1: .* finite numbers"),
        ({"viewers": [[[1], [3]]]}, "viewers: expected .* fixations of each person$"),
        ({"viewers": [[1, 2, 200]]}, "viewers: expected .* fixations of each person$"),
        ({"viewers": [[["a", 2]]]}, r"viewers: \[\['a', 2\]\] has to be numbers"),
        ({"viewer": []}, "there is no label viewer, .*; did you mean viewers"),
        ({"viewer": [], "crops": []}, "there is no label viewer, .*; did you mean viewers"),
        ({"gaze": []}, "there is no label gaze, only size_wh, crops, viewers, heads"),
        ({"heads": [{"box": [1, 2, 5, 6, 11, 12, 15, 16]}]}, "heads: expected boxes of four"),
        ({"heads": [{"box": [1, 2, 5]}]}, "heads: expected boxes of four"),
        ({"heads": {"box": [1, 2, 5, 6]}}, "heads: expected .*box"),
        ({"crops": [1, 2, 30, 40]}, "crops: expected boxes of four"),
        ({"crops": [[1, 2, 30], [1, 2, 30, 40]]}, r"crops: .* as many in each row"),
        ({"crops": [[]]}, "crops: expected boxes of four"),
        ({"size_wh": [40, 60]}, "size_wh is 40 × 60, and the photo is shown as 60 × 40"),
        ({"size_wh": 60}, "expected .size_wh.: "),
        ([[0, 0, 30, 40]], "expected"),
    ],
)
def test_a_label_that_is_none_is_told(tmp_path: Path, entry: object, told: str) -> None:
    photo(tmp_path / "set/a.jpg")
    (tmp_path / "set.json").write_text(json.dumps({"a.jpg": entry}))
    with pytest.raises(UsageError, match=rf"set\.json: a\.jpg: {told}"):
        load_dataset("labels", tmp_path / "set")
    (tmp_path / "set.json").write_text(json.dumps([entry]))
    with pytest.raises(UsageError, match=r"set\.json: expected"):
        load_dataset("labels", tmp_path / "set")
