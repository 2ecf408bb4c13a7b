"""Record a function of tensors once for each shape of its inputs as a CUDA graph, and replay it.

A photo takes a few hundred small kernels, and launching one costs more than running most of them. A
graph launches them all at once. It reads its inputs at fixed addresses, so inputs are copied into
permanent buffers. On a CPU a recording calls its function on the same buffers, so that tests cover
everything but the graph itself.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Function = Callable[..., Sequence[Tensor]]

MOST_RECORDINGS = 64  # of one function; the network's inputs have about 30 sizes


class Recorded:
    """A function of tensors with one recording for each shape of inputs.

    Beyond `most` recordings, the least recently used one is dropped.
    """

    def __init__(self, function: Function, most: int = MOST_RECORDINGS) -> None:
        """Keep a function of at least one input whose work depends only on the inputs' shapes."""
        self.function = function
        self.most = most
        self.recordings: OrderedDict[object, Recording] = OrderedDict()

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """Return the function's result, in memory of its own."""
        key = tuple((tensor.shape, tensor.dtype) for tensor in inputs)
        if key not in self.recordings:
            self.recordings[key] = Recording(self.function, inputs, self._pool())
            if len(self.recordings) > self.most:
                self.recordings.popitem(last=False)
        self.recordings.move_to_end(key)
        return self.recordings[key](inputs)

    def _pool(self) -> Any:
        """Return the memory pool of the recordings so far, to share it: one runs at a time.

        It is the pool of a living graph: torch frees a pool with its last graph, then refuses it.
        """
        return next((one.pool for one in self.recordings.values()), None)


class Recording:
    """A function recorded for inputs of one shape, at one address."""

    def __init__(self, function: Function, inputs: Sequence[Tensor], pool: Any = None) -> None:
        """Record the function. pool: memory of another recording to share; None: new memory."""
        self.inputs = [tensor.clone() for tensor in inputs]
        self.pool = pool
        self.replay: Callable[[], object]
        if inputs[0].device.type == "cuda":
            self.replay = self._record(function)
        else:
            self.outputs: Sequence[Tensor] = function(*self.inputs)
            self.replay = lambda: self._run(function)

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return the function's result for inputs of this shape."""
        for buffer, given in zip(self.inputs, inputs, strict=True):
            buffer.copy_(given, non_blocking=True)
        self.replay()
        return [tensor.clone() for tensor in self.outputs]  # the next replay overwrites them

    def _run(self, function: Function) -> None:
        self.outputs = function(*self.inputs)

    def _record(self, function: Function) -> Callable[[], object]:
        """Warm up on another stream, then capture, as torch's documentation prescribes."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):  # libraries choose their kernels in the first calls
                function(*self.inputs)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool):
            self.outputs = function(*self.inputs)
        self.pool = graph.pool()
        return graph.replay
