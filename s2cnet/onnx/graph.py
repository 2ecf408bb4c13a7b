"""Convert a torch module to an ONNX graph, for one image of any size.

`torch.fx` traces the module's own `forward`, so there is one definition of each network. Every
traced step becomes the ONNX operators that `operators` defines for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from torch import fx, nn

from s2cnet.onnx.operators import FUNCTIONS, METHODS, MODULES
from s2cnet.onnx.writer import GraphWriter

INPUT, OUTPUT = "x", "y"
OPSET = 18
IR_VERSION = 10  # of the file format: the oldest that all runtimes with this opset read


class UnknownOperatorError(NotImplementedError):
    """A module computes something that none of the operators known here does."""


def onnx_graph(module: nn.Module) -> bytes:
    """Serialise a module, one tensor [B, C, H, W] in and one out, as an ONNX model in float32.

    module: in evaluation mode.

    Raises UnknownOperatorError.
    """
    writer = GraphWriter()
    modules = dict(module.named_modules())
    values: dict[fx.Node, Any] = {}
    result = ""
    for node in fx.Tracer().trace(module).nodes:
        args, named = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
        if node.op == "placeholder":
            values[node] = INPUT
        elif node.op == "output":
            (result,) = args
        elif node.op == "get_attr":
            values[node] = writer.constant(_attribute(module, str(node.target)))
        elif node.op == "call_module":
            part = modules[str(node.target)]
            values[node] = _known(MODULES, type(part), node)(writer, part, *args)
        else:
            table = METHODS if node.op == "call_method" else FUNCTIONS
            values[node] = _known(table, node.target, node)(writer, *args, **named)
    writer.add("Identity", [result], outputs=[OUTPUT])
    return bytes(_model(writer).SerializeToString())


def _known(table: dict[Any, Callable[..., Any]], key: object, node: fx.Node) -> Callable[..., Any]:
    name = f"{getattr(key, '__module__', '')}.{getattr(key, '__name__', '')}"
    found = table.get(key) or table.get(name)
    if found is None:
        raise UnknownOperatorError(f"no ONNX operator is known for {key} in {node.format_node()}")
    return found


def _attribute(module: nn.Module, path: str) -> np.ndarray[Any, Any]:
    value: Any = module
    for name in path.split("."):
        value = getattr(value, name)
    assert isinstance(value, torch.Tensor)
    return value.detach().float().contiguous().numpy()


def _model(writer: GraphWriter) -> onnx.ModelProto:
    def tensor(name: str) -> onnx.ValueInfoProto:
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * 4)

    graph = onnx.helper.make_graph(
        writer.nodes, "network", [tensor(INPUT)], [tensor(OUTPUT)], writer.constants
    )
    return onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
