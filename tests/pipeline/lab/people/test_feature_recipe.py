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
    feature_loss,
    fold_standards,
    train_features,
    write_features,
)
from pipeline.lab.people.feature_views import FeatureView
from pipeline.lab.people.fitting import standard_of
from pipeline.lab.people.settings import FeaturesJob
from pipeline.report.progress import Log


def drawn_view(random: torch.Generator) -> FeatureView:
    """Taps of noise, and a target that is a linear map of the middle ones, far from 0."""
    fine, medium, coarse = (
        3 + 2 * torch.randn(channels, side, side, generator=random)
        for channels, side in ((40, 16), (112, 8), (320, 4))
    )
    return FeatureView(
        [fine, medium, coarse], 5 + medium[:FEATURES] - medium[FEATURES : 2 * FEATURES]
    )


@pytest.fixture(scope="module")
def views() -> list[FeatureView]:
    random = torch.Generator().manual_seed(1)
    return [drawn_view(random) for _ in range(128)]


def test_it_learns_what_the_taps_tell(views: list[FeatureView]) -> None:
    head, loss = train_features(views, epochs=12)
    assert loss < 0.2  # of the variance; 1 is told by a constant
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
    standardised = [
        (view - mean) / deviation
        for view, (mean, deviation) in zip(views[0].taps, taps, strict=True)
    ]
    wanted = head(*[one[None] for one in standardised])[0] * target[1] + target[0]
    loss = feature_loss(head, views[:1], taps, target)
    fold_standards(head, taps, target)
    told = head(*[one[None] for one in views[0].taps])[0]
    torch.testing.assert_close(told, wanted, atol=2e-4, rtol=1e-4)
    by_hand = ((wanted - views[0].target) / target[1]).square().mean()
    torch.testing.assert_close(loss, by_hand)


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
