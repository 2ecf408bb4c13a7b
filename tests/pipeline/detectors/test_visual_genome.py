"""The Visual Genome Faster R-CNN against reference numbers with drawn weights, and by hand."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pipeline.detectors import make_detector, visual_genome, visual_genome_network
from pipeline.detectors.visual_genome import VisualGenomeDetector, resized_bgr, select
from pipeline.detectors.visual_genome_network import (
    CLASSES,
    RoiOutput,
    anchor_grid,
    clip,
    decode_boxes,
    nms_inclusive,
    propose_regions,
)
from pipeline.errors import UsageError

GOLDEN = Path(__file__).parents[2] / "golden"
PHOTOS = [3, pytest.param(0, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.slow)]
FACTORS = {
    "RCNN_base.1.weight": 0.01,
    "RCNN_cls_score.weight": 5.0,
    "RCNN_bbox_pred.weight": 0.2,
    "RCNN_rpn.RPN_bbox_pred.weight": 0.2,
    "RCNN_rpn.RPN_cls_score.weight": 2.0,
}


def drawn(name: str, shape: list[int], dtype: str) -> Tensor:
    """The tensor the reference numbers were made with."""
    if dtype != "float32":
        return torch.zeros(shape, dtype=torch.int64)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    x = np.asarray(rng.standard_normal(shape), np.float32)
    if name.endswith("running_var"):
        x = 1 + 0.1 * np.abs(x)
    elif name.endswith("running_mean"):
        x = 0.1 * x
    elif x.ndim >= 2:
        x = x * np.sqrt(1.5 / np.prod(shape[1:]))
    elif name.endswith("weight"):
        x = 1 + 0.1 * x
    else:
        x = 0.1 * x
    factor = 0.2 if name.endswith("bn3.weight") else FACTORS.get(name, 1.0)
    return torch.from_numpy(np.asarray(x * factor, np.float32))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    layout = json.loads((GOLDEN / "vg_faster_rcnn_state_dict.json").read_text())
    return {name: drawn(name, shape, dtype) for name, (shape, dtype) in layout.items()}


@pytest.fixture(scope="module")
def detector(
    state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory
) -> VisualGenomeDetector:
    """Loaded the way a user loads it: a file with the key `model`."""
    path = tmp_path_factory.mktemp("weights") / "faster_rcnn_res101_vg.pth"
    torch.save({"session": 1, "epoch": 20, "model": state}, path)
    detector = make_detector(f"vg:{path}")
    path.unlink()
    assert isinstance(detector, VisualGenomeDetector)
    return detector


def photo(index: int) -> np.ndarray:
    return np.asarray(Image.open(GOLDEN / f"photo{index}.png").convert("RGB"))


@pytest.mark.parametrize("index", PHOTOS)
@torch.inference_mode()
def test_golden_numbers(detector: VisualGenomeDetector, index: int) -> None:
    golden = np.load(GOLDEN / "vg_faster_rcnn.npz")
    image, scale = resized_bgr(photo(index))
    assert scale == pytest.approx(float(golden[f"scale{index}"]), rel=1e-6)
    output = detector._network(image[None])[0]

    # Some foreground scores tie exactly, so regions are matched by position, not by rank.
    expected_rois = golden[f"rois{index}"][:, 1:]
    distance = np.abs(output.rois.numpy()[:, None] - expected_rois[None]).max(2)
    match = distance.argmin(0)
    assert len(set(match.tolist())) == len(expected_rois) == len(output.rois) == 300
    assert distance.min(0).max() < 1e-3

    probabilities, classes = output.probabilities[match].topk(5)
    np.testing.assert_allclose(probabilities, golden[f"class_prob_top5{index}"], atol=2e-5)
    np.testing.assert_array_equal(classes, golden[f"class_prob_top5_index{index}"])
    best = output.probabilities[match, 1:].argmax(1) + 1
    deltas = output.deltas.view(300, CLASSES, 4)[match, best]
    np.testing.assert_allclose(deltas, golden[f"box_deltas_best{index}"], atol=2e-5)
    np.testing.assert_allclose(
        output.pooled[match].mean(1), golden[f"pooled_mean{index}"], atol=2e-5
    )

    boxes, scores, labels = select(output, (image.shape[1], image.shape[2]))
    count = len(golden[f"top_boxes{index}"])  # at most 100 were kept
    assert count == min(len(boxes), 100)
    np.testing.assert_allclose(boxes[:count] / scale, golden[f"top_boxes{index}"], atol=1e-3)
    np.testing.assert_allclose(scores[:count], golden[f"top_scores{index}"], atol=2e-5)
    np.testing.assert_array_equal(labels[:count], golden[f"top_classes{index}"])


def test_detect_gives_the_ten_most_confident(detector: VisualGenomeDetector) -> None:
    golden = np.load(GOLDEN / "vg_faster_rcnn.npz")
    found = detector.detect([photo(3)])[0]
    np.testing.assert_allclose(found.boxes, golden["top_boxes3"][:10], atol=1e-3)
    np.testing.assert_allclose(found.scores, golden["top_scores3"][:10], atol=2e-5)
    assert found.labels == [f"vg:{label}" for label in golden["top_classes3"][:10]]


def test_a_batch_gives_what_single_photos_give(
    detector: VisualGenomeDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visual_genome, "SHORT_SIDE", 120)  # a small part of the work
    monkeypatch.setattr(visual_genome, "LONG_SIDE", 200)
    monkeypatch.setattr(visual_genome_network, "RPN_AFTER_NMS", 30)
    wide = photo(3)
    photos = [wide, wide.transpose(1, 0, 2).copy(), wide[:, ::-1].copy(), wide[:200, :300].copy()]
    single = [detector.detect([one])[0] for one in photos]
    monkeypatch.setattr(detector, "batch", 3)
    together = detector.detect(photos)
    for alone, batched in zip(single, together, strict=True):
        assert len(alone) > 0
        np.testing.assert_allclose(batched.boxes, alone.boxes, atol=1e-2)
        np.testing.assert_allclose(batched.scores, alone.scores, atol=1e-4)
    assert detector.detect([]) == []


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 3000), (3000, 2), (40, 40)])
def test_odd_shapes_stay_inside_the_photo(
    detector: VisualGenomeDetector, monkeypatch: pytest.MonkeyPatch, size_hw: tuple[int, int]
) -> None:
    monkeypatch.setattr(visual_genome, "SHORT_SIDE", 60)
    monkeypatch.setattr(visual_genome, "LONG_SIDE", 100)
    monkeypatch.setattr(visual_genome_network, "RPN_AFTER_NMS", 30)
    height, width = size_hw
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    boxes = detector.detect([pixels])[0].boxes
    assert np.isfinite(boxes).all()
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= [width, height]).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_anchors_by_hand() -> None:
    anchors = anchor_grid(2, 3).view(2, 3, 12, 4)
    assert anchors[0, 0, 0].tolist() == [-38, -16, 53, 31]
    sizes = anchors[0, 0, :, 2:] - anchors[0, 0, :, :2] + 1
    shapes = [(23, 12), (16, 16), (11, 22)]
    assert sizes.tolist() == [[w * s, h * s] for w, h in shapes for s in (4, 8, 16, 32)]
    moved = anchors[1, 2] - anchors[0, 0]
    assert moved.unique(dim=0).tolist() == [[32, 16, 32, 16]]  # (x, y) = (2, 1) cells of 16


def test_decode_and_clip_by_hand() -> None:
    box = torch.tensor([[0.0, 0.0, 9.0, 19.0]])  # 10 wide, 20 high, centre (5, 10)
    delta = torch.tensor([[0.5, -0.1, math.log(2.0), 0.0]])  # centre (10, 8), 20 wide
    moved = decode_boxes(box, delta)
    torch.testing.assert_close(moved, torch.tensor([[0.0, -2.0, 20.0, 18.0]]))
    assert clip(moved, (15, 18)).tolist() == [[0, 0, 17, 14]]


def test_overlap_counts_both_corners() -> None:
    # Rows 0-1 against row 0: 2 of 4 pixels inclusive, IoU .5. Half-open the second box is empty.
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0]])
    scores = torch.tensor([0.9, 0.8])
    assert nms_inclusive(boxes, scores, 0.3).tolist() == [0]
    assert nms_inclusive(boxes, scores, 0.6).tolist() == [0, 1]


def test_proposals_keep_three_hundred_best_first() -> None:
    corners = torch.arange(400.0)[:, None] * torch.tensor([20.0, 0.0, 20.0, 0.0])
    boxes = corners + torch.tensor([0.0, 0.0, 9.0, 9.0])  # none overlaps another
    foreground = torch.linspace(0, 1, 400)
    kept = propose_regions(boxes, foreground)
    assert torch.equal(kept, boxes.flip(0)[:300])


def by_hand(rows: list[tuple[list[float], dict[int, float]]]) -> RoiOutput:
    """Regions with given class scores and no deltas: decoding moves the high corner by one."""
    probabilities = torch.zeros(len(rows), CLASSES)
    for i, (_, scores) in enumerate(rows):
        for label, score in scores.items():
            probabilities[i, label] = score
    rois = torch.tensor([box for box, _ in rows])
    return RoiOutput(rois, probabilities, torch.zeros(len(rows), 4 * CLASSES), torch.zeros(0))


def test_suppression_is_per_class() -> None:
    output = by_hand(
        [
            ([0.0, 0.0, 99.0, 99.0], {7: 0.6, 0: 0.4}),
            ([0.0, 0.0, 99.0, 89.0], {7: 0.5, 0: 0.5}),  # same class, IoU .9: goes
            ([0.0, 0.0, 99.0, 79.0], {9: 0.4, 0: 0.6}),  # same place, other class: stays
            ([200.0, 0.0, 299.0, 99.0], {7: 0.3, 0: 0.7}),  # same class, elsewhere: stays
            ([200.0, 0.0, 299.0, 99.0], {3: 0.15, 0: 0.85}),  # below .2: goes
            ([400.0, 0.0, 499.0, 99.0], {0: 0.95}),  # background alone: goes
        ]
    )
    boxes, scores, classes = select(output, (400, 600))
    assert boxes.tolist() == [[0, 0, 100, 100], [0, 0, 100, 80], [200, 0, 300, 100]]
    torch.testing.assert_close(scores, torch.tensor([0.6, 0.4, 0.3]))
    assert classes.tolist() == [7, 9, 7]


def test_confidence_is_the_best_surviving_class_but_the_box_the_most_probable_one() -> None:
    # The second region loses class 7 (.45, its most probable) to the first and keeps class 9 (.4).
    output = by_hand(
        [
            ([0.0, 0.0, 99.0, 99.0], {7: 0.6}),
            ([0.0, 0.0, 99.0, 94.0], {7: 0.45, 9: 0.4}),
        ]
    )
    boxes, scores, classes = select(output, (200, 200))
    torch.testing.assert_close(scores, torch.tensor([0.6, 0.4]))
    assert classes.tolist() == [7, 7]
    assert boxes[1].tolist() == [0, 0, 100, 95]


def test_regression_is_scaled_and_class_wise() -> None:
    output = by_hand([([100.0, 100.0, 199.0, 199.0], {7: 0.6})])
    deltas = output.deltas.view(1, CLASSES, 4)
    deltas[0, 7] = torch.tensor([1.0, 0.0, 0.0, 0.0])  # times .1 of 100 pixels: 10 to the right
    deltas[0, 8] = 5.0
    boxes, _, _ = select(output, (400, 400))
    # Centre 150 + 10, half width 50: the decoded high corner is one past the inclusive 209.
    assert boxes.tolist() == [[110, 100, 210, 200]]


def test_nothing_found_is_an_empty_answer() -> None:
    boxes, scores, classes = select(by_hand([([0.0, 0.0, 9.0, 9.0], {0: 1.0})]), (100, 100))
    assert boxes.shape == (0, 4)
    assert scores.shape == classes.shape == (0,)


@pytest.mark.parametrize("spec", ["vg", "vg:/nowhere/vg.pth"])
def test_missing_weights_say_where_they_are(spec: str) -> None:
    with pytest.raises(UsageError, match="18n_3V1rywgeADZ3oONO0DsuuS9eMW6sN"):
        make_detector(spec)


def test_wrong_files_are_refused(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = tmp_path / "wrong.pth"
    torch.save({"weights": 1}, path)
    with pytest.raises(UsageError, match="no entry `model`"):
        make_detector(f"vg:{path}")
    fewer = {name: tensor for name, tensor in state.items() if "layer" not in name}
    del fewer["RCNN_rpn.RPN_Conv.bias"]
    with pytest.raises(UsageError, match=r"1 missing: RCNN_rpn\.RPN_Conv\.bias$"):
        visual_genome.load_network(fewer | {}, "here")
    with pytest.raises(UsageError, match=r"1 misshapen: RCNN_cls_score\.bias \[81\] instead"):
        visual_genome.load_network(state | {"RCNN_cls_score.bias": torch.zeros(81)}, "here")
    path.write_bytes(b"<html>quota exceeded</html>")
    with pytest.raises(UsageError, match="nor a PyTorch file"):
        make_detector(f"vg:{path}")
