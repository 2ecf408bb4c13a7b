"""Baselines against hand-calculated boxes and a picture with a known subject."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UsageError
from pipeline.lab.datasets import Dataset, Example
from pipeline.lab.evaluation.baselines import NAMES, AnchorPrior, make_baselines, without_missing
from pipeline.lab.evaluation.baselines.prior import fit_prior
from pipeline.lab.evaluation.baselines.simple import Centre, Largest
from pipeline.photo.decode import Photo


def photo(pixels: np.ndarray | None = None, scale: int = 1) -> Photo:
    pixels = np.zeros((100, 200, 3), np.uint8) if pixels is None else pixels
    height, width = pixels.shape[:2]
    return Photo(pixels, width * scale, height * scale, "png", 1)


def box(*corners: float) -> np.ndarray:
    return np.array(corners, np.float32)


def test_centre_crops_by_hand() -> None:
    square, wide = Centre().crops(photo(scale=3), [1.0, 4.0])
    assert square.tolist() == [150, 0, 450, 300]
    assert wide.tolist() == [0, 75, 600, 225]
    assert Centre(0.9).crops(photo(), [1.0])[0].tolist() == [55, 5, 145, 95]


def test_centre_scores_by_hand() -> None:
    boxes = np.array([[50, 0, 150, 100], [0, 0, 100, 100], [10, 5, 190, 95]], np.float32)
    # Own size, centred: the same box; half of it overlapped (1/3); the same box.
    np.testing.assert_allclose(Centre().score(photo(), boxes), [1, 1 / 3, 1])
    # Against [10, 5, 190, 95]: 90·100 of 16,200 + 10,000 − 9,000; 90·90 of …; itself.
    np.testing.assert_allclose(
        Centre(0.9).score(photo(), boxes), [9000 / 17200, 8100 / 18100, 1], rtol=1e-6
    )


def test_largest_orders_by_area_and_places_nothing() -> None:
    boxes = np.array([[0, 0, 100, 100], [0, 0, 200, 100]], np.float32)
    assert Largest().score(photo(), boxes).tolist() == [0.5, 1.0]
    assert Largest().crops(photo(), [1.0]) is None


def subject_at(x: int) -> np.ndarray:
    """A red, striped blob on grey."""
    pixels = np.full((300, 900, 3), 128, np.uint8)
    pixels[100:200:4, x : x + 100] = (255, 0, 0)
    pixels[102:200:4, x : x + 100] = (255, 255, 0)
    return pixels


@pytest.mark.parametrize("name", ["attention", "entropy", "smartcrop_js"])
@pytest.mark.parametrize("x", [20, 400, 780])
def test_free_croppers_find_the_subject(name: str, x: int) -> None:
    if name == "smartcrop_js":
        if without_missing([name])[1]:
            pytest.skip("needs Node.js and the npm package smartcrop")
    else:
        pytest.importorskip("pyvips")
    method = make_baselines([name])[name]
    (crop,) = method.crops(photo(subject_at(x), scale=2), [1.0]) or []
    np.testing.assert_allclose(crop[2:] - crop[:2], 600, atol=1e-3)
    assert (crop >= 0).all()
    assert (crop[2:] <= [1800, 600]).all()
    assert crop[0] <= 2 * x + 20  # within the small copy's pixel
    assert crop[2] >= 2 * (x + 100) - 20
    # Crops of that size around the subject outrank those away from it.
    boxes = np.array([[0, 0, 600, 600], [600, 0, 1200, 600], [1200, 0, 1800, 600]], np.float32)
    scores = method.score(photo(subject_at(x), scale=2), boxes)
    assert int(np.argmax(scores)) == [20, 400, 780].index(x)


def test_prior_by_hand(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    Image.new("RGB", (120, 240)).save(image)
    # Bins of a 120 × 240 photo are 10 × 20 px: corners at (k + .5) · 10 and · 20.
    whole, half = box(5, 10, 115, 230), box(35, 70, 85, 170)
    scored = Example("a", image, np.stack([whole, half]), np.array([4, 2], np.float32))
    again = Example("b", image, whole[None], np.array([3], np.float32))
    human = Example("c", image, human_px=np.stack([box(0, 0, 60, 60), box(60, 120, 120, 180)]))
    prior = fit_prior(Dataset("gaicv1", "train", [scored, again, human]))
    assert prior.mos == {(0, 0, 11, 11): 3.5, (3, 3, 8, 8): 2.0}
    assert prior.overall == 3.0
    # Squares of half the largest (120): centres at 1/4, 1/8 and 3/4, 5/8 of the sides.
    assert prior.placement == pytest.approx((0.5, 0.375, 0.5))
    picture = Photo(np.zeros((24, 12, 3), np.uint8), 1200, 2400, "png", 1)
    crops = np.stack([whole, half, box(0, 0, 1, 1) * 10]) * 10
    assert prior.score(picture, crops.astype(np.float32)).tolist() == [3.5, 2.0, 3.0]
    (crop,) = prior.crops(picture, [1.0]) or []
    assert crop.tolist() == [300, 600, 900, 1200]


def test_prior_without_people_places_nothing() -> None:
    assert AnchorPrior({}, 0.0, None).crops(photo(), [1.0]) is None


def test_names() -> None:
    with pytest.raises(UsageError, match=f"choose from {', '.join(NAMES)}"):
        make_baselines(["middle"])
    with pytest.raises(UsageError, match=r"no baseline cenntre: .*; did you mean centre\?"):
        make_baselines(["cenntre"])
    assert list(make_baselines(["anchor_prior", "largest"])) == ["largest"]


@pytest.mark.parametrize("have_node", [False, True])
def test_a_missing_smartcrop_is_left_out_and_said(
    have_node: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that finds no package, and no node at all."""
    if have_node:
        node = tmp_path / "node"
        node.write_text("#!/bin/sh\nexit 1\n")
        node.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    names, (note,) = without_missing(["centre", "smartcrop_js"])
    assert names == ["centre"]
    assert ("npm install smartcrop" if have_node else "Node.js") in note
    assert without_missing(["centre"]) == (["centre"], [])
