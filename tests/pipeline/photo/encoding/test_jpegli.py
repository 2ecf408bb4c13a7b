"""JPEG by jpegli, if requested: smaller than Pillow's at the same distance from the pixels."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.data import coffee

from pipeline.errors import EncodeError, SettingError
from pipeline.photo.encoding import jpegli
from pipeline.photo.encoding.thumbnail import encode
from pipeline.settings.result import ThumbnailSettings

pytest.importorskip("pyjpegli")
PIXELS = np.ascontiguousarray(coffee()[:, 44:556])  # [400, 512, 3]


def psnr(data: bytes, pixels: NDArray[np.uint8]) -> float:
    off = np.asarray(Image.open(io.BytesIO(data))).astype(float) - pixels
    return float(10 * np.log10(255**2 / (off**2).mean()))


def test_its_files_are_smaller_than_pillows_and_as_near() -> None:
    pillow, other = (encode(PIXELS, "jpeg", 75, jpegli=use) for use in (False, True))
    assert len(other) < 0.97 * len(pillow)
    assert psnr(other, PIXELS) > psnr(pillow, PIXELS) - 0.3


def test_a_file_is_a_plain_jpeg_of_the_pixels_alone() -> None:
    with Image.open(io.BytesIO(encode(PIXELS[:33, :17], "jpeg", 90, jpegli=True))) as found:
        assert (found.format, found.mode, found.size) == ("JPEG", "RGB", (17, 33))
        assert not {"exif", "icc_profile", "comment"} & found.info.keys()


def test_a_circle_lies_on_the_background() -> None:
    data = encode(PIXELS[:64, :64], "jpeg", 90, True, (0, 0, 255), jpegli=True)
    corner = np.asarray(Image.open(io.BytesIO(data)))[0, 0].astype(int)
    assert np.abs(corner - (0, 0, 255)).max() < 12


def test_other_formats_and_wide_colours_are_pillows() -> None:
    profile = bytes(range(200))
    for format, of_space in (("webp", None), ("png", None), ("jpeg", profile)):
        plain, asked = (
            encode(PIXELS, format, 80, profile=of_space, jpegli=use) for use in (False, True)
        )
        assert plain == asked


def test_what_it_refuses_is_a_failure_of_the_photo() -> None:
    with pytest.raises(EncodeError, match="jpegli: width and height must be positive"):
        jpegli.encode_jpegli(PIXELS[:0], 80)


def test_a_missing_package_is_told_before_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ThumbnailSettings(format="jpeg", jpeg_encoder="jpegli")
    asked.check_packages()
    monkeypatch.setattr(jpegli, "find_spec", lambda _: None)
    ThumbnailSettings(format="jpeg").check_packages()
    ThumbnailSettings(format="webp", jpeg_encoder="jpegli").check_packages()  # it needs none
    for wanted, field in ((asked, "jpeg_encoder"), (ThumbnailSettings(), "format")):
        told = rf"^{field} {wanted.format}: .*pip install 's2cnet-thumbnails\[jpegli\]'"
        with pytest.raises(SettingError, match=told):
            wanted.check_packages()
    with pytest.raises(EncodeError, match="needs the package pyjpegli") as caught:
        jpegli.encode_jpegli(PIXELS, 80)
    assert caught.value.kind == "circumstances"
