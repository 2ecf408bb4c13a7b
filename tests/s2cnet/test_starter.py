"""The packaged weights: their identity, and that they work on photos."""

import hashlib
import json
from importlib.resources import files

import cv2
import numpy as np
import pytest
import torch

from pipeline import Cropper
from pipeline.boxes import iou
from pipeline.cropping.candidates import grid
from pipeline.lab.evaluation.metrics import srcc
from pipeline.lab.training.card import markdown
from s2cnet import S2CNet, boxes_to_input, load_model, prepare_image
from s2cnet.config import PRESETS

FOLDER = files("s2cnet").joinpath("weights")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def cropper() -> Cropper:
    return Cropper()


def scene(x: int, y: int) -> np.ndarray:
    """A photo of a lone bright ball on a grainy ground."""
    random = np.random.default_rng(0)
    photo = random.normal(70, 6, (400, 600, 3)).clip(0, 255).astype(np.uint8)
    photo[:, :, 1] += 25
    cv2.circle(photo, (x, y), 45, (240, 120, 40), -1)
    cv2.circle(photo, (x - 12, y - 12), 14, (255, 200, 160), -1)
    return cv2.GaussianBlur(photo, (0, 0), 1.2)


def to_bytes(photo: np.ndarray) -> bytes:
    return cv2.imencode(".png", photo[..., ::-1])[1].tobytes()


def test_the_file_is_the_one_its_card_describes() -> None:
    data = FOLDER.joinpath("starter.safetensors").read_bytes()
    card = json.loads(FOLDER.joinpath("starter.json").read_text())
    assert len(data) == card["bytes"] <= 10_000_000
    assert hashlib.sha256(data).hexdigest() == card["sha256"]
    page = FOLDER.joinpath("starter.md").read_text()
    assert sorted(page.splitlines()) == sorted(markdown(card).splitlines())


def test_it_is_a_gaicv1_network() -> None:
    network = load_model("starter")
    assert isinstance(network, S2CNet)
    assert network.config == PRESETS["gaicv1"]
    assert all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values())


@pytest.mark.parametrize(("x", "y"), [(110, 90), (480, 100), (120, 310), (490, 300), (300, 200)])
def test_crops_as_wide_as_usual_keep_a_lone_subject(cropper: Cropper, x: int, y: int) -> None:
    ball = [x - 45, y - 45, x + 45, y + 45]
    for crop in cropper.crop(to_bytes(scene(x, y)), ratios=["1:1", "4:3", "16:9", "free"]):
        x0, y0, x1, y1 = crop.box_px
        kept = iou([max(x0, x - 45), max(y0, y - 45), min(x1, x + 45), min(y1, y + 45)], ball)
        assert kept > 0.85, (crop.ratio, crop.box_px)


@pytest.mark.parametrize("ratio", ["1:1", "3:4", "9:16"])
def test_narrow_crops_follow_the_subject(cropper: Cropper, ratio: str) -> None:
    left, right = (
        cropper.crop(to_bytes(scene(x, 200)), ratios=[ratio])[0].box_px for x in (110, 490)
    )
    assert left[0] + 60 < right[0]


def test_a_crop_without_the_subject_scores_less(cropper: Cropper) -> None:
    photo = to_bytes(scene(150, 130))
    with_it, without = cropper.score(photo, np.array([[40, 30, 400, 270], [240, 150, 600, 390]]))
    assert with_it > without + 0.5


def test_order_agrees_with_closeness_to_a_good_crop(cropper: Cropper) -> None:
    crops = np.rint(grid(600, 400))
    scores = cropper.score(to_bytes(scene(170, 140)), crops)
    assert srcc(iou(crops, [0, 0, 480, 330]), scores) > 0.4


def test_objects_steer_it() -> None:
    flat = np.full((256, 384, 3), 128, np.uint8)
    network = load_model("starter")

    image, scale = prepare_image(flat)
    crops = torch.tensor([[0.0, 0, 40, 230, 250], [0, 154, 40, 384, 250]])
    left = boxes_to_input(np.array([[40.0, 90, 110, 180]]), scale)
    right = boxes_to_input(np.array([[274.0, 90, 344, 180]]), scale)
    with torch.inference_mode():
        for_left = network.score(image[None], crops, [left])
        for_right = network.score(image[None], crops, [right])
    assert for_left[0] - for_left[1] > for_right[0] - for_right[1] + 0.5
