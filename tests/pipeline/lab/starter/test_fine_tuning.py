"""Training on labelled photos: what is trained, what stays frozen, and that it learns."""

import copy
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipeline.detectors import Detections
from pipeline.lab.datasets.example import Example
from pipeline.lab.starter.crop_lists import CropList
from pipeline.lab.starter.fine_tuning import fine_tune, fit_gaze_channel
from pipeline.lab.starter.graph_training import lists_loss
from pipeline.lab.starter.labelled_photos import LabelledPhoto, encode_labelled, upper_backbone
from pipeline.lab.starter.scored_crops import ScoredLayout
from pipeline.lab.starter.semantic_map import GAZE, position_map
from pipeline.lab.starter.synthetic_map import GAZE_SHARE, add_gaze
from s2cnet import S2CNet, load_model, prepare_image

Pixels = np.ndarray


class OneBox:
    """A detector that always sees the same box."""

    name = identity = "one box"

    def detect(self, photos: Sequence[Pixels]) -> list[Detections]:
        found = Detections(
            np.array([[20, 20, 90, 90]], np.float32), np.ones(1, np.float32), ["thing"]
        )
        return [found for _ in photos]


@pytest.fixture(scope="module")
def network() -> S2CNet:
    return load_model("starter")


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    """A red disc around (60, 60) on noise."""
    photo = np.random.default_rng(1).integers(90, 130, (240, 320, 3)).astype(np.uint8)
    return cv2.circle(photo, (60, 60), 30, (220, 40, 40), -1)


def looked_at(x: float, y: float) -> Example:
    return Example("a", Path("a.jpg"), fixations_px=np.full((20, 2), (x, y), np.float32))


def prepared(network: S2CNet, pixels: Pixels, example: Example) -> LabelledPhoto:
    return encode_labelled(network, example, pixels, OneBox(), np.random.default_rng(0))


def test_the_upper_half_continues_the_backbone(network: S2CNet, pixels: Pixels) -> None:
    photo = prepared(network, pixels, looked_at(60, 60))
    with torch.no_grad():
        whole = network.backbone(prepare_image(pixels)[0][None])
        mirrored = network.backbone(prepare_image(pixels[:, ::-1].copy())[0][None])
        upper = upper_backbone(network, photo.fine.float(), photo.middle.float())
    scale = float(whole.std())
    torch.testing.assert_close(upper[:1], whole, rtol=0, atol=0.02 * scale)  # half precision
    torch.testing.assert_close(upper[1:2], mirrored, rtol=0, atol=0.02 * scale)
    torch.testing.assert_close(photo.map_before[:1].float(), whole, rtol=0, atol=0.02 * scale)


def test_gaze_lies_where_people_looked(network: S2CNet, pixels: Pixels) -> None:
    gaze = prepared(network, pixels, looked_at(300, 30)).gaze
    assert gaze is not None
    assert gaze.mean() == pytest.approx(1 / 6)
    row, column = np.unravel_index(gaze.argmax(), gaze.shape)
    assert (row, column) == (2, gaze.shape[1] - 2)


def test_the_empty_channel_first_draws_gaze_by_regression(network: S2CNet, pixels: Pixels) -> None:
    photo = prepared(network, pixels, looked_at(60, 60))
    reading = copy.deepcopy(network)
    fit_gaze_channel(reading, [photo], np.random.default_rng(0))
    with torch.no_grad():
        drawn = upper_backbone(reading, photo.fine[:1].float(), photo.middle[:1].float())[0]
    assert photo.gaze is not None
    assert (drawn[GAZE].numpy() - photo.gaze).var() < 0.5 * photo.gaze.var()
    torch.testing.assert_close(drawn[:GAZE], photo.map_before[0, :GAZE].float(), rtol=0, atol=0.01)


def test_training_moves_what_it_should(network: S2CNet, pixels: Pixels) -> None:
    crops = Example("b", Path("b.jpg"), human_px=np.array([[0, 0, 200, 240]], np.float32))
    photos = [prepared(network, pixels, each) for each in (looked_at(60, 60), crops)]
    layout = ScoredLayout(
        np.array([[0, 0, 0.5, 1], [0.5, 0, 1, 1], [0, 0, 1, 1]], np.float32),
        np.array([1, -1, 0], np.float32),
        np.array([[0.1, 0.1, 0.4, 0.5]], np.float32),
        4 / 3,
    )
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    fine_tune(network, photos, [layout], [layout.objects[0]], steps=16)
    after = network.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any(name.startswith("backbone.stage3") for name in moved)
    assert not any(name.startswith(f"backbone.stage4.{i}.") for name in moved for i in range(7, 11))
    assert not any("running" in name for name in moved)
    assert any(name.startswith("backbone.stage4.11.") for name in moved)
    assert any(name.startswith("transformer") for name in moved)
    assert not torch.equal(
        before["backbone.reduce.weight"][GAZE], after["backbone.reduce.weight"][GAZE]
    )


def test_a_relative_list_tells_no_level(network: S2CNet) -> None:
    features = torch.from_numpy(position_map(16, 24))
    crops = np.array([[0, 0, 200, 256], [100, 0, 300, 256], [0, 0, 384, 256]], np.float32)
    truth = np.array([0.5, -0.5, 0.0])

    def loss(shift: float, relative: bool) -> float:
        one = CropList(crops, truth + shift, choice=True, relative=relative)
        with torch.no_grad():
            return float(lists_loss(network.eval(), features, crops[:1] / 2, [one], (384, 256)))

    assert loss(3, True) == pytest.approx(loss(0, True), rel=1e-5)
    assert loss(3, False) > loss(0, False) + 0.5


def test_synthetic_gaze_lies_on_the_subject_or_nowhere() -> None:
    random, subject = np.random.default_rng(0), np.array([0.6, 0.1, 0.9, 0.4], np.float32)
    maps = [
        add_gaze(torch.from_numpy(position_map(16, 24)), subject, random)[GAZE] for _ in range(200)
    ]
    shown = [gaze for gaze in maps if bool(gaze.any())]
    assert len(shown) / len(maps) == pytest.approx(GAZE_SHARE, abs=0.1)
    rows, columns = zip(*(divmod(int(gaze.argmax()), 24) for gaze in shown), strict=True)
    assert np.mean(columns) / 24 == pytest.approx(0.75, abs=0.05)
    assert np.mean(rows) / 16 == pytest.approx(0.25, abs=0.05)
