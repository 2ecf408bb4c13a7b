"""Training the branch for S2CNet's feature map: it learns, and its weights read plain taps."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch.nn import functional

from pipeline.detectors.embedded import EmbeddedDetector, detector_input, packaged_network
from pipeline.detectors.feature_head import FEATURES, READ, FeatureHead
from pipeline.detectors.subject_network import Levels, SubjectNetwork
from pipeline.errors import UsageError
from pipeline.lab.batches import batches_of
from pipeline.lab.cli.learn_from_people import main
from pipeline.lab.fold_weights import FoldWeights
from pipeline.lab.people import feature_recipe, feature_scores
from pipeline.lab.people.detector_tensors import packaged_weights
from pipeline.lab.people.feature_recipe import (
    CONSISTENCY_WEIGHT,
    feature_loss,
    fold_channel_stats,
    networks_without,
    train_features,
    write_features,
)
from pipeline.lab.people.feature_scores import CROPS, drawn_crops, score_loss
from pipeline.lab.people.feature_views import FeatureView, feature_view, reuploaded_copy
from pipeline.lab.people.fitting import channel_stats
from pipeline.lab.people.settings import FeaturesJob
from pipeline.report.progress import Log
from s2cnet import S2CNet, load_model
from s2cnet.checkpoints.published import to_published_state_dict

SIDES = (8, 8, 4, 8, 8, 4)  # of levels at strides 16 and 32


def drawn_view(random: torch.Generator) -> FeatureView:
    """Levels of noise, and a target that is a linear map of the middle ones, far from 0."""
    levels = Levels(
        *(
            3 + 2 * torch.randn(channels, side, side, generator=random)
            for channels, side in zip(READ, SIDES, strict=True)
        )
    )
    copy = Levels(*(one + 0.5 * torch.randn(one.shape, generator=random) for one in levels))
    medium = levels.medium
    target = 5 + medium[:FEATURES] - medium[FEATURES : 2 * FEATURES]
    return FeatureView(levels, target, copy, torch.tensor([[10.0, 20, 90, 110]]), (128, 128))


@pytest.fixture(scope="module")
def views() -> list[FeatureView]:
    random = torch.Generator().manual_seed(1)
    return [drawn_view(random) for _ in range(128)]


@pytest.fixture(scope="module")
def scorer() -> S2CNet:
    return S2CNet.untrained().requires_grad_(False)


def told(head: FeatureHead, levels: Levels) -> torch.Tensor:
    maps: torch.Tensor = head(Levels(*(one[None].float() for one in levels)))
    return maps[0]


def test_it_learns_what_the_levels_tell(views: list[FeatureView], scorer: S2CNet) -> None:
    head, loss = train_features(views, scorer, epochs=6, score_steps=0)
    assert loss < 0.4  # of the variance, copies and all; a constant loses 1
    with torch.no_grad():
        map_of_first = told(head, views[0].levels)
    lost = functional.mse_loss(map_of_first, views[0].target) / views[0].target.var()
    assert lost < 0.2


def test_the_second_part_brings_scores_nearer(
    views: list[FeatureView], scorer: S2CNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same drawn crops for both; the scorer's weights stay as they were."""
    monkeypatch.setattr(feature_scores, "CROPS", 6)
    monkeypatch.setattr(feature_recipe, "SCORE_VIEWS", 4)
    before = {name: value.clone() for name, value in scorer.state_dict().items()}
    losses = []
    for steps in (0, 12):
        head, _ = train_features(views[:32], scorer, epochs=3, score_steps=steps)
        with torch.no_grad():
            maps = torch.stack(
                [told(head, of) for view in views[:4] for of in (view.levels, view.copy)]
            )
            both = torch.cat([maps[::2], maps[1::2]])
            losses.append(float(score_loss(scorer, views[:4], both, np.random.default_rng(5))))
    assert losses[1] < 0.9 * losses[0]
    assert all(torch.equal(value, before[name]) for name, value in scorer.state_dict().items())


@torch.no_grad()
def test_scores_are_compared_with_those_on_the_own_map(
    views: list[FeatureView], scorer: S2CNet
) -> None:
    """By the definition, view by view: 1.3 times the error, less what a shift takes away."""
    two = views[:2]
    own = torch.stack([view.target for view in two]).float()
    loss = score_loss(scorer, two, torch.cat([own, own]), np.random.default_rng(3))
    assert float(loss) < 1e-8
    other = torch.cat([own + 0.1, own - 0.2])
    loss = score_loss(scorer, two, other, np.random.default_rng(3))
    random, expected = np.random.default_rng(3), []
    crops = [drawn_crops(128, 128, CROPS, random) for _ in two]
    for i, view in enumerate(two):
        rois = functional.pad(crops[i], (1, 0))
        wanted, *found = (
            scorer.judge(maps[None], rois, [view.objects], 128, 128)
            for maps in (own[i], other[i], other[2 + i])
        )
        for scores in found:
            error = scores - wanted
            part = (error - error.mean()).square().mean() + 0.3 * error.square().mean()
            expected.append(part / (wanted.var() + 1e-4))
    torch.testing.assert_close(loss, torch.stack(expected).mean(), atol=1e-6, rtol=1e-4)


def test_drawn_crops_lie_in_the_view_and_have_the_ratios_of_thumbnails() -> None:
    crops = drawn_crops(352, 256, 400, np.random.default_rng(0)).numpy()
    assert (crops == np.round(crops)).all()
    assert (crops[:, :2] >= 0).all()
    assert (crops[:, 2:] <= (352, 256)).all()
    wide, tall = (crops[:, 2:] - crops[:, :2]).T
    for ratio in (1, 9 / 16, 16 / 9, 352 / 256):
        assert 20 < (np.abs(wide / tall / ratio - 1) < 0.03).sum() < 200
    assert 100 < ((tall == 256) | (wide == 352)).sum() < 250  # the largest of their ratio


@torch.no_grad()
def test_folded_weights_read_levels_as_they_are(views: list[FeatureView]) -> None:
    torch.manual_seed(0)
    head = FeatureHead()
    levels = [channel_stats([view.levels[i] for view in views]) for i in range(len(READ))]
    target = channel_stats([view.target for view in views])
    wanted, copied = (
        head(
            Levels(
                *(
                    (one - mean)[None] / deviation
                    for one, (mean, deviation) in zip(of, levels, strict=True)
                )
            )
        )
        * target[1]
        + target[0]
        for of in (views[0].levels, views[0].copy)
    )
    loss = feature_loss(wanted, copied, views[:1], target)
    fold_channel_stats(head, levels, target)
    torch.testing.assert_close(told(head, views[0].levels), wanted[0], atol=2e-4, rtol=1e-4)
    pairs = ((wanted, views[0].target), (copied, views[0].target), (copied, wanted))
    of_view, of_copy, apart = (((a - b) / target[1]).square().mean() for a, b in pairs)
    torch.testing.assert_close(loss, (of_view + of_copy) / 2 + CONSISTENCY_WEIGHT * apart)
    assert apart > 0.001


@torch.no_grad()
def test_copies_are_degraded_and_the_target_is_the_views_own() -> None:
    """A view is told as it is, its copy as that is, both by the detector as the product runs it."""
    random = np.random.default_rng(0)
    pixels, copied = random.integers(0, 256, (2, 192, 256, 3)).astype(np.uint8)
    network = packaged_network().eval()
    assert isinstance(network, SubjectNetwork)
    mean = lambda images: images.mean(dim=(2, 3), keepdim=True)  # noqa: E731
    view = feature_view(network, mean, pixels, copied)  # type: ignore[arg-type]
    for of, found in ((pixels, view.levels), (copied, view.copy)):
        image = torch.from_numpy(detector_input(of)).permute(2, 0, 1)[None].float()
        torch.testing.assert_close(found.coarse, network.trunk(image)[2][0].half())
    assert torch.equal(view.target, feature_view(network, mean, pixels, pixels).target)  # type: ignore[arg-type]
    assert view.size_wh == (352, 256)
    objects = EmbeddedDetector().detect([pixels])[0].boxes  # of 256 x 192 pixels, read at 4/3
    assert len(view.objects) == len(objects)
    times = np.tile((352 / 256, 256 / 192), 2)  # S2CNet's input is 352 x 256
    np.testing.assert_allclose(view.objects.numpy(), objects * times, atol=1.01)
    long = feature_view(network, mean, pixels, copied[:48])  # type: ignore[arg-type]
    assert torch.equal(long.copy.medium, long.levels.medium)  # read in another size: no copy


def test_reuploaded_copies_differ_from_the_photo_and_from_one_another() -> None:
    random = np.random.default_rng(0)
    noise = np.repeat(random.integers(0, 256, (128, 96, 1)).astype(np.uint8), 3, axis=2)
    copies = [reuploaded_copy(noise, random) for _ in range(300)]
    heights = {len(copy) for copy in copies}
    assert heights == {128, 127, 126, 64, 63}  # up to two rows less, every second at half size
    assert len({copy.tobytes() for copy in copies}) > 250
    full = [copy for copy in copies if copy.shape == noise.shape]
    losses = [np.abs(copy.astype(int) - noise).mean() for copy in full]
    assert min(losses) > 1
    contrasts = sorted(copy.std() for copy in full)
    assert contrasts[0] < 0.8 * contrasts[-1]  # some are blurred


def test_batches_hold_views_of_one_size_and_each_once() -> None:
    sizes = [4, 6, 4, 4, 6] * 8
    found = batches_of(sizes, 16, np.random.default_rng(0))
    assert sorted(index for batch in found for index in batch) == list(range(40))
    assert all(len({sizes[index] for index in batch}) == 1 for batch in found)
    assert max(map(len, found)) == 16


@torch.no_grad()
def test_a_branch_of_a_fold_stands_behind_its_detector_and_network(tmp_path: Path) -> None:
    """Weights by fold are given for one fold's photos; the packaged ones are for all photos."""
    weights = FoldWeights(tmp_path / "detectors", tmp_path / "networks")
    for folder, state in (
        ("detectors", packaged_weights()),
        ("networks", to_published_state_dict(S2CNet.untrained(seed=5))),
    ):
        (tmp_path / folder).mkdir()
        name = next(iter(state))
        drawn = {**state, name: state[name] + 1}
        safetensors.torch.save_file(drawn, tmp_path / folder / "fold2.safetensors")
    packaged, found = (networks_without(weights, held) for held in (None, 2))
    for network, other, expected in (
        (packaged[0], found[0], packaged_weights()),
        (packaged[1], found[1], load_model("starter").state_dict()),
    ):
        given, of_fold = network.state_dict(), other.state_dict()
        assert all(torch.equal(given[name].float(), one.float()) for name, one in expected.items())
        assert not all(torch.equal(given[name], of_fold[name]) for name in given)
        assert not any(module.training for module in (network, other))


def test_the_command_writes_a_file_that_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(feature_recipe, "SCORE_STEPS", 2)
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in "ab":
        pixels = random.integers(0, 256, (96, 128, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    assert main(["features", str(folder), "--output", str(tmp_path / "made")]) == 0
    assert "6 views of 2 photos\n" in capsys.readouterr().out
    state = safetensors.torch.load_file(tmp_path / "made" / "features.safetensors")
    FeatureHead().load_state_dict({name: value.float() for name, value in state.items()})
    assert {value.dtype for value in state.values()} == {torch.float16}
    by_fold = ["--folds", "--networks", str(tmp_path / "made")]
    assert main(["features", str(folder), "--output", str(tmp_path / "made"), *by_fold]) == 2
    assert "each fold needs its weights" in capsys.readouterr().err
    link = tmp_path / "link"  # another set, so the photos would be in two folds
    link.symlink_to(folder)
    assert main(["features", str(folder), str(link), "--output", str(tmp_path / "made")]) == 2
    assert "a.png is given twice" in capsys.readouterr().err
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match=r"no photos in .*empty"):
        write_features(FeaturesJob(output=tmp_path, photos=(empty,)), Log())
