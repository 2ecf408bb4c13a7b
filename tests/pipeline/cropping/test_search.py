"""The search against scoring every candidate, on smooth synthetic scores and on the network."""

import numpy as np
import pytest
import torch

from pipeline.cropping import search
from pipeline.cropping.candidates import for_free, for_ratio
from pipeline.cropping.search import (
    SearchResult,
    coarse_to_fine,
    exhaustive,
    farthest_points,
    spread_only,
)
from s2cnet import FastS2CNet, S2CNet, boxes_to_input, prepare_image

BUDGET = search.COARSE + sum(search.ROUNDS)
WIDTH, HEIGHT = 640, 480


def lists() -> list[np.ndarray]:
    ratios = (1.0, 4 / 3, 16 / 9, 9 / 16, 3 / 4)
    return [for_ratio(WIDTH, HEIGHT, ratio) for ratio in ratios] + [for_free(WIDTH, HEIGHT)]


class Bump:
    """A score that is best for one crop and falls off smoothly; counts what it is asked."""

    def __init__(self, best: tuple[float, float, float, float]) -> None:
        self.best = np.array(best)
        self.asked: list[np.ndarray] = []

    def __call__(self, boxes: np.ndarray) -> np.ndarray:
        self.asked.append(boxes)
        off = (boxes - self.best) / (WIDTH, HEIGHT, WIDTH, HEIGHT)
        return np.exp(-4 * (off**2).sum(axis=1)).astype(np.float32)


def regret(found: SearchResult, everything: SearchResult) -> float:
    """How much the search missed, in standard deviations of all scores."""
    return float((everything.scores.max() - found.scores.max()) / everything.scores.std())


def test_spread_only_predicts_as_the_regression_does() -> None:
    """Against a regression over all lists that is solved anew; twice, since plans are kept."""
    candidate_lists = [*lists(), lists()[0]]
    pool = search._Pool(candidate_lists)
    pool.add(pool.spread(search.SPREAD), Bump((50, 40, 400, 300)))
    for best in ((200, 0, 420, 480), (50, 40, 400, 300)):
        found = spread_only(candidate_lists, Bump(best))
    mean = pool.posterior_mean()
    for index, one in enumerate(found):
        expected = pool.result(index, mean)
        np.testing.assert_array_equal(one.indices, expected.indices)
        np.testing.assert_array_equal(one.boxes, expected.boxes)
        np.testing.assert_array_equal(one.scores, expected.scores)
        np.testing.assert_allclose(one.posterior_mean, expected.posterior_mean, atol=1e-5)


def test_exhaustive_scores_everything_in_one_call() -> None:
    score, boxes = Bump((50, 40, 400, 300)), lists()
    found = exhaustive(list(boxes), score)
    assert len(score.asked) == 1
    for one, candidates in zip(found, boxes, strict=True):
        np.testing.assert_array_equal(one.boxes, candidates)
        np.testing.assert_array_equal(one.scores, Bump((50, 40, 400, 300))(candidates))


@pytest.mark.parametrize(
    "best", [(50, 40, 400, 300), (0, 0, 640, 480), (300, 200, 620, 470), (200, 0, 420, 480)]
)
def test_smooth_scores_are_found_with_few_calls(best: tuple[float, float, float, float]) -> None:
    score, candidate_lists = Bump(best), lists()
    found = coarse_to_fine(candidate_lists, score)
    assert len(score.asked) == 1 + len(search.ROUNDS)
    assert sum(map(len, score.asked)) == BUDGET * len(candidate_lists)
    losses = [
        regret(one, all_of_it)
        for one, all_of_it in zip(found, exhaustive(candidate_lists, score), strict=True)
    ]
    assert np.mean(losses) <= 0.02


def test_what_is_found_is_part_of_the_list_in_its_order() -> None:
    (boxes,) = [for_ratio(WIDTH, HEIGHT, 1.0)]
    (found,) = coarse_to_fine([boxes], Bump((50, 40, 400, 300)))
    rows = [int(np.flatnonzero((boxes == box).all(axis=1))[0]) for box in found.boxes]
    assert rows == sorted(set(rows))
    assert len(rows) == BUDGET
    np.testing.assert_array_equal(found.scores, Bump((50, 40, 400, 300))(found.boxes))


def test_nothing_is_scored_twice_and_equal_lists_are_shared() -> None:
    score, boxes = Bump((50, 40, 400, 300)), for_ratio(WIDTH, HEIGHT, 1.0)
    first, second = coarse_to_fine([boxes, boxes.copy()], score)
    asked = np.concatenate(score.asked)
    assert len(np.unique(asked, axis=0)) == len(asked)
    assert len(asked) <= search.COARSE + 2 * sum(search.ROUNDS)
    np.testing.assert_array_equal(first.scores, second.scores)


def test_small_lists_are_scored_whole() -> None:
    boxes = for_ratio(2, 2, 1.0)
    (found,) = coarse_to_fine([boxes], Bump((0, 0, 1, 1)))
    np.testing.assert_array_equal(found.boxes, boxes)
    (one,) = coarse_to_fine([boxes[:1]], Bump((0, 0, 1, 1)))
    assert len(one.boxes) == 1


def test_the_posterior_mean_of_the_whole_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Centred scores in standard deviations; predictions are near them where none were scored.

    By 12 scores they are that near. By 8 they are farther off, which the fitted rule does not mind:
    crops agree with people as well, and those of copies with one another.
    """
    boxes = for_ratio(WIDTH, HEIGHT, 1.0)
    score = Bump((20, 40, 400, 420))
    (everything,) = exhaustive([boxes], score)
    raw = score(boxes).astype(np.float64)
    wanted = (raw - raw.mean()) / raw.std()
    np.testing.assert_allclose(everything.posterior_mean, wanted, atol=1e-5)
    ways = ((coarse_to_fine, 8, 0.1), (spread_only, 12, 0.1), (spread_only, 8, 0.3))
    for way, scored, within in ways:
        monkeypatch.setattr(search, "SPREAD", scored)
        search._spread_plan.cache_clear()
        (found,) = way([boxes], score)
        assert len(found.posterior_mean) == len(boxes) > len(found.boxes)
        np.testing.assert_array_equal(boxes[found.indices], found.boxes)
        np.testing.assert_array_equal(score(found.boxes), found.scores)
        known = score(found.boxes).astype(np.float64)
        near = (raw - known.mean()) / known.std()
        assert np.abs(found.posterior_mean - near).mean() < within
    search._spread_plan.cache_clear()


def test_spread_scores_few_in_one_call() -> None:
    score, boxes = Bump((50, 40, 400, 300)), lists()
    found = spread_only(boxes, score)
    assert [len(asked) for asked in score.asked] == [search.SPREAD * len(boxes)]
    for one, candidates in zip(found, boxes, strict=True):
        assert len(one.boxes) == search.SPREAD
        np.testing.assert_array_equal(one.boxes[0], candidates[0])


@pytest.mark.parametrize(("count", "each"), [(1, 40), (2, 20), (3, 14), (4, 10), (5, 8)])
def test_of_few_lists_more_is_scored(count: int, each: int) -> None:
    """As many as of five lists, or the crop of a shape would depend much on the other shapes."""
    score = Bump((50, 40, 400, 300))
    found = spread_only([*lists()[:count], lists()[0]], score)  # a list given twice counts once
    assert [len(one.boxes) for one in found] == [each] * (count + 1)
    assert [len(asked) for asked in score.asked] == [each * count]


def test_a_flat_list_is_predicted_flat() -> None:
    boxes = for_ratio(WIDTH, HEIGHT, 1.0)
    for way in (exhaustive, coarse_to_fine, spread_only):
        (found,) = way([boxes], lambda some: np.full(len(some), 0.3, np.float32))
        np.testing.assert_allclose(found.posterior_mean, 0, atol=1e-5)


def test_equal_scores_everywhere_are_no_problem() -> None:
    candidate_lists = lists()
    for found in coarse_to_fine(candidate_lists, lambda boxes: np.zeros(len(boxes), np.float32)):
        assert np.isfinite(found.scores).all()


def test_same_answer_every_time() -> None:
    candidate_lists = lists()
    once = coarse_to_fine(candidate_lists, Bump((50, 40, 400, 300)))
    again = coarse_to_fine(candidate_lists, Bump((50, 40, 400, 300)))
    for one, other in zip(once, again, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)


def test_the_networks_best_crops_are_found() -> None:
    """Untrained weights score more wildly than trained ones."""
    network = FastS2CNet(S2CNet.untrained("gaicv1", seed=0))
    losses = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        coarse = torch.from_numpy(rng.integers(0, 256, (1, 3, 6, 8)).astype(np.float32))
        view = torch.nn.functional.interpolate(coarse, (HEIGHT, WIDTH), mode="bilinear")[0]
        image, scale_xy = prepare_image(view.permute(1, 2, 0).byte().numpy())
        objects = torch.tensor([[60.0, 50, 150, 200], [200, 20, 300, 120]])
        encoded = network.encode(image[None], [objects])

        def score(boxes: np.ndarray, encoded=encoded, scale_xy=scale_xy) -> np.ndarray:
            crops = boxes_to_input(boxes, scale_xy)
            rois = torch.cat([crops.new_zeros(len(crops), 1), crops], dim=1)
            return network.score_crops(encoded, rois).numpy()

        candidate_lists = list(lists()[:3])
        pairs = zip(
            coarse_to_fine(candidate_lists, score), exhaustive(candidate_lists, score), strict=True
        )
        losses += [regret(found, everything) for found, everything in pairs]
    assert np.mean(losses) <= 0.02


def test_farthest_point_sampling_by_hand() -> None:
    # From 0 the farthest is 10; 4 is 4 from 0 and 6 from 10, 5 is 5 from both.
    points = np.array([[0.0], [4], [5], [10]]) * [1.0, 0, 0, 0]
    assert farthest_points(points, 3).tolist() == [0, 3, 2]
    assert farthest_points(points, 9).tolist() == [0, 3, 2, 1]
