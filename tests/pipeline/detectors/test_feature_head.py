"""The branch that predicts S2CNet's feature map: its place in the output, weights, and users."""

import hashlib
from io import BytesIO
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut
from torch import Tensor

from pipeline import Cropper
from pipeline.cropping import build
from pipeline.cropping.build import choose_backbone, make_engine, source_identity
from pipeline.cropping.weights import choose_weights
from pipeline.detectors.embedded import EmbeddedDetector, packaged_network
from pipeline.detectors.feature_head import (
    FEATURES,
    READ,
    FeatureHead,
    SharedTrunk,
    at_stride_16,
    features_in,
    resample_map,
)
from pipeline.detectors.packaged import FEATURES_OF, feature_weights
from pipeline.detectors.subject_network import CHANNELS, Levels
from pipeline.errors import SettingError, UsageError
from pipeline.job.networks import with_chosen_backbone
from pipeline.settings import Settings
from s2cnet import load_model, prepare_image
from s2cnet.checkpoints.published import to_published_state_dict

PIXELS = np.ascontiguousarray(astronaut()[:384])  # 4:3, with a face


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@torch.no_grad()
def test_the_branch_changes_nothing_that_the_detector_tells() -> None:
    trunk = packaged_network(with_features=True).eval()
    assert isinstance(trunk, SharedTrunk)
    images = torch.randint(0, 256, (2, 3, 64, 96)).float()
    told, alone = trunk(images), trunk.subjects(images)
    assert torch.equal(told[:, :CHANNELS], alone)
    features = trunk.features(at_stride_16(trunk.subjects.levels(images)))
    assert features.shape == (2, FEATURES, 4, 6)
    for row, column in ((0, 0), (1, 0), (0, 1), (1, 1)):  # four equal cells for each
        assert torch.equal(told[:, CHANNELS:, row::2, column::2], features)
    found = features_in(told[1:])
    assert found is not None
    assert torch.equal(found, features[1])
    assert features_in(alone[1:]) is None


def drawn_levels() -> Levels:
    sides = (8, 4, 2, 8, 4, 2)
    return Levels(*(torch.randn(1, c, s, s) for c, s in zip(READ, sides, strict=True)))


@torch.no_grad()
def test_every_level_is_read() -> None:
    torch.manual_seed(0)
    head, levels = FeatureHead(), drawn_levels()
    before = head(at_stride_16(levels))
    assert before.shape == (1, FEATURES, 4, 4)
    for changed in Levels._fields:
        other = levels._replace(**{changed: getattr(levels, changed) + 1})
        assert (head(at_stride_16(other)) - before).abs().max() > 0.01


@torch.no_grad()
def test_levels_of_stride_8_are_means_of_four_cells() -> None:
    levels = drawn_levels()
    halved = at_stride_16(levels)
    for name in ("fine", "pyramid"):
        cells = getattr(levels, name)
        means = (cells[..., ::2, ::2] + cells[..., 1::2, ::2]) / 4
        means = means + (cells[..., ::2, 1::2] + cells[..., 1::2, 1::2]) / 4
        torch.testing.assert_close(getattr(halved, name), means)
    assert halved.medium is levels.medium
    assert halved.map_coarse is levels.map_coarse


def test_cells_of_another_map_lie_at_the_same_shares_of_the_photo() -> None:
    ramp = torch.arange(8.0)[None, None, None].expand(1, 1, 4, 8)  # by column
    finer = resample_map(ramp, (4, 16))[0, 0, 0]
    # The centre of finer cell j lies at (j + .5) / 2 - .5 coarse cells.
    assert finer[1:-1].tolist() == [j / 2 - 0.25 for j in range(1, 15)]


@torch.no_grad()
def test_the_packaged_branch_tells_the_map_of_the_packaged_network() -> None:
    """On a photo that is in no training: by channel, most of the map's variance."""
    (found,) = EmbeddedDetector(with_features=True).detect([PIXELS])
    assert found.features is not None
    image, _ = prepare_image(PIXELS)
    wanted: Tensor = load_model("starter").eval().backbone(image[None])[0]
    told = resample_map(found.features[None], wanted.shape[-2:])[0]
    lost = (told - wanted).square().mean(dim=(1, 2)) / wanted.var(dim=(1, 2))
    assert lost.max() < 0.8
    assert lost.mean() < 0.25


def test_scores_rank_boxes_as_those_of_the_own_backbone() -> None:
    random = np.random.default_rng(3)
    corners = random.uniform(0, 0.4, (60, 2)), random.uniform(0.6, 1, (60, 2))
    boxes = np.concatenate(corners, axis=1) * (512, 384, 512, 384)
    shared, own = (
        Cropper(backbone=backbone, trusted=True).score(_png(), boxes)
        for backbone in ("shared", "own")
    )
    ranks = [np.argsort(np.argsort(scores)) for scores in (shared, own)]
    assert np.corrcoef(*ranks)[0, 1] > 0.9
    assert not np.array_equal(shared, own)


def _png() -> bytes:
    file = BytesIO()
    Image.fromarray(PIXELS).save(file, "PNG")
    return file.getvalue()


def test_it_serves_the_weights_that_it_was_trained_for_alone() -> None:
    starter, drawn = choose_weights("starter"), choose_weights("untrained")
    assert starter.sha256 == FEATURES_OF
    chosen = {
        (asked, weights.kind, *rest): choose_backbone(asked, weights.sha256, *rest)
        for asked in ("auto", "own")
        for weights in (starter, drawn)
        for rest in product(("embedded", "boxes"), ("overlap", "score"))
    }
    assert [key for key, backbone in chosen.items() if backbone == "shared"] == [
        ("auto", starter.kind, "embedded", "overlap")
    ]
    assert set(chosen.values()) == {"shared", "own"}
    assert choose_backbone("shared", starter.sha256, "embedded", "score") == "shared"
    for weights, detector in ((drawn, "embedded"), (starter, "boxes")):
        with pytest.raises(SettingError, match="backbone shared is for the packaged weights"):
            choose_backbone("shared", weights.sha256, detector)


def test_a_cropper_of_other_parts_has_its_own_backbone() -> None:
    state = to_published_state_dict(load_model("starter"))
    cases: list[dict[str, Any]] = [{"weights": state}, {"detector": EmbeddedDetector()}]
    for changes in cases:
        cropper = Cropper(backbone="auto", trusted=True, **changes)
        assert cropper._engine.network.has_backbone
        with pytest.raises(SettingError, match="backbone shared is for"):
            Cropper(backbone="shared", **changes)
    assert not Cropper(backbone="auto", trusted=True)._engine.network.has_backbone


def test_a_run_says_which_backbone_it_has() -> None:
    """One of other weights says nothing, as those of before; one of the packaged says `shared`."""
    starter, drawn = choose_weights("starter"), choose_weights("untrained")
    auto, asked = Settings.of(backbone="auto"), Settings.of(backbone="own")
    by_score = Settings.of(backbone="auto", rank_by="score")
    assert "backbone" not in with_chosen_backbone(by_score, starter).identity()
    assert with_chosen_backbone(auto, starter).identity()["backbone"] == "shared"
    assert with_chosen_backbone(auto, drawn).identity() == asked.identity()
    assert with_chosen_backbone(asked, starter) == asked
    assert "backbone" not in asked.identity()


@pytest.mark.parametrize(("backbone", "shared"), [("auto", True), ("shared", True), ("own", False)])
def test_the_engine_prepares_what_it_uses(backbone: str, shared: bool) -> None:
    engine = make_engine(choose_weights("starter"), backbone=backbone)
    assert engine.network.has_backbone is not shared
    assert engine.transfer.with_network_input is not shared
    assert engine.source.identity == source_identity("embedded", shared)


def test_a_run_names_the_file_of_the_branch() -> None:
    plain, shared = source_identity("embedded"), source_identity("embedded", with_features=True)
    digest = hashlib.sha256(feature_weights()).hexdigest()
    assert shared == f"{plain}-features-{digest}"


def test_unknown_backbones_are_refused() -> None:
    with pytest.raises(UsageError, match="backbone must be one of auto, shared, own"):
        build.Settings.of(backbone="none")
