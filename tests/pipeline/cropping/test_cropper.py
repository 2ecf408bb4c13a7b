"""Cropping one photo without a cluster."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline import Crop, Cropper, UsageError
from pipeline.detectors import Detections
from pipeline.detectors.given_boxes import GivenBoxes
from pipeline.errors import DecodeError
from pipeline.photo.given import photo_of
from s2cnet import S2CNet, WeightsError, to_published_state_dict
from tests.support.odd_photos import exif, scene

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def cropper() -> Cropper:
    return Cropper(weights="untrained", device="cpu")


def png(pixels: np.ndarray) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def test_bytes_path_and_pillow_give_the_same_crops(cropper: Cropper, tmp_path: Path) -> None:
    data = png(scene())
    path = tmp_path / "scene.png"
    path.write_bytes(data)
    crops = cropper.crop(data, ["16:9", "640:480", "circle", "free"], top_k=2)
    assert crops == cropper.crop(path, ["16:9", "640:480", "circle", "free"], top_k=2)
    assert crops == cropper.crop(str(path), ["16:9", "640:480", "circle", "free"], top_k=2)
    assert crops == cropper.crop(Image.open(path), ["16:9", "640:480", "circle", "free"], top_k=2)
    assert [c.ratio for c in crops if c.rank == 0] == ["16:9", "640:480", "circle", "free"]


def test_score_agrees_with_crop(cropper: Cropper) -> None:
    data = png(scene())
    crops = cropper.crop(data, ["1:1", "4:3"])
    scores = cropper.score(data, [crop.box_px for crop in crops])
    np.testing.assert_allclose(scores, [crop.score for crop in crops], atol=1e-5)


def test_boxes_are_in_the_frame_of_the_upright_photo() -> None:
    stream = BytesIO()
    Image.fromarray(scene(320, 240)).save(stream, "JPEG", exif=exif(orientation=6))
    assert (photo_of(stream.getvalue()).width_px, photo_of(stream.getvalue()).height_px) == (
        240,
        320,
    )
    opened = photo_of(Image.open(BytesIO(stream.getvalue())))
    assert (opened.width_px, opened.height_px) == (240, 320)


@pytest.mark.parametrize(
    "mode",
    ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV", "I;16", "F"],
)
def test_pillow_images_of_every_mode_are_taken(mode: str) -> None:
    image = Image.new(mode, (60, 40))
    assert photo_of(image).pixels.shape == (40, 60, 3)


def test_what_is_no_photo_is_refused_by_its_kind() -> None:
    pixels: Any = np.zeros((40, 60, 3), np.uint8)
    for given in (pixels, pixels.tolist(), BytesIO(), None):
        hints = rf"not {type(given).__name__}; read\(\) gives .*, PIL\.Image\.fromarray makes "
        with pytest.raises(UsageError, match=hints):
            photo_of(given)


def test_a_path_without_a_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jpg", str(tmp_path / "none.jpg")):
        with pytest.raises(FileNotFoundError, match=r"none\.jpg"):
            photo_of(path)
    with pytest.raises(OSError, match=tmp_path.name):
        photo_of(tmp_path)
    for no_path in ("a\0.jpg", Path("a\0.jpg")):
        with pytest.raises(UsageError, match="no path: it has a null character"):
            photo_of(no_path)
    for no_name in ("\ud800.jpg", Path("\ud800.jpg")):  # a surrogate that stands for no byte
        with pytest.raises(UsageError, match="is no path: surrogates not allowed"):
            photo_of(no_name)
    with pytest.raises(UsageError, match="an empty path names no file"):
        photo_of("")


def test_weights_as_a_mapping_and_as_a_file_are_the_same_network(tmp_path: Path) -> None:
    torch.manual_seed(3)
    mapping = to_published_state_dict(S2CNet.untrained(seed=3))
    path = tmp_path / "weights.pth"
    torch.save(mapping, path)
    data = png(scene(120, 90))
    first: list[Crop] = Cropper(mapping, device="cpu").crop(data)
    assert first == Cropper(path, device="cpu").crop(data)


@pytest.mark.parametrize("detector", ["boxes", "boxes:/some/folder", GivenBoxes()])
def test_boxes_of_a_list_are_refused_before_anything_is_loaded(detector: str | GivenBoxes) -> None:
    with pytest.raises(UsageError, match="give a Detector"):
        Cropper("no such weights", detector=detector, device="cpu")


def test_a_detector_may_hand_out_boxes(tmp_path: Path) -> None:
    """As the message says that `boxes` can be replaced; its name does not matter."""

    class Own:
        name, identity = "boxes", "mine"

        def detect(self, photos: Sequence[np.ndarray]) -> list[Detections]:
            face = np.array([[200, 20, 260, 80]], np.float32)
            return [Detections(face, np.ones(1, np.float32), ["face"]) for _ in photos]

    (crop,) = Cropper("untrained", detector=Own(), device="cpu").crop(png(scene(320, 100)))
    assert crop.box_px[0] <= 200
    assert crop.box_px[2] >= 260


@pytest.mark.parametrize("returned", [[], [Detections()] * 2, Detections(), None, [[[0, 0, 9, 9]]]])
def test_what_a_detector_returns_is_checked(returned: Any) -> None:
    class Wrong:
        name = identity = "wrong"

        def detect(self, _: Sequence[np.ndarray]) -> list[Detections]:
            return returned  # type: ignore[no-any-return]

    cropper = Cropper("untrained", detector=Wrong(), device="cpu")
    with pytest.raises(UsageError, match=r"one pipeline\.detectors\.Detections for each of the 1"):
        cropper.crop(png(scene(60, 40)))


def test_only_weights_that_are_left_out_are_the_packaged_ones() -> None:
    with pytest.raises(WeightsError, match=r"empty name is .*: write a file's, starter or untr"):
        Cropper("", device="cpu")
    nothing: Any
    for nothing in ([], 0):
        with pytest.raises(UsageError, match="weights must be a name, a path or a mapping"):
            Cropper(nothing, device="cpu")


def test_wrong_arguments_are_named(cropper: Cropper) -> None:
    data = png(scene(60, 40))
    with pytest.raises(UsageError, match=r"list of shapes, for instance \['1:1', '16:9'\]$"):
        cropper.crop(data, "1:1, 16:9")
    for count in (0, 2.5, float("nan"), "3", True):
        with pytest.raises(UsageError, match="top_k"):
            cropper.crop(data, top_k=count)
    assert cropper.crop(data, top_k=np.int64(2)) == cropper.crop(data, top_k=2)
    for shapes in ([1.5], [(16, 9)], None, 1):
        with pytest.raises(UsageError, match="shape"):
            cropper.crop(data, shapes)
    with pytest.raises(UsageError, match="an address, which is not fetched"):
        cropper.crop("https://example.com/a.jpg")
    with pytest.raises(UsageError, match=r"\[N, 4\]"):
        cropper.score(data, [[5, 5, 9]])
    for wrong in ([[5, 5, 9, 9], [5, 5, 9]], "a box", [[5, 5, "x", 9]]):
        with pytest.raises(UsageError, match="four numbers"):
            cropper.score(data, wrong)
    with pytest.raises(DecodeError, match="unsupported_format"):
        cropper.crop(b"not a photo")
    assert cropper.crop(data, []) == []
    assert cropper.score(data, []).shape == (0,)


INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("box", "problem"),
    [
        ([5, 5, 5, 9], "no area: give x0 < x1 and y0 < y1"),
        ([9, 5, 5, 9], "no area"),
        ([5, 9, 9, 5], "no area"),
        ([NAN, 5, 9, 9], "a number that is not finite"),
        ([5, 5, INF, 9], "a number that is not finite"),
        ([60, 5, 99, 40], "outside the photo, which has 60 x 40 pixels after orientation"),
        ([5, 40, 9, 41], "outside the photo"),
        ([-9, 5, 0, 9], "outside the photo"),
        ([1e300, 5, 2e300, 9], "outside the photo"),
    ],
)
def test_a_box_that_cannot_be_scored_is_named(
    cropper: Cropper, box: list[float], problem: str
) -> None:
    with pytest.raises(UsageError, match=f"^box 1 in boxes_px (has|is) {problem}"):
        cropper.score(png(scene(60, 40)), [[5, 5, 9, 9], box, box])


@pytest.mark.parametrize(
    ("box", "same"),
    [
        ([0, 0, 0.1, 0.1], [0, 0, 1, 1]),
        ([59.9, 39.9, 60, 40], [59, 39, 60, 40]),
        ([10.2, 10.2, 10.4, 10.4], [10, 10, 11, 11]),
        ([-9, 5, 0.2, 9], [0, 5, 1, 9]),
        ([59.8, 5, 99, 9], [59, 5, 60, 9]),
        ([-1e300, -1e300, 1e300, 1e300], [0, 0, 60, 40]),
    ],
)
def test_a_box_smaller_than_a_pixel_scores_as_one(
    cropper: Cropper, box: list[float], same: list[float]
) -> None:
    found, expected = cropper.score(png(scene(60, 40)), [box, same])
    assert found == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [("rank_by", "best"), ("borders", "cut"), ("long_photos", "tpo"), ("text_heavy", "kept"),
     ("backbone", "shred"), ("review_below", 7.0), ("runtime", "onxruntime"),
     ("guards", "heads=2"), ("fallback", "smaller"), ("safe_areas", "1:1=caption"),
     ("guards", None), ("fallback", None), ("safe_areas", None), ("review_below", None),
     ("review_below", "x"), ("trusted", "no"), ("detector", 5)],
)  # fmt: skip
def test_values_that_a_job_refuses_are_refused(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=name):
        Cropper("untrained", device="cpu", **{name: value})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"safe_areas": None}, "safe_areas must be a text as for `--safe-areas`, not None"),
        ({"trusted": 1}, "trusted must be True or False, not 1"),
        ({"weights": 5}, "weights must be a name, a path or a mapping of tensors, not 5"),
    ],
)
def test_a_value_of_another_type_is_the_only_one_that_is_named(
    words: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError) as caught:
        Cropper(**{"weights": "untrained", "device": "cpu", **words})
    assert str(caught.value) == told


def test_more_shapes_than_fit_into_memory_are_refused(cropper: Cropper) -> None:
    many = [f"{side}:1000" for side in range(1000, 1101)]
    with pytest.raises(UsageError, match="101 shapes are too many at once"):
        cropper.crop(png(scene(60, 40)), many)
