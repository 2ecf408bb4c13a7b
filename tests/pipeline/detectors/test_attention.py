"""The embedded detector's gaze map, map of what people keep, and heads: by hand, and on a photo."""

import numpy as np
import pytest
import torch
from skimage.data import astronaut, chelsea

from pipeline.boxes import iou
from pipeline.detectors import Attention
from pipeline.detectors.embedded import EmbeddedDetector
from pipeline.detectors.peaks import CENTRES, HeatMaps, objects_at_peaks
from pipeline.detectors.postprocess import postprocess
from pipeline.detectors.read_attention import HEAD_OF_FACE, merge_heads, read_attention
from pipeline.detectors.subject_network import (
    ANIMAL_HEAD,
    CHANNELS,
    GAZE,
    HEAD,
    KEPT,
    KINDS,
    OFFSETS_OF,
    PLACEMENT,
    SUBJECT,
    ltrb_offsets,
)
from pipeline.lab.people.targets import head_target


def output(height: int = 8, width: int = 8) -> torch.Tensor:
    """Nothing anywhere: even maps, and no centre that is likely."""
    values = torch.full((1, CHANNELS, height, width), -8.0)
    values[:, GAZE] = 0
    values[:, KEPT] = 0
    return values


def inverse_softplus(value: float) -> float:
    return float(np.log(np.expm1(value)))


def attention(gaze: np.ndarray) -> Attention:
    return Attention(gaze, gaze, np.zeros((0, 4)), np.zeros(0))


def test_placement_does_not_depend_on_the_number_of_cells() -> None:
    for size in (8, 16):
        values = output(size, size)
        values[0, PLACEMENT] = 1.0
        values[0, PLACEMENT, :, : size // 4] = 5.0  # the mean is 2
        values[0, PLACEMENT + 1], values[0, PLACEMENT + 2] = 3.0, 7.0
        placement = read_attention(values).placement
        assert placement is not None
        half = size // 2  # cells of the maps, which come in blocks of 2 × 2
        across, down = placement
        assert float(across.worth.sum()) == pytest.approx(0)
        # (5 - 2) on a quarter of the photo
        assert float(across.worth[: half // 4].sum()) == pytest.approx(0.75)
        assert down.worth == pytest.approx(np.zeros(half))
        assert across.edge_cost == pytest.approx(np.full(half, 3.0))
        assert down.edge_cost == pytest.approx(np.full(half, 7.0))


def test_the_focus_is_the_centre_of_mass_around_the_peak() -> None:
    gaze = np.zeros((8, 8))
    gaze[1, 2], gaze[1, 3] = 0.3, 0.3
    gaze[6, 6] = 0.4  # the highest cell, but its neighbourhood holds less
    # columns 2 and 3 have their centres at 2.5/8 and 3.5/8, row 1 at 1.5/8
    assert attention(gaze).focus_rel() == pytest.approx((0.375, 0.1875))


def test_the_focus_moves_little_where_two_neighbours_are_nearly_equal() -> None:
    gaze = np.full((4, 4), 1e-3)
    places = []
    for left, right in ((0.5, 0.49), (0.49, 0.5)):
        gaze[1, 1], gaze[1, 2] = left, right
        places.append(attention(gaze).focus_rel())
    # the highest cell moves by .25 of the width, the focus by about .005
    assert np.abs(np.subtract(*places)).max() < 0.01


def test_maps_are_shares_and_probabilities() -> None:
    values = output(4, 4)
    values[0, GAZE, 1, 2] = np.log(7.0)
    values[0, SUBJECT, 2, 3] = np.log(4.0)
    values[0, KEPT, 0:2, 0:2] = np.log(3.0)  # they come in blocks of 2 × 2 equal cells
    found = read_attention(values)
    assert found.gaze.shape == found.kept.shape == (4, 4)
    # 15 cells of weight 1 and one of 7: 7/22 and 1/22
    assert found.gaze[1, 2] == pytest.approx(7 / 22)
    assert found.gaze[0, 0] == pytest.approx(1 / 22)
    assert found.gaze.sum() == pytest.approx(1)
    # odds of 3 to 1
    assert found.kept[0, 0] == pytest.approx(0.75)
    assert found.kept[3, 3] == pytest.approx(0.5)
    assert found.subject is not None
    assert found.subject[2, 3] == pytest.approx(0.8)  # odds of 4 to 1
    assert found.subject[0, 0] == pytest.approx(1 / (1 + np.exp(8)))  # `output` has -8


def test_votes_for_a_head_as_training_draws_it_sum_to_its_likelihood() -> None:
    """A head of 20 × 30 cells, drawn as in training, with its true edges told at each cell."""
    target = head_target(np.array([[10, 5, 30, 35]]) / 40, 40, 40)
    values = output(40, 40)
    sure = np.clip(target.centres, 1e-6, 0.999)
    values[0, HEAD] = torch.from_numpy(np.log(sure / (1 - sure)))
    rows, columns = np.mgrid[:40, :40] + 0.5
    edges = np.stack([columns - 10, rows - 5, 30 - columns, 35 - rows]).clip(0.1)
    values[0, HEAD + 1 : HEAD + 5] = torch.from_numpy(np.log(np.expm1(edges)))
    votes = read_attention(values).head_votes
    assert votes is not None
    # the ramp leaves out what lies far from the centre
    assert votes.counts.sum() == pytest.approx(0.85, abs=0.1)
    head = np.array([0.25, 0.125, 0.75, 0.875])
    assert np.abs(votes.boxes_rel - head).max() < 1e-3


def test_a_vote_rises_smoothly_with_its_likelihood() -> None:
    counts = []
    for likelihood in (0.079, 0.081, 0.23, 0.38, 0.76):
        values = output()
        values[0, HEAD, 2, 3] = np.log(likelihood / (1 - likelihood))
        values[0, HEAD + 1 : HEAD + 5, 2, 3] = inverse_softplus(0.5)
        votes = read_attention(values).head_votes
        assert votes is not None
        counts.append(votes.counts.sum())
    # one cell wide: a deviation of .6 cells, an integral of 2 π .36; half-way up the ramp at .23
    whole = 1 / (2 * np.pi * 0.36)
    assert counts == pytest.approx([0, 0, 0.23 / 2 * whole, 0.38 * whole, 0.76 * whole], abs=1e-4)


def test_a_head_is_read_off_its_centre_and_offsets() -> None:
    values = output()
    values[0, HEAD, 2, 3] = 2.0
    values[0, HEAD + 1 : HEAD + 5, 2, 3] = inverse_softplus(1.5)
    found = read_attention(values)
    # the cell's centre is (3.5, 2.5); 1.5 cells to each side; as shares of 8 cells
    assert found.heads_rel == pytest.approx(np.array([[2, 1, 5, 4]]) / 8)
    assert found.likelihood == pytest.approx([1 / (1 + np.exp(-2.0))])


@pytest.mark.parametrize(
    ("person", "animal", "told"),
    [
        (None, 0.3, [0.3]),
        (None, 0.14, []),  # too unlikely
        ((3, 0.25), 0.9, []),  # a person's head, if it is likely, is none of an animal
        ((3, 0.15), 0.9, [0.9]),
        ((6, 0.9), 0.9, [0.9]),  # beside it
    ],
)
def test_a_head_of_an_animal_is_no_person_s(
    person: tuple[int, float] | None, animal: float, told: list[float]
) -> None:
    """Heads of 3 × 3 cells; a person's has its centre in the column and the likelihood given."""
    values = output()
    heads = [(ANIMAL_HEAD, 3, animal)] + ([(HEAD, *person)] if person else [])
    for channel, column, likelihood in heads:
        values[0, channel, 2, column] = np.log(likelihood / (1 - likelihood))
        values[0, channel + 1 : channel + 5, 2, column] = inverse_softplus(1.5)
    found = read_attention(values)
    assert found.animal_likelihood == pytest.approx(told)
    assert found.animal_heads_rel == pytest.approx(
        np.array([[2, 1, 5, 4]] * len(told)).reshape(-1, 4) / 8
    )


def test_a_face_alone_becomes_a_head_and_one_on_a_head_makes_it_surer() -> None:
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    face = np.array([[2, 2, 4, 4]], np.float32), np.array([0.9], np.float32)
    limit = np.array([8, 8, 8, 8])
    heads, likelihood = merge_heads(nothing, face, limit)
    # two cells wide and high, so the head's edges are twice HEAD_OF_FACE away
    assert heads == pytest.approx((np.array([[2, 2, 4, 4]]) + 2 * HEAD_OF_FACE) / 8)
    assert likelihood == pytest.approx([0.9])
    own = np.array([[1.5, 1, 4.5, 4.5]], np.float32), np.array([0.4], np.float32)
    heads, likelihood = merge_heads(own, face, limit)
    assert heads == pytest.approx(own[0] / 8)
    assert likelihood == pytest.approx([0.9])


def test_maps_travel_with_the_objects() -> None:
    values = output()
    values[0, KINDS.index("face"), 4, 4] = 4.0
    first = OFFSETS_OF["face"]
    values[0, first : first + 4, 4, 4] = inverse_softplus(1.5)
    found = postprocess(values)
    assert found.labels == ["face"]
    assert found.attention is not None
    assert found.top(0).attention is found.attention


def test_the_gaze_peak_and_the_head_lie_on_the_face() -> None:
    photo = astronaut()  # public domain, 512 × 512: the face is about (170..285, 65..185)
    (found,) = EmbeddedDetector().detect([photo])
    assert found.attention is not None
    x, y = found.attention.focus_rel()
    assert 0.33 < x < 0.56
    assert 0.12 < y < 0.37
    best = found.attention.heads_rel[found.attention.likelihood.argmax()]
    assert (best[:2] < [0.36, 0.13]).all()
    assert (best[2:] > [0.54, 0.33]).all()


def test_a_cat_has_an_animal_s_head_and_an_astronaut_none() -> None:
    cat, person = EmbeddedDetector().detect([chelsea(), astronaut()])
    assert cat.attention is not None
    assert person.attention is not None
    best = cat.attention.animal_heads_rel[cat.attention.animal_likelihood.argmax()]
    assert iou(best, [0.06, 0.0, 0.88, 1.0]) > 0.4  # the whole head, by eye: CC0, 451 × 300
    assert len(person.attention.animal_heads_rel) == 0


def test_what_is_read_of_centres_is_that_of_each_channel_alone() -> None:
    """Peaks are cells that no neighbour exceeds; what is told once is told to all."""
    values = torch.randn(1, CHANNELS, 12, 16, generator=torch.Generator().manual_seed(2))
    heat = HeatMaps(values)
    for channel in CENTRES:
        alone = values[0, channel].sigmoid().numpy()
        np.testing.assert_array_equal(heat.centres(channel), alone)
        padded = np.pad(alone, 1)
        around = [padded[y : y + 12, x : x + 16] for y in range(3) for x in range(3)]
        peaks = np.where(alone == np.max(around, axis=0), alone, 0)
        boxes, likelihood = objects_at_peaks(peaks, heat.offsets(4), 0.6)
        assert len(boxes) > 2
        for found, expected in zip(heat.objects(channel, 4, 0.6), (boxes, likelihood), strict=True):
            np.testing.assert_array_equal(found, expected)
    assert heat.offsets(8) is heat.offsets(8)
    np.testing.assert_array_equal(heat.offsets(8), ltrb_offsets(values, 8)[0].numpy())
