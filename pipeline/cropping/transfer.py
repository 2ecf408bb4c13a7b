"""Photos on their way to a GPU: each is sent once, for the detector and for the scorer.

Both look at a small copy of the photo. The copies are made on the CPU, as everywhere, so that they
are the same pixels; a photo's two lie in one buffer of pinned memory and travel in one transfer, on
a stream of its own: meanwhile the CPU makes the next ones and the GPU works on what has arrived.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.detectors import Pixels
from pipeline.photo.decode import Photo
from s2cnet.inputs import normalised, resized


@dataclass(frozen=True)
class Sent:
    """One photo's copies on the device; a GPU may only read them after `arrived`."""

    photo: Photo
    copies: list[Tensor]  # uint8 [h, w, 3]
    arrived: torch.cuda.Event | None

    def wait(self) -> list[Tensor]:
        """The copies; the device's current work goes on when they are there, nobody else waits."""
        if self.arrived is not None:
            stream = torch.cuda.current_stream()
            stream.wait_event(self.arrived)
            for copy in self.copies:
                copy.record_stream(stream)
        return self.copies


class Uploads:
    """The photos that were sent ahead and not scored yet, at most one task's."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._ahead: dict[int, Sent] = {}
        self._stream: torch.cuda.Stream | None = None
        if device.startswith("cuda"):
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def send(self, photos: Sequence[Photo], looks: Sequence[Pixels]) -> list[Sent]:
        """Sends each photo's detector copy and network input; forgets those sent before."""
        self._ahead = {}
        for photo, look in zip(photos, looks, strict=True):
            self._ahead[id(photo)] = self._send(photo, [look, resized(photo.pixels)])
        return list(self._ahead.values())

    def input_of(self, photo: Photo) -> Tensor:
        """The network's input [3, h, w] of a photo, sent ahead or now."""
        sent = self._ahead.pop(id(photo), None) or self._send(photo, [resized(photo.pixels)])
        return normalised(sent.wait()[-1])

    def _send(self, photo: Photo, pictures: list[Pixels]) -> Sent:
        flat = torch.from_numpy(np.concatenate([picture.reshape(-1) for picture in pictures]))
        arrived = None
        if self._stream is not None:
            with torch.cuda.stream(self._stream):
                flat = flat.pin_memory().to(self.device, non_blocking=True)
                arrived = self._stream.record_event()
        parts = torch.split(flat, [picture.size for picture in pictures])
        copies = [part.view(picture.shape) for part, picture in zip(parts, pictures, strict=True)]
        return Sent(photo, copies, arrived)
