"""FastS2CNet gives the definition's scores, with a fraction of its multiplications."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from s2cnet import PRESETS, FastS2CNet, S2CNet
from s2cnet.fast import Precision, score
from s2cnet.network.backbone import Backbone
from tests.support.drawn import (
    GOLDEN,
    draw_boxes,
    draw_inputs,
    drawn_network,
    small_network,
)
from tests.support.multiply_adds import multiply_adds_per_candidate


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
    fast = FastS2CNet(network).score(images, crops, detections)
    torch.testing.assert_close(fast, plain, atol=1e-4, rtol=0)


@pytest.mark.parametrize("head", ["crop_node", "all_nodes"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@torch.no_grad()
def test_any_number_of_layers(head: str, layers: int) -> None:
    network = small_network(head=head, layers=layers, heads=2)
    images, crops, detections = draw_inputs([20, 6], [4, 1])
    plain = network(images, crops, detections)
    fast = FastS2CNet(network).score(images, crops, detections)
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=0)


@torch.no_grad()
def test_sides_that_are_no_multiple_of_the_stride() -> None:
    network = small_network()
    images, crops, detections = draw_inputs([12], [3])
    images = images[:, :, :90, :119].contiguous()
    plain = network(images, crops, detections)
    fast = FastS2CNet(network).score(images, crops, detections)
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=0)


@torch.no_grad()
def test_chunks_do_not_change_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = FastS2CNet(small_network())
    images, crops, detections = draw_inputs([50, 31], [4, 2])
    whole = fast.score(images, crops, detections)
    monkeypatch.setattr(score, "CHUNK", 7)
    torch.testing.assert_close(fast.score(images, crops, detections), whole, atol=1e-6, rtol=0)


@torch.no_grad()
def test_feature_maps_that_others_made() -> None:
    network = small_network()
    images, crops, detections = draw_inputs([30, 20], [4, 2])
    fast = FastS2CNet(network, with_backbone=False)
    encoded = fast.encode_features(network.backbone(images), detections)
    plain = network(images, crops, detections)
    torch.testing.assert_close(fast.score_crops(encoded, crops), plain, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="has no backbone: give it feature maps"):
        fast.encode(images, detections)


def test_an_encoded_image_is_scored_again_without_the_backbone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fast = FastS2CNet(small_network())
    images, crops, detections = draw_inputs([30, 20], [4, 2])
    whole = fast.score(images, crops, detections)
    encoded = fast.encode(images, detections)
    monkeypatch.setattr(Backbone, "forward", lambda *_: pytest.fail("the backbone ran again"))
    parts = [fast.score_crops(encoded, part) for part in crops.split(11)]
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-6, rtol=0)


def ranks(scores: Tensor) -> Tensor:
    return scores.argsort().argsort().double()


@pytest.mark.parametrize(("precision", "least"), [("bfloat16", 0.999), ("float16", 0.9999)])
@pytest.mark.parametrize("preset", ["gaicv1", "gaicv2"])
def test_reduced_precision_keeps_the_order(preset: str, precision: Precision, least: float) -> None:
    """Spearman's correlation with float32, and the best crop, on the stored photos."""
    network, stored = drawn_network(preset), np.load(GOLDEN / f"scores_{preset}.npz")
    exactly, roughly = FastS2CNet(network), FastS2CNet(network, precision)
    for i in range(3):
        images = torch.from_numpy(stored[f"image{i}"]).float()[None]
        detections = [torch.from_numpy(stored[f"detections{i}"])]
        boxes = draw_boxes(300, images.shape[3], images.shape[2], seed=i)
        crops = functional.pad(boxes, (1, 0))
        exact = exactly.score(images, crops, detections)
        rough = roughly.score(images, crops, detections)
        assert rough.dtype == torch.float32
        assert not torch.equal(rough, exact)
        assert torch.corrcoef(torch.stack([ranks(rough), ranks(exact)]))[0, 1] > least
        assert rough.argmax() == exact.argmax()


def test_precision_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="no precision 'int4'"):
        FastS2CNet(small_network(), precision="int4")  # type: ignore[arg-type]


def test_a_runtime_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no runtime 'onnx'; there are torch, onnxruntime"):
        FastS2CNet(small_network(), runtime="onnx")  # type: ignore[arg-type]


@pytest.mark.parametrize("head", ["crop_node", "all_nodes"])
@torch.no_grad()
def test_weights_are_those_of_the_moment_it_was_made(head: str) -> None:
    network = small_network(head=head)
    before, inputs = copy.deepcopy(network), draw_inputs([6], [4])
    fast = FastS2CNet(network)
    for tensor in [*network.parameters(), *network.buffers()]:
        tensor += 1
    torch.testing.assert_close(fast.score(*inputs), before(*inputs), atol=1e-5, rtol=0)
    assert not torch.allclose(network(*inputs), before(*inputs))


@torch.no_grad()
def test_the_networks_own_score_uses_its_weights_of_now() -> None:
    network, inputs = small_network(), draw_inputs([6], [4])
    for _ in range(2):
        assert torch.equal(network.score(*inputs), FastS2CNet(network).score(*inputs))
        for parameter in network.parameters():
            parameter *= 1.25
    half = network.score(*inputs, precision="bfloat16")
    assert torch.equal(half, FastS2CNet(network, "bfloat16").score(*inputs))


def test_inference_mode_before_and_after() -> None:
    inputs = draw_inputs([6], [4])
    with torch.inference_mode():
        network = small_network()
        fast = FastS2CNet(network)
        first = fast.score(*inputs)
    assert torch.equal(fast.score(*inputs), first)
    assert torch.equal(FastS2CNet(network).score(*inputs), first)


def test_training_mode_uses_the_statistics_of_the_batch() -> None:
    network = small_network().train()
    inputs = draw_inputs([6, 3], [4, 2])
    with torch.no_grad():
        torch.testing.assert_close(network.score(*inputs), network(*inputs), atol=1e-4, rtol=0)


def test_no_gradients() -> None:
    images, crops, detections = draw_inputs([3], [2])
    assert not FastS2CNet(small_network()).score(images, crops, detections).requires_grad


@pytest.mark.parametrize(
    ("preset", "plain", "fast"), [("gaicv1", 20.9e6, 5.95e6), ("gaicv2", 13.4e6, 10.4e6)]
)
def test_multiply_adds_per_candidate(preset: str, plain: float, fast: float) -> None:
    """Work a candidate costs, against a count by hand for gaicv1's fast path.

    In millions: samples 0.04, embedding 0.17, relations 0.14,
    aggregation 0.09, keys and values 0.13, folded 0.13, attention 0.27, widening 0.52 + 0.64,
    narrowing 2.88, last layer 0.81, together 5.8.
    """
    network = S2CNet(PRESETS[preset]).eval()
    for way, most in ((network, plain), (FastS2CNet(network).score, fast)):
        each = multiply_adds_per_candidate(way, network.config.detections)
        assert 0.9 * most < each < most, (way, each)


@pytest.mark.parametrize("preset", ["gaicv1", "gaicv2"])
def test_a_crop_alone_has_its_score_among_a_few(preset: str) -> None:
    """To the last bit: one, two, three and four crops are computed alike."""
    images, crops, detections = draw_inputs([12], [6])
    fast = FastS2CNet(drawn_network(preset))
    encoded = fast.encode(images, detections)
    by_size = [
        torch.cat([fast.score_crops(encoded, part) for part in torch.split(crops, size)])
        for size in (4, 1, 2, 3)
    ]
    for found in by_size[1:]:
        assert torch.equal(found, by_size[0])


def test_boxes_of_one_image_have_the_scores_of_crops() -> None:
    network = FastS2CNet(drawn_network("gaicv1"))
    images, crops, detections = draw_inputs([20, 30], [4, 10])
    encoded = network.encode(images, detections)
    expected = network.score_crops(encoded, crops)
    for index, image in enumerate(encoded):
        own = crops[:, 0] == index
        assert torch.equal(network.score_boxes(image, crops[own, 1:]), expected[own])
