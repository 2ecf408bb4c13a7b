"""The results reported for chosen crops, calculated by hand."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.cropping.chosen import Chosen
from pipeline.cropping.results import scored_candidates, scored_crops
from pipeline.cropping.search import SearchResult
from pipeline.detectors import Detections


def boxes(*rows: Sequence[float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def objects(*rows: Sequence[float]) -> Detections:
    found = boxes(*rows)
    return Detections(found, np.ones(len(found), np.float32), ["thing"] * len(found))


def chosen(found: np.ndarray, choice: Sequence[float]) -> Chosen:
    return Chosen(found, np.array(choice))


def test_margins_are_leads_over_the_next_crop() -> None:
    """The crop ranked next counts for the last margin, though it is not asked for."""
    found = boxes((5, 0, 15, 10), (0, 0, 10, 10), (20, 0, 30, 10))
    scores = np.array([0.9, 0.5], np.float32)
    crops = scored_crops("1:1", chosen(found, [0.7, 0.6, 0.35]), scores, objects())
    assert [(crop.ratio, crop.rank, crop.box_px) for crop in crops] == [
        ("1:1", 0, (5, 0, 15, 10)),
        ("1:1", 1, (0, 0, 10, 10)),
    ]
    assert [crop.score for crop in crops] == pytest.approx([0.9, 0.5])
    assert [crop.choice for crop in crops] == pytest.approx([0.7, 0.6])
    assert [crop.margin for crop in crops] == pytest.approx([0.1, 0.25])
    (only,) = scored_crops("1:1", chosen(found[:1], [0.7]), scores[:1], objects())
    assert only.margin is None


def test_objects_are_cut_where_a_crop_shows_some_of_them() -> None:
    # Of three objects of 100 square pixels, 100, 50 and 4 are inside.
    given = objects((5, 5, 15, 15), (15, 5, 25, 15), (18, 18, 28, 28))
    one = chosen(boxes((0, 0, 20, 20)), [0.5])
    (crop,) = scored_crops("free", one, np.zeros(1, np.float32), given)
    assert crop.object_shares == pytest.approx([1, 0.5, 0.04])
    assert crop.objects_cut == 1


def test_regions_are_not_cut() -> None:
    found = boxes((15, 5, 25, 15), (15, 5, 25, 15))
    given = Detections(found, np.ones(2, np.float32), ["subject", "person"])
    one = chosen(boxes((0, 0, 20, 20)), [0.5])
    (crop,) = scored_crops("1:1", one, np.zeros(1, np.float32), given)
    assert crop.object_shares == pytest.approx([0.5, 0.5])
    assert crop.objects_cut == 1


def test_a_chosen_box_between_the_candidates_is_kept_with_its_score() -> None:
    found = SearchResult(
        boxes=np.array([[0, 0, 4, 4], [4, 0, 8, 4]], np.float32),
        scores=np.array([1, 2], np.float32),
        indices=np.array([0, 1]),
        posterior_mean=np.array([1.0, 2.0]),
    )
    taken = np.array([[4, 0, 8, 4], [3, 0, 7, 4]], np.float32)
    kept = scored_candidates("1:1", found, taken, np.array([2, 3], np.float32))
    assert kept.boxes_px.tolist() == [[0, 0, 4, 4], [4, 0, 8, 4], [3, 0, 7, 4]]
    assert kept.scores.tolist() == [1, 2, 3]
