"""Collect the nodes and constants of an ONNX graph. Values are referred to by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike


class GraphWriter:
    """Collects nodes and constants."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        # The constants' names, by type, shape and content.
        self._names: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def add(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: Sequence[str] | None = None,
        **attributes: Any,
    ) -> str:
        """Add a node; return the name of its first output."""
        names = list(outputs or [f"v{len(self.nodes)}"])
        node = onnx.helper.make_node(operator, list(inputs), names, **attributes)
        self.nodes.append(node)
        return names[0]

    def constant(self, values: ArrayLike) -> str:
        """Return the name of a constant. Equal ones share a name."""
        array = np.ascontiguousarray(values)
        key = (array.dtype.str, np.shape(values), array.tobytes())
        if key not in self._names:
            self._names[key] = f"c{len(self.constants)}"
            tensor = onnx.numpy_helper.from_array(array.reshape(np.shape(values)), self._names[key])
            self.constants.append(tensor)
        return self._names[key]

    def floats(self, *values: float) -> str:
        """Return the name of a constant vector of float32."""
        return self.constant(np.array(values, np.float32))

    def scalar(self, value: float) -> str:
        """Return the name of a constant number, float32."""
        return self.constant(np.float32(value))

    def integers(self, *values: int) -> str:
        """Return the name of a constant vector of int64."""
        return self.constant(np.array(values, np.int64))
