"""The shares of boxes that crops show, against hand calculation and counted points."""

import numpy as np
import pytest

from pipeline.cropping.visible import visible_shares
from pipeline.settings.safe_areas import WHOLE, SafeArea

SQUARE = [[0, 0, 100, 100]]
QUARTER_DISK = np.pi / 4  # of the square around it


def shares(other: list[float], area: SafeArea) -> tuple[float, float]:
    inside, seen = visible_shares(SQUARE, [other], area)
    return float(inside[0, 0]), float(seen[0, 0])


@pytest.mark.parametrize(
    ("other", "share"),
    [
        ([10, 10, 30, 30], 1.0),
        ([90, 0, 110, 50], 0.5),
        ([-50, -50, 50, 50], 0.25),
        ([100, 0, 120, 20], 0.0),
        ([-100, -100, 300, 300], 1 / 16),
    ],
)
def test_a_rectangle_holds_what_is_inside(other: list[float], share: float) -> None:
    assert shares(other, WHOLE) == pytest.approx((share, share))


@pytest.mark.parametrize(
    ("other", "share"),
    [
        ([0, 0, 50, 50], QUARTER_DISK),
        ([50, 50, 100, 100], QUARTER_DISK),
        ([0, 0, 100, 100], QUARTER_DISK),
        ([0, 50, 100, 150], QUARTER_DISK / 2),
        ([0, 0, 10, 10], 0.0),  # its nearest corner is 56.6 from the centre
        ([40, 40, 60, 60], 1.0),
        ([200, 200, 210, 210], 0.0),
    ],
)
def test_a_circle_holds_what_is_inside_it(other: list[float], share: float) -> None:
    assert shares(other, SafeArea(is_circle=True)) == pytest.approx((share, share), abs=1e-12)


def test_what_is_covered_is_not_seen() -> None:
    caption = SafeArea(covered=((0, 0.8, 1, 1),))
    assert shares([0, 70, 20, 90], caption) == pytest.approx((1, 0.5))
    assert shares([0, 90, 20, 110], caption) == pytest.approx((0.5, 0))
    corner = SafeArea(True, ((0.5, 0.5, 1, 1),))  # a quarter of the circle
    assert shares([0, 0, 100, 100], corner) == pytest.approx((QUARTER_DISK, 0.75 * QUARTER_DISK))


def test_any_boxes_agree_with_points_counted() -> None:
    """An ellipse of a crop of any ratio with covered parts, 90,000 points a box."""
    generator = np.random.default_rng(3)
    area = SafeArea(True, ((0.1, 0.0, 0.4, 0.3), (0.6, 0.5, 1.0, 0.9)))
    low = generator.uniform(-20, 60, (2, 12, 2))
    boxes = np.concatenate([low, low + generator.uniform(5, 90, (2, 12, 2))], axis=2)
    crops, others = boxes
    inside, seen = visible_shares(crops, others, area)
    steps = (np.arange(300) + 0.5) / 300
    lattice = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    for n, crop in enumerate(crops):
        for m, other in enumerate(others):
            points = other[:2] + lattice * (other[2:] - other[:2])
            place = (points - crop[:2]) / (crop[2:] - crop[:2])
            held = ((2 * place - 1) ** 2).sum(axis=1) <= 1
            hidden = np.zeros(len(held), bool)
            for x0, y0, x1, y1 in area.covered:
                hidden |= ((place >= (x0, y0)) & (place <= (x1, y1))).all(axis=1)
            assert inside[n, m] == pytest.approx(held.mean(), abs=0.005)
            assert seen[n, m] == pytest.approx((held & ~hidden).mean(), abs=0.005)
    assert ((seen > 0.01) & (seen < inside - 0.01)).any(), "nothing was covered: a poor test"
