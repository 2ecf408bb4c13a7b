"""The same photo gives the same crop: packaged photos re-encoded, shrunk and trimmed."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut, chelsea

from pipeline import Cropper
from pipeline.boxes import iou

torch.set_num_threads(1)
SHAPES = ["1:1", "16:9", "9:16", "3:4"]


def rel_boxes(cropper: Cropper, image: Image.Image) -> np.ndarray:
    """The crops' boxes as shares of the photo's sides: [S, 4]."""
    return np.array([crop.box_px for crop in cropper.crop(image, SHAPES)]) / (image.size * 2)


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(BytesIO(stream.getvalue()))


@pytest.fixture(scope="module")
def cropper() -> Cropper:
    return Cropper(device="cpu")


# The cat's head gets so wide a box in the small copy that no square can hold it.
LESS = {(chelsea, "half", "1:1"): 0.8}


@pytest.mark.parametrize("photo", [astronaut, chelsea])
def test_copies_have_the_same_crops(cropper: Cropper, photo: Callable[[], np.ndarray]) -> None:
    image = Image.fromarray(photo())
    width, height = image.size
    crops = rel_boxes(cropper, image)
    copies = {
        "quality 95": jpeg(image, 95),
        "quality 75": jpeg(image, 75),
        "half": image.resize((width // 2, height // 2), Image.Resampling.LANCZOS),
        "trimmed": image.crop((1, 1, width - 1, height - 1)),
    }
    for name, copy in copies.items():
        overlap = iou(crops, rel_boxes(cropper, copy))
        least = [LESS.get((photo, name, shape), 0.9) for shape in SHAPES]
        assert (overlap >= least).all(), (name, dict(zip(SHAPES, overlap.round(3), strict=True)))
