"""CUDA graphs, on a CPU without the graph itself: fixed buffers, padded counts, own memory."""

import pytest
import torch
from torch import Tensor

from s2cnet import FastS2CNet, S2CNet
from s2cnet.fast import cuda_graphs
from s2cnet.fast.cuda_graphs import CudaGraphs, fill
from s2cnet.fast.folded import fold
from s2cnet.recording import Recorded
from tests.support.drawn import draw_inputs, small_network

CUDA = pytest.param("cuda", marks=pytest.mark.gpu)


def replayed(network: S2CNet) -> tuple[FastS2CNet, CudaGraphs]:
    """A network whose work is recorded and replayed, also on a CPU and without compiling."""
    fast, graphs = FastS2CNet(network), CudaGraphs(fold(network))
    fast._encode, fast._score = graphs.encode, graphs.score_boxes
    fast._encode_features = graphs.encode_features
    return fast, graphs


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("head", ["crop_node", "all_nodes"])
@torch.no_grad()
def test_same_scores_for_any_number_of_crops_and_objects(
    head: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_graphs, "BUCKETS", (4, 16))
    # As in jobs: TF32, the default of convolutions on a GPU, has 10 bits of float32's 23.
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    network = small_network(head=head).to(device)
    fast, graphs = replayed(network)
    images, crops, detections = draw_inputs([3, 16, 0, 37], [2, 9, 1, 0])
    images, crops, detections = (
        images.to(device), crops.to(device), [boxes.to(device) for boxes in detections],
    )  # fmt: skip
    for _ in range(2):  # recorded, then replayed
        plain = network(images, crops, detections)
        torch.testing.assert_close(fast.score(images, crops, detections), plain, atol=1e-5, rtol=0)
        crops = crops.flip(0)
    assert len(graphs._score.recordings) == 2  # 4 and 16 candidates of one size of image
    assert len(graphs._encode.recordings) == 1


@torch.no_grad()
def test_sides_that_are_no_multiple_of_the_stride() -> None:
    network = small_network()
    images, crops, detections = draw_inputs([12], [3])
    images = images[:, :, :90, :119].contiguous()
    plain = network(images, crops, detections)
    found = replayed(network)[0].score(images, crops, detections)
    torch.testing.assert_close(found, plain, atol=1e-5, rtol=0)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@torch.no_grad()
def test_feature_maps_are_recorded_apart(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    network = small_network().to(device)
    fast, graphs = replayed(network)
    images, crops, detections = draw_inputs([9, 20], [2, 3])
    images, crops = images.to(device), crops.to(device)
    detections = [boxes.to(device) for boxes in detections]
    plain = network(images, crops, detections)
    for _ in range(2):  # recorded, then replayed
        encoded = fast.encode_features(network.backbone(images), detections)
        torch.testing.assert_close(fast.score_crops(encoded, crops), plain, atol=1e-5, rtol=0)
    assert [len(one.recordings) for one in (graphs._encode, graphs._encode_map)] == [0, 1]


@torch.no_grad()
def test_two_encoded_images_live_side_by_side() -> None:
    network = small_network()
    fast, _ = replayed(network)
    images, crops, detections = draw_inputs([6, 0], [4, 3])
    first = fast.encode(images[:1], detections[:1])
    fast.encode(images[1:], detections[1:])
    expected = network.score(images[:1], crops, detections[:1])
    torch.testing.assert_close(fast.score_crops(first, crops), expected, atol=1e-5, rtol=0)


def test_answers_are_not_overwritten_and_inputs_not_kept() -> None:
    calls: list[int] = []

    def double(x: Tensor) -> list[Tensor]:
        calls.append(x.data_ptr())
        return [2 * x]

    function = Recorded(double, most=2)
    given = torch.ones(3)
    first = function(given)
    second = function(given + 1)
    assert (first[0].tolist(), second[0].tolist()) == ([2.0] * 3, [4.0] * 3)
    assert len(set(calls)) == 1  # one address for inputs of one shape
    assert given.data_ptr() not in calls
    for count in (4, 5):
        function(torch.ones(count))
    assert [key[0][0] for key in function.recordings] == [(4,), (5,)]  # type: ignore[index]


def test_fill() -> None:
    boxes = torch.arange(12.0).view(3, 4)
    assert torch.equal(fill(boxes, (2, 3, 8)), boxes)
    filled = fill(boxes, (2, 5, 8))
    assert torch.equal(filled[:3], boxes)
    assert torch.equal(filled[3:], boxes[:1].expand(2, 4))
