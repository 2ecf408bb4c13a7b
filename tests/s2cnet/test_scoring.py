"""The fast path gives the numbers of the plain one, with a third of its multiplications."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from s2cnet import PRESETS, S2CNet, scoring
from tests.s2cnet.drawn import draw_inputs, drawn_network, small_network


@pytest.mark.parametrize("preset", ["gaicv1", "gaicv2"])
@torch.no_grad()
def test_same_numbers_on_random_inputs(preset: str) -> None:
    network = drawn_network(preset)
    images, crops, detections = draw_inputs([40, 9, 150], [3, 0, 12], seed=5)
    # Inverted, empty, overhanging and outside boxes are scored alike as well.
    crops[:4, 1:] = torch.tensor(
        [[90.0, 60, 20, 10], [30, 30, 30, 30], [-50, -9, 300, 500], [400, 400, 500, 500]]
    )
    plain = network(images, crops, detections)
    fast = network.score(images, crops, detections)
    torch.testing.assert_close(fast, plain, atol=1e-4, rtol=0)


@pytest.mark.parametrize("head", ["crop_node", "all_nodes"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@torch.no_grad()
def test_any_number_of_layers(head: str, layers: int) -> None:
    network = small_network(head=head, layers=layers, heads=2)
    images, crops, detections = draw_inputs([20, 6], [4, 1])
    plain = network(images, crops, detections)
    torch.testing.assert_close(network.score(images, crops, detections), plain, atol=1e-5, rtol=0)


@torch.no_grad()
def test_chunks_do_not_change_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    network = small_network()
    images, crops, detections = draw_inputs([50, 31], [4, 2])
    whole = network.score(images, crops, detections)
    monkeypatch.setattr(scoring, "CHUNK", 7)
    torch.testing.assert_close(network.score(images, crops, detections), whole, atol=1e-6, rtol=0)


def test_a_context_serves_many_calls_without_the_backbone() -> None:
    network = small_network()
    images, crops, detections = draw_inputs([30, 20], [4, 2])
    whole = network.score(images, crops, detections)
    context = network.encode(images, detections)
    network.backbone.register_forward_hook(lambda *_: pytest.fail("the backbone ran again"))
    parts = [network.score_crops(context, part) for part in crops.split(11)]
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-6, rtol=0)


def test_no_gradients() -> None:
    images, crops, detections = draw_inputs([3], [2])
    assert not small_network().score(images, crops, detections).requires_grad


def multiply_adds(network: S2CNet, way: str, candidates: int) -> int:
    """Of all matrix products and convolutions of one call; a product of two numbers is 2 flops."""
    images, crops, detections = draw_inputs([candidates], [network.config.detections])
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        getattr(network, way)(images, crops, detections)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("preset", "plain", "fast"), [("gaicv1", 20.9e6, 7.8e6), ("gaicv2", 13.4e6, 10.7e6)]
)
def test_multiply_adds_per_candidate(preset: str, plain: float, fast: float) -> None:
    """By hand for gaicv1's fast path: embedding 0.17 M, relations 0.14 M, first layer 0.07 + 0.03
    (aggregation) + 0.25 (keys) + 0.25 (values) + 5.77 (feed-forward), last layer 0.81: 7.5 M.
    """
    network = S2CNet(PRESETS[preset]).eval()
    for way, most in (("forward", plain), ("score", fast)):
        each = (multiply_adds(network, way, 228) - multiply_adds(network, way, 100)) / 128
        assert 0.9 * most < each < most, way
