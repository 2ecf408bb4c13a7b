"""S2CNet on a GPU: each shape of input is recorded once as a CUDA graph, then replayed.

A photo's few hundred kernels are small, and launching one costs more than most of them run. A
graph launches them all at once, but it takes inputs of one shape, at one address. So every photo
gets exactly D object boxes (repeated where there are fewer: the same numbers), candidates are
filled up to the next of a few counts, and inputs are copied into buffers that stay.

On a CPU a recording calls its function on the same buffers: that is how tests see all of this but
the graph itself.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s2cnet import context, scoring
from s2cnet.backbone import STRIDE
from s2cnet.compiled import ReadyS2CNet
from s2cnet.context import ImageContext, PictureContext
from s2cnet.graph import box_centres
from s2cnet.model import S2CNet, check_crops, check_images
from s2cnet.scoring import TYPES, Precision

Function = Callable[..., Sequence[Tensor]]

BUCKETS = (32, 64, 128, 256, 512, 1024)  # candidates a call; more are several calls
MOST_RECORDINGS = 64  # a size of photo takes 1 for its backbone and 1 for each bucket used


class RecordedS2CNet(ReadyS2CNet):
    """`ReadyS2CNet` with everything between inputs and scores recorded."""

    def __init__(
        self,
        network: S2CNet,
        precision: Precision = "float32",
        packages: Path | None = None,
    ) -> None:
        super().__init__(network, precision, packages)
        self._encode = Recorded(self._encode_one)
        self._score = Recorded(self._score_some)

    @torch.no_grad()
    def encode(self, images: Tensor, detections: Sequence[Tensor]) -> ImageContext:
        """As `S2CNet.encode`."""
        check_images(images, detections)
        height, width = images.shape[-2:]
        boxes = self.network.object_boxes(detections, height, width)  # [B, D, 4]
        pictures = [
            PictureContext(*self._encode(images[i : i + 1], boxes[i])) for i in range(len(images))
        ]
        return ImageContext(height, width, self.weights, pictures)

    @torch.no_grad()
    def score_crops(self, encoded: ImageContext, crops: Tensor) -> Tensor:
        """As `S2CNet.score_crops`."""
        check_crops(crops, len(encoded.pictures))
        scores = crops.new_empty(len(crops))
        for index, picture in enumerate(encoded.pictures):
            rows = (crops[:, 0].long() == index).nonzero().flatten()
            shared = tensors_of(picture)
            for part in torch.split(rows, BUCKETS[-1]) if len(rows) else ():
                filled = fill(crops[part, 1:], BUCKETS)
                scores[part] = self._score(*shared, filled)[0][: len(part)]
        return scores

    def _encode_one(self, images: Tensor, boxes: Tensor) -> list[Tensor]:
        encoded = context.encode(self.network, self.weights, images, [boxes])
        return tensors_of(encoded.pictures[0])

    def _score_some(self, *inputs: Tensor) -> list[Tensor]:
        picture, boxes = PictureContext(*inputs[:-1]), inputs[-1]
        height, width = (STRIDE * side for side in picture.features.shape[-2:])
        centres, kind = box_centres(boxes, height, width), TYPES[self.precision]
        return [scoring.score_chunk(self.network, self.weights, picture, boxes, centres, kind)]


def tensors_of(picture: PictureContext) -> list[Tensor]:
    """The fields of a context, in order."""
    return [getattr(picture, field.name) for field in fields(picture)]


def fill(boxes: Tensor, counts: Sequence[int]) -> Tensor:
    """boxes [k, 4] and copies of the first, as many as the next of `counts`; k <= the last."""
    count = next(count for count in counts if count >= len(boxes))
    return torch.cat([boxes, boxes[:1].expand(count - len(boxes), -1)])


class Recorded:
    """A function of tensors, recorded for each shape of its inputs; the oldest go first."""

    def __init__(self, function: Function, most: int = MOST_RECORDINGS) -> None:
        self.function = function
        self.most = most
        self.recordings: OrderedDict[object, Recording] = OrderedDict()

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """What the function gives, in memory of its own."""
        key = tuple((tensor.shape, tensor.dtype) for tensor in inputs)
        if key not in self.recordings:
            if len(self.recordings) == self.most:
                self.recordings.popitem(last=False)
            self.recordings[key] = Recording(self.function, inputs)
        self.recordings.move_to_end(key)
        return self.recordings[key](inputs)


@lru_cache(maxsize=1)
def _pool() -> Any:
    """Memory that all graphs work in: one runs at a time, and what it leaves is copied at once."""
    return torch.cuda.graph_pool_handle()


class Recording:
    """A function with inputs of one shape, at one address."""

    def __init__(self, function: Function, inputs: Sequence[Tensor]) -> None:
        self.inputs = [tensor.clone() for tensor in inputs]
        self.replay: Callable[[], object]
        if inputs[0].device.type == "cuda":
            self.replay = self._record(function)
        else:
            self.outputs: Sequence[Tensor] = function(*self.inputs)
            self.replay = lambda: self._run(function)

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        for ours, given in zip(self.inputs, inputs, strict=True):
            ours.copy_(given, non_blocking=True)
        self.replay()
        return [tensor.clone() for tensor in self.outputs]  # the next replay overwrites them

    def _run(self, function: Function) -> None:
        self.outputs = function(*self.inputs)

    def _record(self, function: Function) -> Callable[[], object]:
        """As torch's documentation has it: warm up on another stream, then capture."""
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
