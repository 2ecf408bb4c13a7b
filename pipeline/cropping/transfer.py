"""Send photos to the device: each one's small copies are sent once, for detector and network.

The copies are computed on the CPU on every machine, so that their pixels are the same. For a GPU,
both copies of a photo are sent from one buffer of pinned memory in one transfer on a separate
stream. Meanwhile the CPU computes the next copies and the GPU works on those that have arrived.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.detectors import Pixels
from pipeline.photo.decode import Photo
from s2cnet.inputs import normalised, resized


@dataclass(frozen=True, eq=False)
class SentPhoto:
    """A photo with its copies on the device, uint8 [h, w, 3].

    resized: the pixels of S2CNet's input; None for a network that gets its feature map.
    small: what the detector reads, None for detectors that read `photo.pixels` themselves.
    arrived: a GPU may read the copies only after this event; None if they can be read already.
    """

    photo: Photo
    resized: Tensor | None = None
    small: Tensor | None = None
    arrived: torch.cuda.Event | None = None

    def detector_input(self) -> Tensor:
        """Return the detector's copy, uint8 [h, w, 3]. Raises ValueError if none was sent."""
        if self.small is None:
            raise ValueError("this photo was sent without a copy for the detector")
        return self._after_arrival(self.small)

    def network_input(self) -> Tensor:
        """Return the input of S2CNet, float32 [3, h, w]. Raises ValueError if none was sent."""
        if self.resized is None:
            raise ValueError("this photo was sent without a copy for S2CNet")
        return normalised(self._after_arrival(self.resized))

    def _after_arrival(self, copy: Tensor) -> Tensor:
        """Make the device's current stream wait for the copy; the CPU does not wait."""
        if self.arrived is not None:
            stream = torch.cuda.current_stream(copy.device)
            stream.wait_event(self.arrived)
            copy.record_stream(stream)
        return copy


class Transfer:
    """Sends photos to one device. Keeps no photo."""

    def __init__(self, device: torch.device, with_network_input: bool = True) -> None:
        """Prepare a stream. with_network_input: whether S2CNet reads the pixels itself."""
        self.device = device
        self.with_network_input = with_network_input
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def send(self, photo: Photo, detector_input: Pixels | None = None) -> SentPhoto:
        """Compute a photo's network input and send it with the detector's, as far as needed."""
        network = resized(photo.pixels) if self.with_network_input else None
        copies = [copy for copy in (network, detector_input) if copy is not None]
        if not copies:
            return SentPhoto(photo)
        sent, arrived = self._to_device(copies)
        return SentPhoto(
            photo,
            None if network is None else sent[0],
            None if detector_input is None else sent[-1],
            arrived,
        )

    def _to_device(self, copies: Sequence[Pixels]) -> tuple[list[Tensor], torch.cuda.Event | None]:
        """Return the copies on the device, and the event after which a GPU may read them."""
        if self._stream is None:
            return [torch.from_numpy(copy).to(self.device) for copy in copies], None
        with torch.cuda.stream(self._stream):
            flat = flattened(copies).pin_memory().to(self.device, non_blocking=True)
            arrived = self._stream.record_event()
        return unflattened(flat, [copy.shape for copy in copies]), arrived


def flattened(copies: Sequence[Pixels]) -> Tensor:
    """Join copies of any shapes end to end in one buffer, uint8 [sum of their sizes]."""
    return torch.from_numpy(np.concatenate([copy.reshape(-1) for copy in copies]))


def unflattened(flat: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """Return the copies in a buffer from `flattened`, without copying again."""
    parts = torch.split(flat, [math.prod(shape) for shape in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
