"""Data sent to a GPU, tested on a CPU: the same pixels, made once for detector and network."""

from typing import Any

import numpy as np
import pytest
import torch

from pipeline.cropping import transfer
from pipeline.cropping.build import assemble, make_source
from pipeline.cropping.sources import DetectorSource
from pipeline.cropping.transfer import Transfer, flattened, unflattened
from pipeline.detectors.embedded import EmbeddedDetector
from pipeline.photo.decode import Photo
from pipeline.shapes import parse_shapes
from s2cnet import FastS2CNet, S2CNet, prepare_image
from tests.support.odd_photos import scene

CUDA = pytest.param("cuda", marks=pytest.mark.gpu)


def photo_of(width: int, height: int) -> Photo:
    return Photo(scene(width, height), 2 * width, 2 * height, "jpeg", 1)


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_inputs_are_those_of_prepare_image(device: str) -> None:
    photos = [photo_of(300, 200), photo_of(120, 160)]
    copies = [photo.pixels[:50, :40] for photo in photos]
    to_device = Transfer(torch.device(device))
    for photo, copy in zip(photos, copies, strict=True):
        expected, _ = prepare_image(photo.pixels)
        both, alone = to_device.send(photo, copy), to_device.send(photo)
        assert np.array_equal(both.detector_input().cpu().numpy(), copy)
        assert torch.equal(both.network_input().cpu(), expected)
        assert torch.equal(alone.network_input().cpu(), expected)
        assert both.network_input().device.type == device


def test_one_buffer_holds_both_copies() -> None:
    """As on a GPU, where the stream of the transfer is all that a CPU lacks."""
    copies = [scene(300, 200), scene(32, 64)]
    flat = flattened(copies)
    assert flat.numel() == 3 * (300 * 200 + 32 * 64)
    for copy, part in zip(copies, unflattened(flat, [c.shape for c in copies]), strict=True):
        assert np.array_equal(part.numpy(), copy)
        assert part.untyped_storage().data_ptr() == flat.untyped_storage().data_ptr()


def test_one_transfer_serves_detector_and_network(monkeypatch: pytest.MonkeyPatch) -> None:
    network, shapes = FastS2CNet(S2CNet.untrained()), parse_shapes("1:1,16:9")
    alone = assemble(network, DetectorSource(EmbeddedDetector()))
    sharing = assemble(network, make_source("embedded"))
    photos = [photo_of(300, 200), photo_of(200, 260), photo_of(300, 200)]
    plain = [alone.choose(seen, shapes, 1) for one in photos for seen in alone.see([one])]
    made: list[int] = []
    one_resize = transfer.resized

    def resized(pixels: Any) -> Any:
        made.append(id(pixels))
        return one_resize(pixels)

    monkeypatch.setattr(transfer, "resized", resized)
    together = sharing.see(photos)
    assert made == [id(photo.pixels) for photo in photos]
    for seen, expected in zip(together, plain, strict=True):
        assert sharing.choose(seen, shapes, 1).crops == expected.crops
    assert len(made) == 3  # the network's input was there already
