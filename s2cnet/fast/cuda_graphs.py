"""Encode and score on a GPU: each shape of input is recorded once as a CUDA graph, then replayed.

An image takes a few hundred small kernels, and launching one costs more than running most of them.
A graph launches them all at once, but takes inputs of one shape at one address. So every image gets
exactly D object boxes (fewer are repeated, with the same scores), candidates are filled up to the
next of a few counts, and inputs are copied into buffers that stay.

On a CPU a recording calls its function on the same buffers, so that tests cover everything but the
graph itself.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from s2cnet.fast.folded import FoldedNetwork
from s2cnet.fast.image import EncodedImage, encode_images
from s2cnet.fast.score import score_chunk
from s2cnet.network.nodes import fill_detections

Function = Callable[..., Sequence[Tensor]]

BUCKETS = (32, 64, 128, 256, 512, 1024)  # candidates a call; more are several calls
MOST_RECORDINGS = 64  # a size of image takes 1 for its backbone and 1 for each bucket used


class CudaGraphs:
    """The two steps of `FastS2CNet`, recorded and replayed."""

    def __init__(self, folded: FoldedNetwork) -> None:
        self._folded = folded
        self._encode = Recorded(self._encode_one)
        self._score = Recorded(self._score_some)

    def encode(self, images: Tensor, detections: Sequence[Tensor]) -> list[EncodedImage]:
        """As `s2cnet.fast.image.encode_images`."""
        height, width = images.shape[-2:]
        places = self._folded.config.detections
        return [
            EncodedImage(*self._encode(image[None], fill_detections(found, places, height, width)))
            for image, found in zip(images, detections, strict=True)
        ]

    def score_boxes(self, image: EncodedImage, boxes: Tensor) -> Tensor:
        """As `s2cnet.fast.score.score_boxes`."""
        shared = image_tensors(image)
        return torch.cat(
            [
                self._score(*shared, fill(part, BUCKETS))[0][: len(part)]
                for part in torch.split(boxes, BUCKETS[-1])
            ]
        )

    def _encode_one(self, images: Tensor, boxes: Tensor) -> list[Tensor]:
        (encoded,) = encode_images(self._folded, images, [boxes])
        return image_tensors(encoded)

    def _score_some(self, *inputs: Tensor) -> list[Tensor]:
        return [score_chunk(self._folded, EncodedImage(*inputs[:-1]), inputs[-1])]


def image_tensors(image: EncodedImage) -> list[Tensor]:
    """The fields of an encoded image, in order."""
    return [getattr(image, field.name) for field in fields(image)]


def fill(boxes: Tensor, counts: Sequence[int]) -> Tensor:
    """Append copies of the first of boxes [k, 4] up to the next of `counts`; k <= the last one."""
    count = next(count for count in counts if count >= len(boxes))
    return torch.cat([boxes, boxes[:1].expand(count - len(boxes), -1)])


class Recorded:
    """A function of tensors with one recording for each shape of inputs; the oldest are dropped."""

    def __init__(self, function: Function, most: int = MOST_RECORDINGS) -> None:
        self.function = function
        self.most = most
        self.recordings: OrderedDict[object, Recording] = OrderedDict()

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """The function's result, in memory of its own."""
        key = tuple((tensor.shape, tensor.dtype) for tensor in inputs)
        if key not in self.recordings:
            if len(self.recordings) == self.most:
                self.recordings.popitem(last=False)
            self.recordings[key] = Recording(self.function, inputs)
        self.recordings.move_to_end(key)
        return self.recordings[key](inputs)


@lru_cache(maxsize=1)
def _pool() -> Any:
    """Memory shared by all graphs: one runs at a time, and its results are copied at once."""
    return torch.cuda.graph_pool_handle()


class Recording:
    """A function recorded for inputs of one shape, at one address."""

    def __init__(self, function: Function, inputs: Sequence[Tensor]) -> None:
        self.inputs = [tensor.clone() for tensor in inputs]
        self.replay: Callable[[], object]
        if inputs[0].device.type == "cuda":
            self.replay = self._record(function)
        else:
            self.outputs: Sequence[Tensor] = function(*self.inputs)
            self.replay = lambda: self._run(function)

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The function's result for inputs of this shape."""
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
        with torch.cuda.graph(graph, pool=_pool()):
            self.outputs = function(*self.inputs)
        return graph.replay
