"""Write ONNX operators for the parts of torch that the project's convolutional networks use.

Every function writes what one step of a traced module computes and returns the name of its value.
A value that is not a torch tensor (a shape, one of its sides) is an int64 of ONNX, `Int64`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn import functional

from s2cnet.onnx.writer import GraphWriter


class Int64(str):
    """The name of a value of int64: a shape or a side."""


Operand = str | float  # the name of a value, or a number


def convolution(writer: GraphWriter, layer: nn.Conv2d, x: str) -> str:
    """Write `nn.Conv2d`."""
    assert not isinstance(layer.padding, str)
    parameters = [layer.weight] if layer.bias is None else [layer.weight, layer.bias]
    constants = [writer.constant(one.detach().float().cpu().numpy()) for one in parameters]
    return writer.add(
        "Conv",
        [x, *constants],
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.stride),
        pads=[*layer.padding, *layer.padding],
        dilations=list(layer.dilation),
        group=layer.groups,
    )


def zero_padding(writer: GraphWriter, layer: nn.ZeroPad2d, x: str) -> str:
    """Write `nn.ZeroPad2d`."""
    left, right, top, bottom = layer.padding
    return writer.add("Pad", [x, writer.integers(0, 0, top, left, 0, 0, bottom, right)])


def clamp(writer: GraphWriter, x: str, low: float, high: float) -> str:
    """Write `clamp`."""
    return writer.add("Clip", [x, writer.scalar(low), writer.scalar(high)])


def silu(writer: GraphWriter, x: str) -> str:
    """Write `functional.silu`."""
    return writer.add("Mul", [x, writer.add("Sigmoid", [x])])


def average_pooling(writer: GraphWriter, x: str, size: int) -> str:
    """Write `functional.avg_pool2d` without overlap."""
    return writer.add("AveragePool", [x], kernel_shape=[size] * 2, strides=[size] * 2)


def adaptive_pooling(writer: GraphWriter, layer: nn.AdaptiveAvgPool2d, x: str) -> str:
    """Write `nn.AdaptiveAvgPool2d` down to one cell."""
    assert layer.output_size in (1, (1, 1))
    return writer.add("GlobalAveragePool", [x])


def interpolate(
    writer: GraphWriter,
    x: str,
    size: Int64 | None = None,
    scale_factor: float | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> str:
    """Write `functional.interpolate`: nearest, or bilinear with aligned corners."""
    assert not antialias
    assert not recompute_scale_factor
    if mode == "nearest":
        how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    else:
        assert mode == "bilinear"
        assert align_corners
        how = {"coordinate_transformation_mode": "align_corners", "mode": "linear"}
    if size is None:
        assert scale_factor is not None
        inputs = [x, "", writer.floats(1, 1, scale_factor, scale_factor)]
    else:
        kept = writer.add("Slice", [shape(writer, x), writer.integers(0), writer.integers(2)])
        inputs = [x, "", "", writer.add("Concat", [kept, size], axis=0)]
    return writer.add("Resize", inputs, **how)


def concat(writer: GraphWriter, parts: Sequence[str], dim: int = 0) -> str:
    """Write `torch.cat`."""
    return writer.add("Concat", parts, axis=dim)


def shape(writer: GraphWriter, x: str) -> Int64:
    """Write `x.shape`."""
    return Int64(writer.add("Shape", [x]))


def attribute(writer: GraphWriter, x: str, name: str) -> Int64:
    """Write `getattr`: of a tensor, only its shape."""
    assert name == "shape"
    return shape(writer, x)


def getitem(writer: GraphWriter, x: str, index: Any) -> str:
    """Write `x[index]`: a number or a slice of a shape, or slices along a tensor's dimensions."""
    if isinstance(index, int):
        chosen = writer.constant(np.int64(index))
        return type(x)(writer.add("Gather", [x, chosen], axis=0))
    slices = index if isinstance(index, tuple) else (index,)
    axes = [axis for axis, one in enumerate(slices) if one != slice(None)]
    assert all(slices[axis].step is None for axis in axes)
    starts = [slices[axis].start or 0 for axis in axes]
    ends = [slices[axis].stop for axis in axes]
    last = np.iinfo(np.int64).max
    limits = (starts, [last if end is None else end for end in ends], axes)
    return type(x)(writer.add("Slice", [x, *(writer.integers(*values) for values in limits)]))


def ones_like(writer: GraphWriter, x: str) -> str:
    """Write `torch.ones_like`."""
    one = onnx.numpy_helper.from_array(np.ones(1, np.float32))
    return writer.add("ConstantOfShape", [shape(writer, x)], value=one)


def cumsum(writer: GraphWriter, x: str, dim: int) -> str:
    """Write `cumsum`."""
    return writer.add("CumSum", [x, writer.constant(np.int64(dim))])


def pixel_shuffle(writer: GraphWriter, x: str, factor: int) -> str:
    """Write `functional.pixel_shuffle`."""
    return writer.add("DepthToSpace", [x], blocksize=factor, mode="CRD")


def identity(writer: GraphWriter, x: str, *_: object, **__: object) -> str:
    """Write nothing, for a step that does nothing in evaluation mode."""
    return x


def _binary(name: str) -> Callable[[GraphWriter, Operand, Operand], str]:
    def write(writer: GraphWriter, a: Operand, b: Operand) -> str:
        return writer.add(name, [_as_float(writer, a), _as_float(writer, b)])

    return write


def _as_float(writer: GraphWriter, value: Operand) -> str:
    if isinstance(value, Int64):
        return writer.add("Cast", [value], to=onnx.TensorProto.FLOAT)
    return value if isinstance(value, str) else writer.scalar(value)


def _unary(name: str) -> Callable[..., str]:
    def write(writer: GraphWriter, x: str, **_: object) -> str:
        return writer.add(name, [x])

    return write


def _of_layer(write: Callable[..., str]) -> Callable[[GraphWriter, nn.Module, str], str]:
    """Adapt a function to layers without settings."""
    return lambda writer, _, x: write(writer, x)


MODULES: dict[Any, Callable[..., str]] = {
    nn.Conv2d: convolution,
    nn.ZeroPad2d: zero_padding,
    nn.ReLU: _of_layer(_unary("Relu")),
    nn.ReLU6: lambda writer, layer, x: clamp(writer, x, layer.min_val, layer.max_val),
    nn.SiLU: _of_layer(silu),
    nn.Sigmoid: _of_layer(_unary("Sigmoid")),
    nn.AdaptiveAvgPool2d: adaptive_pooling,
    nn.Identity: _of_layer(identity),
    nn.Dropout2d: _of_layer(identity),
}
FUNCTIONS: dict[Any, Callable[..., Any]] = {
    operator.add: _binary("Add"),
    operator.sub: _binary("Sub"),
    operator.mul: _binary("Mul"),
    operator.truediv: _binary("Div"),
    operator.getitem: getitem,
    getattr: attribute,
    torch.cat: concat,
    torch.ones_like: ones_like,
    functional.relu: _unary("Relu"),
    functional.relu6: lambda writer, x, **_: clamp(writer, x, 0, 6),
    functional.interpolate: interpolate,
    functional.avg_pool2d: average_pooling,
    functional.pixel_shuffle: pixel_shuffle,
    functional.dropout2d: identity,
    # By its name: importing torchvision takes a second of CPU time.
    "torchvision.ops.stochastic_depth.stochastic_depth": identity,
}
METHODS: dict[Any, Callable[..., str]] = {"cumsum": cumsum}
