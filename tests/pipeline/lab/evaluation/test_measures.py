"""Measures of one photo, calculated by hand."""

import dataclasses
import math

import numpy as np
import pytest

from pipeline.lab.evaluation.evidence import DRAWN_CUT, FaultEvidence
from pipeline.lab.evaluation.measures import (
    best_of_shape,
    fault_measures,
    free_crop_measures,
    overlap_measures,
    people_agreement,
    score_measures,
    to_ratio,
)
from pipeline.shapes import parse_shape


def boxes(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_scores_of_a_perfect_and_a_reversed_order() -> None:
    mos = np.arange(12.0)
    perfect, reverse = score_measures(mos, mos * 2 + 1), score_measures(mos, -mos)
    assert perfect["srcc"] == perfect["pcc"] == 1
    assert perfect["acc5"] == perfect["acc10"] == perfect["accw5"] == perfect["acc4_5"] == 1
    assert perfect["mos_of_best"] == 11
    assert reverse["srcc"] == reverse["pcc"] == -1
    assert reverse["acc5"] == 0
    assert reverse["acc1_10"] == 0
    assert reverse["mos_of_best"] == 0
    # By rank: of one and two of the worst none is among the ten best; of three, the tenth, which
    # comes first; of four, the ninth and the tenth, each eight places before the best two.
    expected = (math.exp(-0.9) / 3 + 2 * math.exp(-0.8) / 4) / 4
    assert reverse["accw10"] == pytest.approx(expected)
    # The four worst come first; of them the third and fourth are among the ten best.
    assert reverse["acc4_10"] == 0.5
    assert reverse["acc10"] == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)


def test_accuracies_ask_whether_predicted_crops_are_people_s_best() -> None:
    """Not the reverse: here people's best crop is predicted second, and their seventh first."""
    mos = np.arange(12.0)[::-1]
    values = score_measures(mos, [10, 5, 4, 3, 2, 1, 20, 0, -1, -2, -3, -4])
    # Among the first 1, 2, 3 and 4 there are 0, 1, 2 and 3 of the five best, and all are of ten.
    found = [values[f"acc{k}_5"] for k in (1, 2, 3, 4)]
    assert found == pytest.approx([0, 1 / 2, 2 / 3, 3 / 4])
    assert values["acc5"] == pytest.approx(sum(found) / 4)
    assert values["accw5"] == pytest.approx(sum(found) / 4)  # those found are in people's order
    assert [values[f"acc{k}_10"] for k in (1, 2, 3, 4)] == [1, 1, 1, 1]
    assert values["mos_of_best"] == 5


def test_crops_pair_up_with_people() -> None:
    human = boxes([0, 0, 100, 100], [0, 0, 200, 100])
    values = overlap_measures(human, [[50, 0, 150, 100], [0, 0, 200, 100]], 200, 100)
    assert values["iou"] == pytest.approx([1 / 3, 1])
    # x edges are off by 50 of 200, y edges by nothing.
    assert values["bde"] == pytest.approx([0.125, 0])
    with pytest.raises(ValueError, match="zip"):
        overlap_measures(human, [[0, 0, 1, 1]], 200, 100)


def test_a_free_crop_is_held_against_the_nearest_person() -> None:
    human = boxes([0, 0, 100, 100], [0, 0, 200, 100])
    values = free_crop_measures(human, np.array([0.0, 0, 180, 100]), 200, 100)
    assert values == pytest.approx({"free_iou": 0.9, "free_bde": 20 / 200 / 4})


def test_heads_are_out_that_are_cut_or_lost() -> None:
    """A square of a photo of 200 × 100 keeps one of these heads, cuts one and loses two."""
    heads = boxes([0, 0, 10, 10], [95, 0, 105, 10], [150, 0, 160, 10], [180, 0, 190, 10])
    none = boxes().reshape(0, 4)
    gaze = np.float32([[5, 5], [150, 50]])
    evidence = FaultEvidence((200, 100), heads, DRAWN_CUT, heads, none, none, gaze, None)
    square = parse_shape("1:1")
    best = best_of_shape(square, evidence)
    # At best it keeps three: those from 95 to 190.
    assert best == pytest.approx(
        {"gaze_kept": 0.5, "heads_cut": 0, "heads_lost": 0.25, "heads_out": 0.25}
    )
    values = fault_measures([0, 0, 100, 100], square, evidence, best)
    expected = {"gaze_kept": 0.5, "heads_cut": 0.25, "heads_lost": 0.5, "heads_out": 0.75}
    faults = {"head cut": 100, "face lost": 0, "any violation": 100}
    others = dict.fromkeys(("subject halved", "text cut", "wrong subject"), 0)
    assert values == pytest.approx(expected | faults | others)
    unseen = dataclasses.replace(evidence, gaze=None, drawn_heads=none, heads=none)
    assert best_of_shape(square, unseen) == {}
    values = fault_measures([0, 0, 100, 100], square, unseen, {})
    assert values == dict.fromkeys((*faults, *others), 0)


def test_to_ratio_keeps_centre_and_area_while_it_fits() -> None:
    assert to_ratio(np.array([40.0, 40, 60, 60]), 4.0, 200, 100).tolist() == [30, 45, 70, 55]
    # The whole photo as a square: as large as fits, in the middle.
    assert to_ratio(np.array([0.0, 0, 200, 100]), 1.0, 200, 100).tolist() == [50, 0, 150, 100]
    # Moved back inside at the edge.
    assert to_ratio(np.array([0.0, 0, 20, 20]), 4.0, 200, 100).tolist() == [0, 5, 40, 15]


def test_people_agree_with_themselves() -> None:
    same = boxes(*[[10, 20, 110, 70]] * 3)
    one, mean = people_agreement(same, 200, 100)
    assert one["iou"] == mean["iou"] == pytest.approx([1, 1, 1])
    assert one["bde"] == mean["bde"] == pytest.approx([0, 0, 0], abs=1e-9)


def test_people_leave_themselves_out() -> None:
    human = boxes([0, 0, 100, 100], [20, 0, 120, 100], [60, 0, 160, 100])
    one, mean = people_agreement(human, 200, 100)
    # For the first: IoU with the second 80/120, with the third 40/160; the others' mean is
    # [40, 0, 140, 100], IoU 60/140.
    assert one["iou"][0] == pytest.approx((80 / 120 + 40 / 160) / 2)
    assert mean["iou"][0] == pytest.approx(60 / 140)
    assert one["bde"][0] == pytest.approx((0.05 + 0.15) / 2)  # 20 and 60 of 200, on two edges


def test_agreement_of_three_people_at_their_ratio() -> None:
    """Boxes of 100 × 50 in a photo of 400 × 200, so that none has to change its ratio."""
    human = boxes([40, 20, 140, 70], [60, 20, 160, 70], [40, 40, 140, 90])
    one, mean = people_agreement(human, 400, 200)
    # Shared areas: 80 · 50, 100 · 30 and 80 · 30, of 10,000 less as much.
    pairs = {"ab": 4000 / 6000, "ac": 3000 / 7000, "bc": 2400 / 7600}
    expected = [
        (pairs["ab"] + pairs["ac"]) / 2,
        (pairs["ab"] + pairs["bc"]) / 2,
        (pairs["ac"] + pairs["bc"]) / 2,
    ]
    assert one["iou"] == pytest.approx(expected)
    # The others' means are [50, 30, 150, 80], [40, 30, 140, 80] and [50, 20, 150, 70].
    assert mean["iou"] == pytest.approx([3600 / 6400, 3200 / 6800, 2700 / 7300])
    # 20 of 400 to the side are .05 on two of four edges, 20 of 200 down .1 on the other two.
    assert one["bde"] == pytest.approx(
        [(0.025 + 0.05) / 2, (0.025 + 0.075) / 2, (0.05 + 0.075) / 2]
    )
    assert mean["bde"] == pytest.approx([(0.025 + 0.05) / 2, (0.05 + 0.05) / 2, (0.025 + 0.1) / 2])


def test_people_of_other_ratios_are_brought_to_one_s_own() -> None:
    """A square about the same centre, of 100 px; as 4:1 it is 200 × 50."""
    human = boxes([100, 75, 300, 125], [150, 50, 250, 150])
    one, mean = people_agreement(human, 400, 200)
    assert one["iou"] == mean["iou"] == pytest.approx([1, 1])
    assert one["bde"] == mean["bde"] == pytest.approx([0, 0])
