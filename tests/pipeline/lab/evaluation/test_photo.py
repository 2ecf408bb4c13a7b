"""One photo through the evaluation: the production path, and a row in every case."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline import Cropper
from pipeline.cropping.weights import choose_weights
from pipeline.errors import UsageError
from pipeline.lab.datasets import Example
from pipeline.lab.evaluation.catalogue import BEST, CONSENSUS, NETWORK, OTHER_PERSON, OURS
from pipeline.lab.evaluation.frame import FollowedBoxes
from pipeline.lab.evaluation.photo import Evaluator
from pipeline.lab.evaluation.setup import EvaluationSetup, evaluate_here


@pytest.fixture(scope="module")
def setup() -> EvaluationSetup:
    torch.set_num_threads(1)
    return EvaluationSetup(choose_weights("untrained"), "embedded", ["centre", "largest"], ["1:1"])


@pytest.fixture(scope="module")
def evaluator(setup: EvaluationSetup) -> Evaluator:
    return setup.evaluator("cpu")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise with a bright block: 192 × 128."""
    pixels = np.random.default_rng(0).integers(0, 60, (128, 192, 3)).astype(np.uint8)
    pixels[40:90, 110:160] = (250, 220, 40)
    path = tmp_path_factory.mktemp("photos") / "a.png"
    Image.fromarray(pixels).save(path)
    return path


def boxes(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_crops_are_those_of_production(evaluator: Evaluator, photo: Path) -> None:
    human = boxes([20, 0, 148, 128], [0, 10, 192, 118])
    row = evaluator.evaluate(Example("a", photo, human_px=human))
    assert row["status"] == "ok"
    cropper = Cropper(weights="untrained", device="cpu")
    crops = cropper.crop(photo, ["128:128", "192:108", "free"])
    assert row["human"]["crops"][OURS] == [list(crop.box_px) for crop in crops[:2]]
    assert row["human"]["free"]["box"] == list(crops[2].box_px)
    assert row["human"]["crops"]["centre"] == [[32, 0, 160, 128], [0, 10, 192, 118]]
    assert row["human"]["measures"]["centre"]["iou"] == pytest.approx([116 / 140, 1])
    assert set(row["human"]["measures"]) == {OURS, "centre", OTHER_PERSON, CONSENSUS}
    assert row["scored"] is None
    assert row["kept"] is None
    assert row["human"]["boxes"] == human.tolist()
    assert (row["id"], row["file"], row["message"]) == ("a", str(photo), "")
    assert (row["width"], row["height"], row["tags"][0]) == (192, 128, "landscape")
    assert (row["gaze"], row["heads"]) == ([], [])
    json.dumps(row)  # plain data


def test_scores_are_those_of_production(evaluator: Evaluator, photo: Path) -> None:
    crops = boxes([0, 0, 100, 100], [50, 10, 190, 120], [10, 10, 180, 126])
    mos = np.array([1, 3, 2], np.float32)
    row = evaluator.evaluate(Example("a", photo, crops, mos))
    expected = Cropper(weights="untrained", device="cpu").score(photo, crops)
    assert row["scored"]["predicted"][NETWORK] == pytest.approx(expected.tolist(), abs=1e-5)
    by_score = row["scored"]["measures"][NETWORK]["mos_of_best"]
    assert by_score == mos[expected.argmax()]
    assert row["scored"]["measures"]["largest"]["srcc"] == pytest.approx(0.5)  # sizes 1 2 3
    assert (row["scored"]["boxes"], row["scored"]["mos"]) == (crops.tolist(), [1, 3, 2])
    assert set(row["scored"]["measures"]) == {OURS, NETWORK, "centre", "largest"}
    assert "pcc" in row["scored"]["measures"][NETWORK]
    assert "pcc" not in row["scored"]["measures"][OURS]  # an order has no distances
    order = np.argsort(row["scored"]["predicted"][OURS])[::-1]
    assert sorted(row["scored"]["predicted"][OURS]) == [-2, -1, 0]  # places, the first is 0
    assert mos[order[0]] == row["scored"]["measures"][OURS]["mos_of_best"]
    assert row["human"] is None


def test_every_number_is_of_what_the_product_chooses(setup: EvaluationSetup, photo: Path) -> None:
    """By overlap the crop between two alike ones is taken, whatever the scores of the two."""
    crops = boxes([0, 0, 100, 100], [8, 0, 108, 100], [16, 0, 116, 100], [90, 27, 192, 128])
    example = Example("a", photo, crops, np.array([1, 2, 3, 4], np.float32))
    row = setup.evaluator("cpu").evaluate(example)
    predicted = row["scored"]["predicted"]
    chosen = int(np.argmax(predicted[OURS]))
    assert row["scored"]["measures"][OURS]["mos_of_best"] == example.mos[chosen]
    # With the published ranking both are the same.
    plain = dataclasses.replace(setup, rank_by="score").evaluator("cpu").evaluate(example)["scored"]
    assert plain["measures"][OURS].items() <= plain["measures"][NETWORK].items()
    assert row["scored"]["measures"][OURS] != plain["measures"][OURS]


def test_shapes_are_judged_by_gaze_and_heads(evaluator: Evaluator, photo: Path) -> None:
    """The centred square of the photo of 192 × 128 is [32, 160]."""
    example = Example(
        "a", photo,
        heads_px=boxes([24, 0, 40, 16], [100, 0, 116, 16]),
        fixations_px=np.array([[40, 5], [20, 5], [150, 5], [500, 5]], np.float32),
    )  # fmt: skip
    row = evaluator.evaluate(example)
    assert row["shapes"]["centre"]["1:1"]["box"] == [32, 0, 160, 128]
    values = row["shapes"]["centre"]["1:1"]["measures"]
    assert values["gaze_kept"] == pytest.approx(2 / 3)  # the fourth is outside the photo
    assert (values["heads_cut"], values["heads_lost"], values["heads_out"]) == (0.5, 0, 0.5)
    assert (values["head cut"], values["face lost"]) == (100, 0)
    assert values["any violation"] == 100
    best = row["shapes"][BEST]["1:1"]["measures"]
    assert best["gaze_kept"] == pytest.approx(2 / 3)
    assert best["heads_out"] == 0
    assert set(row["shapes"]) == {OURS, "centre", BEST}
    assert row["evidence"] == {"heads": "people", "subject": "gaze"}
    assert row["gaze"] == [[40, 5], [20, 5], [150, 5]]
    assert row["heads"] == [[24, 0, 40, 16], [100, 0, 116, 16]]


def test_baselines_show_the_whole_photo_for_a_free_shape(photo: Path) -> None:
    """They have no shape of their own: 192 × 128."""
    weights = choose_weights("untrained")
    evaluator = EvaluationSetup(weights, "embedded", ["centre"], ["free"]).evaluator("cpu")
    row = evaluator.evaluate(Example("a", photo, heads_px=boxes([24, 0, 40, 16])))
    assert row["shapes"]["centre"]["free"]["box"] == [0, 0, 192, 128]


def test_crops_for_a_shape_that_was_asked_for(evaluator: Evaluator, photo: Path) -> None:
    human = boxes([20, 0, 148, 127], [0, 10, 192, 118])  # the square is one pixel too low
    row = evaluator.evaluate(Example("a", photo, human_px=human, asked=("1:1", "16:9")))
    assert row["human"]["crops"]["centre"] == [[32, 0, 160, 128], [0, 10, 192, 118]]
    assert set(row["human"]["measures"]) == {OURS, "centre"}  # others drew other shapes
    assert row["human"]["free"] is None
    assert row["human"]["boxes"] == human.tolist()


def test_another_detector_may_judge(setup: EvaluationSetup, photo: Path) -> None:
    text = boxes([20, 0, 60, 10])
    example = Example("a", photo, objects_px=text)
    row = dataclasses.replace(setup, judge="boxes").evaluator("cpu").evaluate(example)
    # A given box has no label: it is an object, and the centred square shows 28 of its 40 columns.
    assert row["shapes"]["centre"]["1:1"]["measures"]["subject halved"] == 100


def test_marked_boxes_are_followed(evaluator: Evaluator, photo: Path) -> None:
    followed = FollowedBoxes(boxes([32, 0, 160, 128], [0, 0, 64, 128]), ["x", "y"])
    row = evaluator.evaluate(Example("a", photo), followed)
    assert row["kept"]["groups"] == ["x", "y"]
    assert row["kept"]["shares"]["centre"] == {"1:1": [1.0, 0.5]}
    assert "largest" not in row["kept"]["shares"]  # it places nothing


def test_given_objects_take_the_detectors_place(setup: EvaluationSetup, photo: Path) -> None:
    given = dataclasses.replace(setup, detector="boxes")
    objects = boxes([110, 40, 160, 90])
    examples = [Example("a", photo, objects_px=objects), Example("b", photo)]
    with_objects, without = evaluate_here(examples, given, "cpu")
    assert with_objects["objects"] == [{"box": [110, 40, 160, 90], "score": 1, "label": ""}]
    assert with_objects["kept"]["groups"] == [""]
    assert without["objects"] == []
    assert without["status"] == "ok"


def test_what_cannot_be_judged_is_a_row(evaluator: Evaluator, photo: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.png"
    cut.write_bytes(photo.read_bytes()[:5000])
    text = tmp_path / "text.jpg"
    text.write_text("not a photo at all")
    swapped = boxes([0, 0, 100, 190])  # higher than the photo: y first
    rows = [
        evaluator.evaluate(example)
        for example in (
            Example("cut", cut),
            Example("text", text),
            Example("gone", tmp_path / "gone.jpg"),
            Example("swapped", photo, human_px=swapped),
        )
    ]
    statuses = {row["id"]: row["status"] for row in rows}
    assert statuses == {
        "cut": "truncated", "text": "unsupported_format", "gone": "not_found",
        "swapped": "boxes_outside",
    }  # fmt: skip
    assert all(row["message"] for row in rows)


def test_a_rounded_edge_is_not_outside(evaluator: Evaluator, photo: Path) -> None:
    row = evaluator.evaluate(Example("a", photo, human_px=boxes([0, 0, 193, 129])))
    assert row["status"] == "ok"
    assert row["human"]["boxes"] == [[0, 0, 192, 128]]


@pytest.mark.parametrize("part", ["human_px", "scored_px", "followed", "objects_px"])
def test_a_box_with_no_area_in_the_photo_is_told(
    setup: EvaluationSetup, evaluator: Evaluator, photo: Path, part: str
) -> None:
    """The second box starts at the lower edge of the photo, 128 rows high: within the slack."""
    given = boxes([10, 10, 90, 90], [10, 128, 50, 129.5])
    labels = {} if part == "followed" else {part: given}
    mos = np.ones(2 if part == "scored_px" else 0, np.float32)
    followed = FollowedBoxes(given, ["x", "y"]) if part == "followed" else None
    example = Example("a", photo, mos=mos, **labels)
    row = evaluator.evaluate(example, followed or setup.followed_in(example))
    assert row["status"] == "boxes_outside"
    assert "1 of 2" in row["message"]


def test_people_of_another_frame_are_told(evaluator: Evaluator, tmp_path: Path) -> None:
    """A phone's photo, stored 192 × 128 and shown 128 × 192; the box is in the stored frame."""
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (192, 128), (90, 90, 90)).save(tmp_path / "a.jpg", exif=turned)
    example = Example("a", tmp_path / "a.jpg")
    row = evaluator.evaluate(example, FollowedBoxes(boxes([140, 10, 180, 60]), ["x"]))
    assert (row["status"], "kept" in row) == ("boxes_outside", False)
    assert "boxes to follow leave the photo of 128 × 192" in row["message"]
    shown = evaluator.evaluate(example, FollowedBoxes(boxes([10, 140, 60, 180]), ["x"]))
    assert shown["status"] == "ok"


def test_a_ratio_that_no_shape_has_is_brought_to_the_nearest(
    evaluator: Evaluator, photo: Path
) -> None:
    """Shapes end at 1:50 and 50:1; the crops of 1 × 128 and 192 × 2 px are beyond them."""
    human = boxes([50, 0, 51, 128], [0, 60, 192, 62])
    row = evaluator.evaluate(Example("a", photo, human_px=human))
    assert row["status"] == "ok"
    for (x0, y0, x1, y1), ratio in zip(row["human"]["crops"]["centre"], (1 / 50, 50), strict=True):
        assert (x1 - x0) / (y1 - y0) == pytest.approx(ratio, rel=0.001)


def test_labels_that_cannot_be_used_name_the_photo(evaluator: Evaluator, photo: Path) -> None:
    example = Example("a", photo, human_px=boxes([0, 0, 90, 90]), asked=("square",))
    with pytest.raises(UsageError, match=r"a\.png: .*square"):
        evaluator.evaluate(example)


def test_crops_that_tie_are_not_several_people(evaluator: Evaluator, photo: Path) -> None:
    """CPC's crops of the best mean score: nobody drew them, so no person agrees with another."""
    crops = boxes([20, 0, 148, 128], [0, 10, 192, 118])
    tied = Example("a", photo, crops, np.array([3, 3], np.float32), crops)
    row = evaluator.evaluate(tied)
    assert set(row["human"]["measures"]) == {OURS, "centre"}
    drawn = evaluator.evaluate(Example("a", photo, human_px=crops))
    assert set(drawn["human"]["measures"]) == {OURS, "centre", OTHER_PERSON, CONSENSUS}


def test_labels_that_all_lie_off_the_photo_are_of_another_frame(
    evaluator: Evaluator, photo: Path
) -> None:
    """Some may lie off a photo of 192 × 128."""
    points = boxes([192, 50, 0, 0], [10, 128, 0, 0], [10, 50, 0, 0])[:, :2]
    heads = boxes([192, 0, 200, 20], [0, -9, 20, 0], [180, 0, 200, 20])
    for some in (
        {"fixations_px": points, "first_fixations": np.zeros(3, bool)},
        {"heads_px": heads},
        {"heads_px": heads[:0]},
    ):
        assert evaluator.evaluate(Example("a", photo, **some))["status"] == "ok"
    for off, told in (
        ({"fixations_px": points[:2], "first_fixations": np.zeros(2, bool)}, "fixations (2)"),
        ({"heads_px": heads[:2]}, "heads (2)"),
    ):
        row = evaluator.evaluate(Example("a", photo, **off))
        assert row["status"] == "boxes_outside"
        assert row["message"].startswith(f"all {told} are outside of the photo of 192 × 128")
