"""Copies of a photo in an evaluation: what they are, and how far their crops differ."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import Cropper
from pipeline.cropping.weights import choose_weights
from pipeline.errors import DecodeError
from pipeline.lab.datasets import Example
from pipeline.lab.evaluation.catalogue import OURS
from pipeline.lab.evaluation.copies import Copy, add_copies, copies_of, copy_measures
from pipeline.lab.evaluation.setup import EvaluationSetup
from pipeline.lab.evaluation.summary import summarise
from pipeline.lab.evaluation.tables import tables
from pipeline.photo.decode import decode
from pipeline.shapes import parse_shape


def file_of(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def made(data: bytes) -> list[Copy]:
    return list(copies_of(data, decode(data)))


@pytest.fixture(scope="module")
def noise() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 60, (129, 193, 3)).astype(np.uint8)
    pixels[40:90, 110:160] = (250, 220, 40)
    return file_of(pixels)


def test_the_copies_are_jpegs_half_the_photo_and_a_narrower_one(noise: bytes) -> None:
    *jpegs, half, narrower = made(noise)
    pixels = np.asarray(Image.open(BytesIO(noise)))
    whole = (193, 129)
    assert [(one.photo.width_px, one.photo.height_px) for one in (*jpegs, half, narrower)] == [
        whole, whole, whole, (96, 64), (192, 129),
    ]  # fmt: skip
    assert [one.scale_xy for one in (*jpegs, half, narrower)] == [
        (1, 1), (1, 1), (1, 1), (193 / 96, 129 / 64), (1, 1),
    ]  # fmt: skip
    for quality, jpeg in zip((95, 85, 75), jpegs, strict=True):
        again = BytesIO()
        Image.fromarray(pixels).save(again, "JPEG", quality=quality)
        assert np.array_equal(jpeg.photo.pixels, np.asarray(Image.open(again)))
        assert not np.array_equal(jpeg.photo.pixels, pixels)
    assert np.array_equal(narrower.photo.pixels, pixels[:, :192])
    # The bright block, [110, 160) × [40, 90), is at half of its place: [55, 80) × [20, 45).
    bright = half.photo.pixels.astype(int).sum(axis=2) > 400
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    assert (columns[0], columns[-1] + 1) == (pytest.approx(55, abs=1), pytest.approx(80, abs=1))
    assert (rows[0], rows[-1] + 1) == (pytest.approx(20, abs=1), pytest.approx(45, abs=1))


def test_a_large_photo_is_copied_in_full_size() -> None:
    """Its view is reduced while decoding; half of the view would be a quarter of the photo."""
    data = file_of(np.zeros((2000, 3000, 3), np.uint8))
    sizes = [(one.photo.width_px, one.photo.height_px) for one in made(data)]
    assert sizes == [(3000, 2000)] * 3 + [(1500, 1000), (2999, 2000)]


def test_a_jpeg_above_the_limit_on_pixels_is_copied_as_it_is_decoded() -> None:
    """54 megapixels are decoded at half of each side; nothing of a copy is empty."""
    file = BytesIO()
    Image.new("RGB", (9000, 6000), (90, 140, 60)).save(file, "JPEG")
    copies = made(file.getvalue())
    assert [(one.photo.width_px, one.photo.height_px, one.scale_xy) for one in copies] == [
        *[(4500, 3000, (2, 2))] * 3, (2250, 1500, (4, 4)), (4499, 3000, (2, 2)),
    ]  # fmt: skip
    assert min(one.photo.pixels.min() for one in copies) > 40


def test_borders_are_part_of_copies_as_of_the_photo() -> None:
    """The labels cover the whole photo."""
    pixels = np.zeros((240, 240, 3), np.uint8)
    pixels[60:180] = np.random.default_rng(0).integers(80, 255, (120, 240, 3))
    assert decode(file_of(pixels)).content_px == (0, 60, 240, 180)
    assert [one.photo.content_px for one in made(file_of(pixels))] == [None] * 5


def test_a_copy_has_the_format_of_its_photo() -> None:
    """Otherwise the limits and the kind of another format would hold."""
    file = BytesIO()
    Image.new("RGB", (40, 30), "red").save(file, "WEBP")
    assert [one.photo.format for one in made(file.getvalue())] == ["jpeg"] * 3 + ["webp"] * 2


@pytest.mark.parametrize(("size", "count"), [((1, 40), 0), ((40, 1), 0), ((2, 2), 5)])
def test_a_side_of_one_pixel_has_no_half(size: tuple[int, int], count: int) -> None:
    assert len(made(file_of(np.zeros((*size, 3), np.uint8)))) == count


def test_a_photo_that_cannot_be_decoded_again_is_an_error(noise: bytes) -> None:
    with pytest.raises(DecodeError):
        list(copies_of(noise[:60], decode(noise)))


def test_crops_of_copies_are_compared_in_pixels_of_the_photo(noise: bytes) -> None:
    """By hand: the same crop, one shifted by half of its side (IoU 1/3), and one beside it."""
    copies = [Copy(decode(noise), scale) for scale in ((1.0, 1.0), (2.0, 2.0), (1.0, 3.0))]
    answers: Iterator[dict[str, Any]] = iter(
        [
            {"a": [[0, 0, 40, 40], [0, 0, 10, 10]], "b": [[0, 0, 9, 9], [0, 0, 9, 9]]},
            {"a": [[10, 0, 30, 20], [0, 0, 5, 5]], "b": [[0, 0, 4.5, 4.5], [0, 0, 4.5, 4.5]]},
            {"a": [[40, 0, 80, 40 / 3], [0, 0, 10, 10 / 3]], "b": [[0, 0, 9, 3], [0, 0, 9, 3]]},
        ]
    )
    crops = {"a": [[0, 0, 40, 40], [0, 0, 10, 10]], "b": [[0, 0, 9, 9], [0, 0, 9, 9]]}
    judged: dict[str, Any] = {
        method: {shape: {"measures": {"gaze_kept": 0.5}} for shape in ("1:1", "circle")}
        for method in ("a", "b", "best_possible")
    }
    shapes = [parse_shape("1:1"), parse_shape("circle")]
    add_copies(judged, copies, shapes, crops, lambda _: next(answers))
    assert judged["a"]["1:1"]["copies"] == pytest.approx([1, 1 / 3, 0])
    assert judged["a"]["1:1"]["measures"] == pytest.approx(
        {"gaze_kept": 0.5, "copies_same": 1 / 3, "copies_apart": 2 / 3, "copies_iou": 4 / 9}
    )
    assert judged["a"]["circle"]["copies"] == pytest.approx([1, 1, 1])
    assert judged["b"]["1:1"]["measures"]["copies_same"] == 1
    assert judged["best_possible"]["1:1"] == {"measures": {"gaze_kept": 0.5}}


def test_without_copies_nothing_is_measured() -> None:
    judged: dict[str, Any] = {"a": {"1:1": {"measures": {}}}}
    add_copies(judged, [], [parse_shape("1:1")], {"a": [[0, 0, 1, 1]]}, lambda _: {})
    assert judged == {"a": {"1:1": {"measures": {}}}}


@pytest.mark.parametrize(
    ("overlaps", "same", "apart"),
    [([0.9, 0.89], 0.5, 0), ([0.6, 0.59, 1, 1], 0.5, 0.25), ([0.2], 0, 1)],
)
def test_limits_of_alike_and_apart(overlaps: list[float], same: float, apart: float) -> None:
    mean = sum(overlaps) / len(overlaps)
    assert copy_measures(overlaps) == pytest.approx(
        {"copies_same": same, "copies_apart": apart, "copies_iou": mean}
    )


def evaluated(path: Path, copies: bool, detector: str = "embedded", **labels: Any) -> Any:
    setup = EvaluationSetup(
        choose_weights("default"), detector, ["centre"], ["1:1", "9:16"], copies=copies
    )
    return setup.evaluator("cpu").evaluate(Example("a", path, **labels))


def test_copies_are_cropped_by_the_product_and_the_baselines(noise: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(noise)
    row = evaluated(path, copies=True)
    square = row["shapes"][OURS]["1:1"]
    # The last copy, as a user would crop it.
    cropper = Cropper(device="cpu", borders="keep")
    narrower = Image.fromarray(np.asarray(Image.open(path))[:, :192])
    own, again = (cropper.crop(one, ["1:1", "9:16"])[0] for one in (path, narrower))
    assert square["box"] == list(own.box_px)
    assert square["copies"][-1] == pytest.approx(overlap(own.box_px, again.box_px), abs=1e-6)
    assert len(square["copies"]) == 5
    # The centred square of 193 × 129 is [32, 161), that of 192 × 129 half a pixel further left.
    assert row["shapes"]["centre"]["1:1"]["copies"][-1] == pytest.approx(128.5 / 129.5, abs=0.005)
    figures = summarise([row | {"tags": []}], 10, 0)
    measured = figures["measures"]["centre"]
    assert measured["copies_same"]["mean"] == measured["copies_same 9:16"]["mean"] == 1
    assert figures["verdicts"]["centre"]["copies_apart"] in ("level", "worse")
    titles = [one.title for one in tables({**figures, "rows": [row], "dataset": "", "run": {}})]
    assert titles[:3] == ["Copies cropped alike", "Copies cropped apart", "Overlap of copies"]


def test_copies_are_cropped_only_when_asked_for(noise: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(noise)
    row = evaluated(path, copies=False)
    assert [*row["shapes"][OURS]["1:1"]] == ["box", "measures"]
    assert "copies_same" not in row["shapes"][OURS]["1:1"]["measures"]


def test_given_objects_of_a_copy_are_in_its_pixels(
    noise: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person at [110, 40, 160, 90]; of the copy of half the size, at half of that."""
    path = tmp_path / "a.png"
    path.write_bytes(noise)
    setup = EvaluationSetup(choose_weights("untrained"), "boxes", [], ["1:1"], copies=True)
    evaluator = setup.evaluator("cpu")
    seen: list[list[float]] = []
    see = evaluator.engine.see
    monkeypatch.setattr(
        evaluator.engine, "see",
        lambda photos, listed: seen.extend(listed[0].boxes_px) or see(photos, listed),
    )  # fmt: skip
    objects = np.array([[110, 40, 160, 90]], np.float32)
    evaluator.evaluate(Example("a", path, objects_px=objects))
    half = [110 * 96 / 193, 40 * 64 / 129, 160 * 96 / 193, 90 * 64 / 129]
    whole = [110, 40, 160, 90]
    assert np.array(seen) == pytest.approx(np.array([whole] * 4 + [half, whole]))


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """IoU of two boxes, from its definition."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = float(np.prod(np.maximum(high - low, 0)))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)
