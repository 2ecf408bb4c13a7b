"""What travels to a GPU, on a CPU: the same pixels, sent once, used by detector and scorer."""

from typing import Any

import numpy as np
import pytest
import torch

from pipeline.cropping import transfer
from pipeline.cropping.engine import Scorer
from pipeline.cropping.transfer import Uploads
from pipeline.detectors.embedded import EmbeddedDetector
from pipeline.photo.decode import Photo
from pipeline.shapes import parse_shapes
from s2cnet import S2CNet, prepare_image
from tests.support.odd_photos import scene

CUDA = pytest.param("cuda", marks=pytest.mark.gpu)


def photo_of(width: int, height: int) -> Photo:
    return Photo(scene(width, height), 2 * width, 2 * height, "jpeg", 1)


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_inputs_are_those_of_prepare_image(device: str) -> None:
    photos = [photo_of(300, 200), photo_of(120, 160)]
    looks = [photo.pixels[:50, :40] for photo in photos]
    uploads = Uploads(device)
    for sent, look in zip(uploads.send(photos, looks), looks, strict=True):
        assert np.array_equal(sent.wait()[0].cpu().numpy(), look)
    for photo in [*photos, photo_of(90, 90)]:  # the last was not sent ahead
        expected, _ = prepare_image(photo.pixels)
        assert torch.equal(uploads.input_of(photo).cpu(), expected)


def test_nothing_of_an_earlier_task_is_kept() -> None:
    earlier, later = photo_of(300, 200), photo_of(200, 300)
    uploads = Uploads("cpu")
    uploads.send([earlier], [earlier.pixels])
    uploads.send([later], [later.pixels])
    assert [sent.photo for sent in uploads._ahead.values()] == [later]
    uploads.input_of(later)
    assert not uploads._ahead


def test_one_upload_serves_detector_and_scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    model, detector = S2CNet.untrained(), EmbeddedDetector()
    alone, sharing = Scorer(model, detector, "cpu"), Scorer(model, detector, "cpu:0")
    photos = [photo_of(300, 200), photo_of(200, 260), photo_of(300, 200)]
    shapes = parse_shapes("1:1,16:9")
    plain = [alone.choose(one, shapes, 1, alone.objects(one)) for one in photos]
    made: list[int] = []
    one_resize = transfer.resized

    def resized(pixels: Any) -> Any:
        made.append(id(pixels))
        return one_resize(pixels)

    monkeypatch.setattr(transfer, "resized", resized)
    together = sharing.objects_of(photos)
    assert made == [id(photo.pixels) for photo in photos]
    for photo, objects, expected in zip(photos, together, plain, strict=True):
        assert sharing.choose(photo, shapes, 1, objects).crops == expected.crops
    assert len(made) == 3  # the scorer's input was there already
