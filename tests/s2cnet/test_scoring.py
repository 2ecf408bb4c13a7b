"""The fast path gives the numbers of the plain one, with a fraction of its multiplications."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from s2cnet import PRESETS, S2CNet, scoring
from s2cnet.backbone import Backbone
from s2cnet.scoring import Precision
from tests.support.drawn import (
    GOLDEN,
    draw_boxes,
    draw_inputs,
    drawn_network,
    small_network,
)


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


def test_a_context_serves_many_calls_without_the_backbone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = small_network()
    images, crops, detections = draw_inputs([30, 20], [4, 2])
    whole = network.score(images, crops, detections)
    context = network.encode(images, detections)
    monkeypatch.setattr(Backbone, "forward", lambda *_: pytest.fail("the backbone ran again"))
    parts = [network.score_crops(context, part) for part in crops.split(11)]
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-6, rtol=0)


def ranks(scores: Tensor) -> Tensor:
    return scores.argsort().argsort().double()


@pytest.mark.parametrize(("precision", "least"), [("bfloat16", 0.999), ("float16", 0.9999)])
@pytest.mark.parametrize("preset", ["gaicv1", "gaicv2"])
def test_reduced_precision_keeps_the_order(preset: str, precision: Precision, least: float) -> None:
    """Spearman's correlation with float32, and the best crop, on the stored pictures."""
    network, stored = drawn_network(preset), np.load(GOLDEN / f"scores_{preset}.npz")
    for i in range(3):
        images = torch.from_numpy(stored[f"image{i}"]).float()[None]
        detections = [torch.from_numpy(stored[f"detections{i}"])]
        boxes = draw_boxes(300, images.shape[3], images.shape[2], seed=i)
        context, crops = network.encode(images, detections), functional.pad(boxes, (1, 0))
        exact = network.score_crops(context, crops)
        rough = network.score_crops(context, crops, precision)
        assert rough.dtype == torch.float32
        assert not torch.equal(rough, exact)
        assert torch.corrcoef(torch.stack([ranks(rough), ranks(exact)]))[0, 1] > least
        assert rough.argmax() == exact.argmax()


def test_precision_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="no precision 'int4'"):
        small_network().score(*draw_inputs([3], [2]), precision="int4")  # type: ignore[arg-type]


@torch.no_grad()
def test_changed_weights_are_noticed() -> None:
    network = small_network()
    inputs = draw_inputs([6], [4])
    first = network.score(*inputs)
    derived = network.folded_weights()
    assert network.folded_weights() is derived
    for parameter in network.parameters():
        parameter *= 1.25
    torch.testing.assert_close(network.score(*inputs), network(*inputs), atol=1e-5, rtol=0)
    assert not torch.allclose(network.score(*inputs), first)
    network.backbone.reduce.weight.data *= 0.5  # counts no version
    torch.testing.assert_close(network.eval().score(*inputs), network(*inputs), atol=1e-5, rtol=0)
    assert network.load_state_dict(small_network().state_dict())
    torch.testing.assert_close(network.score(*inputs), first)
    assert all("folded" not in name for name in network.state_dict())


def test_copies_and_pickles_leave_what_can_be_derived() -> None:
    network = small_network()
    inputs = draw_inputs([6], [4])
    first = network.score(*inputs)
    for again in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert again._folded is None
        assert torch.equal(again.score(*inputs), first)


def test_inference_mode_before_and_after() -> None:
    inputs = draw_inputs([6], [4])
    with torch.inference_mode():
        network = small_network()
        first = network.score(*inputs)
    assert torch.equal(network.score(*inputs), first)


def test_training_mode_uses_the_statistics_of_the_batch() -> None:
    network = small_network().train()
    inputs = draw_inputs([6, 3], [4, 2])
    with torch.no_grad():
        torch.testing.assert_close(network.score(*inputs), network(*inputs), atol=1e-4, rtol=0)


def test_no_gradients() -> None:
    images, crops, detections = draw_inputs([3], [2])
    assert not small_network().score(images, crops, detections).requires_grad


def addmm_flop(into: torch.Size, a: torch.Size, b: torch.Size, **_: object) -> int:
    return 2 * into[0] * into[1] * a[1]


def baddbmm_flop(into: torch.Size, a: torch.Size, b: torch.Size, **_: object) -> int:
    return 2 * into[0] * into[1] * into[2] * a[2]


# The counter knows these by their other names only.
IN_PLACE = {torch.ops.aten.addmm_: addmm_flop, torch.ops.aten.baddbmm_: baddbmm_flop}


def multiply_adds(network: S2CNet, way: str, candidates: int) -> int:
    """Of all matrix products and convolutions of one call; a product of two numbers is 2 flops."""
    images, crops, detections = draw_inputs([candidates], [network.config.detections])
    counter = FlopCounterMode(display=False, custom_mapping=IN_PLACE)
    with counter, torch.no_grad():
        getattr(network, way)(images, crops, detections)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("preset", "plain", "fast"), [("gaicv1", 20.9e6, 5.95e6), ("gaicv2", 13.4e6, 10.4e6)]
)
def test_multiply_adds_per_candidate(preset: str, plain: float, fast: float) -> None:
    """By hand for gaicv1's fast path, in millions: samples 0.04, embedding 0.17, relations 0.14,
    aggregation 0.09, keys and values 0.13, folded 0.13, attention 0.27, widening 0.52 + 0.64,
    narrowing 2.88, last layer 0.81, together 5.8.
    """
    network = S2CNet(PRESETS[preset]).eval()
    network.folded_weights()  # once for all pictures
    for way, most in (("forward", plain), ("score", fast)):
        each = (multiply_adds(network, way, 228) - multiply_adds(network, way, 100)) / 128
        assert 0.9 * most < each < most, (way, each)
