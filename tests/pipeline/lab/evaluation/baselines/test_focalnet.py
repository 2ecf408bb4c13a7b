"""FocalNet's contract, on a model whose output can be calculated by hand."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UsageError
from pipeline.lab.evaluation.baselines.focalnet import (
    FocalNet,
    candidates,
    importance_in,
    kept_importance,
    letterboxed,
)
from pipeline.photo.decode import Photo


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Importance is the picture's brightness; the further left a box begins, the better it is."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    make, numbers = onnx.helper, onnx.numpy_helper.from_array

    def value(name: str, shape: list[int]) -> object:
        return make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

    nodes = [
        make.make_node("ReduceMean", ["image", "channel"], ["grey"], keepdims=1),
        make.make_node("AveragePool", ["grey"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]),
        make.make_node("Max", ["pooled", "zero"], ["importance"]),
        make.make_node("Mul", ["boxes", "weights"], ["weighted"]),
        make.make_node("ReduceSum", ["weighted", "last"], ["crop_scores"], keepdims=0),
        make.make_node("Identity", ["content"], ["unused"]),
    ]
    graph = make.make_graph(
        nodes,
        "fake",
        [value("image", [1, 3, 256, 256]), value("boxes", [1, 128, 4]), value("content", [1, 4])],
        [value("importance", [1, 1, 64, 64]), value("crop_scores", [1, 128]),
         value("unused", [1, 4])],
        [numbers(np.array([1]), "channel"), numbers(np.array([2]), "last"),
         numbers(np.float32(0), "zero"), numbers(np.float32([-1, 0, 0, 0]), "weights")],
    )  # fmt: skip
    opset = make.make_opsetid("", 18)
    path = tmp_path_factory.mktemp("focalnet") / "model.onnx"
    onnx.save(make.make_model(graph, opset_imports=[opset], ir_version=9), path)
    return path


def bright_at(x0: int, x1: int) -> Photo:
    """Black, 400 × 200, with a white band; the photo is twice as large."""
    pixels = np.zeros((200, 400, 3), np.uint8)
    pixels[:, x0:x1] = 255
    return Photo(pixels, 800, 400, "png", 1)


def test_a_photo_is_fitted_into_a_square() -> None:
    image, content = letterboxed(bright_at(0, 400).pixels)
    assert content.tolist() == [0, 0.25, 1, 0.75]
    white = (1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(image[0, :, 128, 128], white, rtol=1e-5)
    assert not image[0, :, :64].any()
    assert not image[0, :, 192:].any()


def test_candidates_are_five_sizes_and_places() -> None:
    boxes = candidates(800, 400, 1.0)
    assert len(boxes) == 5 + 4 * 25  # the largest moves along one side only
    assert boxes[:5, 0].tolist() == [0, 0.125, 0.25, 0.375, 0.5]
    np.testing.assert_allclose(boxes[:5, 2] - boxes[:5, 0], 0.5)
    np.testing.assert_allclose(boxes[-1], [1 - 0.325, 0.35, 1, 1])


def test_importance_inside_by_hand() -> None:
    importance = np.zeros((64, 64))
    importance[:, :32] = 1
    whole, half, between = np.array([[0.0, 0, 1, 1], [0.25, 0, 0.75, 0.5], [0, 0, 0.5 / 64, 1]])
    inside = importance_in(importance, np.array([whole, half, between]))
    assert inside.tolist() == [64 * 32, 16 * 32, 32]
    # A photo in the middle half of the map: its left half is important.
    kept = kept_importance(importance, np.array([0, 0.25, 1, 0.75]), np.array([[0.25, 0, 0.75, 1]]))
    assert kept.tolist() == [0.5]


def test_the_leftmost_crop_that_keeps_what_is_important(model: Path) -> None:
    # The band from 300 to 360 of 400 px: crops of half the width keep it whole from .4 on, and
    # those that begin at .4375 or more are further right. Of the sizes, .9 begins at .4125.
    (crop,) = FocalNet(model).crops(bright_at(300, 360), [1.0])
    kept = [box for box in candidates(800, 400, 1.0) if box[0] <= 0.75 and box[2] >= 0.9]
    high = [box for box in kept if box[3] - box[1] > 0.95]  # lower ones lose a tenth and more
    expected = min(high, key=lambda box: box[0]) * [800, 400, 800, 400]
    np.testing.assert_allclose(crop, expected, rtol=1e-6)
    np.testing.assert_allclose(crop, [400, 0, 800, 400], rtol=1e-6)


def test_given_boxes_are_scored_in_parts(model: Path) -> None:
    boxes = np.tile(np.float32([0, 0, 80, 80]), (200, 1))
    boxes[:, [0, 2]] += np.arange(200, dtype=np.float32)[:, None]
    scores = FocalNet(model).score(bright_at(0, 9), boxes)
    np.testing.assert_allclose(scores, -np.arange(200) / 800, atol=1e-6)


def test_another_model_is_refused(tmp_path: Path, model: Path) -> None:
    (tmp_path / "text.onnx").write_text("nothing")
    with pytest.raises(UsageError, match="no ONNX model"):
        FocalNet(tmp_path / "text.onnx")
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(UsageError, match="no ONNX model"):
        FocalNet(tmp_path / "empty.onnx")
    onnx = pytest.importorskip("onnx")
    other = onnx.load(model)
    other.graph.input[0].name = other.graph.node[0].input[0] = "picture"
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(UsageError, match="inputs boxes, content, image"):
        FocalNet(tmp_path / "other.onnx")
    other = onnx.load(model)
    other.graph.output[0].name = other.graph.node[2].output[0] = "map"
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(UsageError, match="outputs crop_scores, importance"):
        FocalNet(tmp_path / "other.onnx")
