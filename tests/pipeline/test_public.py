"""The names that `pipeline` exports, what importing them loads, and decoding by its public name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipeline
from pipeline import DecodeError, Photo, UsageError, decode
from tests.support.fresh import packages_loaded
from tests.support.odd_photos import exif, saved, scene, turned

CLUSTER_AND_TABLES = {"ray", "s3fs", "aiobotocore", "botocore", "pandas", "pyarrow"}
SLOW_TO_IMPORT = {"torch", "torchvision", "cv2", "scipy", "safetensors"}

CROP_ONE_PHOTO = """
import sys
from pipeline import Cropper

crops = Cropper().crop(sys.argv[1], ["16:9", "circle"])
assert [crop.ratio for crop in crops] == ["16:9", "circle"], crops
"""


@pytest.mark.parametrize("name", pipeline.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(pipeline, name).__name__ == name
    assert name in dir(pipeline)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'croper'"):
        _ = pipeline.croper


def test_importing_the_package_loads_no_library() -> None:
    assert not packages_loaded("import pipeline") & {"numpy", "PIL"}


@pytest.mark.parametrize("name", ["Cropper", "decode"])
def test_importing_what_works_on_one_photo_loads_nothing_slow(name: str) -> None:
    loaded = packages_loaded(f"from pipeline import {name}")
    assert {"numpy", "PIL"} <= loaded
    assert not loaded & (CLUSTER_AND_TABLES | SLOW_TO_IMPORT)


def test_one_photo_is_cropped_where_cluster_and_table_packages_are_not_installed(
    tmp_path: Path,
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(saved(scene(200, 150), "JPEG"))
    loaded = packages_loaded(CROP_ONE_PHOTO, [str(photo)], hidden=CLUSTER_AND_TABLES)
    assert "torch" in loaded
    assert not loaded & CLUSTER_AND_TABLES


def test_hidden_packages_cannot_be_imported() -> None:
    """The test above would pass for nothing if hiding did not hide."""
    with pytest.raises(AssertionError, match="No module named 'pyarrow'"):
        packages_loaded("from pipeline import open_run", hidden=CLUSTER_AND_TABLES)
    assert "pyarrow" in packages_loaded("from pipeline import open_run")


def test_decode_gives_upright_pixels_and_the_photos_size() -> None:
    upright = scene(64, 48)
    photo = decode(saved(turned(upright, 6), "PNG", exif=exif(6)))
    assert isinstance(photo, Photo)
    np.testing.assert_array_equal(photo.pixels, upright)
    assert photo.pixels.dtype == np.uint8
    assert (photo.width_px, photo.height_px) == (64, 48)


def test_decode_reduces_a_large_photo_and_keeps_its_size() -> None:
    photo = decode(saved(scene(2048, 1536), "PNG"))
    assert photo.pixels.shape == (768, 1024, 3)
    assert (photo.width_px, photo.height_px) == (2048, 1536)


def test_decode_refuses_what_is_no_photo() -> None:
    with pytest.raises(DecodeError) as caught:
        decode(b"%PDF-1.7\n")
    assert caught.value.status == "unsupported_format"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"data": "a.jpg"}, "bytes of a file, not str"), ({"data": None}, "not NoneType"),
     ({"data": memoryview(b"")}, "not memoryview"), ({"view_side": 0}, "view_side"),
     ({"view_side": "512"}, "view_side"), ({"colour": "p3"}, "colour must be one of srgb, keep")],
)  # fmt: skip
def test_wrong_arguments_of_decode_are_no_faults_of_the_photo(
    wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        decode(**{"data": saved(scene(30, 20), "PNG"), **wrong})
