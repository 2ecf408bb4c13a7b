"""The baseline network without a graph."""

import pytest
import torch

from cuda_ops import rod_align, roi_align
from s2cnet import WeightsError
from s2cnet.checkpoints.published import load_gaic, to_gaic_state_dict
from s2cnet.network.gaic import GAIC


def crops() -> torch.Tensor:
    return torch.tensor([[0.0, 10, 20, 100, 90], [0, 0, 0, 127, 95], [1, 30, 5, 60, 95]])


def test_a_score_is_the_head_of_what_is_kept_and_discarded() -> None:
    network = GAIC.untrained(seed=3)
    images = torch.randn(2, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    none = [torch.zeros(0, 4)] * 2
    with torch.no_grad():
        features = network.backbone(images)
        kept = roi_align(features, crops(), 9, 1 / 16)
        lost = rod_align(features, crops(), 9, 1 / 16)
        first, second, _, last = network.head
        wide = first(torch.cat([kept, lost], 1)).flatten(1)  # the 9 x 9 kernel leaves one cell
        weight = second[0].weight.flatten(1)
        hidden = second[2](second[1]((wide @ weight.T + second[0].bias)[..., None, None])).flatten(
            1
        )
        expected = hidden @ last.weight.flatten() + last.bias
        torch.testing.assert_close(network(images, crops(), none), expected, atol=1e-5, rtol=1e-5)


def test_objects_do_not_matter() -> None:
    network = GAIC.untrained()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    some = [torch.tensor([[0.0, 0, 30, 30]]), torch.zeros(0, 4)]
    with torch.no_grad():
        with_objects = network(images, crops(), some)
        torch.testing.assert_close(with_objects, network(images, crops(), [some[1], some[1]]))


def test_weights_survive_a_file() -> None:
    network = GAIC.untrained(seed=1)
    names = to_gaic_state_dict(network)
    assert names["FC_layers.0.0.weight"].shape == (768, 16, 9, 9)
    assert names["DimRed.weight"].shape == (8, 448, 1, 1)
    again = load_gaic({name: tensor.clone() for name, tensor in names.items()})
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor)


def test_another_layout_is_refused() -> None:
    tensors = to_gaic_state_dict(GAIC.untrained())
    with pytest.raises(WeightsError, match=r"1 missing: DimRed.bias"):
        load_gaic({name: tensor for name, tensor in tensors.items() if name != "DimRed.bias"})
