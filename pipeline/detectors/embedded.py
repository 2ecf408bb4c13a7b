"""Detect faces, people, things, text and the photo's subject, without any download.

One small network in the package (`subject_network`, 6 M parameters) reads a copy of about 288 × 288
pixels. `postprocess` turns its map of centres and offsets into faces, people, things and text. It
turns the map of the subject into regions, so that a temple or a flower counts although no class
names it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch

from pipeline.detectors.batches import batch_for, in_batches, uploaded
from pipeline.detectors.detection import Detections, Pixels
from pipeline.detectors.differences import from_differences
from pipeline.detectors.feature_head import FeatureHead, SharedTrunk
from pipeline.detectors.packaged import embedded_identity, embedded_weights, feature_weights
from pipeline.detectors.postprocess import postprocess
from pipeline.detectors.subject_network import MULTIPLE, SubjectNetwork
from pipeline.device import choose_device
from pipeline.errors import UsageError
from s2cnet.aot import DynamicDim, load_or_compile
from s2cnet.checkpoints.files import WeightsError, parse_weights
from s2cnet.layout import layout_for
from s2cnet.onnx import OnnxModule, Runtime
from s2cnet.recording import Recorded

GPU_BATCH = 32
AREA = 288 * 288
"""Pixels of the network's input. A face of 5 % of a photo's side has 14 pixels there."""
SHORTEST, LONGEST = 64, 640
"""Bounds of the input's sides: a panorama is squeezed rather than read as a line."""
LARGE = 3.0
"""A view of at least this many times the input's sides is halved first; smaller ones would lose
thin lines."""

Module = TypeVar("Module", bound=torch.nn.Module)
Forward = Callable[[torch.Tensor], torch.Tensor]  # `SubjectNetwork`, in any form that runs


class EmbeddedDetector:
    """Finds at most 10 objects per photo, those that the photo is most about first."""

    name = "embedded"

    def __init__(
        self,
        device: str | torch.device = "cpu",
        cache: Path | None = None,
        runtime: Runtime = "torch",
        with_features: bool = False,
    ) -> None:
        """Load the packaged weights.

        device, cache, runtime: see `make_detector`.
        with_features: also return S2CNet's feature map (`Detections.features`).

        Raises UsageError, CannotCompileError.
        """
        self.identity = embedded_identity(with_features)
        self._device = choose_device(device)
        self.batch = batch_for(self._device, GPU_BATCH)
        module = packaged_network(with_features).eval()
        module.to(self._device).to(memory_format=layout_for(self._device))
        self._network: Forward = module
        if runtime == "onnxruntime" and self._device.type == "cpu":
            self._network = OnnxModule(module)  # it has its own copy of the weights
        elif cache is not None:
            self.compile(cache)

    def compile(self, folder: Path) -> None:
        """Compile the network ahead of time, or load it from `folder`; boxes stay the same.

        On a CPU this halves the time; logits change by 3e-5. On a GPU nothing is compiled: passes
        are replayed as CUDA graphs, one photo each, so that what is detected in a photo does not
        depend on others. Raises CannotCompileError.
        """
        module = self._network
        assert isinstance(module, torch.nn.Module)
        if self._device.type == "cuda":
            recorded = Recorded(lambda images: [module(images)])
            self._network, self.batch = lambda images: recorded(images)[0], 1
            return
        example = torch.zeros(1, 3, 9 * MULTIPLE, 10 * MULTIPLE, device=self._device)
        example = example.contiguous(memory_format=torch.channels_last)
        least, most = SHORTEST // MULTIPLE, LONGEST // MULTIPLE
        names = ((2, "rows"), (3, "columns"))
        dims = {i: DynamicDim(name, MULTIPLE, least, most) for i, name in names}
        self._network = load_or_compile(module, example, dims, folder)

    def detect(self, photos: Sequence[Pixels]) -> list[Detections]:
        """See `Detector.detect`. Labels are face, person, thing, text and subject (a region)."""
        inputs = [uploaded(detector_input(photo), self._device) for photo in photos]
        return self.detect_inputs(inputs, photos)

    def detector_input(self, photo: Pixels) -> Pixels:
        """See `SmallInputDetector.detector_input`."""
        return detector_input(photo)

    def detect_inputs(
        self, inputs: Sequence[torch.Tensor], photos: Sequence[Pixels]
    ) -> list[Detections]:
        """See `SmallInputDetector.detect_inputs`."""
        found: dict[int, Detections] = {}
        for indices in in_batches([one.shape for one in inputs], self.batch):
            outputs = run_detector(self._network, torch.stack([inputs[i] for i in indices]))
            for i, output in zip(indices, torch.split(outputs, 1), strict=True):
                found[i] = to_view(postprocess(output), inputs[i].shape, photos[i])
        return [found[i] for i in range(len(photos))]


def detect_with(network: Forward, photo: Pixels, device: torch.device | None = None) -> Detections:
    """Detect with another network, on `device` (None: the CPU), in one photo, in its own frame."""
    pixels = uploaded(detector_input(photo), device or torch.device("cpu"))
    return to_view(postprocess(run_detector(network, pixels[None])), pixels.shape, photo)


@torch.inference_mode()
def run_detector(network: Forward, inputs: torch.Tensor) -> torch.Tensor:
    """Return a network's outputs, on the CPU, for uint8 inputs [B, h, w, 3] of one size."""
    pictures = inputs.permute(0, 3, 1, 2)  # channels last, as every decoder has them
    return network(pictures.contiguous(memory_format=layout_for(inputs.device)).float()).cpu()


def detector_input(photo: Pixels) -> Pixels:
    """Return the copy of a photo that the network reads, uint8 [h, w, 3]."""
    height, width = photo.shape[:2]
    size, full = detector_input_size(width, height), height
    # Means of exactly four pixels use vector instructions, those of fractions do not: halving a
    # view first takes half the time. An odd side loses its last row, but only at full size.
    while min(width / size[0], height / size[1]) >= LARGE:
        if len(photo) < full and (width % 2 or height % 2):
            break
        width, height = width // 2, height // 2
        even = photo[: 2 * height, : 2 * width]
        photo = np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA))
    shrinks = size[0] * size[1] < width * height
    copy = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(copy, np.uint8)


def detector_input_size(width: int, height: int) -> tuple[int, int]:
    """Return (width, height) of the network's input: multiples of 32, about the photo's ratio."""
    scale = (AREA / (width * height)) ** 0.5
    sides = (round(side * scale / MULTIPLE) * MULTIPLE for side in (width, height))
    input_w, input_h = (min(max(side, SHORTEST), LONGEST) for side in sides)
    return input_w, input_h


def to_view(found: Detections, input_shape: Sequence[int], photo: Pixels) -> Detections:
    """Convert boxes in pixels of the network's input (h, w, 3) to the photo's own pixels."""
    (height, width), (input_h, input_w) = photo.shape[:2], input_shape[:2]
    scale = np.array([width / input_w, height / input_h] * 2, np.float32)
    return replace(found, boxes=found.boxes * scale)


def packaged_network(with_features: bool = False) -> SubjectNetwork | SharedTrunk:
    """Build the network with the packaged weights, on the CPU, in training mode."""
    subjects = _loaded(SubjectNetwork(), embedded_weights())
    return (
        SharedTrunk(subjects, _loaded(FeatureHead(), feature_weights()))
        if with_features
        else subjects
    )


def _loaded(module: Module, data: bytes) -> Module:
    """Load the tensors of a safetensors file, which are in half precision, into a module.

    Raises UsageError if the packaged file is damaged.
    """
    try:
        state = from_differences(parse_weights(data))
        module.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    except (WeightsError, LookupError, ValueError, RuntimeError) as error:
        problem = " ".join(str(error).split())[:200]
        raise UsageError(f"the installed detector is damaged: {problem}; reinstall it") from error
    return module
