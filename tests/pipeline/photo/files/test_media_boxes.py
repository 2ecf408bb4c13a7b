"""The orientation and colours of an AVIF or HEIC are read only from its boxes."""

import io
import struct

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from pipeline.photo.decode import decode
from pipeline.photo.files.media_boxes import media_facts, without_notes
from tests.support.colour_photos import (
    COLOURS,
    colour_cases,
    levels,
    squares,
)
from tests.support.light import P3_TO_SRGB, light, srgb
from tests.support.odd_photos import exif, saved, scene, turned

CASES = colour_cases()


def shown(name: str) -> np.ndarray:
    return levels(decode(CASES[name]).pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_turn_an_avif_as_pillow_reads_them(orientation: int) -> None:
    data = saved(turned(scene(), orientation), "AVIF", exif=exif(orientation))
    assert media_facts(data)[0] == orientation
    photo = decode(data)
    assert (photo.orientation, photo.width_px, photo.height_px) == (orientation, 320, 240)
    assert np.abs(photo.pixels.astype(int) - scene()).mean() < 3


def test_exif_turns_no_avif() -> None:
    """Pillow writes boxes for EXIF; without them the EXIF alone turns nothing (MIAF)."""
    data = saved(scene(), "AVIF", exif=exif(6))
    at = data.index(b"irot") + 4
    data = data[:at] + b"\0" + data[at + 1 :]
    photo = decode(data)
    assert (photo.orientation, photo.width_px) == (1, 320)


@pytest.mark.parametrize("damage", [b"\0\0\0\0", b"\0\0\0\x63", b"\xff\xff\xff\xff"])
def test_a_fault_in_its_exif_costs_no_avif(damage: bytes) -> None:
    """libavif refuses the file for a wrong offset before the block; browsers show it."""
    whole = saved(scene(), "AVIF", exif=exif(6))
    at = whole.index(b"Exif\0\0MM\0*") - 4  # the offset, which counts these six letters
    assert whole[at : at + 4] == b"\0\0\0\6"
    broken = whole[:at] + damage + whole[at + 4 :]
    with pytest.raises(ValueError, match="Exif"):
        Image.open(io.BytesIO(broken))
    assert np.array_equal(decode(broken).pixels, decode(whole).pixels)


def test_an_avif_without_notes_is_not_copied() -> None:
    plain = saved(scene(), "AVIF")
    assert without_notes(plain) is plain
    noted = saved(scene(), "AVIF", exif=exif(1), xmp=b"<x:xmpmeta/>")
    hidden = without_notes(noted)
    assert len(hidden) == len(noted)
    assert hidden.count(b"skip") == 2
    assert without_notes(noted[:200]) is not None  # cut within its boxes


def tagged_heic(primaries: int, transfer: int, orientation: int = 1, boxes: bool = True) -> bytes:
    """The squares as HEIC with code points; `boxes`: turned by boxes, else by EXIF alone."""
    image = Image.fromarray(np.ascontiguousarray(turned(squares(), orientation)))
    stream = io.BytesIO()
    pillow_heif.from_pillow(image).save(stream, quality=100, chroma=444, exif=exif(orientation))
    data = stream.getvalue()
    at = data.index(b"colrnclx") + 8
    data = data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]
    if not boxes:
        at = data.index(b"irot") + 4
        data = data[:at] + b"\0" + data[at + 1 :]
    return data


def test_code_points_of_a_heic_are_applied() -> None:
    stored = levels(decode(tagged_heic(1, 13)).pixels)
    found = levels(decode(tagged_heic(12, 13)).pixels)
    np.testing.assert_allclose(found, srgb(light(stored) @ P3_TO_SRGB.T), atol=1.5)
    bright = levels(decode(tagged_heic(9, 16)).pixels)
    np.testing.assert_allclose(bright, shown("cicp pq.png"), atol=12)  # coded with loss
    assert decode(tagged_heic(12, 13), colour="keep").wide_space == "p3"


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_boxes_turn_a_heic_and_its_exif_does_not(orientation: int) -> None:
    photo = decode(tagged_heic(1, 13, orientation))
    assert (photo.orientation, photo.width_px, photo.height_px) == (orientation, 96, 64)
    np.testing.assert_allclose(levels(photo.pixels), COLOURS, atol=6)
    if orientation > 1:
        stored = decode(tagged_heic(1, 13, orientation, boxes=False))
        assert stored.orientation == 1
        sides = (64, 96) if orientation > 4 else (96, 64)
        assert (stored.width_px, stored.height_px) == sides


def test_media_boxes_that_are_cut_say_nothing() -> None:
    data = CASES["nclx p3.avif"]
    assert media_facts(data)[1] is not None
    for size in range(0, 400, 7):
        assert media_facts(data[:size])[0] == 1
    assert media_facts(b"\0\0\0\x08meta") == (1, None)
