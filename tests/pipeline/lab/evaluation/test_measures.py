"""Measures of one photo, calculated by hand."""

import numpy as np
import pytest

from pipeline.lab.evaluation.measures import (
    free_crop_measures,
    overlap_measures,
    people_agreement,
    score_measures,
    to_ratio,
)


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
    # The four worst come first; of them the third and fourth are among the ten best.
    assert reverse["acc4_10"] == 0.5
    assert reverse["acc10"] == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)


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
