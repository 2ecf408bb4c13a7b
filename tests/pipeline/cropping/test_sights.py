"""Separate sights found in maps with a few looked-at cells, by hand."""

import numpy as np
import pytest

from pipeline.boxes import FloatArray
from pipeline.cropping.evidence import evidence_of
from pipeline.cropping.extents import Extents
from pipeline.cropping.features import MEASURES, feature_columns
from pipeline.cropping.sights import Sights, basins
from pipeline.detectors import Attention, Detections

HEIGHT, WIDTH = 17, 24
EVERYWHERE = np.ones((HEIGHT, WIDTH))


def looked_at(shares: dict[tuple[int, int], float]) -> FloatArray:
    """A gaze map with these shares of all gaze at these cells (row, column)."""
    gaze = np.zeros((HEIGHT, WIDTH))
    for cell, share in shares.items():
        gaze[cell] = share
    return gaze


def split(gaze: FloatArray, subject: FloatArray | None, crops: list[list[float]]) -> FloatArray:
    """How much crops split; left and right edges in columns, from the top to the bottom."""
    attention = Attention(gaze, gaze, np.zeros((0, 4)), np.zeros(0), subject=subject)
    evidence = evidence_of(Detections(attention=attention), (100, 100))
    boxes = np.array([[left / WIDTH, 0.0, right / WIDTH, 1.0] for left, right in crops])
    columns = feature_columns(boxes, Extents.of(boxes), evidence, np.zeros(len(boxes)), 1.0)
    return np.asarray(columns[MEASURES.index("sights_split")])


def test_each_cell_climbs_to_its_peak() -> None:
    values = np.array([[5.0, 4.0, 1.0, 2.0, 3.0], [4.0, 2.0, 0.0, 1.0, 2.0]], np.float32)
    # The lowest cell has 4 and 2 beside it: it climbs to the left.
    assert basins(values).tolist() == [0, 0, 0, 4, 4, 0, 0, 0, 4, 4]


def test_a_way_up_may_be_long_and_turn() -> None:
    values = np.array([[1.0, 0, 9, 8], [2, 0, 0, 7], [3, 4, 5, 6]], np.float32)
    assert (basins(values) == 2).all()


def test_flat_ground_belongs_to_one_peak() -> None:
    assert basins(np.zeros((2, 3), np.float32)).tolist() == [0] * 6
    assert basins(np.array([[0.0, 2.0, 2.0, 1.0]], np.float32)).tolist() == [1] * 4


def test_two_things_looked_at_are_two_sights() -> None:
    gaze = looked_at({(8, 5): 0.4, (8, 18): 0.6})
    found = Sights.of(gaze, EVERYWHERE)
    assert sorted(found.weights) == pytest.approx([0.4, 0.6])
    # Each consists of one cell, since nothing else is looked at.
    order = np.argsort(found.weights)
    np.testing.assert_allclose(
        found.maps[order], [gaze * (gaze == 0.4) / 0.4, gaze * (gaze == 0.6) / 0.6]
    )


def test_two_peaks_close_together_are_one_sight() -> None:
    """Gaussians of one deviation have a single top up to two deviations apart: five cells."""
    found = Sights.of(looked_at({(8, 10): 0.5, (8, 13): 0.5}), EVERYWHERE)
    assert found.weights == pytest.approx([1.0])


def test_a_sight_consists_of_its_subject() -> None:
    """Of two cells looked at alike, the one that is three times as likely the subject counts so."""
    subject = EVERYWHERE / 4
    subject[8, 5] = 0.75
    found = Sights.of(looked_at({(8, 5): 0.5, (8, 6): 0.5}), subject)
    assert found.maps[0, 8, 5:7] == pytest.approx([0.75, 0.25])


def test_the_subject_map_tells_apart_what_the_gaze_map_does_not() -> None:
    """A row is looked at evenly; its middle third is no subject."""
    gaze = looked_at({(8, column): 1 / WIDTH for column in range(WIDTH)})
    assert len(Sights.of(gaze, EVERYWHERE).weights) == 1
    subject = EVERYWHERE.copy()
    subject[:, 8:16] = 0.0
    assert Sights.of(gaze, subject).weights == pytest.approx([0.5, 0.5])


def test_little_looked_at_counts_less_or_not_at_all() -> None:
    found = Sights.of(looked_at({(8, 2): 0.76, (8, 12): 0.15, (8, 21): 0.09}), EVERYWHERE)
    # half-way up the ramp from .1 to .2
    assert sorted(found.weights) == pytest.approx([0.15 / 2, 0.76])


def test_no_subject_no_sights() -> None:
    gaze = looked_at({(8, 5): 1.0})
    for subject in (None, np.zeros((HEIGHT, WIDTH))):
        found = Sights.of(gaze, subject)
        assert found.maps.shape == (0, HEIGHT, WIDTH)
        assert len(found.weights) == 0


def test_the_gap_between_two_sights_costs_and_one_of_them_whole_does_not() -> None:
    gaze = looked_at({(8, 5): 0.5, (8, 18): 0.5})
    # Half of each cell; one whole; one whole and a quarter of the other; both.
    crops = [[5.5, 18.5], [0, 12], [0, 18.25], [0, 24]]
    # 4 · (1/2 · 1/4 + 1/2 · 1/4), 0, 4 · 1/2 · 1/4 · 3/4, 0
    assert split(gaze, EVERYWHERE, crops) == pytest.approx([1.0, 0.0, 0.375, 0.0])
    assert split(gaze, None, crops) == pytest.approx([0.0] * 4)
