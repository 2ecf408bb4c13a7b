"""Modules as ONNX graphs: the same numbers as torch, for every operator and for whole networks."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from s2cnet import S2CNet
from s2cnet.fast.folded import fold_backbone
from s2cnet.network.backbone import resize_aligned
from tests.support.drawn import drawn_network

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from s2cnet.onnx import OnnxModule
from s2cnet.onnx.graph import UnknownOperatorError, onnx_graph

SIZES = [(64, 96), (96, 64), (32, 320)]


class Function(nn.Module):
    """A function of one tensor as a module."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def forward(self, x: Tensor) -> Tensor:
        return FUNCTIONS[self.number](x)


def by_sides(x: Tensor) -> Tensor:
    _, _, height, width = x.shape
    return x * height / width - 2


FUNCTIONS = [
    lambda x: (x - 127) / 128 + 2 * x,
    lambda x: functional.relu6(8 * x) + functional.relu(x - 0.5),
    lambda x: functional.interpolate(x, scale_factor=2.0, mode="nearest"),
    lambda x: functional.interpolate(x[:, :1], size=x.shape[-2:], mode="nearest"),
    lambda x: functional.interpolate(functional.avg_pool2d(x, 2), size=x.shape[-2:]),
    lambda x: functional.pixel_shuffle(torch.cat([x, x[:, :1]], dim=1), 2),
    lambda x: torch.cat([x[:, :-1], x[:, -1:], x[:, 1:2]], dim=1),
    lambda x: (torch.ones_like(x[:, :1]).cumsum(3) - 0.5) / x.shape[3],
    lambda x: x[:, :1].cumsum(2),
    by_sides,
]
LAYERS = [
    nn.Conv2d(3, 8, 5, stride=2, padding=(2, 1)),
    nn.Conv2d(3, 6, 3, groups=3, dilation=2, bias=False),
    nn.Sequential(nn.ZeroPad2d((0, 1, 2, 3)), nn.Conv2d(3, 4, 3, stride=2)),
    nn.Sequential(nn.ReLU6(), nn.Identity()),
    nn.Sequential(nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Sigmoid()),
]


@torch.no_grad()
def check(module: nn.Module, most: float = 1e-5) -> None:
    module.eval()
    found = OnnxModule(module)
    for height, width in SIZES:
        x = torch.rand(1, 3, height, width)
        torch.testing.assert_close(found(x), module(x), atol=most, rtol=most)


@pytest.mark.parametrize("number", range(len(FUNCTIONS)))
def test_functions(number: int) -> None:
    check(Function(number))


def test_bilinear_resizing() -> None:
    """Both round the places of samples on their own: by 1e-5 of a cell at the end of 320 cells."""

    class Halved(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return resize_aligned(x, functional.avg_pool2d(x, 2).shape[-2:])

    check(Halved(), most=1e-4)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: str(layer).split("\n")[0])
def test_layers(layer: nn.Module) -> None:
    check(nn.Sequential(layer))


@pytest.mark.parametrize("preset", ["gaicv1", "gaicv2"])
def test_backbones(preset: str) -> None:
    network = drawn_network(preset)
    check(fold_backbone(network.backbone))


def test_efficientnet() -> None:
    from s2cnet.network.backbone import Backbone

    torch.manual_seed(0)
    check(fold_backbone(Backbone("efficientnet_b1", 8).eval()))


def test_several_images_and_transposed_memory() -> None:
    backbone = fold_backbone(S2CNet.untrained(seed=2).backbone)
    images = torch.rand(2, 64, 96, 3).permute(0, 3, 1, 2)
    with torch.no_grad():
        torch.testing.assert_close(
            OnnxModule(backbone)(images), backbone(images), atol=1e-5, rtol=0
        )


def test_an_unknown_operator_is_named() -> None:
    with pytest.raises(UnknownOperatorError, match="BatchNorm2d"):
        onnx_graph(nn.Sequential(nn.BatchNorm2d(3)).eval())


def test_weights_are_copies() -> None:
    layer = nn.Conv2d(3, 2, 1)
    found = OnnxModule(nn.Sequential(layer))
    x = torch.rand(1, 3, 4, 4)
    before = found(x)
    with torch.no_grad():
        layer.weight += 1
    assert torch.equal(found(x), before)
