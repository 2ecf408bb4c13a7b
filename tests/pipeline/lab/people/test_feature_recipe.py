"""Training the branch for S2CNet's feature map: it learns, and its weights read plain taps."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch.nn import functional

from pipeline.detectors.feature_head import FEATURES, FeatureHead
from pipeline.errors import UsageError
from pipeline.lab.batches import batches_of
from pipeline.lab.cli.learn_from_people import main
from pipeline.lab.people.feature_recipe import (
    STEADY,
    feature_loss,
    fold_standards,
    train_features,
    write_features,
)
from pipeline.lab.people.feature_views import FeatureView, feature_view, worn
from pipeline.lab.people.fitting import standard_of
from pipeline.lab.people.settings import FeaturesJob
from pipeline.report.progress import Log


def drawn_view(random: torch.Generator) -> FeatureView:
    """Taps of noise, and a target that is a linear map of the middle ones, far from 0."""
    fine, medium, coarse = (
        3 + 2 * torch.randn(channels, side, side, generator=random)
        for channels, side in ((40, 16), (112, 8), (320, 4))
    )
    taps = [fine, medium, coarse]
    copy = [tap + 0.5 * torch.randn(tap.shape, generator=random) for tap in taps]
    return FeatureView(taps, 5 + medium[:FEATURES] - medium[FEATURES : 2 * FEATURES], copy)


@pytest.fixture(scope="module")
def views() -> list[FeatureView]:
    random = torch.Generator().manual_seed(1)
    return [drawn_view(random) for _ in range(128)]


def test_it_learns_what_the_taps_tell(views: list[FeatureView]) -> None:
    head, loss = train_features(views, epochs=12)
    assert loss < 0.4  # of the variance, copies and all; a constant loses 1
    with torch.no_grad():
        told = head(*[tap[None].float() for tap in views[0].taps])[0]
    lost = functional.mse_loss(told, views[0].target) / views[0].target.var()
    assert lost < 0.2


@torch.no_grad()
def test_folded_weights_read_taps_as_they_are(views: list[FeatureView]) -> None:
    torch.manual_seed(0)
    head = FeatureHead()
    taps = [standard_of([view.taps[level] for view in views]) for level in range(3)]
    target = standard_of([view.target for view in views])
    wanted, copied = (
        head(
            *[
                (one - mean)[None] / deviation
                for one, (mean, deviation) in zip(of, taps, strict=True)
            ]
        )[0]
        * target[1]
        + target[0]
        for of in (views[0].taps, views[0].copy)
    )
    loss = feature_loss(head, views[:1], taps, target)
    fold_standards(head, taps, target)
    told = head(*[one[None] for one in views[0].taps])[0]
    torch.testing.assert_close(told, wanted, atol=2e-4, rtol=1e-4)
    pairs = ((wanted, views[0].target), (copied, views[0].target), (copied, wanted))
    of_view, of_copy, apart = (((a - b) / target[1]).square().mean() for a, b in pairs)
    torch.testing.assert_close(loss, (of_view + of_copy) / 2 + STEADY * apart)
    assert apart > 0.001


def test_copies_are_worn_and_the_target_is_the_views_own() -> None:
    """A detector that tells a photo's own pixels, and a backbone that tells its mean."""
    pixels = np.full((64, 96, 3), 200, np.uint8)
    copied = np.full((64, 96, 3), 50, np.uint8)

    class Told:
        def trunk(self, images: torch.Tensor) -> list[torch.Tensor]:
            return [images]

    mean = lambda images: images.mean(dim=(2, 3), keepdim=True)  # noqa: E731
    view = feature_view(Told(), mean, pixels, copied)  # type: ignore[arg-type]
    assert (view.taps[0] == 200).all()
    assert (view.copy[0] == 50).all()
    assert torch.equal(view.target, feature_view(Told(), mean, pixels, pixels).target)  # type: ignore[arg-type]
    long = feature_view(Told(), mean, pixels, copied[:16])  # type: ignore[arg-type]
    assert (long.copy[0] == 200).all()  # the detector reads it in another size: no copy


def test_worn_copies_differ_from_the_photo_and_from_one_another() -> None:
    random = np.random.default_rng(0)
    noise = np.repeat(random.integers(0, 256, (128, 96, 1)).astype(np.uint8), 3, axis=2)
    copies = [worn(noise, random) for _ in range(300)]
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


def test_the_command_writes_a_file_that_loads(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in "ab":
        pixels = random.integers(0, 256, (96, 128, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    assert main(["features", str(folder), "--output", str(tmp_path / "made")]) == 0
    state = safetensors.torch.load_file(tmp_path / "made" / "features.safetensors")
    FeatureHead().load_state_dict({name: value.float() for name, value in state.items()})
    assert {value.dtype for value in state.values()} == {torch.float16}
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match=r"no photos in .*empty"):
        write_features(FeaturesJob(output=tmp_path, photos=(empty,)), Log())
