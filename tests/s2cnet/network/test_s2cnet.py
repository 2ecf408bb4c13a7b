"""The network against the stored scores, and its behaviour on unusual input."""

import numpy as np
import pytest
import torch
from torch import Tensor

from s2cnet import PRESETS, S2CNet, S2CNetConfig
from s2cnet.network.graph import distance
from s2cnet.network.nodes import fill_detections
from tests.support.drawn import GOLDEN, draw_inputs, drawn_network, small_network

BOTH_PRESETS = pytest.mark.parametrize("preset", ["gaicv1", "gaicv2"])


@BOTH_PRESETS
def test_stored_scores(preset: str) -> None:
    """Wrong variants are close: tanh instead of erf in the GELU moves scores by 4.6e-4."""
    network, stored = drawn_network(preset), np.load(GOLDEN / f"scores_{preset}.npz")
    for i in range(3):
        images = torch.from_numpy(stored[f"image{i}"]).float()[None]
        crops = torch.nn.functional.pad(torch.from_numpy(stored[f"crops{i}"]), (1, 0))
        detections = [torch.from_numpy(stored[f"detections{i}"])]
        expected = torch.from_numpy(stored[f"scores{i}"])
        with torch.no_grad():
            plain = network(images, crops, detections)
        torch.testing.assert_close(plain, expected, atol=5e-5, rtol=0)
        fast = network.score(images, crops, detections)
        torch.testing.assert_close(fast, expected, atol=5e-5, rtol=0)


@pytest.mark.parametrize(("preset", "count"), [("gaicv1", 3_925_273), ("gaicv2", 5_795_609)])
def test_number_of_parameters(preset: str, count: int) -> None:
    with torch.device("meta"):
        network = S2CNet(PRESETS[preset])
    assert sum(tensor.numel() for tensor in network.parameters()) == count


@pytest.mark.parametrize("head", ["crop_node", "all_nodes"])
@pytest.mark.parametrize("way", ["forward", "score"])
@torch.no_grad()
def test_images_in_a_batch_do_not_touch_each_other(head: str, way: str) -> None:
    network = small_network(head=head)
    images, crops, detections = draw_inputs([5, 0, 3, 7], [4, 2, 0, 9])
    together = getattr(network, way)(images, crops, detections)
    assert together.shape == (15,)
    for index in (0, 2, 3):
        rows = crops[:, 0] == index
        alone = crops[rows] * torch.tensor([0.0, 1, 1, 1, 1])
        one = getattr(network, way)(images[index : index + 1], alone, [detections[index]])
        torch.testing.assert_close(together[rows], one, atol=1e-5, rtol=0)


@BOTH_PRESETS
@torch.no_grad()
def test_any_number_of_detections_gives_finite_scores(preset: str) -> None:
    network = S2CNet.untrained(preset)
    images, crops, detections = draw_inputs([6] * 6, [0, 1, 2, 5, 10, 40])
    scores = network(images, crops, detections)
    assert scores.isfinite().all()
    for index in range(6):
        assert len(scores[crops[:, 0] == index].unique()) > 1


def test_detections_too_few_too_many_and_none() -> None:
    boxes = torch.arange(12.0).view(3, 4)
    assert fill_detections(boxes, 7, 10, 20)[:, 0].tolist() == [0, 4, 8, 0, 4, 8, 0]
    assert fill_detections(boxes, 2, 10, 20)[:, 0].tolist() == [0, 4]
    assert fill_detections(boxes[:0], 2, 10, 20).tolist() == [[0, 0, 20, 10]] * 2


def test_no_crops() -> None:
    images, crops, detections = draw_inputs([0], [2])
    network = small_network()
    assert network(images, crops, detections).shape == (0,)
    assert network.score(images, crops, detections).shape == (0,)


def test_distance_that_rounds_below_zero() -> None:
    """These equal vectors have |a|^2 - 2ab + |b|^2 < 0 in float32, whose root is NaN."""
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(64, 1, 257, generator=generator) * 1000
    b = a.clone()
    squared = a.square().sum(-1) - 2 * (a @ b.transpose(1, 2))[:, :, 0] + b.square().sum(-1)
    assert (squared < 0).any()
    a.requires_grad_()
    found = distance(a, b)
    assert found.isfinite().all()
    found.sum().backward()
    assert a.grad is not None
    assert a.grad.isfinite().all()


def test_distance_is_euclidean() -> None:
    a, b = torch.randn(2, 5, 8), torch.randn(2, 3, 8)
    torch.testing.assert_close(distance(a, b), torch.cdist(a, b), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("head", ["crop_node", "all_nodes"])
@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_finite_and_reach_everything(head: str, training: bool) -> None:
    """Also where theta and phi agree, so that distances are exactly 0."""
    network = small_network(head=head).train(training)
    relations = network.relations
    relations.spatial_phi.load_state_dict(relations.spatial_theta.state_dict())
    images, crops, detections = draw_inputs([6, 5], [4, 1])
    network(images, crops, detections).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_efficientnet() -> None:
    network = small_network(backbone="efficientnet_b1")
    assert network.backbone.reduce.weight.shape[1] == 1432
    images, crops, detections = draw_inputs([4, 3], [2, 0])
    scores = network(images, crops, detections)
    assert scores.isfinite().all()
    torch.testing.assert_close(network.score(images, crops, detections), scores, atol=1e-5, rtol=0)


@pytest.mark.parametrize("head", ["crop_node", "all_nodes"])
def test_export_with_any_number_of_crops(head: str) -> None:
    network = small_network(head=head)
    images, crops, detections = draw_inputs([7], [4])
    shapes = (None, {0: torch.export.Dim("crops", min=2)}, [None])
    exported = torch.export.export(network, (images, crops, detections), dynamic_shapes=shapes)
    images, crops, detections = draw_inputs([12], [4], seed=3)
    with torch.no_grad():
        found = exported.module()(images, crops, detections)
        torch.testing.assert_close(found, network(images, crops, detections))


def test_seed_decides_untrained_weights_and_leaves_the_callers_alone() -> None:
    torch.manual_seed(3)
    first = S2CNet.untrained("gaicv1", seed=1)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))
    weight = S2CNet.untrained("gaicv1", seed=1).embedding.linear.weight
    assert torch.equal(first.embedding.linear.weight, weight)
    assert not torch.equal(S2CNet.untrained("gaicv1", seed=2).embedding.linear.weight, weight)


def test_wrong_configurations() -> None:
    with pytest.raises(ValueError, match="multiple of heads"):
        S2CNetConfig(node_dim=250)
    with pytest.raises(ValueError, match="square"):
        S2CNetConfig(node_dim=128, head="all_nodes")
    with pytest.raises(ValueError, match="no backbone"):
        small_network(backbone="vgg")
    with pytest.raises(ValueError, match="head is crop_node or all_nodes, not 'x'"):
        S2CNetConfig(head="x")  # type: ignore[arg-type]
    for name in ("align_size", "detections"):
        with pytest.raises(ValueError, match="at least 1"):
            S2CNetConfig(**{name: 0})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no preset"):
        S2CNet.untrained("gaicv3")


IMAGES, CROPS = torch.zeros(1, 3, 64, 64), torch.tensor([[0.0, 1, 2, 3, 4]])


@pytest.mark.parametrize(
    ("images", "crops", "detections", "message"),
    [
        (IMAGES[0], CROPS, [torch.zeros(1, 4)], "images must be"),
        (IMAGES[:, :, :16], CROPS, [torch.zeros(1, 4)], "images must be"),
        (IMAGES[:0], CROPS, [], "images must be one or more"),
        (IMAGES.byte(), CROPS, [torch.zeros(1, 4)], "images must be .* got 1 of torch.uint8"),
        (IMAGES, CROPS[:, 1:], [torch.zeros(1, 4)], "crops must be"),
        (IMAGES, CROPS.long(), [torch.zeros(1, 4)], "crops must be torch.float32 .*int64"),
        (IMAGES, CROPS.double(), [torch.zeros(1, 4)], "crops must be torch.float32 .*float64"),
        (IMAGES, CROPS, [torch.zeros(1, 4).double()], "detections must be torch.float32"),
        (IMAGES, CROPS + 1, [torch.zeros(1, 4)], "image indices"),
        (IMAGES, CROPS * float("nan"), [torch.zeros(1, 4)], "crops must be finite"),
        (IMAGES, CROPS, [], "as many detections"),
        (IMAGES, CROPS, [torch.zeros(1, 5)], "detections must be"),
        (IMAGES, CROPS, [torch.full((1, 4), float("inf"))], "detections must be finite"),
    ],
)
@pytest.mark.parametrize("way", ["forward", "score"])
def test_wrong_arguments(
    way: str, images: Tensor, crops: Tensor, detections: list[Tensor], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(small_network(), way)(images, crops, detections)
